"""The doctor's check of the page that readers see: whether it is as young as the schedule promises, and moves on."""

from datetime import timedelta

from rerank_core.operations.doctor.finding import Finding
from rerank_core.operations.doctor.times import longest_pause
from rerank_core.publish.gate import advice
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import migrations
from rerank_core.storage.database import Database

RUNS_MISSED = 2  # in a row, before a page is old


def check_page(settings: Settings) -> Finding | None:
    """Whether the page is held, blocked by the gate, or older than the schedule makes it; None without the schema."""
    database = Database(settings.database_url)
    if migrations.revision(database) != migrations.head_revision():
        return None
    with database.transaction(read_only=True) as connection:
        page = db.one(connection, "page.state", pipeline=settings.pipeline)
    if page is None:
        return Finding("page", "ok", f"pipeline {settings.pipeline} has no page yet")
    age = page["now"] - page["as_of"]
    found = f"of run {page['run_id']}, as of {page['as_of']:%Y-%m-%d %H:%M} UTC, {age / timedelta(hours=1):,.1f} h old"
    if page["held"]:
        return Finding(
            "page", "warn", f"{found}; a rollback holds it", "`rerank publish --release` lets it go on"
        )
    if page["blocked"] is not None:
        return Finding(
            "page", "warn", f"{found}; the gate blocks its run: {page['blocked']}", advice(page["blocked"])
        )
    limit = RUNS_MISSED * longest_pause(settings) + timedelta(minutes=settings.page_deadline_minutes)
    if age > limit:
        return Finding(
            "page",
            "warn",
            f"{found}; by the schedule it is {limit / timedelta(hours=1):,.1f} h old at most",
            "see whether the DAG is paused, and its latest dag runs",
        )
    return Finding("page", "ok", found)
