"""The asset that a publication updates, so that other DAGs can follow it."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset

from rerank_airflow.identity import RunIdentity

PARTITION_FORMAT = "%Y-%m-%dT%H:%M:%S"  # CronPartitionTimetable's own: temporal partition mappers read it


def rankings(pipeline: str) -> Asset:
    """The page of one pipeline. Its events carry run, as_of, counts and path in their `extra`."""
    name = "rankings" if pipeline == "news" else f"rankings_{pipeline}"
    return Asset(name=name, uri=f"news-rerank://{pipeline}/rankings", group="news-rerank")


def emit(
    context: Mapping[str, Any],
    *,
    asset: Asset,
    identity: RunIdentity,
    run_id: int,
    published: Mapping[str, Any],
) -> None:
    """Attach the event that Airflow stores when the task succeeds.

    Every event has a partition, because a consumer of partitions never sees one without: that of the dag
    run, or the publication's as_of for a dag run that has none.
    """
    event = context["outlet_events"][asset]
    event.extra = {
        "run": run_id,
        "as_of": str(published["as_of"]),
        "is_current": published["is_current"],
        "degraded": published["degraded"],
        "rows": published["rows"],
        "rows_sha256": published["rows_sha256"],
        "publication": published["publication_id"],
        "version": published["version"],
        "path": published["parquet_path"],
    }
    event.add_partitions(identity.partition_key or _partition(published["as_of"]))


def _partition(as_of: Any) -> str:
    from datetime import UTC, datetime

    instant = as_of if isinstance(as_of, datetime) else datetime.fromisoformat(as_of)
    return instant.astimezone(UTC).strftime(PARTITION_FORMAT)
