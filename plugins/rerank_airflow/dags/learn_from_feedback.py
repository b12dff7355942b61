"""Learn a scorer from what readers opened, and propose it. A person decides: no page changes by this DAG.

| task | what it does |
|---|---|
| **enough** | counts the examples; skips the rest, and says what is missing, if there are too few |
| **learn** | reads the pairs on a device, learns a head, and judges it; registers a proposal if every check passes |

It runs weekly (`RERANK_LEARNING_SCHEDULE`) once `RERANK_LEARNING_FOLDER` is set; without that, it does nothing. The task's log and
`rerank learn list` say which check failed and by how much. You may clear, stop and repeat it: pairs that were read are
kept until a training ends. **learn** waits behind scoring tasks. After `RERANK_LEARNING_MINUTES` it gives the device back and is tried
again a minute later: if Airflow shows it as *up for retry*, all is well.
"""

from airflow.sdk import DAG

from rerank_airflow.defaults import new_dag
from rerank_airflow.operators.learning import EnoughOperator, LearnOperator
from rerank_airflow.placement import learning_args
from rerank_airflow.settings import public_settings_of


def learning_dag(pipeline: str) -> DAG:
    """The DAG of one pipeline."""
    settings = public_settings_of(pipeline)
    with new_dag(
        "learn_from_feedback",
        pipeline,
        description=f"Learns a scorer from readers of the pipeline {pipeline}, and proposes it.",
        doc_md=__doc__,
        schedule=settings.learning_schedule if settings.learning_folder else None,
        max_active_runs=1,
    ) as dag:
        enough = EnoughOperator(task_id="enough", pipeline=pipeline)
        learn = LearnOperator(task_id="learn", pipeline=pipeline, **learning_args(pipeline))
        enough >> learn
    return dag
