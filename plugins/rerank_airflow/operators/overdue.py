"""A late page is published from outside the scoring pool.

No task waits for the deadline. The task `page_deadline`, beside extract, starts a dag run of the overdue DAG, and Airflow
holds this dag run back until the deadline. So waiting takes no worker slot and no triggerer, and a dag run ends when its
own work is done. Neither a stage that hangs, nor a pool without slots, nor a queue without workers can hold the page back.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSkipException

from rerank_airflow.defaults import OVERDUE
from rerank_airflow.operators.base import start_dag_run
from rerank_airflow.operators.stages import ObserveOperator, PublishOperator, StageOperator
from rerank_airflow.settings import public_settings_of, settings_of
from rerank_core.airflow_settings import of_pipeline
from rerank_core.errors import InputError, OverdueError, SettingsError

LOOK = timedelta(minutes=1)  # between two looks at a run whose page cannot come out yet
PATIENCE = timedelta(hours=24)


class PageDeadlineOperator(StageOperator):
    """Has the run published if its page is late; skips itself if there is no deadline.

    The deadline counts from the start of the dag run. Clearing a dag run starts it again.
    """

    def execute(self, context: Mapping[str, Any]) -> None:
        from rerank_core import pipeline

        minutes = public_settings_of(self.pipeline).page_deadline_minutes
        if not minutes:
            raise AirflowSkipException("pages of this pipeline have no deadline")
        due = (context["dag_run"].start_date or datetime.now(UTC)) + timedelta(minutes=minutes)
        run_id = self.open_run(context, pipeline.Resources.of(settings_of(self.pipeline))).run_id
        conf = {"run_id": run_id, "partition_key": context.get("partition_key")}
        name = f"run_{run_id}_due_{due:%Y-%m-%dT%H:%M:%S.%f}"
        start_dag_run(of_pipeline(OVERDUE, self.pipeline), name, conf, run_after=due)


class PublishOverdueOperator(PublishOperator):
    """Publishes the run that the dag run's conf names; skips itself if the run is published.

    If nothing of the run is prepared, the page before stays, and says that a newer page is overdue. The task then looks
    again each minute, and takes no worker slot meanwhile. So it does if a setting or the store is wrong: somebody mends that,
    and nobody has to start this again. It fails if that takes longer than PATIENCE.
    """

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from rerank_core import pipeline

        resources = pipeline.Resources.of(settings_of(self.pipeline))
        run = pipeline.get_run(resources, late_run(context))
        now = datetime.now(UTC)
        try:
            is_complete = bool(context["dag_run"].conf.get("complete"))
            published = pipeline.publish_overdue(resources, run_id=run.run_id, complete=is_complete)
        except (OverdueError, SettingsError) as error:
            if now - (context["dag_run"].start_date or now) > PATIENCE:
                raise
            self.log.warning("%s", error)
            raise AirflowRescheduleException(now + LOOK) from error  # type: ignore[no-untyped-call]
        if published is None:
            raise AirflowSkipException("the page is out")
        published |= {"as_of": run.window.until.isoformat()}
        self.tell(context, published, partition_key=context["dag_run"].conf.get("partition_key"))
        return published


class ObserveOverdueOperator(ObserveOperator):
    """Records the metrics of the run that the dag run's conf names."""

    def open_run(self, context: Mapping[str, Any], resources: Any) -> Any:
        from rerank_core import pipeline

        return pipeline.get_run(resources, late_run(context))


def late_run(context: Mapping[str, Any]) -> int:
    """The run's number. Raises InputError if the dag run's conf names no run."""
    run_id = (context["dag_run"].conf or {}).get("run_id")
    if not isinstance(run_id, int):
        raise InputError(
            f"run_id is {run_id!r}: trigger this DAG with the number of the run that is late, as `rerank runs` shows it"
        )
    return run_id
