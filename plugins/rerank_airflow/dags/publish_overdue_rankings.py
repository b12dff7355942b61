"""Publish the page of a late run, with what exists of it.

| task | what it does | what it leaves |
|---|---|---|
| **publish** | publishes the run with what is prepared and scored; skipped if the run is published | the page, asset `rankings` |
| **announce** | tells of each move of the page that nobody was told of; skipped if there is none | asset `rankings_current` |
| **observe** | records the age of the page and what was scored so far | metrics |
| **verdict** | does nothing; its state makes the dag run red if the gate made `publish` red | |

The ranking DAG's task `page_deadline` starts a dag run of this DAG for each run. Airflow holds it back for
`RERANK_PAGE_DEADLINE_MINUTES`. Nothing waits for it, and it needs no slot of the pool `gpu`. In most hours the run is
published by then. Otherwise pairs without a score follow in the light order, the order without the model. While nothing of the
run is prepared, the page before says that it is overdue, and **publish** looks again each minute. If the rest comes later, the
ranking DAG publishes the run's next version by itself.

**Trigger** this DAG with a run's number to publish that run at once.
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param

from rerank_airflow.defaults import FIRST, OVERDUE, new_dag
from rerank_airflow.operators.announce import AnnounceOperator
from rerank_airflow.operators.overdue import ObserveOverdueOperator, PublishOverdueOperator


def overdue_dag(pipeline: str) -> DAG:
    """The DAG of one pipeline."""
    with new_dag(
        OVERDUE,
        pipeline,
        description=f"Publishes runs of the pipeline {pipeline} whose page is late.",
        doc_md=__doc__,
        schedule=None,
        params={
            "run_id": Param(
                None,
                type=["null", "integer"],
                title="Run",
                description="Number of the run whose page is late, as `rerank runs` shows it.",
            )
        },
    ) as dag:
        publish = PublishOverdueOperator(
            task_id="publish", pipeline=pipeline, weight_rule="absolute", priority_weight=FIRST
        )
        announce = AnnounceOperator(task_id="announce", pipeline=pipeline, trigger_rule="all_done")
        observe = ObserveOverdueOperator(task_id="observe", pipeline=pipeline, trigger_rule="all_done")
        verdict = EmptyOperator(task_id="verdict")
        # Also if the gate made publish red; both skip themselves if nothing was published.
        publish >> [announce, observe]
        publish >> verdict  # makes the dag run red if publish is
    return dag
