"""The page that readers see: whether it is as young as the schedule promises, and moves on. The doctor, the watcher and the probe ask here."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from rerank_core.observe.observe import record
from rerank_core.operations.doctor.finding import Finding
from rerank_core.operations.doctor.times import longest_pause
from rerank_core.publish.gate import advice
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import migrations
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

RUNS_MISSED = 2  # in a row, before a page is old
TOLD_AGAIN = timedelta(hours=24)
_TOLD = "told_old"  # metric of the run behind the page: when somebody was told, in seconds since 1970


@dataclass(frozen=True)
class Page:
    """The page of a pipeline. Without a page, `run_id` and `since` are of the pipeline's first run, so that a wait counts as well."""

    run_id: int
    since: datetime  # the page's as-of time
    now: datetime  # by the database's clock
    limit: timedelta  # the oldest that the page gets by the schedule
    exists: bool
    held: bool  # by a rollback
    blocked: str | None  # why the gate blocks its run

    @property
    def age(self) -> timedelta:
        """How old the page is, or how long the pipeline has waited for its first page."""
        return self.now - self.since

    @property
    def is_old(self) -> bool:
        """Whether the page is older than the schedule makes it."""
        return self.age > self.limit

    @property
    def said(self) -> str:
        """Its run and its age, as a clause."""
        age = f"{self.age / timedelta(hours=1):,.1f} h"
        if not self.exists:
            return f"there is none yet, and its first run began {age} ago"
        return f"of run {self.run_id}, as of {self.since:%Y-%m-%d %H:%M} UTC, {age} old"

    @property
    def promised(self) -> str:
        """What the schedule promises, as a clause."""
        return f"by the schedule it is {self.limit / timedelta(hours=1):,.1f} h old at most"


def look(connection: Connection, settings: Settings) -> Page | None:
    """The pipeline's page; None before its first run."""
    row = db.one(connection, "page.state", pipeline=settings.pipeline)
    limit = RUNS_MISSED * longest_pause(settings) + timedelta(minutes=settings.page_deadline_minutes)
    return None if row is None else Page(limit=limit, **row)


def to_tell(connection: Connection, page: Page) -> str | None:
    """The sentence to tell of an old page; None if it is young, or if somebody was told within TOLD_AGAIN."""
    told = db.one(connection, "page.told", run_id=page.run_id, metric=_TOLD) if page.is_old else None
    if not page.is_old or (told and page.now.timestamp() - told["value"] < TOLD_AGAIN.total_seconds()):
        return None
    return f"the page is old: {page.said}; {page.promised}{'; a rollback holds it' if page.held else ''}"


def keep_told(connection: Connection, page: Page) -> None:
    """Keep that somebody was told of this page now."""
    record(connection, run_id=page.run_id, stage="watch", values={_TOLD: page.now.timestamp()})


def check_page(settings: Settings) -> Finding | None:
    """Whether the page is held, blocked by the gate, or older than the schedule makes it; None without the schema."""
    database = Database(settings.database_url)
    if not migrations.is_newest(database):
        return None
    with database.transaction(read_only=True) as connection:
        page = look(connection, settings)
    if page is None or not (page.exists or page.is_old):
        return Finding("page", "ok", f"pipeline {settings.pipeline} has no page yet")
    if page.held:
        return Finding(
            "page", "warn", f"{page.said}; a rollback holds it", "`rerank publish --release` lets it go on"
        )
    if page.blocked is not None:
        found = f"{page.said}; the gate blocks its run: {page.blocked}"
        return Finding("page", "warn", found, advice(page.blocked))
    if page.is_old:
        return Finding(
            "page",
            "warn",
            f"{page.said}; {page.promised}",
            "see whether the DAG is paused, and its latest dag runs",
        )
    return Finding("page", "ok", page.said)


def check_page_file(settings: Settings) -> Finding | None:
    """Whether this host's store has the page's file, which another host may have written; None if there is no page."""
    database = Database(settings.database_url)
    if not migrations.is_newest(database):
        return None
    with database.transaction(read_only=True) as connection:
        row = db.one(connection, "page.file", pipeline=settings.pipeline)
    if row is None:
        return None
    store, path = Store(settings.store_url), row["parquet_path"]
    if store.has(path):
        return Finding("page file", "ok", f"this host reads {path}")
    found = (
        f"{store.full_path(path)} is not there: this host's store is not the one that the page was written to"
    )
    advice = "give every host the same RERANK_STORE_URL and the same folder or bucket below it, or restore the store"
    return Finding("page file", "fail", found, advice, stops_runs=False)  # the next run may still make a page
