"""An example of a DAG that follows the page: it keeps one JSON file for each publication that it sees.

Copy it and change what it does with a publication. It needs the connection `news_reader` (a role that may select from the
views) and the variable `news_pages_folder`.

Events can come twice (a cleared dag run) and out of order, and several events may start one dag run. So the file is named
by the publication, written once, and filled by one statement that names the publication. If a newer publication has
become the page, nothing is read, and that publication's own event brings it.
"""

import json
import os
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Connection, Variable, task

from rerank_airflow.signals.assets import rankings_current

PAGE = rankings_current("news")
# A consumer reads the contract's views with SQL of its own, and needs nothing else of this library.
ROWS = """
SELECT t.topic, t.state, t.as_of, r.rank, r.article_id, r.title, r.url
FROM rerank.current_topic t
LEFT JOIN rerank.current_ranking r USING (publication_id, topic)
WHERE t.publication_id = %s
ORDER BY t.topic, r.rank
"""


def keep_page(publication_id: int, folder: Path) -> str:
    """Write the publication to its file unless the file exists; returns what became of it."""
    import psycopg2
    from psycopg2.extras import RealDictCursor

    file = folder / f"{publication_id}.json"
    if file.exists():
        return "kept before"
    connection = psycopg2.connect(Connection.get("news_reader").get_uri())
    try:
        with connection.cursor(cursor_factory=RealDictCursor) as cursor:
            cursor.execute(ROWS, [publication_id])
            rows = cursor.fetchall()
    finally:
        connection.close()
    if not rows:
        return "superseded"
    draft = file.with_suffix(f".{os.getpid()}.tmp")
    draft.write_text(
        json.dumps([dict(row) for row in rows], default=str, ensure_ascii=False), encoding="utf-8"
    )
    draft.replace(file)
    return "kept"


with DAG(
    dag_id="example_consumer",
    doc_md=__doc__,
    schedule=[PAGE],
    catchup=False,
    max_active_runs=1,
    tags=["news-rerank", "example"],
):

    @task
    def keep(triggering_asset_events: Any = None) -> dict[str, str]:
        """Each publication that an event names, and what became of it."""
        folder = Path(Variable.get("news_pages_folder"))
        wanted = {event.extra["publication_id"] for event in triggering_asset_events[PAGE]}
        return {str(publication_id): keep_page(publication_id, folder) for publication_id in sorted(wanted)}

    keep()
