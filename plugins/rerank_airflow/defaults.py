"""What every task of a pipeline's DAG shares, read from the settings while the DAG file is parsed."""

from datetime import timedelta
from functools import partial
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from rerank_airflow import metrics, notify
from rerank_airflow.settings import AirflowSettings, settings_of
from rerank_core.errors import PermanentError

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
    """`rank_new_articles` for the default pipeline, with its name behind for any other."""
    return "rank_new_articles" if pipeline == "news" else f"rank_new_articles_{pipeline}"


def announcing_dag_id(pipeline: str) -> str:
    """`announce_rankings` for the default pipeline, with its name behind for any other."""
    return "announce_rankings" if pipeline == "news" else f"announce_rankings_{pipeline}"


def maintaining_dag_id(pipeline: str) -> str:
    """`maintain_rankings` for the default pipeline, with its name behind for any other."""
    return "maintain_rankings" if pipeline == "news" else f"maintain_rankings_{pipeline}"


def watching_dag_id(pipeline: str) -> str:
    """`watch_rankings` for the default pipeline, with its name behind for any other."""
    return "watch_rankings" if pipeline == "news" else f"watch_rankings_{pipeline}"


def overdue_dag_id(pipeline: str) -> str:
    """`publish_overdue_rankings` for the default pipeline, with its name behind for any other."""
    return "publish_overdue_rankings" if pipeline == "news" else f"publish_overdue_rankings_{pipeline}"


def task_args(pipeline: str) -> dict[str, Any]:
    """default_args of the DAG: retries with a growing pause, and who hears of errors."""
    settings, airflow = settings_of(pipeline), AirflowSettings.load()
    count_error = partial(metrics.count_error, pipeline=pipeline)
    return {
        "retries": settings.retries,
        "retry_delay": timedelta(seconds=settings.retry_seconds),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=airflow.max_retry_minutes),
        "retry_policy": NEVER_RETRY_PERMANENT,
        "on_retry_callback": [count_error],
        "on_failure_callback": [count_error, partial(notify.on_failure, pipeline=pipeline)],
    }


def scoring_args(pipeline: str) -> dict[str, Any]:
    """Where a scoring task runs, and when it is ended because its engine hangs."""
    settings, airflow = settings_of(pipeline), AirflowSettings.load()
    args: dict[str, Any] = {
        "pool": settings.gpu_pool,
        "executor_config": airflow.executor_config,
        "execution_timeout": timedelta(minutes=2 * settings.scoring_minutes + airflow.scoring_grace_minutes),
    }
    if settings.gpu_queue is not None:
        args["queue"] = settings.gpu_queue
    return args


def embedding_args(pipeline: str) -> dict[str, Any]:
    """As `scoring_args` where recall needs vectors; else nothing: a task that does nothing waits for no device."""
    return scoring_args(pipeline) if settings_of(pipeline).recall_needs_vectors else {}
