"""Migrations: which one a database is at, and how it is brought to the newest."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING

from sqlalchemy import Connection, RowMapping

from rerank_core.errors import Locked, SettingsError
from rerank_core.storage import database as db
from rerank_core.storage.database import Database, driver_cursor, sql_folder

if TYPE_CHECKING:
    from alembic.config import Config

log = logging.getLogger(__name__)

LOCK_TIMEOUT = "3s"  # of each try: readers wait behind it
PAUSE_SECONDS = 2.0  # between two tries
PATIENCE_SECONDS = 120.0
# Advisory lock that migrations are applied under, since there is no table yet that could be locked. Runs never wait for it.
MIGRATION_LOCK = 7_302_911

ViewComments = Mapping[tuple[str, str], str]  # (view, column, or "" for the view itself) → comment


def upgrade(url: str, *, comments: ViewComments | None = None) -> tuple[str | None, str | None]:
    """Apply every migration that is missing, in one transaction under a lock. Safe to repeat.

    A lock that another session holds is waited for in short turns, so that readers hardly wait behind this. Sessions that only
    read are ended if this role has the rights of theirs. `comments` are those of the views that frontends read.

    Returns the revision before and after; None means an empty database. Raises SettingsError if the database is at a revision
    that this version does not know, Locked if some session holds a lock for longer than PATIENCE_SECONDS.
    """
    database = Database(url)
    give_up = monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return _apply(database, comments or {})
        except Locked:
            holders = _end_readers(database)
            if any(holder["is_upgrade"] for holder in holders):  # it takes its time
                give_up = max(give_up, monotonic() + PAUSE_SECONDS)
            elif monotonic() > give_up:
                raise Locked(_held(holders)) from None
        sleep(PAUSE_SECONDS)


def _end_readers(database: Database) -> Sequence[RowMapping]:
    """End the sessions that may be ended; returns those of others that hold a lock."""
    with database.transaction() as connection:
        holders = db.rows(connection, "migrations.holders", key=MIGRATION_LOCK, lock=LOCK_TIMEOUT)
        ended = [holder["pid"] for holder in holders if holder["may_end"]]
        if ended:
            log.warning("the upgrade waits for sessions that only read: %s; they are ended now", ended)
            db.rows(connection, "database.end", pids=ended)
    return [holder for holder in holders if not holder["may_end"]]


def _held(holders: Sequence[RowMapping]) -> str:
    sessions = ", ".join(f"{holder['pid']} of role {holder['role']}" for holder in holders)
    return (
        f"other sessions hold the schema (pid {sessions or 'unknown'}): pause the DAGs and let their runs end, end what else"
        " these are (SELECT pg_terminate_backend(pid)), then try again"
    )


def _apply(database: Database, comments: ViewComments) -> tuple[str | None, str | None]:
    from alembic import command

    with database.transaction() as connection:
        db.execute(connection, "migrations.limit_waits", lock=LOCK_TIMEOUT)
        db.execute(connection, "migrations.lock", key=MIGRATION_LOCK)
        before = _revision(connection)
        config = _config()
        if before is not None:
            _check_known(before, config)
        if not db.the(connection, "migrations.schema")["exists"]:
            db.execute(connection, "migrations.make_schema")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        _describe(connection, comments)
        return before, _revision(connection)


def _check_known(revision: str, config: "Config") -> None:
    """Raise SettingsError, with what to do, if no migration of this version has this revision."""
    from alembic.script import ScriptDirectory

    known = sorted(script.revision for script in ScriptDirectory.from_config(config).walk_revisions())
    if revision in known:
        return
    if revision > known[-1]:
        advice = (
            f"a newer news-rerank made it; install that version here, which this one, at {known[-1]}, is not"
        )
    else:
        advice = (
            f"this version begins at {known[0]}; upgrade first with the last version that brought the steps from 0001 to"
            f" {known[0]}, or start with an empty database"
        )
    raise SettingsError(f"the schema is at revision {revision}: {advice}")


def _describe(connection: Connection, comments: ViewComments) -> None:
    """Give the views and their columns these comments, unless they have them."""
    found = {(row["view"], row["name"]): row["comment"] for row in db.rows(connection, "migrations.comments")}
    with driver_cursor(connection) as cursor:
        for (view, name), comment in comments.items():
            if (view, name) in found and found[view, name] != comment:
                what = f"COLUMN rerank.{view}.{name}" if name else f"VIEW rerank.{view}"
                cursor.execute(
                    f"COMMENT ON {what} IS %s", [comment]
                )  # COMMENT takes no bound values from the server


def run_script(connection: Connection, file: Path) -> None:
    """Run a file of many statements, unchanged, on the transaction of `connection`."""
    with driver_cursor(connection) as cursor:
        cursor.execute(file.read_text(encoding="utf-8"))


def revision(database: Database) -> str | None:
    """The migration that the database is at; None means that none was applied."""
    with database.transaction(read_only=True) as connection:
        return _revision(connection)


def head_revision() -> str:
    """The newest migration that this library brings. Raises SettingsError if it brings none."""
    from alembic.script import ScriptDirectory

    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise SettingsError(f"{sql_folder() / 'migrations'} holds no migration; reinstall news-rerank")
    return head


def is_newest(database: Database) -> bool:
    """Whether the database is at the newest migration that this library brings."""
    return revision(database) == head_revision()


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(sql_folder() / "migrations").replace("%", "%%"))
    return config


def _revision(connection: Connection) -> str | None:
    if not db.the(connection, "migrations.version_table")["exists"]:
        return None
    row = db.one(connection, "migrations.revision")
    return None if row is None else str(row["revision"])
