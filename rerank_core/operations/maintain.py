"""The clean-up: what is past its time is deleted, and never what the page or a reader within the grace period needs.

Rows go first, in the transaction that also puts their files on the list `store_removal`; the files follow
when the grace period is over. So a clean-up may be killed at any point, run twice at once, or beside a
publication: what is left to do is on the list, or is found again. A file that no row names may still be
named by a try that was frozen between writing and committing; such a try is fenced off before its file goes.
Whatever is looked at lands in one counted bucket.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection

from rerank_core.errors import CorruptError, DatabaseUnavailable, SettingsError, StoreUnavailable
from rerank_core.frontends import json_pages, redis_copy
from rerank_core.prepare import clusters
from rerank_core.recall.base import Ids
from rerank_core.recall.milvus import MilvusVectors
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.database import Database
from rerank_core.storage.store import Name, Store, StoredFile

log = logging.getLogger(__name__)

BATCH = 10_000  # rows that one transaction deletes
FAILURES = 5  # files in a row that the store refuses before the clean-up gives up


@dataclass(frozen=True)
class Maintained:
    """What a clean-up of a pipeline found and did; of a dry run, what one would do."""

    dry_run: bool
    repaired: bool  # latest.json did not show the page
    redis_written: int  # topics of the hot copy, where it did not show the page
    redis_failed: int  # topics of it that could not be written
    vectors_removed: int  # from Milvus: their texts are gone
    vectors_failed: int  # 1: Milvus did not answer; the next clean-up tries again
    publications: int  # of these:
    publications_kept: int
    publications_deleted: int
    runs_emptied: int  # their artifacts, topics and metrics went
    revisions_deleted: int
    documents_deleted: int
    texts_deleted: int  # raw texts of revisions that stay
    months: int  # of the ledger; of these:
    months_kept: int  # within retention
    months_needed: int  # past it, and an article that may still be ranked has its scores there
    months_dropped: int
    months_busy: int  # others were using the ledger; the next clean-up tries again
    files: int  # below the pipeline's folder; of these:
    files_named: int  # a row or latest.json names them
    files_young: int  # nothing names them yet, or any more; written within the grace period
    files_waiting: int  # nothing names them; a reader may have their path until they are due
    files_removed: int
    files_held: int  # they were due, and the page needs them
    files_failed: int  # the store refused; the next clean-up tries again
    files_foreign: int  # not of this database's runs, or not named as this library names files: left alone
    bytes_removed: int


@dataclass(frozen=True)
class _Work:
    """What every step needs."""

    database: Database
    store: Store
    settings: Settings
    now: datetime  # by the database's clock
    dry_run: bool

    @property
    def pipeline(self) -> str:
        return self.settings.pipeline

    @property
    def grace(self) -> datetime:
        """What was left before this, nobody holds any more."""
        return self.now - timedelta(hours=self.settings.store_grace_hours)

    @property
    def retention(self) -> datetime:
        return self.now - timedelta(days=self.settings.retention_days)

    @property
    def fresh_since(self) -> datetime:
        return self.now - timedelta(hours=self.settings.freshness_hours + self.settings.store_grace_hours)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction that no other clean-up works beside."""
        with self.database.transaction() as connection:
            db.rows(connection, "maintain.lock")
            yield connection


def maintain(*, database: Database, store: Store, settings: Settings, dry_run: bool = False) -> Maintained:
    """Clean up after one pipeline; the ledger and the texts, which pipelines share, with it.

    `dry_run` changes nothing, and counts what would be done now. Raises StoreUnavailable, SettingsError or
    DatabaseUnavailable; what was done by then is done.
    """
    with database.transaction(read_only=True) as connection:
        clock = db.one(connection, "runs.now")
    assert clock is not None
    work = _Work(database, store, settings, clock["now"], dry_run)
    counts: Counter[str] = Counter()
    for step in (
        _publications,
        _runs,
        _revisions,
        _documents,
        _texts,
        _months,
        _pages,
        _hot,
        _vectors,
        _files,
    ):
        found = step(work)
        counts.update(found)
        shown = " ".join(f"{name}={number}" for name, number in found.items() if number)
        log.info("%s%s: %s", "dry run, " if dry_run else "", step.__name__.strip("_"), shown or "nothing")
    result = Maintained(
        dry_run=dry_run,
        repaired=counts.pop("repaired") > 0,
        **{
            field.name: counts[field.name]
            for field in fields(Maintained)
            if field.name not in ("dry_run", "repaired")
        },
    )
    _check(result)
    return result


def _check(result: Maintained) -> None:
    """Raises CorruptError where something was looked at and is in no bucket, or in two."""
    values = vars(result)
    for whole in ("publications", "months", "files"):
        parts = sum(value for name, value in values.items() if name.startswith(f"{whole}_"))
        if parts != values[whole]:
            raise CorruptError(f"clean-up: {whole} do not add up: {values[whole]} looked at, {parts} counted")


def _publications(work: _Work) -> dict[str, int]:
    """Publications past retention, with their rows; their files follow after the grace period."""
    limits: dict[str, Any] = {"pipeline": work.pipeline, "before": work.retention, "grace": work.grace}
    with work.database.transaction(read_only=True) as connection:
        total = db.one(connection, "maintain.count_publications", pipeline=work.pipeline)
        old = db.rows(connection, "maintain.publications", publication_id=None, **limits)
    assert total is not None
    deleted = len(old) if work.dry_run else 0
    for publication in [] if work.dry_run else old:
        publication_id = publication["publication_id"]
        with work.transaction() as connection:
            db.rows(connection, "publications.lock", pipeline=work.pipeline)  # the pointer stands still
            if not db.rows(connection, "maintain.publications", publication_id=publication_id, **limits):
                continue
            db.rows(connection, "maintain.delete_publication", publication_id=publication_id)
            _list(connection, [publication["parquet_path"]], work, "publication past retention")
        deleted += 1
        log.info(
            "deleted publication %d: version %d of run %d, %d rows",
            *(publication[name] for name in ("publication_id", "version", "run_id", "row_count")),
        )
    return {
        "publications": total["publications"],
        "publications_kept": total["publications"] - deleted,
        "publications_deleted": deleted,
    }


def _runs(work: _Work) -> dict[str, int]:
    """Artifacts, topics and metrics of runs past retention that no publication is left of."""
    limits: dict[str, Any] = {"pipeline": work.pipeline, "before": work.retention}
    with work.database.transaction(read_only=True) as connection:
        old = db.rows(connection, "maintain.runs", run_id=None, **limits)
    if work.dry_run:
        return {"runs_emptied": len(old)}
    emptied = 0
    for run in old:
        with work.transaction() as connection:
            db.rows(connection, "runs.hold_fence", run_id=run["run_id"])
            still = db.one(connection, "maintain.runs", run_id=run["run_id"], **limits)
            if still is None:
                continue
            db.execute(connection, "maintain.empty_run", run_id=run["run_id"])
            _list(connection, still["paths"], work, "run past retention")
        emptied += 1
        log.info("emptied run %d (%s)", run["run_id"], run["key"])
    return {"runs_emptied": emptied}


def _list(connection: Connection, paths: Sequence[str], work: _Work, reason: str) -> None:
    """Have files removed once nobody can still be reading them."""
    seconds = work.settings.store_grace_hours * 3600
    db.execute(connection, "removal.due", paths=list(paths), grace_seconds=seconds, reason=reason)


def _revisions(work: _Work) -> dict[str, int]:
    """Revisions of such runs that no kept run can rank."""
    with work.database.transaction(read_only=True) as connection:
        window = db.one(
            connection,
            "maintain.window",
            pipeline=work.pipeline,
            before=work.retention,
            fresh_since=work.fresh_since,
        )
    assert window is not None
    limits = {"pipeline": work.pipeline, "before": work.retention, "fresh_since": window["since"]}
    return {"revisions_deleted": _in_batches(work, "maintain.revisions", **limits)}


def _texts(work: _Work) -> dict[str, int]:
    """Raw text past its own retention; the prepared text goes with the last revision of it."""
    before = work.now - timedelta(days=work.settings.text_retention_days)
    return {"texts_deleted": _in_batches(work, "maintain.texts", pipeline=work.pipeline, before=before)}


def _in_batches(work: _Work, statement: str, **values: Any) -> int:
    """Rows that a statement deletes, a batch a transaction; in a dry run those that it would."""
    deleted = 0
    while True:
        with work.transaction() as connection:
            batch = None if work.dry_run else BATCH
            row = db.one(connection, statement, batch=batch, dry_run=work.dry_run, **values)
        assert row is not None
        found = int(row["found"])
        deleted += found
        if work.dry_run or found < BATCH:
            return deleted
        log.info("%s: %d rows so far", statement, deleted)


def _documents(work: _Work) -> dict[str, int]:
    """Texts that no revision is of any more."""
    deleted = 0
    while True:
        with work.database.transaction(read_only=True) as connection:
            batch = None if work.dry_run else BATCH
            found = db.rows(connection, "maintain.documents", batch=batch)
        if work.dry_run or not found:
            return {"documents_deleted": deleted + len(found)}
        with work.transaction() as connection:
            # A run may be tying a revision to one of them just now.
            db.execute(connection, "removal.lock_documents")
            ids = [row["document_id"] for row in found]
            clusters.promote(connection, ids)
            gone = db.execute(connection, "maintain.delete_documents", document_ids=ids)
        deleted += gone
        if gone == 0:  # all of them were taken up again
            return {"documents_deleted": deleted}
        log.info("%d documents deleted so far", deleted)


def _months(work: _Work) -> dict[str, int]:
    """Months of the ledger past their retention."""
    with work.database.transaction(read_only=True) as connection:
        months = db.rows(
            connection,
            "maintain.months",
            before=_month(work.now, -work.settings.ledger_retention_months),
            fresh_since=work.fresh_since,
            grace=work.grace,
        )
    fates = Counter({"months": len(months)})
    for row in months:
        fate = "needed" if row["needed"] else "kept"
        if row["old"] and not row["needed"]:
            fate = "dropped" if work.dry_run or _drop(work, row) else "busy"
        fates[f"months_{fate}"] += 1
    return dict(fates)


def _month(moment: datetime, months: int) -> str:
    """The first day of the month that is so many months from this one."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    return f"{year:04}-{month + 1:02}-01"


def _drop(work: _Work, row: Mapping[Any, Any]) -> bool:
    try:
        with work.transaction() as connection:
            db.one(connection, "maintain.drop_month", month=row["month"])
    except DatabaseUnavailable:
        log.warning("the ledger's month %s is in use; it is dropped another time", row["month"])
        return False
    log.info("dropped the ledger's month %s, %d bytes", row["month"], row["bytes"])
    return True


def _pages(work: _Work) -> dict[str, int]:
    """latest.json, where it does not show the page, or names a file that is not there."""
    latest = json_pages.read_latest(work.store, work.pipeline)
    folder = work.store.files(latest["pages"]) if latest else []
    anew = latest is not None and not {file.path for file in folder}.issuperset(json_pages.paths(latest))
    if work.dry_run:
        return {"repaired": int(anew or not json_pages.stands(work.database, work.store, work.pipeline))}
    done = json_pages.repair(
        database=work.database,
        store=work.store,
        pipeline=work.pipeline,
        grace_hours=work.settings.store_grace_hours,
        anew=anew,
    )
    return {"repaired": int(done.replaced)}


def _hot(work: _Work) -> dict[str, int]:
    """The copy in Redis, where there is to be one; its time to live begins anew."""
    if work.dry_run:
        return {}
    return redis_copy.follow(database=work.database, settings=work.settings, pipeline=work.pipeline, topics=0)


def _vectors(work: _Work) -> dict[str, int]:
    """Vectors in Milvus of texts that are gone; those in Postgres go with their texts."""
    if work.settings.milvus_url is None:
        return {}
    with work.database.transaction(read_only=True) as connection:
        embedders = db.rows(connection, "maintain.embedders", pipeline=work.pipeline)
    removed = 0
    try:
        for embedder in embedders:
            opened = MilvusVectors(
                work.settings.milvus_url,
                digest=embedder["digest"],
                dimensions=embedder["dimensions"],
                make=False,
            )
            with opened as vectors:
                if not vectors.is_there:  # its vectors are in Postgres
                    continue
                gone = _gone(work, vectors.ids())
                if not work.dry_run:
                    vectors.drop(gone)
                removed += len(gone)
                if not embedder["in_use"]:
                    vectors.release()
    except (StoreUnavailable, SettingsError) as error:
        log.warning("Milvus keeps vectors of texts that are gone: %s", error)
        return {"vectors_removed": removed, "vectors_failed": 1}
    return {"vectors_removed": removed}


def _gone(work: _Work, document_ids: Ids) -> Ids:
    """Those of these documents that are not there any more."""
    there: list[int] = []
    with work.database.transaction(read_only=True) as connection:
        for start in range(0, len(document_ids), BATCH):
            part = document_ids[start : start + BATCH].tolist()
            there += [
                row["document_id"] for row in db.rows(connection, "ledger.documents", document_ids=part)
            ]
    return np.setdiff1d(document_ids, np.asarray(there, dtype=np.int64))


def _files(work: _Work) -> dict[str, int]:
    """Files that are due, and orphans; where each file of the pipeline stands."""
    listing = {file.path: file for file in work.store.files(f"{work.pipeline}/")}
    latest = json_pages.read_latest(work.store, work.pipeline)
    with work.database.transaction(read_only=True) as connection:
        named = {
            row["path"] for row in db.rows(connection, "maintain.named", pipeline=work.pipeline, run_id=None)
        }
        listed = db.rows(connection, "maintain.removals", pipeline=work.pipeline)
    due = {row["path"]: row["reason"] for row in listed if row["due"]}
    waiting = {row["path"] for row in listed} - set(due)
    named |= {str(latest["pages"])} if latest else set()
    fates: dict[str, str] = {}  # by path
    orphans = []
    for path, file in listing.items():
        name = Store.parse(path)
        folder = name.folder if name is not None else None
        if path in due or folder in due:
            continue
        if name is None:
            fates[path] = "foreign"
        elif path in waiting or folder in waiting:
            fates[path] = "waiting"
        elif name.kind == "latest" or path in named or folder in named:
            fates[path] = "named"
        elif file.modified >= work.grace:
            fates[path] = "young"
        else:
            orphans.append((file, name))
    due |= _settle_orphans(work, orphans, fates)
    freed = _remove(work, listing, due, fates)
    counts = Counter(f"files_{fate}" for fate in fates.values())
    return {"files": len(fates), **counts, "bytes_removed": freed}


def _settle_orphans(
    work: _Work, orphans: Sequence[tuple[StoredFile, Name]], fates: dict[str, str]
) -> dict[str, str]:
    """Decide on files that nothing seems to name; returns those that can go at once, each with a reason."""
    gone = {file.path: "draft of a killed try" for file, name in orphans if name.kind == "draft"}
    # How long ago latest.json named these pages nobody knows: their grace period begins now.
    folders = sorted({name.folder for _, name in orphans if name.folder is not None})
    fates |= {file.path: "waiting" for file, name in orphans if name.folder is not None}
    if folders and not work.dry_run:
        with work.transaction() as connection:
            _list(connection, folders, work, "pages: nothing names them")
    by_run: dict[int, list[tuple[str, Name]]] = defaultdict(list)
    for file, name in orphans:
        if name.run_id is not None:
            by_run[name.run_id].append((file.path, name))
    for run_id, files in by_run.items():
        fenced_off = _fence_off(work, run_id, files)
        fates |= {path: fate for path, fate in fenced_off.items() if fate != "orphan"}
        gone |= {path: "orphan" for path, fate in fenced_off.items() if fate == "orphan"}
    return gone


def _fence_off(work: _Work, run_id: int, files: Sequence[tuple[str, Name]]) -> dict[str, str]:
    """Make sure that no try can name these files any more; says of each whether it is an orphan."""
    with work.transaction() as connection:
        held = db.one(connection, "runs.hold_fence", run_id=run_id)
        rows = db.rows(connection, "maintain.named", pipeline=work.pipeline, run_id=run_id)
        named = {row["path"] for row in rows}
        if held is None:
            log.warning("files of run %d, which this database does not know, are left alone", run_id)
            return {path: "foreign" for path, _ in files}
        fates = {path: "named" if path in named else "orphan" for path, _ in files}
        fence = max((name.fence or 0 for path, name in files if fates[path] == "orphan"), default=-1)
        if fence > held["fence"]:
            log.warning("files of run %d are of a try that this database does not know; left alone", run_id)
            return {path: "foreign" if fate == "orphan" else fate for path, fate in fates.items()}
        if fence == held["fence"] and not work.dry_run:
            db.one(connection, "runs.take_fence", run_id=run_id)
        return fates


def _remove(
    work: _Work, listing: Mapping[str, StoredFile], due: Mapping[str, str], fates: dict[str, str]
) -> int:
    """Remove what is due, but for what the page needs; returns the bytes that are free now."""
    with work.database.transaction(read_only=True) as connection:
        needed = {row["path"] for row in db.rows(connection, "maintain.needed", pipeline=work.pipeline)}
    latest = json_pages.read_latest(work.store, work.pipeline)
    needed |= {str(latest["pages"])} if latest else set()
    inside: dict[str, list[str]] = defaultdict(list)
    for found in listing:
        inside[found].append(found)
        inside[found.rpartition("/")[0] + "/"].append(found)
    freed, failures = 0, 0
    for path, reason in sorted(due.items()):
        here = inside[path]
        size = sum(listing[found].bytes for found in here)
        fate = "removed"
        if path in needed:
            log.warning(
                "%s is due (%s), and the page needs it; it stays until the page moves on", path, reason
            )
            fate = "held"
        elif not work.dry_run:
            try:
                (work.store.remove_folder if path.endswith("/") else work.store.remove)(path)
                failures = 0
            except StoreUnavailable as error:
                log.error("%s is not removed: %s", path, error)
                fate, failures = "failed", failures + 1
                if failures == FAILURES:
                    raise
        fates |= dict.fromkeys(here, fate)
        if fate == "removed":
            freed += size
            log.info("removed %s: %d files, %d bytes (%s)", path, len(here), size, reason)
            if not work.dry_run:
                with work.transaction() as connection:
                    db.execute(connection, "maintain.removed", paths=[path])
    return freed
