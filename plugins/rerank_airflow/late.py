"""The alert for a dag run that has not succeeded in time.

Airflow's scheduler notices the deadline, and its triggerer calls `tell` by its dotted name, in a process that has
no DAG files; so it stands here. It fires where a dag run hangs, waits for a slot, or failed; not while no dag run is there.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from rerank_airflow import notify
from rerank_airflow.settings import AirflowSettings, settings_of


def alert(pipeline: str) -> DeadlineAlert | None:
    """The DAG's deadline; none where RERANK_AIRFLOW_DEADLINE_MINUTES is not set."""
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
        f"{_standing(pipeline)}"
    )
    notify.tell(AirflowSettings.load().notify_late, context, alert=said)
    return said


def _standing(pipeline: str) -> str:
    from rerank_core.errors import RerankError
    from rerank_core.storage import database as db

    try:
        with db.Database(settings_of(pipeline).database_url).transaction(read_only=True) as connection:
            page = db.one(connection, "history.current_publication", pipeline=pipeline)
    except RerankError as error:
        return f"how old the page is could not be found out: {error}"
    if page is None:
        return "there is no page yet"
    return f"the page is of run {page['run_id']}, as of {page['as_of']:%Y-%m-%d %H:%M:%S} UTC"
