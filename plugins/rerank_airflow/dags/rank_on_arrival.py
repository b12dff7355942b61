"""Start a run when articles have come, and not only at the full hour.

| task | what it does |
|---|---|
| **start** | starts `rank_new_articles` if articles still wait; skipped if a run has claimed them meanwhile |

The asset `articles` starts this DAG. A trigger in Airflow's triggerer watches the source for it: an event comes once no further article came for
`RERANK_AIRFLOW_QUIET_SECONDS`, and at the latest `RERANK_AIRFLOW_ARRIVAL_MINUTES` after the first one. This DAG exists only if
`RERANK_AIRFLOW_START_ON_ARRIVAL` is set. The clock starts its runs all the same: an article belongs to the run that claims it first.
"""

from airflow.sdk import DAG

from rerank_airflow.defaults import new_dag
from rerank_airflow.operators.arrival import StartOnArrivalOperator
from rerank_airflow.signals import assets


def arrival_dag(pipeline: str) -> DAG:
    """The DAG of one pipeline."""
    with new_dag(
        "rank_on_arrival",
        pipeline,
        description=f"Starts a run of the pipeline {pipeline} when articles have come.",
        doc_md=__doc__,
        schedule=[assets.articles(pipeline)],
        max_active_runs=1,
    ) as dag:
        StartOnArrivalOperator(task_id="start", pipeline=pipeline)
    return dag
