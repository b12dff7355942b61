"""What the DAGs of a pipeline share: how they are made, and the arguments of every task. Read while a DAG file is parsed."""

from datetime import timedelta
from functools import partial
from typing import Any

from airflow.sdk import DAG, ExceptionRetryPolicy, RetryAction, RetryRule

from rerank_airflow.settings import AirflowSettings, public_settings_of
from rerank_airflow.signals import metrics, notify
from rerank_core.airflow_settings import of_pipeline
from rerank_core.errors import PermanentError

# DAGs that tasks start, and views ask for; `of_pipeline` gives their ids.
RANKING, ANNOUNCING, OVERDUE = "rank_new_articles", "announce_rankings", "publish_overdue_rankings"

DOCTOR_MINUTES = 5.0
FIRST = 1_000  # priority of the tasks that see to late pages: above any sum of other tasks

# The original exception stays in the log and in the callbacks; the same input is never tried twice.
NEVER_RETRY_PERMANENT = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=PermanentError,
            action=RetryAction.FAIL,
            reason="the same input fails again; the message says what to do",
        )
    ]
)


def new_dag(name: str, pipeline: str, *, description: str, doc_md: str | None, **others: Any) -> DAG:
    """A DAG of one pipeline. It starts unpaused: whoever copies the DAG file wants what it does."""
    return DAG(
        dag_id=of_pipeline(name, pipeline),
        description=description,
        doc_md=doc_md,
        catchup=False,  # a run claims what the hours before it left unclaimed
        is_paused_upon_creation=False,
        tags=["news-rerank", pipeline],
        default_args=task_args(pipeline),
        **others,
    )


def task_args(pipeline: str) -> dict[str, Any]:
    """default_args of a DAG: the time of a try, retries with a growing pause, and the callbacks of a failed try."""
    settings, airflow = public_settings_of(pipeline), AirflowSettings.load()
    count_error = partial(metrics.count_error, pipeline=pipeline)
    return {
        "retries": settings.retries,
        "retry_delay": timedelta(seconds=settings.retry_seconds),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=airflow.max_retry_minutes),
        "retry_policy": NEVER_RETRY_PERMANENT,
        "execution_timeout": timedelta(minutes=airflow.stage_minutes),
        "on_retry_callback": [count_error],
        "on_failure_callback": [count_error, partial(notify.on_failure, pipeline=pipeline)],
    }
