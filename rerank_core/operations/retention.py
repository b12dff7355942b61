"""Retention: rows that are past their time are deleted, a batch a transaction.

A row is deleted in the transaction that also puts its files on the list `store_removal`. `leftovers.py` removes
these files when the grace period is over. So a clean-up may be killed at any point: the next clean-up finds the rest.

Nothing is deleted that the page shows, that a kept run can rank, or that a reader within the grace period may need.
Each function returns counts by the field names of `maintain.Maintained`; in a dry run it counts and changes nothing.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from rerank_core.errors import DatabaseUnavailable
from rerank_core.prepare import clusters
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)

BATCH = 10_000  # rows that one transaction deletes
SEGMENT_DAYS = 7  # runs note once a day which segments they read


@dataclass(frozen=True)
class Work:
    """What every step of a clean-up needs."""

    database: Database
    store: Store
    settings: Settings
    now: datetime  # by the database's clock
    dry_run: bool

    @property
    def pipeline(self) -> str:
        """The pipeline that is cleaned up."""
        return self.settings.pipeline

    @property
    def grace(self) -> datetime:
        """Start of the grace period: no reader still holds a path that it read before this time."""
        return self.now - timedelta(hours=self.settings.store_grace_hours)

    @property
    def retention(self) -> datetime:
        """Start of the retention: runs and publications before this time may go."""
        return self.now - timedelta(days=self.settings.retention_days)

    @property
    def fresh_since(self) -> datetime:
        """Articles since this time may be ranked by the next run, or by a run that works now."""
        return self.now - timedelta(hours=self.settings.freshness_hours + self.settings.store_grace_hours)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction; another clean-up waits until it has ended."""
        with self.database.transaction() as connection:
            db.rows(connection, "maintain.lock")
            yield connection


def list_files(connection: Connection, paths: Sequence[str], work: Work, reason: str) -> None:
    """Put files on the list of removals; they are due when the grace period is over."""
    seconds = work.settings.store_grace_hours * 3600
    db.execute(connection, "removal.due", paths=list(paths), grace_seconds=seconds, reason=reason)


def delete_publications(work: Work) -> dict[str, int]:
    """Delete publications past retention, with their rows; their files follow after the grace period."""
    limits: dict[str, Any] = {"pipeline": work.pipeline, "before": work.retention, "grace": work.grace}
    with work.database.transaction(read_only=True) as connection:
        total = db.the(connection, "retention.count_publications", pipeline=work.pipeline)["publications"]
        old_publications = db.rows(connection, "retention.publications", publication_id=None, **limits)
    deleted = len(old_publications) if work.dry_run else 0
    for publication in [] if work.dry_run else old_publications:
        publication_id = publication["publication_id"]
        with work.transaction() as connection:
            db.rows(connection, "publications.lock", pipeline=work.pipeline)  # the pointer cannot move now
            if not db.rows(connection, "retention.publications", publication_id=publication_id, **limits):
                continue
            db.rows(connection, "retention.delete_publication", publication_id=publication_id)
            list_files(connection, [publication["parquet_path"]], work, "publication past retention")
        deleted += 1
        log.info(
            "deleted publication %d: version %d of run %d, %d rows",
            *(publication[name] for name in ("publication_id", "version", "run_id", "row_count")),
        )
    return {"publications": total, "publications_kept": total - deleted, "publications_deleted": deleted}


def empty_runs(work: Work) -> dict[str, int]:
    """Delete artifacts, topics and metrics of runs past retention that have no publication left."""
    limits: dict[str, Any] = {"pipeline": work.pipeline, "before": work.retention}
    with work.database.transaction(read_only=True) as connection:
        old_runs = db.rows(connection, "retention.runs", run_id=None, **limits)
    if work.dry_run:
        return {"runs_emptied": len(old_runs)}
    emptied = 0
    for run in old_runs:
        with work.transaction() as connection:
            db.rows(connection, "runs.hold_fence", run_id=run["run_id"])
            still_old = db.one(connection, "retention.runs", run_id=run["run_id"], **limits)
            if still_old is None:
                continue
            db.execute(connection, "retention.empty_run", run_id=run["run_id"])
            list_files(connection, still_old["paths"], work, "run past retention")
        emptied += 1
        log.info("emptied run %d (%s)", run["run_id"], run["key"])
    return {"runs_emptied": emptied}


def delete_revisions(work: Work) -> dict[str, int]:
    """Delete revisions of such runs that no kept run can rank."""
    with work.database.transaction(read_only=True) as connection:
        window = db.the(
            connection,
            "retention.window",
            pipeline=work.pipeline,
            before=work.retention,
            fresh_since=work.fresh_since,
        )
    limits = {"pipeline": work.pipeline, "before": work.retention, "fresh_since": window["since"]}
    return {"revisions_deleted": _in_batches(work, "retention.revisions", **limits)}


def delete_texts(work: Work) -> dict[str, int]:
    """Delete raw texts past their own retention; a prepared text goes with its last revision."""
    before = work.now - timedelta(days=work.settings.text_retention_days)
    return {"texts_deleted": _in_batches(work, "retention.texts", pipeline=work.pipeline, before=before)}


def _in_batches(work: Work, statement: str, **values: Any) -> int:
    """Rows that a statement deletes, a batch a transaction; in a dry run, rows that it would delete."""
    deleted = 0
    while True:
        with work.transaction() as connection:
            batch = None if work.dry_run else BATCH
            row = db.the(connection, statement, batch=batch, dry_run=work.dry_run, **values)
        in_batch = int(row["found"])
        deleted += in_batch
        if work.dry_run or in_batch < BATCH:
            return deleted
        log.info("%s: %d rows so far", statement, deleted)


def delete_documents(work: Work) -> dict[str, int]:
    """Delete prepared texts that no revision has any more."""
    deleted = 0
    while True:
        with work.database.transaction(read_only=True) as connection:
            batch = None if work.dry_run else BATCH
            orphans = db.rows(connection, "retention.documents", batch=batch)
        if work.dry_run or not orphans:
            return {"documents_deleted": deleted + len(orphans)}
        with work.transaction() as connection:
            # A run may be tying a revision to one of these documents now.
            db.execute(connection, "removal.lock_documents")
            document_ids = [row["document_id"] for row in orphans]
            clusters.promote(connection, document_ids)
            gone = db.execute(connection, "retention.delete_documents", document_ids=document_ids)
        deleted += gone
        if gone == 0:  # a run has taken up every one of them again
            return {"documents_deleted": deleted}
        log.info("%d documents deleted so far", deleted)


def delete_text_scores(work: Work) -> dict[str, int]:
    """Delete scores of a search engine's candidates that are as old as months of the ledger that are dropped."""
    before = _first_day(work.now, -work.settings.ledger_retention_months)
    return {"text_scores_deleted": _in_batches(work, "retention.text_scores", before=before)}


def delete_segments(work: Work) -> dict[str, int]:
    """Delete segments of the index of terms that no run has read for SEGMENT_DAYS; a run that needs them makes them again."""
    before = work.now - timedelta(days=SEGMENT_DAYS)
    return {"segments_deleted": _in_batches(work, "retention.segments", before=before)}


def drop_months(work: Work) -> dict[str, int]:
    """Drop months of the ledger that are past their retention and that no rankable article needs."""
    with work.database.transaction(read_only=True) as connection:
        months = db.rows(
            connection,
            "retention.months",
            before=_first_day(work.now, -work.settings.ledger_retention_months),
            fresh_since=work.fresh_since,
            grace=work.grace,
        )
    fates = Counter({"months": len(months)})
    for month in months:
        fate = "needed" if month["needed"] else "kept"
        if month["old"] and not month["needed"]:
            fate = "dropped" if work.dry_run or _drop(work, month) else "busy"
        fates[f"months_{fate}"] += 1
    return dict(fates)


def _first_day(moment: datetime, months: int) -> str:
    """The first day of the month that is `months` after the month of `moment`."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    return f"{year:04}-{month + 1:02}-01"


def _drop(work: Work, month: Mapping[Any, Any]) -> bool:
    """Drop one month of the ledger; False if somebody is using it."""
    try:
        with work.transaction() as connection:
            dropped = bool(db.the(connection, "retention.drop_month", month=month["month"])["dropped"])
    except DatabaseUnavailable:
        log.warning("the ledger's month %s is in use; the next clean-up tries again", month["month"])
        return False
    if dropped:
        log.info("dropped the ledger's month %s, %d bytes", month["month"], month["bytes"])
    return dropped
