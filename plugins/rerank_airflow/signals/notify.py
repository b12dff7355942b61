"""Who is told of what, in one sentence: tasks that failed, pages that are degraded or old, dag runs that are late, sources that are silent.

Each kind of alert has notifiers of its own (RERANK_AIRFLOW_NOTIFY_<KIND>), and RERANK_AIRFLOW_MAIL gets all of them. A notifier is a function, or an object or class of Airflow's BaseNotifier. It gets Airflow's context, with the sentence
as `alert`. An error of a notifier is logged, and harms neither the page nor the next notifier.
"""

import asyncio
import copy
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, Literal

from airflow.sdk import BaseNotifier

from rerank_airflow.settings import AirflowSettings
from rerank_core.errors import PermanentError

log = logging.getLogger(__name__)

Notifier = Callable[..., object]
Kind = Literal["failed", "degraded", "late", "silent", "stale"]


class ToldError(PermanentError):
    """What somebody was told of already, so that the task that raises it tells nobody again."""


def alert(kind: Kind, context: Mapping[str, Any], *, said: str) -> int:
    """Tell all who want this kind of alert; returns how many of their notifiers raised nothing."""
    settings = AirflowSettings.load()
    notifiers = getattr(settings, f"notify_{kind}")
    if kind == "stale" and not notifiers:
        notifiers = settings.notify_failed
    return tell([*notifiers, *([_mail(kind, settings.mail)] if settings.mail else [])], context, alert=said)


def _mail(kind: Kind, addresses: Sequence[str]) -> Notifier:
    def mail(context: Any) -> None:
        from airflow.providers.smtp.notifications.smtp import SmtpNotifier

        said = str(context["alert"])
        # Not rendered: an error in the sentence may have braces.
        SmtpNotifier(
            to=list(addresses), subject=f"news-rerank: {kind}", html_content=f"<p>{escape(said)}</p>"
        ).notify(context)

    return mail


def tell(notifiers: Sequence[Any], context: Mapping[str, Any], *, alert: str) -> int:
    """Call each notifier with the context and `alert`; returns how many of them raised nothing."""
    log.warning("%s", alert)
    return sum(_call(notifier, {**context, "alert": alert}) for notifier in notifiers)


def _call(configured: Any, context: dict[str, Any]) -> bool:
    try:
        # A copy, because a notifier renders its templates in place.
        notifier: Notifier = configured() if isinstance(configured, type) else copy.copy(configured)
        if isinstance(notifier, BaseNotifier) and type(notifier).notify is BaseNotifier.notify:
            notifier.context = context  # type: ignore[assignment]
            asyncio.run(_wait(notifier))
        elif inspect.isawaitable(answer := notifier(context)):
            asyncio.run(_wait(answer))
    except Exception:
        name = getattr(configured, "__qualname__", type(configured).__qualname__)  # its repr may hold a token
        log.exception("notifier %s failed; everything else goes on", name)
        return False
    return True


async def _wait(answer: Any) -> None:
    await answer


def on_failure(context: Mapping[str, Any], *, pipeline: str) -> None:
    """Callback of a task that failed and is not tried again."""
    error = context.get("exception")
    if isinstance(error, ToldError):
        return
    what = (
        f"{type(error).__name__}: {error}"
        if isinstance(error, BaseException)
        else str(error or "its worker was lost")
    )
    where = f"task {context['task'].task_id} of dag run {context.get('run_id')}"
    alert("failed", context, said=f"pipeline {pipeline}: {where} failed: {what}")


def on_degraded(context: Mapping[str, Any], *, pipeline: str, published: Mapping[str, Any]) -> None:
    """Tell of a degraded page. Its dag run ends green, so no failure callback hears of it."""
    said = (
        f"pipeline {pipeline}: the page of run {published['run_id']} as of {published['as_of']} is degraded: "
        "some pairs have no score, or the scorer refuses a query, and their articles follow in BM25 order"
    )
    if published["blocked"] is not None:
        said += f"; the gate has blocked the run: {published['blocked']}"
    alert("degraded", context, said=said)


def on_silent(context: Mapping[str, Any], *, pipeline: str, fallen: Sequence[str]) -> None:
    """Tell of sources, languages or the whole intake that have fallen silent; each is told once."""
    alert("silent", context, said=f"pipeline {pipeline}: {'; '.join(fallen)}")
