"""The one door to Postgres: engine, transaction, named statement → rows.

Every transaction sets its own lock and idle timeouts, so that a frozen worker cannot block its successor for
ever. The timeouts belong to the transaction, so a pooler in transaction mode is safe. No timeout ends a session
whose client is frozen within a COPY: whoever has waited for its locks in vain ends it. Times are UTC. Errors of
the driver that a later try can mend become DatabaseUnavailable. No error shows a parameter of a statement, a row, or a
password.
"""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from time import sleep
from typing import Any

import psycopg2
from sqlalchemy import Connection, Engine, RowMapping, TextClause, create_engine, event, make_url, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from rerank_core.errors import CorruptError, DatabaseUnavailable, InputError, Locked, shown, shown_url

log = logging.getLogger(__name__)

LOCK_TIMEOUT = "60s"
IDLE_TIMEOUT = "120s"
WORK_TIMEOUT = "1h"  # of a transaction whose caller computes between two statements
CONNECT_SECONDS = 10  # of a try to connect
SILENCE_SECONDS = (
    60  # a server that acknowledges nothing for so long is gone, whatever TCP itself still hopes for
)
COPY_LOOK_SECONDS = 10.0  # between two looks at a session that seems frozen, after the first minute
LONGEST_NAME = 200  # characters of a person's name
LOCK_NOT_AVAILABLE, QUERY_CANCELED = "55P03", "57014"  # SQLSTATE

_ASKED_BY: ContextVar[str | None] = ContextVar("asked_by", default=None)


def sql_folder() -> Path:
    """Folder of the SQL files: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parents[1]
    inside = package / "sql"
    return inside if inside.is_dir() else package.parent / "sql"


@cache
def statement_texts() -> dict[str, str]:
    """Every named statement: "module.name" → SQL, from sql/queries/<package>/<module>.sql.

    A file holds several statements. Each begins with a line `-- name: …` and a line that says why it exists.
    """
    found: dict[str, str] = {}
    for file in sorted((sql_folder() / "queries").rglob("*.sql")):
        head, *parts = re.split(r"^-- name: ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for part in parts:
            name, _, sql = part.partition("\n")
            full_name = f"{file.stem}.{name.strip()}"
            if head.strip() or full_name in found:
                raise CorruptError(f"{file}: text before the first `-- name:`, or {full_name} occurs twice")
            found[full_name] = sql.strip()
    return found


@cache
def statement(name: str, relations: tuple[tuple[str, str], ...] = ()) -> TextClause:
    """The statement "module.name", its {relations} filled in with trusted names."""
    sql = statement_texts()[name]
    for placeholder, relation in relations:
        sql = sql.replace("{" + placeholder + "}", relation)
    return text(sql)


@contextmanager
def asked_by(name: str | None) -> Iterator[None]:
    """What is written meanwhile is written on behalf of this person, whatever RERANK_ASKED_BY says; None leaves that as it is.

    Raises InputError if `name` is no name.
    """
    token = _ASKED_BY.set(_ASKED_BY.get() if name is None else _person(name))
    try:
        yield
    finally:
        _ASKED_BY.reset(token)


def _person(name: str) -> str:
    """The name without blanks at its ends. Raises InputError if it is empty, long, or has control characters."""
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise InputError(
            f"who asks is {shown(name)}; give a name of 1 to {LONGEST_NAME} characters (--as, RERANK_ASKED_BY)"
        )
    return name


class Database:
    """One Postgres database. Connections are opened for each transaction and closed after it."""

    def __init__(self, url: str, *, kept: int = 0) -> None:
        """`kept` connections stay open between transactions: for a server whose readers wait for each."""
        self.url = url
        pool: dict[str, Any] = {"poolclass": NullPool}
        if kept:
            pool = {"pool_size": kept, "max_overflow": 40, "pool_pre_ping": True, "pool_recycle": 600}
        self._engine: Engine = create_engine(
            make_url(url),
            **pool,
            hide_parameters=True,
            connect_args={
                "application_name": "news-rerank",
                "connect_timeout": CONNECT_SECONDS,
                # Of a connection that waits for an answer; probes alone would not end one that has something to send.
                "keepalives": 1,
                "keepalives_idle": max(1, int(SILENCE_SECONDS // 2)),
                "keepalives_interval": max(1, int(SILENCE_SECONDS // 6)),
                "keepalives_count": 3,
                "tcp_user_timeout": int(SILENCE_SECONDS * 1000),
            },
        )
        event.listen(self._engine, "handle_error", _hide_rows)

    def __repr__(self) -> str:
        return f"Database({shown_url(self.url)})"

    @contextmanager
    def transaction(self, *, read_only: bool = False) -> Iterator[Connection]:
        """One transaction; commits at the end, rolls back on any exception.

        Raises DatabaseUnavailable if the server does not answer, has ended the connection, or did not give a lock in
        time.
        """
        with _mapped_errors(self), self._engine.begin() as connection:
            execute(connection, "database.begin_reading" if read_only else "database.begin_writing")
            execute(connection, "database.limits", lock=LOCK_TIMEOUT, idle=IDLE_TIMEOUT)
            name = None if read_only else _ASKED_BY.get() or os.environ.get("RERANK_ASKED_BY")
            if name:
                execute(connection, "database.asked_by", person=_person(name))
            yield connection

    def end_frozen(self) -> None:
        """End our sessions that are frozen in the middle of a COPY: they may hold the lock that somebody waits for.

        No timeout ends a session whose client is frozen there, or is lost with its machine.
        """
        with suppress(SQLAlchemyError):
            still = self._copying()
            if still:
                sleep(COPY_LOOK_SECONDS)
                still &= self._copying()
            if still:
                pids = sorted(pid for pid, _ in still)
                log.warning("sessions %s are frozen in the middle of a COPY; they are ended now", pids)
                with self._engine.begin() as connection:
                    rows(connection, "database.end", pids=pids)

    def _copying(self) -> set[tuple[int, int]]:
        """Sessions that have waited long for their client within a COPY, and the bytes that each has taken."""
        with self._engine.begin() as connection:
            found = rows(connection, "database.copying", idle=IDLE_TIMEOUT)
        return {(row["pid"], row["bytes_processed"]) for row in found}

    @contextmanager
    def rehearsal(self) -> Iterator["Database"]:
        """A database whose transactions are parts of one that is rolled back at the end: nothing stays."""
        with self.transaction() as connection:
            may_idle(connection)
            yield _Rehearsal(self.url, connection)
            connection.rollback()


class _Rehearsal(Database):
    def __init__(self, url: str, connection: Connection) -> None:
        super().__init__(url)
        self._connection = connection

    @contextmanager
    def transaction(self, *, read_only: bool = False) -> Iterator[Connection]:
        with _mapped_errors(self), self._connection.begin_nested():
            yield self._connection


def _may_pass(sqlstate: str | None) -> bool:
    """Whether an operational error may be gone at a later try: connection, shutdown, lock, conflict, resources."""
    return (
        sqlstate is None
        or sqlstate[:2] in {"08", "25", "40", "53", "57", "58"}
        or sqlstate == LOCK_NOT_AVAILABLE
    )


def _hide_rows(context: ExceptionContext) -> None:
    """Take rows and values out of an error of a statement, before anybody can read it."""
    hide_rows(context.original_exception)
    if context.sqlalchemy_exception is not None:
        kind = type(context.original_exception)
        said = f"({kind.__module__}.{kind.__name__}) {context.original_exception}"
        context.sqlalchemy_exception.args = (said,)


def hide_rows(error: BaseException) -> None:
    """Leave only the sentence of a driver's error, without values that it quotes.

    Its DETAIL shows a row, its CONTEXT a line of a COPY, its LINE the statement with its values.
    """
    sentence = error.diag.message_primary if isinstance(error, psycopg2.Error) else None
    if sentence:
        is_of_data = str(getattr(error, "pgcode", None)).startswith("22")
        error.args = (re.sub('".*"', '"…"', sentence, flags=re.DOTALL) if is_of_data else sentence,)


@contextmanager
def _mapped_errors(database: Database) -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        code = getattr(error.orig, "pgcode", None)
        if not _may_pass(code):
            raise
        kind = DatabaseUnavailable
        advice = "check that it runs and that its address (RERANK_DATABASE_URL, RERANK_SOURCE_URL) is right, then try again"
        if code == LOCK_NOT_AVAILABLE:
            database.end_frozen()
            kind = Locked
            advice = "another task holds the lock that this task has waited for; try again"
        elif code == QUERY_CANCELED:
            advice = (
                "a limit of this role or server has ended the statement, or a person has; `rerank doctor` names such"
                " limits"
            )
        reason = (str(error.orig or "").strip() or "no answer").splitlines()[0]
        raise kind(f"{database!r}: {reason}; {advice}") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailable(f"{database!r}: the connection was lost; try again") from error
        raise


def may_idle(connection: Connection) -> None:
    """Let the caller compute between two statements of its transaction for up to an hour (WORK_TIMEOUT)."""
    execute(connection, "database.may_idle", idle=WORK_TIMEOUT)


def rows(
    connection: Connection, name: str, relations: tuple[tuple[str, str], ...] = (), **values: Any
) -> Sequence[RowMapping]:
    """All rows of a named statement."""
    return connection.execute(statement(name, relations), values).mappings().all()


def one(
    connection: Connection, name: str, relations: tuple[tuple[str, str], ...] = (), **values: Any
) -> RowMapping | None:
    """The first row of a named statement, or None."""
    return connection.execute(statement(name, relations), values).mappings().first()


def the(
    connection: Connection, name: str, relations: tuple[tuple[str, str], ...] = (), **values: Any
) -> RowMapping:
    """The first row of a named statement that always finds a row.

    Raises CorruptError if it finds none.
    """
    row = one(connection, name, relations, **values)
    if row is None:
        raise CorruptError(
            f"statement {name} found no row, and one must exist; `rerank doctor` checks the schema"
        )
    return row


def execute(connection: Connection, name: str, **values: Any) -> int:
    """Run a named statement. Returns the number of rows that it changed."""
    return int(connection.execute(statement(name), values).rowcount)


@contextmanager
def selected(database: Database, sql: str) -> Iterator[Iterator[RowMapping]]:
    """Rows of SQL that a person gives, as they come, from a transaction that cannot write.

    Raises InputError, with the server's sentence, if the server refuses it, DatabaseUnavailable if it does not answer.
    """
    with database.transaction(read_only=True) as connection:
        may_idle(connection)
        try:
            # A percent sign is one: the driver puts no values in.
            found = connection.execution_options(stream_results=True, no_parameters=True).exec_driver_sql(sql)
            yield iter(found.mappings())
        except DBAPIError as error:
            if _may_pass(getattr(error.orig, "pgcode", None)):
                raise
            reason = (str(error.orig).strip() or "no reason").splitlines()[0]
            raise InputError(f"the database refuses the SQL: {reason}; correct it") from error


@contextmanager
def driver_cursor(connection: Connection) -> Iterator[Any]:
    """The driver's own cursor, for COPY and scripts. Its errors become SQLAlchemy's."""
    cursor: Any = connection.connection.cursor()
    try:
        yield cursor
    except psycopg2.Error as error:
        hide_rows(error)
        raise DBAPIError.instance("COPY or script", None, error, psycopg2.Error) from error
    finally:
        cursor.close()
