"""Delete what is past its retention, keep `latest.json` right, and look at readers' events.

| task | what it does |
|---|---|
| **maintain** | deletes publications, runs, texts and months of scores past their retention, and files that nothing names; repairs `latest.json` |
| **feedback** | claims events of `RERANK_FEEDBACK_VIEW`, and makes the report of the view *Feedback* |

It deletes nothing that the page needs. A reader or a running task may still have the path of a file, so a file is
deleted `RERANK_STORE_GRACE_HOURS` after its rows. The task's log names what was deleted; its XCom counts it. This DAG may run
beside any other. You may clear, stop and repeat it. **Trigger** it with *Dry run* to see what it would delete.
"""

from airflow.sdk import DAG, Param

from rerank_airflow.defaults import new_dag
from rerank_airflow.operators.maintenance import FeedbackOperator, MaintainOperator
from rerank_airflow.settings import public_settings_of


def maintaining_dag(pipeline: str) -> DAG:
    """The DAG of one pipeline."""
    with new_dag(
        "maintain_rankings",
        pipeline,
        description=f"Deletes what is past its retention in the pipeline {pipeline}, and repairs latest.json.",
        doc_md=__doc__,
        schedule=public_settings_of(pipeline).maintain_schedule,
        max_active_runs=1,
        params={
            "dry_run": Param(
                False,
                type="boolean",
                title="Dry run",
                description="Count what would be deleted; change nothing.",
            )
        },
    ) as dag:
        # Without a time: a first clean-up may take hours, and delays no page.
        MaintainOperator(task_id="maintain", pipeline=pipeline, execution_timeout=None)
        FeedbackOperator(task_id="feedback", pipeline=pipeline)
    return dag
