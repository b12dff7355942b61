"""Publish the page of a run that is late, with the scores that there are.

| task | what it does | what it leaves |
|---|---|---|
| **publish** | publishes the run as it stands: what has no score follows in BM25 order; skipped where its page is out | the page, asset `rankings` |
| **announce** | says that the page moved; skipped when it did not | asset `rankings_current` |
| **observe** | keeps the age of the page and what was scored so far | metrics |
| **verdict** | does nothing; it keeps a dag run red whose publish is, because of the gate | |

The ranking DAG's task `page_deadline` starts one of these for each run, and Airflow holds it back for
`RERANK_PAGE_DEADLINE_MINUTES`: nothing waits for it, least of all the pool `gpu`. In most hours the page is out by then.
When the scores come after all, the ranking DAG publishes the run's next version by itself.
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param

from rerank_airflow.defaults import overdue_dag_id, task_args
from rerank_airflow.operators.announce import AnnounceOperator
from rerank_airflow.operators.overdue import ObserveOverdueOperator, PublishOverdueOperator
from rerank_airflow.settings import pipelines


def overdue_dag(pipeline: str) -> DAG:
    """The DAG of one pipeline."""
    with DAG(
        dag_id=overdue_dag_id(pipeline),
        description=f"Publishes runs of the pipeline {pipeline} whose page is late.",
        doc_md=__doc__,
        schedule=None,
        is_paused_upon_creation=False,  # runs only when it is told to
        tags=["news-rerank", pipeline],
        params={
            "run_id": Param(
                None,
                type=["null", "integer"],
                title="Run",
                description="Number of the run whose page is late, as `rerank runs` shows it.",
            )
        },
        default_args=task_args(pipeline),
    ) as dag:
        publish = PublishOverdueOperator(task_id="publish", pipeline=pipeline)
        announce = AnnounceOperator(task_id="announce", pipeline=pipeline, trigger_rule="all_done")
        observe = ObserveOverdueOperator(task_id="observe", pipeline=pipeline, trigger_rule="all_done")
        verdict = EmptyOperator(task_id="verdict")
        publish >> [
            announce,
            observe,
        ]  # also when it is red for its gate; they skip themselves where nothing is published
        publish >> verdict  # keeps the dag run red then
    return dag


for name in pipelines():
    overdue_dag(name)
