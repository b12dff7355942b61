"""What the DAGs of a pipeline share: their ids, and the arguments of every task. Read while a DAG file is parsed."""

from datetime import timedelta
from functools import partial
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from rerank_airflow.settings import AirflowSettings, public_settings_of
from rerank_airflow.signals import metrics, notify
from rerank_core.errors import PermanentError

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


def dag_id(pipeline: str) -> str:
    """The ranking DAG: `rank_new_articles`; any pipeline but `news` adds its name."""
    return _named("rank_new_articles", pipeline)


def announcing_dag_id(pipeline: str) -> str:
    """The announcing DAG: `announce_rankings`, as `dag_id`."""
    return _named("announce_rankings", pipeline)


def maintaining_dag_id(pipeline: str) -> str:
    """The maintaining DAG: `maintain_rankings`, as `dag_id`."""
    return _named("maintain_rankings", pipeline)


def watching_dag_id(pipeline: str) -> str:
    """The watching DAG: `watch_rankings`, as `dag_id`."""
    return _named("watch_rankings", pipeline)


def overdue_dag_id(pipeline: str) -> str:
    """The overdue DAG: `publish_overdue_rankings`, as `dag_id`."""
    return _named("publish_overdue_rankings", pipeline)


def arrival_dag_id(pipeline: str) -> str:
    """The DAG that starts runs on arrival: `rank_on_arrival`, as `dag_id`."""
    return _named("rank_on_arrival", pipeline)


def _named(name: str, pipeline: str) -> str:
    return name if pipeline == "news" else f"{name}_{pipeline}"


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
