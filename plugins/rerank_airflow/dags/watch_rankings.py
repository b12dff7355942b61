"""Tell Airflow's metrics how old the page is, and announce what a task that died has not announced.

| task | what it does |
|---|---|
| **watch** | starts `announce_rankings` for each publication in the outbox; sends `page_age` and `page_degraded` of the page that frontends see; skipped if there is no page yet |

So the age also grows while no dag run publishes. If Airflow's metrics are off, nothing is scheduled: the task `announce` of the next dag run then empties the
outbox.
"""

from airflow.sdk import DAG

from rerank_airflow.defaults import task_args, watching_dag_id
from rerank_airflow.operators.watch import WatchOperator
from rerank_airflow.settings import AirflowSettings
from rerank_airflow.signals import metrics


def watching_dag(pipeline: str) -> DAG:
    """The DAG of one pipeline."""
    with DAG(
        dag_id=watching_dag_id(pipeline),
        description=f"Tells Airflow's metrics how old the page of the pipeline {pipeline} is.",
        doc_md=__doc__,
        schedule=AirflowSettings.load().watch_schedule if metrics.switched_on() else None,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,  # reads one row
        tags=["news-rerank", pipeline],
        default_args=task_args(pipeline),
    ) as dag:
        WatchOperator(task_id="watch", pipeline=pipeline)
    return dag
