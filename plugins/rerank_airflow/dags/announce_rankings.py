"""Tell ordinary DAGs that the page has moved.

| task | what it does | what it leaves |
|---|---|---|
| **page** | says which publication frontends see from now on | asset `rankings_current` |

The ranking DAG starts this DAG for each publication that the pointer moved to, and `watch_rankings` does so for what was left over. The asset `rankings`
has partitions, and an event with a partition never starts a DAG with `schedule=[asset]`. **Trigger** this DAG by hand after a rollback to a page that was
announced before: it then announces the current page.
"""

from airflow.sdk import DAG

from rerank_airflow.defaults import ANNOUNCING, new_dag
from rerank_airflow.operators.announce import CurrentPageOperator


def announcing_dag(pipeline: str) -> DAG:
    """The DAG of one pipeline."""
    with new_dag(
        ANNOUNCING,
        pipeline,
        description=f"Announces each page of the pipeline {pipeline} that frontends see.",
        doc_md=__doc__,
        schedule=None,
        max_active_runs=1,  # publications are announced in their order
    ) as dag:
        CurrentPageOperator(task_id="page", pipeline=pipeline)
    return dag
