"""The identity of a dag run's run: its key, the time that it ranks up to, and what the trigger form asked for.

Promise: these all name the same run: every try of every task, a cleared dag run, a backfill of the same partition, and a
second manual dag run with the same partition key. This prevents two failures. A rerun would claim a new window and rank
other articles. And at the end of summer time two hours would share one local partition key; so the key is the
partition's start in UTC, never its label.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from rerank_core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """What `open_run` is asked for."""

    key: str  # unique within the pipeline: the partition's start in UTC, else the dag run's id
    until: datetime | None  # the run ranks what was ingested before this; None means now
    topics: tuple[str, ...] | None  # slugs that the form limits the run to; None means all
    rescore: bool  # score again what the ledger already has
    as_claimed_now: bool = False  # rank what later runs have claimed, too
    partition_key: str | None  # as Airflow writes it; None for a dag run without a partition
    asked_by: str | None = None  # the user of Airflow who triggered the dag run; None: the schedule did

    @classmethod
    def of(cls, context: Mapping[str, Any], *, schedule: str) -> Self:
        """The identity in a task's context. `schedule` is the cron expression, in UTC.

        Raises InputError if a value of the form contradicts the partition or cannot be read.
        """
        params = context["params"]
        asked = _instant(params.get("until"))
        start = context.get("partition_date")
        if start is None:
            dag_run = context["dag_run"]
            key, until = dag_run.run_id, asked or dag_run.run_after
        else:
            start = start.astimezone(UTC)
            key, until = start.strftime("%Y-%m-%dT%H:%M:%SZ"), next_tick(schedule, after=start)
            if asked not in (None, until):
                raise InputError(
                    f"until = {params['until']!r}: this dag run is the partition {key}, which ends at "
                    f"{until:%Y-%m-%dT%H:%M:%SZ}; trigger it without `until`, or without a partition key"
                )
        topics = params.get("topics")
        return cls(
            key=key,
            until=until and until.astimezone(UTC),
            topics=tuple(topics) if topics else None,
            rescore=bool(params.get("rescore")),
            as_claimed_now=bool(params.get("as_claimed_now")),
            partition_key=context.get("partition_key"),
            asked_by=getattr(context.get("dag_run"), "triggering_user_name", None) or None,
        )


def next_tick(schedule: str, *, after: datetime) -> datetime:
    """The first time after `after` that the cron expression names. Both are in UTC."""
    from croniter import croniter  # type: ignore[import-untyped, unused-ignore]

    tick: datetime = croniter(schedule, after.astimezone(UTC)).get_next(datetime)
    return tick.astimezone(UTC)


def _instant(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"until = {text!r} is not a time; write it like 2026-11-22T17:00:00+00:00") from None
    if instant.tzinfo is None:
        raise InputError(f"until = {text!r} has no time zone; write it like {text}+00:00")
    return instant.astimezone(UTC)
