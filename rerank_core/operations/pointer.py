"""The pointer by hand: take the page back to an earlier run, hold it there, let it follow the runs again.

Runs move the page forward only, and never while it is held. Every move is kept in `pointer_move`, with who moved the
page and why.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping

from rerank_core.errors import CorruptError, InputError
from rerank_core.frontends import followers
from rerank_core.publish import publications
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store


@dataclass(frozen=True)
class Moved:
    """Where the page is now."""

    publication_id: int
    run_id: int
    version: int
    as_of: datetime
    parquet_path: str  # relative to the store
    from_publication_id: int | None
    reissued: bool  # published again, because its own file was due for deletion
    actor: str  # the database role that moved it


def rollback(*, database: Database, store: Store, settings: Settings, run_id: int, reason: str) -> Moved:
    """Take the page to this run's latest publication, and hold it there until it is released.

    Raises InputError if the run has no publication in this pipeline, if its file is past retention, or if `reason`
    is empty.
    """
    _need_reason(reason)
    pipeline = settings.pipeline
    with database.transaction() as connection:
        db.rows(connection, "pointer.hold_run", run_id=run_id)
        publications.lock(connection, pipeline)
        target = db.one(connection, "pointer.of_run", pipeline=pipeline, run_id=run_id)
        if target is None:
            raise InputError(
                f"run {run_id} has no publication in pipeline {pipeline}; `rerank runs` lists the runs that have one"
            )
        moved = _move(
            connection, store, target, "pointer.rollback", pipeline=pipeline, reason=f"rollback: {reason}"
        )
    followers.follow(database=database, store=store, settings=settings)
    return moved


def release(*, database: Database, store: Store, settings: Settings, reason: str) -> Moved:
    """Take the page to the newest publication; from now on the page follows the runs again.

    Raises InputError if nothing holds the page, or if `reason` is empty.
    """
    _need_reason(reason)
    moved = None
    while moved is None:
        with database.transaction() as connection:
            moved = _release(connection, store, settings.pipeline, reason)
    followers.follow(database=database, store=store, settings=settings)
    return moved


def _release(connection: Connection, store: Store, pipeline: str, reason: str) -> Moved | None:
    """The move; None if a newer run was published first, so that the caller tries again."""
    newest = db.one(connection, "pointer.newest", pipeline=pipeline)
    if newest is not None:
        db.rows(connection, "pointer.hold_run", run_id=newest["run_id"])
    publications.lock(connection, pipeline)
    standing = db.one(connection, "publications.standing", pipeline=pipeline)
    target = db.one(connection, "pointer.newest", pipeline=pipeline)
    if newest is None or target is None or standing is None or not standing["held"]:
        raise InputError(f"nothing holds the page of pipeline {pipeline}; there is nothing to release")
    if target["run_id"] != newest["run_id"]:
        return None
    return _move(connection, store, target, "pointer.release", pipeline=pipeline, reason=f"release: {reason}")


def _move(connection: Connection, store: Store, target: RowMapping, statement: str, **values: Any) -> Moved:
    """Move the page to a publication; a publication whose file is due for deletion is published again first."""
    publication_id, parquet_path, version = (
        target["publication_id"],
        target["parquet_path"],
        target["version"],
    )
    try:
        if target["withdrawn"]:
            again = publications.reissue(connection, store=store, publication_id=publication_id)
            publication_id, version, parquet_path = again.publication_id, again.version, again.parquet_path
        else:
            store.verify(parquet_path, sha256=target["parquet_sha256"])
    except CorruptError as error:
        raise InputError(
            f"run {target['run_id']} cannot be the page any more: {error}; choose a later run"
        ) from error
    moved = db.the(connection, statement, publication_id=publication_id, **values)
    return Moved(
        publication_id=publication_id,
        run_id=target["run_id"],
        version=version,
        as_of=target["as_of"],
        parquet_path=parquet_path,
        from_publication_id=moved["from_publication_id"],
        reissued=target["withdrawn"],
        actor=moved["actor"],
    )


def _need_reason(reason: str) -> None:
    if not reason.strip():
        raise InputError(
            "a move of the page by hand needs a reason that others can read later; give --reason"
        )
