"""The assets that publications update, so that other DAGs can follow them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow.sdk import Asset, AssetWatcher

from rerank_airflow.settings import AirflowSettings
from rerank_airflow.signals.arrivals import ArrivalsTrigger
from rerank_core.airflow_settings import of_pipeline

EXTRA = (
    "run_id",
    "as_of",
    "publication_id",
    "version",
    "is_current",  # false: the page did not move, because a newer run is published
    "degraded",
    "blocked",  # by the gate: which check, and by how much; null: the gate did not block the run
    "topics",
    "rows",
    "rows_sha256",
    "parquet_path",  # relative to the store
)
NEWS = (  # further keys of `rankings_current`
    "cause",  # why the page moved: published, rollback, release or forget
    "from_publication_id",  # the page before; null: there was none
    "changes",  # how many articles entered, left, rose and fell, over all topics
    "entered_first",  # topic, article_id and rank of the best that entered, 20 at most
)
PARTITION_FORMAT = "%Y-%m-%dT%H:%M:%S"  # CronPartitionTimetable's own: temporal partition mappers read it


def rankings(pipeline: str) -> Asset:
    """Every publication of one pipeline. The events carry EXTRA in their `extra`."""
    return _asset("rankings", pipeline)


def rankings_current(pipeline: str) -> Asset:
    """The page that frontends see. Its events carry EXTRA and NEWS, have no partition, and come only if the pointer moved."""
    return _asset("rankings_current", pipeline)


def articles(pipeline: str) -> Asset:
    """Articles of one pipeline that wait for a run. The triggerer watches the source, and its events have no partition."""
    airflow = AirflowSettings.load()
    trigger = ArrivalsTrigger(
        pipeline=pipeline,
        quiet_seconds=airflow.quiet_seconds,
        longest_seconds=60 * airflow.arrival_minutes,
    )
    return _asset("articles", pipeline, watchers=[AssetWatcher(name="arrivals", trigger=trigger)])


def _asset(what: str, pipeline: str, **others: Any) -> Asset:
    return Asset(
        name=of_pipeline(what, pipeline),
        uri=f"news-rerank://{pipeline}/{what}",
        group="news-rerank",
        **others,
    )


def emit(
    context: Mapping[str, Any], *, asset: Asset, partition_key: str | None, published: Mapping[str, Any]
) -> None:
    """Attach the event that Airflow stores when the task succeeds.

    Every event has a partition, because a consumer of partitions never sees an event without one. It is the dag run's
    partition or, if the dag run has none, the publication's as_of.
    """
    event = context["outlet_events"][asset]
    event.extra = {name: published[name] for name in EXTRA}
    as_of = datetime.fromisoformat(published["as_of"])
    event.add_partitions(partition_key or as_of.strftime(PARTITION_FORMAT))
