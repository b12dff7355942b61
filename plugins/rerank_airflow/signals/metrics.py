"""What the pipelines tell Airflow's metrics: StatsD, DogStatsD or OpenTelemetry, whichever Airflow has switched on.

METRICS lists every metric. A value that is not known is not sent, because absent is not zero. An error while sending
fails no task. Plain StatsD has no tags, so the name carries them: `news_rerank.news.pairs.scored`.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow.sdk.configuration import conf
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils

from rerank_airflow.signals.notify import ToldError

log = logging.getLogger(__name__)

PREFIX = "news_rerank"


@dataclass(frozen=True)
class Metric:
    """One metric; each also has the tag `pipeline`."""

    name: str
    kind: Literal["counter", "gauge"]
    unit: str
    meaning: str
    tags: tuple[str, ...] = ()


METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            "runs", "counter", "runs", "Published runs: `outcome` is full, degraded or blocked.", ("outcome",)
        ),
        Metric(
            "pairs",
            "counter",
            "pairs",
            "What published runs wanted scored: scored, from_ledger, refused, missing or left_out.",
            ("outcome",),
        ),
        Metric("latency_p50", "gauge", "ms", "Scoring latency of a pair in the run, median."),
        Metric("latency_p99", "gauge", "ms", "The same, 99th percentile."),
        Metric(
            "pairs_per_second",
            "gauge",
            "1/s",
            "Speed of one scoring task of the run, the start of its engine apart.",
        ),
        Metric(
            "drift_psi", "gauge", "1", "Population stability index of the run's logits, where it was found."
        ),
        Metric(
            "silences",
            "gauge",
            "streams",
            "Sources, languages and the whole intake that are silent or have collapsed, as of the run.",
        ),
        Metric(
            "errors",
            "counter",
            "tries",
            "Tries of a task that failed: its id and the exception's class, `lost` where its worker was.",
            ("task", "error"),
        ),
        Metric("page_age", "gauge", "s", "Time since the current page's as_of; sent by `watch_rankings`."),
        Metric("page_degraded", "gauge", "0 or 1", "Whether the current page is degraded; likewise."),
    )
}
_OF_A_RUN = {
    "latency_p50": "latency_ms_p50",
    "latency_p99": "latency_ms_p99",
    "pairs_per_second": "pairs_per_second",
    "drift_psi": "drift_psi",
    "silences": "silences",
}
_OUTCOMES = ("scored", "from_ledger", "refused", "missing", "left_out")


def send(name: str, value: float | None, *, pipeline: str, **tags: str) -> None:
    """Send one value, unless it is None or not finite. Raises nothing."""
    metric = METRICS[name]
    assert set(tags) == set(metric.tags)
    if value is None or not math.isfinite(value):
        return
    try:
        where = {"pipeline": pipeline, **tags}
        stat = f"{PREFIX}.{name}" if _has_tags() else ".".join([PREFIX, pipeline, name, *tags.values()])
        if metric.kind == "counter":
            stats.incr(stat, int(value), tags=where)
        else:
            stats.gauge(stat, value, tags=where)
    except Exception:
        log.warning("metric %s was not sent", name, exc_info=True)


def _has_tags() -> bool:
    plain = conf.getboolean("metrics", "statsd_on", fallback=False) and not (
        conf.getboolean("metrics", "statsd_influxdb_enabled", fallback=False)
        or conf.getboolean("metrics", "statsd_datadog_enabled", fallback=False)
    )
    return not plain


def send_observed(pipeline: str, observed: Mapping[str, Any]) -> None:
    """Send what the stage observe found of a run; outcomes only if the run has published."""
    if observed.get("degraded") is not None:
        outcome = "blocked" if observed.get("blocked") else "degraded" if observed["degraded"] else "full"
        send("runs", 1, pipeline=pipeline, outcome=outcome)
        for outcome in _OUTCOMES:
            send("pairs", observed.get(f"pairs_{outcome}"), pipeline=pipeline, outcome=outcome)
    for name, field in _OF_A_RUN.items():
        send(name, observed.get(field), pipeline=pipeline)


def count_error(context: Mapping[str, Any], *, pipeline: str) -> None:
    """Callback of a failed try, whether or not the task is tried again."""
    error = context.get("exception")
    if isinstance(error, ToldError):  # a watcher that found something, not a try that failed
        return
    kind = type(error).__name__
    if not isinstance(error, BaseException):
        # A worker was lost. Airflow then calls this in its DAG processor, where nothing has started the metrics.
        kind = "lost"
        stats.initialize(
            factory=stats_utils.get_stats_factory(),
            export_legacy_names=conf.getboolean("metrics", "legacy_names_on", fallback=True),
        )
    send("errors", 1, pipeline=pipeline, task=context["task"].task_id, error=kind)
