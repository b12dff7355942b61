"""The stages as operators.

An operator opens its run by the run's identity and calls `rerank_core.pipeline`. XCom gets counts, ids and paths only.
`rerank_core.pipeline` is imported inside functions, because it loads Arrow and a database driver that no scheduler needs.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from airflow.sdk.exceptions import AirflowRescheduleException, AirflowRuntimeError, AirflowSkipException

from rerank_airflow.defaults import OVERDUE
from rerank_airflow.devices import device
from rerank_airflow.identity import RunIdentity
from rerank_airflow.links import RankingRunLink
from rerank_airflow.operators.base import PipelineOperator, start_dag_run
from rerank_airflow.placement import is_one_host
from rerank_airflow.settings import public_settings_of, settings_of
from rerank_airflow.signals import assets, metrics, notify
from rerank_core.airflow_settings import of_pipeline
from rerank_core.errors import DatabaseUnavailable, HostFault, RerankError

ELSEWHERE = timedelta(seconds=10)  # until a task that this host cannot do is queued again
BY_ITSELF = timedelta(seconds=15)  # that the dag run of a complete run has, to publish by itself


class StageOperator(PipelineOperator):
    """Runs the stage that the task id names, for the run of its dag run."""

    operator_extra_links = (RankingRunLink(),)

    def execute(self, context: Mapping[str, Any]) -> Any:
        return self.run_stage(context)

    def run_stage(self, context: Mapping[str, Any], *, shard: int | None = None) -> dict[str, Any]:
        """Open the run and run the stage. Returns the stage's counts, ids and paths, and `as_of` in ISO 8601."""
        from rerank_core import pipeline

        resources = pipeline.Resources.of(settings_of(self.pipeline))
        run = self.open_run(context, resources)
        self.log.info("run %s is %s of pipeline %s", run.run_id, run.key, self.pipeline)
        result = pipeline.run_stage(self.task_id, resources=resources, run_id=run.run_id, shard=shard)
        return {**result, "as_of": run.window.until.isoformat()}

    def open_run(self, context: Mapping[str, Any], resources: Any) -> Any:
        """The run of the dag run, opened if it is new; several tasks of a dag run may ask at once."""
        from rerank_core import pipeline
        from rerank_core.storage.database import asked_by

        identity = self.identity(context)
        with asked_by(identity.asked_by):
            return pipeline.open_run(
                resources,
                key=identity.key,
                until=identity.until,
                topics=identity.topics,
                rescore=identity.rescore,
                as_claimed_now=identity.as_claimed_now,
            )

    def identity(self, context: Mapping[str, Any]) -> RunIdentity:
        return RunIdentity.of(context, schedule=public_settings_of(self.pipeline).schedule)


class DeviceOperator(StageOperator):
    """Runs its stage on one device of this host.

    If this host cannot, the task goes to another host: Airflow queues it again, which uses up no try.
    """

    def run_on_device(self, context: Mapping[str, Any], *, shard: int | None = None) -> dict[str, Any]:
        from rerank_core import pipeline

        resources = pipeline.Resources.of(settings_of(self.pipeline))
        try:
            pipeline.check_host(self.task_id, resources, run_id=self.open_run(context, resources).run_id)
        except (HostFault, DatabaseUnavailable) as fault:
            self.place_elsewhere(context, fault)
        with device() as name:  # before the engine is imported: CUDA looks at its devices once
            return {"device": name, **self.run_stage(context, shard=shard)}

    def place_elsewhere(self, context: Mapping[str, Any], fault: RerankError) -> NoReturn:
        """Queue the task again, for another host. Raises the error itself if there is no other, or after `scoring_minutes`."""
        now, minutes = datetime.now(UTC), public_settings_of(self.pipeline).scoring_minutes
        began = context["ti"].get_first_reschedule_date(context) or now
        if is_one_host(self.executor) or now - began > timedelta(minutes=minutes):
            raise fault.__cause__ or fault
        self.log.warning("%s; another host is asked for", fault)
        raise AirflowRescheduleException(now + ELSEWHERE) from fault  # type: ignore[no-untyped-call]


class EmbedOperator(DeviceOperator):
    """Embeds, on one device of this host if the embedder needs one; succeeds at once if recall needs no vectors.

    It does not skip itself, because Airflow would then skip recall too.
    """

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        settings = settings_of(self.pipeline)
        if not settings.recall_needs_vectors:
            return {"documents": 0}
        return self.run_on_device(context) if settings.embedding_needs_device else self.run_stage(context)


class RecallOperator(StageOperator):
    """Returns the shards, one for each scoring task. The XCom `counts` has the stage's counts."""

    def execute(self, context: Mapping[str, Any]) -> list[dict[str, int]]:
        counts = self.run_stage(context)
        shards = list(counts.pop("shards"))
        context["ti"].xcom_push(key="counts", value=counts)
        return shards


class RerankOperator(DeviceOperator):
    """Scores one shard on one device of this host, and what the run's other shards still miss.

    If it has scored the last pair of the run, it has the page published, also if the task of another shard does not end.
    """

    template_fields: Sequence[str] = ("shard",)

    def __init__(self, *, shard: Mapping[str, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shard = shard

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        scored = self.run_on_device(context, shard=self.shard["shard"])
        if scored["shards"] > 1 and not scored["left"]:
            self.publish_complete(context, scored["run_id"])
        return scored

    def publish_complete(self, context: Mapping[str, Any], run_id: int) -> None:
        """Have the page published shortly, unless the dag run does so by itself meanwhile."""
        dag_run, now = context["dag_run"], datetime.now(UTC)
        name = f"run_{run_id}_complete_{dag_run.start_date or now:%Y-%m-%dT%H:%M:%S.%f}"
        conf = {"run_id": run_id, "partition_key": context.get("partition_key"), "complete": True}
        try:
            start_dag_run(of_pipeline(OVERDUE, self.pipeline), name, conf, run_after=now + BY_ITSELF)
        except (
            AirflowRuntimeError
        ) as error:  # the scores are kept: the dag run publishes them when all tasks have ended
            self.log.warning("the page waits for all scoring tasks: %s", error)


class DegradeOperator(StageOperator):
    """Skips itself if no pair is missing, so that the graph shows which runs are degraded."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        counts = self.run_stage(context)
        if counts["missing"] == 0:
            raise AirflowSkipException("every pair has a score")
        return counts


class PublishOperator(StageOperator):
    """Emits the asset `rankings`, and tells the notifiers if the page is degraded.

    If the gate has blocked the run, the task fails after all this, with the gate's sentence, and is not tried again.
    Airflow keeps no event of a failed task; `announce` and `observe` go on with what was published.
    """

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(pipeline=pipeline, **kwargs)
        self.asset = assets.rankings(pipeline)
        self.outlets = [*self.outlets, self.asset]

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        published = self.run_stage(context)
        self.tell(context, published, partition_key=self.identity(context).partition_key)
        return published

    def tell(
        self, context: Mapping[str, Any], published: Mapping[str, Any], *, partition_key: str | None
    ) -> None:
        """Tell Airflow what was published. Raises BlockedError, last of all, if the gate has blocked the run."""
        from rerank_core import pipeline

        assets.emit(context, asset=self.asset, partition_key=partition_key, published=published)
        if published["degraded"]:
            notify.on_degraded(context, pipeline=self.pipeline, published=published)
        if published["blocked"] is not None:
            context["ti"].xcom_push(key="return_value", value=dict(published))
            pipeline.raise_blocked(published, pipeline=self.pipeline)


class ObserveOperator(StageOperator):
    """Also sends what it found to Airflow's metrics, and tells of what has fallen silent; skips itself if nothing was published."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        if context["ti"].xcom_pull(task_ids="publish") is None:
            raise AirflowSkipException("nothing was published")
        observed = self.run_stage(context)
        metrics.send_observed(self.pipeline, observed)
        if observed["fallen_silent"]:
            notify.on_silent(context, pipeline=self.pipeline, fallen=observed["fallen_silent"])
        return observed
