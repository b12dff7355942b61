"""A late page is published from outside the scoring pool.

No task waits for the deadline. The task `page_deadline`, beside scoring, starts a dag run of the overdue DAG, and Airflow
holds this dag run back until the deadline. So waiting takes no worker slot and no triggerer, and a dag run ends when its
own work is done. A pool without slots or a queue without workers cannot hold the page back.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowSkipException

from rerank_airflow.defaults import overdue_dag_id
from rerank_airflow.operators.stages import ObserveOperator, PublishOperator
from rerank_airflow.settings import settings_of
from rerank_core.errors import InputError


class PageDeadlineOperator(TriggerDagRunOperator):
    """Has the run published if its page is late; skips itself if there is no deadline.

    The deadline counts from the start of the dag run. Clearing a dag run starts it again.
    """

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(
            trigger_dag_id=overdue_dag_id(pipeline),
            logical_date=None,
            skip_when_already_exists=True,
            openlineage_inject_parent_info=False,
            **kwargs,
        )
        self.pipeline = pipeline

    def execute(self, context: Any) -> None:
        minutes = settings_of(self.pipeline).page_deadline_minutes
        if not minutes:
            raise AirflowSkipException("pages of this pipeline have no deadline")
        dag_run = context["dag_run"]
        due = (dag_run.start_date or datetime.now(UTC)) + timedelta(minutes=minutes)
        run_id = context["ti"].xcom_pull(task_ids="prepare")["run_id"]
        self.run_after = due
        self.conf = {"run_id": run_id, "partition_key": context.get("partition_key")}
        self.trigger_run_id = f"run_{run_id}_due_{due:%Y-%m-%dT%H:%M:%S}"
        super().execute(context)


class PublishOverdueOperator(PublishOperator):
    """Publishes the run that the dag run's conf names; skips itself if the run is published."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from rerank_core import pipeline

        resources = pipeline.Resources.of(settings_of(self.pipeline))
        run = pipeline.get_run(resources, late_run(context))
        published = pipeline.publish_overdue(resources, run_id=run.run_id)
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
