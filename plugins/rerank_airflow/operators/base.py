"""What the tasks share: a pipeline, a log without other packages' warnings, an end when they are told to stop, a way to start a dag run."""

import logging
import warnings
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from rerank_airflow.settings import settings_of

if TYPE_CHECKING:
    from rerank_core.settings import Settings
    from rerank_core.storage.database import Database

log = logging.getLogger(__name__)


class TaskKilled(BaseException):
    """The task was told to stop. Not an Exception, so that no handler on the way up swallows it."""


class PipelineOperator(BaseOperator):
    """A task of one pipeline."""

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline

    def opened(self) -> "tuple[Settings, Database]":
        """The settings of the pipeline, and its database."""
        from rerank_core.storage.database import Database  # no scheduler needs its driver

        settings = settings_of(self.pipeline)
        return settings, Database(settings.database_url)

    def pre_execute(self, context: Any) -> None:
        """Airflow calls this in the task's own process, before `execute`."""
        hush_others()

    def on_kill(self) -> None:
        """Raise inside SIGTERM's handler: otherwise the task would go on until SIGKILL. What is committed stays."""
        raise TaskKilled(f"{self.task_id} was told to stop")


def hush_others() -> None:
    """Show the warnings of this library alone: those of other packages are for their developers, and hide ours in a task's log."""
    warnings.simplefilter("ignore")
    for package in ("rerank_core", "rerank_airflow"):
        warnings.filterwarnings("default", module=rf"{package}\b")


def start_dag_run(
    dag_id: str, dag_run_id: str, conf: dict[str, Any], *, run_after: datetime | None = None
) -> bool:
    """Start a dag run without a partition, unless it exists; says whether it was started now."""
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun

    asked = TriggerDagRun(dag_id=dag_id, run_id=dag_run_id, conf=conf, run_after=run_after)
    answer = task_runner.SUPERVISOR_COMMS.send(asked)
    if not isinstance(answer, ErrorResponse):
        log.info("%s of %s is started", dag_run_id, dag_id)
        return True
    if answer.error == ErrorType.DAGRUN_ALREADY_EXISTS:
        log.info("%s of %s was started before", dag_run_id, dag_id)
        return False
    raise AirflowRuntimeError(answer)
