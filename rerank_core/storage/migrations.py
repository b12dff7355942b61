"""Migrations: which one a database is at, and how it is brought to the newest."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from rerank_core.errors import SettingsError
from rerank_core.storage import database as db
from rerank_core.storage.database import Database, driver_cursor, sql_folder

if TYPE_CHECKING:
    from alembic.config import Config

# Advisory lock that migrations are applied under, since there is no table yet that could be locked. Runs never wait for it.
MIGRATION_LOCK = 7_302_911

ViewComments = Mapping[tuple[str, str], str]  # (view, column, or "" for the view itself) → comment


def upgrade(url: str, *, comments: ViewComments | None = None) -> tuple[str | None, str | None]:
    """Apply every migration that is missing, in one transaction under a lock. Safe to repeat.

    `comments` are those of the views that frontends read. Returns the revision before and after; None means an empty
    database. Raises SettingsError if the database is at a revision that this version does not know.
    """
    from alembic import command

    database = Database(url)
    with database.transaction() as connection:
        db.execute(connection, "migrations.wait_long")
        db.execute(connection, "migrations.lock", key=MIGRATION_LOCK)
        before = _revision(connection)
        config = _config()
        if before is not None:
            _check_known(before, config)
        if not db.the(connection, "migrations.schema")["exists"]:
            db.execute(connection, "migrations.make_schema")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        _describe(connection, comments or {})
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
