"""A run's row: its identity, its window, and the fence that decides which try may commit.

Prevents a frozen and resumed try from overwriting what its successor has committed: each try of a
fenced stage takes the next number, and commits only while that number is still the run's.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, RowMapping

from rerank_core.errors import FencedError, InputError, RetryableError
from rerank_core.records import Run, Window
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.database import Database
from rerank_core.storage.topics import check_pipeline

log = logging.getLogger(__name__)

LATE = timedelta(hours=2)  # a key that is the start of an hour may come this late for its first run


def open_run(
    connection: Connection,
    *,
    settings: Settings,
    key: str | None,
    until: datetime | None,
    topics: tuple[str, ...] | None,
    rescore: bool,
    as_claimed_now: bool = False,
    since: datetime | None = None,
) -> Run:
    """The run of this pipeline with this key. A run that does not exist yet is made with this window.

    `until` is cut at the database's now(); None means now. `since` None means the lookback before `until`. A run ranks
    what it and earlier runs have claimed; `as_claimed_now` also what later runs have. A run that exists keeps what it was opened with. Raises InputError for a time without a UTC
    offset, an empty window, a key that is no text, or the key of a past hour that no run has, without `until`.
    """
    if since is not None and since.tzinfo is None:
        raise InputError(f"since {since.isoformat()} has no UTC offset; write e.g. {since.isoformat()}+00:00")
    if until is not None and until.tzinfo is None:
        raise InputError(f"until {until.isoformat()} has no UTC offset; write e.g. {until.isoformat()}+00:00")
    if until is not None and until.year < 1970:  # the ledger keeps no earlier month
        raise InputError(f"until {until.isoformat()} is before any news; give the end of the window")
    if key is not None and (not key.strip() or any(ord(c) == 0 or 0xD800 <= ord(c) <= 0xDFFF for c in key)):
        raise InputError(f"a run's key is {key!r}; give the partition date or the dag run's id")
    now: datetime = db.the(connection, "runs.now")["now"]
    end = min(until.astimezone(UTC), now) if until else now
    if until is not None and end < until:
        log.warning(
            "until %s is in the future by the database's clock: now is taken, %s",
            until.isoformat(),
            end.isoformat(),
        )
    if until is None and key is not None:
        _refuse_past_hour(connection, settings.pipeline, key, now)
    begin = since.astimezone(UTC) if since else end - timedelta(days=settings.lookback_days)
    if begin >= end:
        raise InputError(
            f"since {begin.isoformat()} is not before until {end.isoformat()}; give an earlier one"
        )
    db.execute(
        connection,
        "runs.open",
        pipeline=settings.pipeline,
        key=key or f"manual__{end.isoformat()}",
        since=begin,
        fresh_since=end - timedelta(hours=settings.freshness_hours),
        until=end,
        topics=list(topics) if topics is not None else None,
        rescore=rescore,
        as_claimed_now=as_claimed_now,
    )
    row = db.the(
        connection, "runs.by_key", pipeline=settings.pipeline, key=key or f"manual__{end.isoformat()}"
    )
    run = _record(row)
    asked = topics, rescore, as_claimed_now
    if (run.topics, run.rescore, run.as_claimed_now) != asked or (
        until is not None and end < run.window.until
    ):
        log.warning(
            "run %d (%s) keeps what it was opened with: until %s, topics %s, rescore %s, as claimed now %s; another key makes another run",
            run.run_id,
            run.key,
            run.window.until.isoformat(),
            "all" if run.topics is None else ", ".join(run.topics),
            run.rescore,
            run.as_claimed_now,
        )
    return run


def _refuse_past_hour(connection: Connection, pipeline: str, key: str, now: datetime) -> None:
    """Raises InputError for the key of a past hour that no run has: who repeats a run must not rank now under its name."""
    try:
        hour = datetime.fromisoformat(key)
    except ValueError:
        return
    hour = hour if hour.tzinfo else hour.replace(tzinfo=UTC)
    if hour < now - LATE and db.one(connection, "runs.by_key", pipeline=pipeline, key=key) is None:
        raise InputError(
            f"pipeline {pipeline} has no run with the key {key}; `rerank runs` shows the keys. To rank that hour for the "
            f"first time, say where it ends: --until {(hour + timedelta(hours=1)).isoformat()}"
        )


def get(connection: Connection, run_id: int) -> Run:
    """The run with this id. Raises InputError if no run has this id."""
    row = db.one(connection, "runs.by_id", run_id=run_id)
    if row is None:
        raise InputError(f"run {run_id} does not exist; `rerank runs` lists those that do")
    return _record(row)


def current_run(database: Database, pipeline: str) -> int:
    """The run behind a pipeline's page. Raises InputError if the pipeline has no page."""
    with database.transaction(read_only=True) as connection:
        row = db.one(connection, "runs.current", pipeline=pipeline)
        if row is None:
            check_pipeline(connection, pipeline)
    if row is None:
        raise InputError(f"pipeline {pipeline!r} has no page yet; `rerank run` publishes one")
    return int(row["run_id"])


def take_fence(connection: Connection, run_id: int) -> int:
    """Start a new try: every older try of the run can no longer commit. Returns its number."""
    row = db.one(connection, "runs.take_fence", run_id=run_id)
    if row is None:
        raise InputError(f"run {run_id} does not exist; `rerank runs` lists those that do")
    return int(row["fence"])


@contextmanager
def attempt(database: Database, run_id: int) -> Iterator[tuple[Run, int]]:
    """A new try of a fenced stage. Yields the run and the try's fence; the run is busy until the block ends."""
    with database.transaction() as connection:
        fence = take_fence(connection, run_id)
        run = get(connection, run_id)
    with busy(database, run_id, fence):
        yield run, fence


@contextmanager
def busy(database: Database, run_id: int, fence: int) -> Iterator[None]:
    """The run is no longer busy when the block ends, however it ends. A try that is killed leaves its run busy."""
    try:
        yield
    finally:
        with suppress(RetryableError), database.transaction() as connection:
            db.execute(connection, "runs.release_fence", run_id=run_id, fence=fence)


def hold_fence(connection: Connection, run_id: int, fence: int) -> None:
    """Lock the run until the transaction ends. Raises FencedError if a newer try has begun."""
    row = db.one(connection, "runs.hold_fence", run_id=run_id)
    found = None if row is None else row["fence"]
    if found != fence:
        raise FencedError(
            f"run {run_id}: expected fence {fence}, found {found}; a newer try has taken over and goes on"
        )


def _record(row: RowMapping) -> Run:
    return Run(
        run_id=row["run_id"],
        pipeline=row["pipeline"],
        key=row["key"],
        window=Window(since=row["since"], fresh_since=row["fresh_since"], until=row["until"]),
        fence=row["fence"],
        topics=None if row["topics"] is None else tuple(row["topics"]),
        rescore=row["rescore"],
        as_claimed_now=row["as_claimed_now"],
        scorer_id=row["scorer_id"],
        members_path=row["members_path"],
        members_sha256=row["members_sha256"],
        pairs_path=row["pairs_path"],
        pairs_sha256=row["pairs_sha256"],
        light_path=row["light_path"],
        light_sha256=row["light_sha256"],
        claimed=row["claimed_at"] is not None,
        prepared=row["prepared_at"] is not None,
        frozen=row["frozen_at"] is not None and not (row["early"] and row["prepared_at"] is not None),
        early=row["early"],
    )
