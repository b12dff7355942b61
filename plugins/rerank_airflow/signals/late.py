"""The alert for a dag run that has not succeeded in time.

Airflow's scheduler notices the deadline. Its triggerer then calls `tell` by its dotted name, in a process that has no
DAG files; so `tell` must live in a module. The alert comes if a dag run hangs, waits for a slot, or failed. It does not
come if there is no dag run at all.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from rerank_airflow.settings import AirflowSettings, settings_of
from rerank_airflow.signals import notify


def alert(pipeline: str) -> DeadlineAlert | None:
    """The DAG's deadline; None if RERANK_AIRFLOW_DEADLINE_MINUTES is not set."""
    minutes = AirflowSettings.load().deadline_minutes
    if minutes is None:
        return None
    return DeadlineAlert(
        name="page",
        reference=DeadlineReference.DAGRUN_QUEUED_AT,  # a dag run of a partition has no logical date
        interval=timedelta(minutes=minutes),
        callback=AsyncCallback(tell, {"pipeline": pipeline, "minutes": minutes}),
    )


async def tell(*, pipeline: str, minutes: float, context: Mapping[str, Any]) -> str:
    """Call the notifiers of `notify_late`; returns the sentence, which Airflow keeps."""
    # The triggerer's loop serves every other trigger meanwhile.
    return await asyncio.to_thread(_tell, pipeline, minutes, context)


def _tell(pipeline: str, minutes: float, context: Mapping[str, Any]) -> str:
    run_id = context["dag_run"]["dag_run_id"]
    said = (
        f"pipeline {pipeline}: dag run {run_id} has not succeeded {minutes:g} minutes after it was queued; "
        f"{_how_old(pipeline)}"
    )
    notify.alert("late", context, said=said)
    return said


def _how_old(pipeline: str) -> str:
    from rerank_core.errors import RerankError
    from rerank_core.observe import history
    from rerank_core.storage.database import Database

    try:
        current = history.current_publication(Database(settings_of(pipeline).database_url), pipeline=pipeline)
    except RerankError as error:
        return f"how old the page is could not be found out: {error}"
    if current is None:
        return "there is no page yet"
    return f"the page is of run {current.run_id}, as of {current.as_of:%Y-%m-%d %H:%M:%S} UTC"
