"""The stages as operators.

Each opens its run by identity and hands over to `rerank_core.pipeline`; XCom gets counts, ids and paths only.
`rerank_core.pipeline` is imported inside `execute`, because it brings Arrow and a database driver that no
scheduler needs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from rerank_airflow import assets, form, metrics, notify
from rerank_airflow.devices import device
from rerank_airflow.identity import RunIdentity
from rerank_airflow.settings import settings_of


class TaskKilled(BaseException):
    """The task was told to stop. Not an Exception, so that no handler on the way up swallows it."""


class StageOperator(BaseOperator):
    """Runs the stage that its task id names, for the run that its dag run is."""

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline

    def execute(self, context: Mapping[str, Any]) -> Any:
        return self.run_stage(context)

    def run_stage(self, context: Mapping[str, Any], *, shard: int | None = None) -> dict[str, Any]:
        """Open the run and run the stage; returns the stage's counts, ids and paths, and the run's as-of time."""
        from rerank_core import pipeline

        resources = pipeline.Resources.of(settings_of(self.pipeline))
        run = self.open_run(context, resources)
        self.log.info("run %s is %s of pipeline %s", run.run_id, run.key, self.pipeline)
        result = pipeline.run_stage(self.task_id, resources=resources, run_id=run.run_id, shard=shard)
        return {**result, "as_of": run.window.until.isoformat()}

    def open_run(self, context: Mapping[str, Any], resources: Any) -> Any:
        """The run that the dag run is."""
        from rerank_core import pipeline

        identity = self.identity(context)
        return pipeline.open_run(
            resources,
            key=identity.key,
            until=identity.until,
            topics=identity.topics,
            rescore=identity.rescore,
        )

    def identity(self, context: Mapping[str, Any]) -> RunIdentity:
        return RunIdentity.of(context, schedule=settings_of(self.pipeline).schedule)

    def on_kill(self) -> None:
        """Called inside SIGTERM's handler: without raising, the stage would go on until SIGKILL."""
        raise TaskKilled(f"{self.task_id} was told to stop")


class DoctorOperator(StageOperator):
    """Checks what the other tasks need, and fails in sentences that say what to do.

    Approves the blocked run that the trigger form names, too: first of all, so that this dag run finds its scores.
    """

    def execute(self, context: Mapping[str, Any]) -> dict[str, str]:
        from rerank_airflow.doctor import examine

        # A wrong trigger form fails here, before anything is claimed.
        form.check(context["dag_run"].conf)
        found = examine(settings_of(self.pipeline), self.identity(context))
        if (wanted := context["params"].get("approve")) is not None:
            self.approve(context, run_id=wanted, reason=context["params"].get("reason") or "")
        return found

    def approve(self, context: Mapping[str, Any], *, run_id: int, reason: str) -> None:
        """Approve a run, once: a further try of this task finds it approved."""
        from rerank_core import pipeline

        resources = pipeline.Resources.of(settings_of(self.pipeline))
        user = getattr(context["dag_run"], "triggering_user_name", None)
        actor = f"{user} (Airflow)" if user else None
        published = pipeline.approve(resources, run_id=run_id, reason=reason, actor=actor)
        if published is None:
            self.log.info("run %s was approved before", run_id)
        else:
            self.log.info(
                "run %s is approved and published as version %s; the page %s",
                run_id,
                published["version"],
                "is at it" if published["is_current"] else "stays where it is",
            )


class EmbedOperator(StageOperator):
    """Embeds on one device of this host; succeeds at once where the pipeline's recall needs no vectors.

    It does not skip itself: recall would then be skipped too.
    """

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        if not settings_of(self.pipeline).recall_needs_vectors:
            return {"documents": 0}
        with device() as name:  # before the engine is imported: CUDA looks at its devices once
            return {"device": name, **self.run_stage(context)}


class RecallOperator(StageOperator):
    """Returns the shards, which the scoring tasks are mapped over; its counts are the XCom `counts`."""

    def execute(self, context: Mapping[str, Any]) -> list[dict[str, int]]:
        counts = self.run_stage(context)
        shards = list(counts.pop("shards"))
        context["ti"].xcom_push(key="counts", value=counts)
        return shards


class RerankOperator(StageOperator):
    """Scores one shard on one device of this host."""

    template_fields: Sequence[str] = ("shard",)

    def __init__(self, *, shard: Mapping[str, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shard = shard

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        with device() as name:  # before the engine is imported: CUDA looks at its devices once
            return {"device": name, **self.run_stage(context, shard=self.shard["shard"])}


class DegradeOperator(StageOperator):
    """Skips itself when no pair is missing, so that the graph shows which runs were degraded."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        counts = self.run_stage(context)
        if counts["missing"] == 0:
            raise AirflowSkipException("every pair has a score")
        return counts


class PublishOperator(StageOperator):
    """Emits the asset `rankings`, and tells the notifiers when the page is degraded.

    Where the gate has blocked the run it fails when all that is done: for good, with the gate's sentence. Airflow
    keeps no event of a task that fails; `announce` and `observe` go on with what was published.
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
        """What follows a publication in Airflow. Raises BlockedError, last of all, where the gate has blocked the run."""
        from rerank_core import pipeline

        assets.emit(context, asset=self.asset, partition_key=partition_key, published=published)
        if published["degraded"]:
            notify.on_degraded(context, pipeline=self.pipeline, published=published)
        if published["blocked"] is not None:
            context["ti"].xcom_push(key="return_value", value=dict(published))
            pipeline.raise_blocked(published, pipeline=self.pipeline)


class ObserveOperator(StageOperator):
    """Sends what it found of the run to Airflow's metrics, too; skips itself where nothing was published."""

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        if context["ti"].xcom_pull(task_ids="publish") is None:
            raise AirflowSkipException("nothing was published")
        observed = self.run_stage(context)
        metrics.send_observed(self.pipeline, observed)
        return observed
