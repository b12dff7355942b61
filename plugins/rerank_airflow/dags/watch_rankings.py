"""Look how old the page is, tell somebody if it is too old, and announce what a task that died has not announced.

| task | what it does |
|---|---|
| **watch** | starts `announce_rankings` for each move of the page that nobody was told of; sends `page_age` and `page_degraded` of the page that frontends see |

It looks every five minutes (`RERANK_AIRFLOW_WATCH_SCHEDULE`), whatever the other DAGs do. **watch** is red while the page is older than two runs of
the schedule and the page's deadline, or the first page has been waited for as long. `RERANK_AIRFLOW_NOTIFY_STALE` and `RERANK_AIRFLOW_MAIL` are told of
that once a day. Before that, **watch** is skipped while there is no page.
"""

from airflow.sdk import DAG

from rerank_airflow.defaults import new_dag
from rerank_airflow.operators.watch import WatchOperator
from rerank_airflow.settings import AirflowSettings


def watching_dag(pipeline: str) -> DAG:
    """The DAG of one pipeline."""
    with new_dag(
        "watch_rankings",
        pipeline,
        description=f"Looks how old the page of the pipeline {pipeline} is, and tells of an old one.",
        doc_md=__doc__,
        schedule=AirflowSettings.load().watch_schedule,
        max_active_runs=1,
    ) as dag:
        WatchOperator(task_id="watch", pipeline=pipeline)
    return dag
