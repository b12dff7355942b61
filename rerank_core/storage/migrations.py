"""Migrations: which one a database is at, and how it is brought to the newest."""

from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Connection, text

from rerank_core.errors import SettingsError
from rerank_core.storage import database as db
from rerank_core.storage.database import Database, driver_cursor, sql_folder

# Advisory lock that migrations are applied under, since there is no table yet that could be locked. Runs never wait for it.
MIGRATION_LOCK = 7_302_911

ViewComments = Mapping[tuple[str, str], str]  # (view, column, or "" for the view itself) → comment


def upgrade(url: str, *, comments: ViewComments | None = None) -> tuple[str | None, str | None]:
    """Apply every migration that is missing, in one transaction under a lock. Safe to repeat.

    `comments` are those of the views that frontends read. Returns the revision before and after; None means an empty
    database.
    """
    from alembic import command
    from alembic.config import Config

    database = Database(url)
    with database.transaction() as connection:
        connection.exec_driver_sql("SELECT set_config('lock_timeout', '0', true)")
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        before = _revision(connection)
        # Even with IF NOT EXISTS it needs a right that the owner of the schema lacks.
        if connection.execute(text("SELECT to_regnamespace('rerank')")).scalar() is None:
            connection.exec_driver_sql("CREATE SCHEMA rerank")
        config = Config()
        config.set_main_option("script_location", str(sql_folder() / "migrations").replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        _describe(connection, comments or {})
        return before, _revision(connection)


def _describe(connection: Connection, comments: ViewComments) -> None:
    """Give the views and their columns these comments, where they have others."""
    found = {(row["view"], row["name"]): row["comment"] for row in db.rows(connection, "migrations.comments")}
    with driver_cursor(connection) as cursor:
        for (view, name), comment in comments.items():
            if (view, name) in found and found[view, name] != comment:
                what = f"COLUMN rerank.{view}.{name}" if name else f"VIEW rerank.{view}"
                cursor.execute(f"COMMENT ON {what} IS %s", [comment])


def run_script(connection: Connection, file: Path) -> None:
    """Run a file of many statements, as it stands, on the transaction of `connection`."""
    with driver_cursor(connection) as cursor:
        cursor.execute(file.read_text(encoding="utf-8"))


def revision(database: Database) -> str | None:
    """The migration that the database is at; None means that none was applied."""
    with database.transaction(read_only=True) as connection:
        return _revision(connection)


def head_revision() -> str:
    """The newest migration that this library brings."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(sql_folder() / "migrations").replace("%", "%%"))
    head = ScriptDirectory.from_config(config).get_current_head()
    if head is None:
        raise SettingsError(f"{sql_folder() / 'migrations'} holds no migration; reinstall news-rerank")
    return head


def _revision(connection: Connection) -> str | None:
    table = connection.execute(text("SELECT to_regclass('rerank.alembic_version')")).scalar()
    if table is None:
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM rerank.alembic_version")).scalar()
    return found
