"""The first task: checks what the other tasks need, and approves a blocked run if a person asks for it."""

import logging
from collections.abc import Mapping
from typing import Any

from rerank_airflow import form
from rerank_airflow.identity import RunIdentity
from rerank_airflow.operators.stages import StageOperator
from rerank_airflow.settings import settings_of
from rerank_core.errors import DatabaseUnavailable, SettingsError
from rerank_core.settings import Settings

log = logging.getLogger(__name__)


class DoctorFound(SettingsError):
    """A run cannot succeed before something is corrected; the message lists what."""


def examine(settings: Settings, identity: RunIdentity) -> dict[str, str]:
    """What each check found, by name. A failure that stops no run is logged.

    Raises DoctorFound, which is never retried, with a sentence for each failure. Raises DatabaseUnavailable, which is
    retried, if the database cannot be reached. Raises InputError if the run is limited to a topic that does not exist.
    """
    from rerank_core import pipeline
    from rerank_core.operations.doctor import examine as doctor
    from rerank_core.storage.database import Database

    findings = doctor.examine(settings)
    failures = [finding for finding in findings if finding.state == "fail"]
    failed = {finding.name: finding for finding in failures if finding.stops_runs}
    for finding in failures:
        if not finding.stops_runs:
            log.warning("%s: %s; %s", finding.name, finding.found, finding.advice)
    if failed:
        said = " ".join(f"{name}: {finding.found}; {finding.advice}." for name, finding in failed.items())
        raise (DatabaseUnavailable if "database" in failed else DoctorFound)(said)
    if identity.topics is not None:
        with Database(settings.database_url).transaction(read_only=True) as connection:
            pipeline.check_topics(connection, settings.pipeline, key=identity.key, topics=identity.topics)
    return {finding.name: f"{finding.state}: {finding.found}" for finding in findings}


class DoctorOperator(StageOperator):
    """Checks what the other tasks need, and fails with sentences that say what to do.

    Then it approves the blocked run that the trigger form names, so that the later tasks of this dag run find its scores.
    """

    def execute(self, context: Mapping[str, Any]) -> dict[str, str]:
        # A wrong trigger form fails here, before anything is claimed.
        form.check(context["dag_run"].conf)
        found = examine(settings_of(self.pipeline), self.identity(context)) | self.look_at_dags(context)
        if (wanted := context["params"].get("approve")) is not None:
            self.approve(context, run_id=wanted, reason=context["params"].get("reason") or "")
        return found

    def look_at_dags(self, context: Mapping[str, Any]) -> dict[str, str]:
        """Which of the pipeline's DAGs are paused or missing, as Airflow's API says; nothing if it cannot be asked."""
        from airflow.sdk.exceptions import AirflowRuntimeError

        from rerank_core.operations.doctor import dags

        paused = {}
        for dag_id in dags.ids(self.pipeline):
            try:
                paused[dag_id] = bool(context["ti"].get_dag(dag_id).is_paused)
            except AirflowRuntimeError as error:
                if (error.error.detail or {}).get("status_code") != 404:
                    self.log.warning("dags: %s could not be asked for: %s", dag_id, error)
                    return {}
        finding = dags.judge(self.pipeline, paused)
        if finding.state != "ok":
            self.log.warning("dags: %s; %s", finding.found, finding.advice)
        return {"dags": f"{finding.state}: {finding.found}"}

    def approve(self, context: Mapping[str, Any], *, run_id: int, reason: str) -> None:
        """Approve a run once: another try of this task finds the run approved."""
        from rerank_core import pipeline

        resources = pipeline.Resources.of(settings_of(self.pipeline))
        user = getattr(context["dag_run"], "triggering_user_name", None)
        published = pipeline.approve(resources, run_id=run_id, reason=reason, on_behalf_of=user)
        if published is None:
            self.log.info("run %s was approved before", run_id)
        else:
            self.log.info(
                "run %s is approved and published as version %s; the page %s",
                run_id,
                published["version"],
                "moved to it" if published["is_current"] else "did not move",
            )
