"""An example of a DAG that tells a webhook what is new in each topic.

Copy it and change what it posts. It needs the package `apache-airflow-providers-http`, the connection `news_webhook` (HTTP; its host is the
webhook's whole address), and the connection `news_reader` (a role that may select from the views).

Events can come twice and out of order. So each post has the key of its publication, by which the webhook knows it again, and what
was posted is remembered in the variable `news_webhook_posted`. If this DAG dies between the two, it posts the same content under
the same key once more.
"""

import json
from typing import Any

from airflow.providers.http.hooks.http import HttpHook  # type: ignore[import-not-found, unused-ignore]
from airflow.sdk import DAG, Connection, Variable, task

from rerank_airflow.signals.assets import rankings_current

PAGE = rankings_current("news")
POSTED = "news_webhook_posted"  # the latest publications, as JSON
REMEMBERED = 200
# What the page's move changed, in the contract's words; nothing of an article that is hidden by now.
NEWS = """
SELECT topic, change, title, url, rank_before, rank_now, cause, from_publication_id
FROM rerank.recent_change
WHERE publication_id = %s AND change IN ('entered', 'left', 'rose')
  AND moved_at = (SELECT max(moved_at) FROM rerank.recent_change WHERE publication_id = %s)
ORDER BY topic, rank_now, rank_before
"""


def news_of(publication_id: int) -> list[dict[str, Any]]:
    """What became of the topics with this publication; empty if nothing did, or it was the page too long ago."""
    import psycopg2
    from psycopg2.extras import RealDictCursor

    connection = psycopg2.connect(Connection.get("news_reader").get_uri())
    try:
        with connection.cursor(cursor_factory=RealDictCursor) as cursor:
            cursor.execute(NEWS, [publication_id, publication_id])
            return [dict(row) for row in cursor.fetchall()]
    finally:
        connection.close()


def post(event: dict[str, Any]) -> str:
    """Tell the webhook of a publication unless it was told; returns what became of it."""
    publication_id = event["publication_id"]
    posted = json.loads(Variable.get(POSTED, default="[]"))
    if publication_id in posted:
        return "posted before"
    news = news_of(publication_id)
    if not news:
        return "nothing new"
    content = {
        **{name: event[name] for name in ("publication_id", "as_of", "cause", "changes")},
        "news": news,
    }
    HttpHook(method="POST", http_conn_id="news_webhook").run(
        data=json.dumps(content),
        headers={
            "Content-Type": "application/json; charset=utf-8",
            "Idempotency-Key": f"news-{publication_id}",
        },
        extra_options={"timeout": 20},
    )  # raises for 4xx and 5xx, and Airflow tries again
    Variable.set(POSTED, json.dumps([*posted, publication_id][-REMEMBERED:]))
    return "posted"


with DAG(
    dag_id="example_webhook",
    doc_md=__doc__,
    schedule=[PAGE],
    catchup=False,
    max_active_runs=1,  # or two might post one publication
    default_args={"retries": 3},
    tags=["news-rerank", "example"],
):

    @task
    def tell(triggering_asset_events: Any = None) -> dict[str, str]:
        """Each publication that an event names, and what became of it."""
        events = {event.extra["publication_id"]: event.extra for event in triggering_asset_events[PAGE]}
        return {str(number): post(events[number]) for number in sorted(events)}

    tell()
