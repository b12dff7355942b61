"""Look how old the page is, tell somebody if it is too old, and announce what a task that died has not announced.

| task | what it does |
|---|---|
| **watch** | starts `announce_rankings` for each publication in the outbox; sends `page_age` and `page_degraded` of the page that frontends see; red while the page is older than the schedule makes it, and tells `RERANK_AIRFLOW_NOTIFY_STALE` and `RERANK_AIRFLOW_MAIL` of it, once a day; skipped if there is no page yet |

So somebody hears of it also while no other dag run exists.
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
