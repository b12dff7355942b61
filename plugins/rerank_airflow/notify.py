"""Who is told of what, in one sentence: tasks that failed, pages that are degraded, dag runs that are late.

A notifier is a function, an object or a class of Airflow's BaseNotifier; it gets the context that Airflow gives, with
the sentence as `alert`. One that breaks is logged, and harms neither the page nor the next notifier.
"""

import asyncio
import copy
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow.sdk import BaseNotifier

from rerank_airflow.settings import AirflowSettings

log = logging.getLogger(__name__)

Notifier = Callable[..., object]


def tell(notifiers: Sequence[Any], context: Mapping[str, Any], *, alert: str) -> int:
    """Call each of them with the context and `alert`; returns how many did not break."""
    log.warning("%s", alert)
    return sum(_call(found, {**context, "alert": alert}) for found in notifiers)


def _call(found: Any, context: dict[str, Any]) -> bool:
    try:
        # A copy: a notifier renders its templates in place, for good.
        notifier: Notifier = found() if isinstance(found, type) else copy.copy(found)
        if isinstance(notifier, BaseNotifier) and type(notifier).notify is BaseNotifier.notify:
            notifier.context = context  # type: ignore[assignment]
            asyncio.run(_wait(notifier))
        elif inspect.isawaitable(answer := notifier(context)):
            asyncio.run(_wait(answer))
    except Exception:
        log.exception("notifier %r failed; everything else goes on", found)
        return False
    return True


async def _wait(answer: Any) -> None:
    await answer


def on_failure(context: Mapping[str, Any], *, pipeline: str) -> None:
    """Callback of a task that has failed for good."""
    error = context.get("exception")
    what = (
        f"{type(error).__name__}: {error}"
        if isinstance(error, BaseException)
        else str(error or "its worker was lost")
    )
    where = f"task {context['task'].task_id} of dag run {context.get('run_id')}"
    alert = f"pipeline {pipeline}: {where} failed: {what}"
    tell(AirflowSettings.load().notify_failed, context, alert=alert)


def on_degraded(context: Mapping[str, Any], *, pipeline: str, published: Mapping[str, Any]) -> None:
    """To be called where a degraded page was published: its dag run ends green, so that no failure callback hears."""
    alert = (
        f"pipeline {pipeline}: the page of run {published['run_id']} as of {published['as_of']} is degraded: "
        "some pairs have no score, and their articles follow in BM25 order"
    )
    if published["blocked"] is not None:
        alert += f"; the gate has blocked the run: {published['blocked']}"
    tell(AirflowSettings.load().notify_degraded, context, alert=alert)
