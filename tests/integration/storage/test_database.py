"""The door to Postgres: migrations apply once, texts come back as they went in, outages are retryable."""

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from factories import Newsroom, never, statement_replaced
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from rerank_core.cli import main
from rerank_core.errors import DatabaseUnavailable
from rerank_core.settings import settings as process_settings
from rerank_core.storage import copy, migrations
from rerank_core.storage import database as db
from rerank_core.storage.database import Database

ODD = [
    "plain",
    "",
    None,
    'quote " and, comma',
    "line\nbreak\r\nand\ttab",
    "\\.",
    "before\n\\.\nafter",
    "\\N",
    "NULL",
    "null",
    "back\\slash\\n",
    "emoji 😀 中文 \u200d\u0301",
    " spaces ",
    '"',
    '""',
    "'; DROP TABLE x; --",
    "{a,b}",
    "%(x)s :y",
]


def test_migrations_apply_once_and_a_second_time_does_nothing(empty_database_url: str) -> None:
    assert migrations.upgrade(empty_database_url) == (None, migrations.head_revision())
    assert migrations.upgrade(empty_database_url) == (migrations.head_revision(), migrations.head_revision())
    assert migrations.revision(Database(empty_database_url)) == migrations.head_revision()


def test_two_upgrades_at_once_both_succeed_and_one_of_them_does_the_work(empty_database_url: str) -> None:
    with ThreadPoolExecutor(2) as threads:
        found = [
            job.result() for job in [threads.submit(migrations.upgrade, empty_database_url) for _ in range(2)]
        ]
    assert sorted(found, key=str) == sorted(
        [(None, migrations.head_revision()), (migrations.head_revision(), migrations.head_revision())],
        key=str,
    )


def test_the_command_says_what_a_newer_schema_asks_for(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RERANK_DATABASE_URL", database_url)

    def upgraded() -> str:
        process_settings.cache_clear()
        with pytest.raises(SystemExit):
            main(["db", "upgrade"])
        process_settings.cache_clear()
        return " ".join(capsys.readouterr().out.split())

    said = upgraded()
    assert "already" in said
    assert "no task" not in said
    monkeypatch.setattr(migrations, "upgrade", lambda _, **__: ("0001", "0002"))
    said = upgraded()
    assert "schema brought from 0001 to 0002" in said
    assert "no task of the version before may work beside this one" in said


def test_an_empty_database_has_no_revision(empty_database_url: str) -> None:
    assert migrations.revision(Database(empty_database_url)) is None


def test_every_kind_of_value_goes_in_and_out_unchanged(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = pa.schema(
        [
            ("n", pa.int64()),
            ("t", pa.string()),
            ("f", pa.float64()),
            ("b", pa.bool_()),
            ("d", pa.date32()),
            ("at", pa.timestamp("us", tz="UTC")),
        ]
    )
    moment = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    rows = [
        {
            "n": number,
            "t": value,
            "f": [0.1, -1e300, None][number % 3],
            "b": [True, False, None][number % 3],
            "d": [date(2026, 3, 1), None][number % 2],
            "at": [moment, None, moment.replace(microsecond=0)][number % 3],
        }
        for number, value in enumerate(ODD)
    ]
    data = pa.Table.from_pylist(rows, schema=schema)
    statement_replaced(monkeypatch, "all", "SELECT n, t, f, b, d, at FROM odd ORDER BY n")
    with room.database.transaction() as connection:
        connection.execute(
            text("CREATE TEMP TABLE odd (n bigint, t text, f float8, b boolean, d date, at timestamptz)")
        )
        assert copy.copy_in(connection, "odd", data) == len(ODD)
        inside = list(connection.execute(text("SELECT t FROM odd ORDER BY n")).scalars())
        assert inside == ODD
        assert copy.copy_out(connection, "all", schema).to_pylist() == rows


def test_bytes_go_in_as_they_are(room: Newsroom) -> None:
    values = [b"", b"\x00\xff\\x", None]
    with room.database.transaction() as connection:
        connection.execute(text("CREATE TEMP TABLE bits (n int, b bytea)"))
        copy.copy_in(connection, "bits", pa.table({"n": [0, 1, 2], "b": pa.array(values, pa.binary())}))
        found = connection.execute(text("SELECT b FROM bits ORDER BY n")).scalars()
        assert [None if value is None else bytes(value) for value in found] == values


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 10])
@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_many_rows_go_in_part_by_part_in_their_order(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch, rows: int, size: int
) -> None:
    monkeypatch.setattr(copy, "COPY_ROWS", 3)
    monkeypatch.setattr(copy, "COPY_BYTES", size)
    words = [f'"word" {number},\n新' for number in range(rows)]
    chunks = [words[:0], words[:2], words[2:]]
    data = pa.table({"t": pa.chunked_array([pa.array(chunk, pa.string()) for chunk in chunks])})
    with room.database.transaction() as connection:
        connection.execute(text("CREATE TEMP TABLE many (n int GENERATED ALWAYS AS IDENTITY, t text)"))
        assert copy.copy_in(connection, "many", data) == rows
        assert list(connection.execute(text("SELECT t FROM many ORDER BY n")).scalars()) == words


def test_rows_that_the_server_refuses_leave_no_thread_behind(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy, "COPY_ROWS", 2)
    before = threading.active_count()
    with pytest.raises(IntegrityError), room.database.transaction() as connection:
        connection.execute(text("CREATE TEMP TABLE few (n int CHECK (n < 3))"))
        copy.copy_in(connection, "few", pa.table({"n": list(range(1_000))}))
    assert threading.active_count() == before


def test_no_rows_come_out_as_an_empty_table_of_the_schema(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement_replaced(monkeypatch, "none", "SELECT 1 AS n WHERE false")
    schema = pa.schema([("n", pa.int64())])
    with room.database.transaction() as connection:
        assert copy.copy_out(connection, "none", schema).equals(schema.empty_table())


# A first chunk without rows, as a join of an empty and a full table has.
CHUNKED = pa.table(
    {"t": pa.chunked_array([pa.array([], pa.string()), pa.array(["one", "two"])]), "n": pa.array([1, 2])}
)


def test_an_empty_first_chunk_does_not_spoil_the_rows() -> None:
    assert copy.to_csv(CHUNKED) == b'"one",1\n"two",2\n'


def test_control_the_writer_alone_spoils_rows_after_an_empty_first_chunk() -> None:
    sink = pa.BufferOutputStream()
    pacsv.write_csv(CHUNKED, sink, pacsv.WriteOptions(include_header=False))
    assert sink.getvalue().to_pybytes() != b'"one",1\n"two",2\n'


def test_a_transaction_that_fails_leaves_nothing(room: Newsroom) -> None:
    with pytest.raises(ZeroDivisionError), room.database.transaction() as connection:
        connection.execute(text("CREATE TABLE left_over (n int)"))
        raise ZeroDivisionError
    assert room.value("SELECT to_regclass('left_over')") is None


def test_a_read_only_transaction_sees_one_moment_and_cannot_write(room: Newsroom) -> None:
    with room.database.transaction(read_only=True) as connection:
        assert connection.execute(text("SELECT count(*) FROM rerank.article")).scalar() == 0
        room.add("late")
        assert connection.execute(text("SELECT count(*) FROM rerank.article")).scalar() == 0
        with pytest.raises(Exception, match="read-only transaction"):
            connection.execute(text("DELETE FROM rerank.article"))
        connection.rollback()


def test_a_server_that_is_away_is_unavailable_and_its_password_not_shown() -> None:
    away = Database("postgresql+psycopg2://me:hunter2@127.0.0.1:1/news")
    with pytest.raises(DatabaseUnavailable, match=r"me:\*\*\*@127\.0\.0\.1:1/news.*try again") as caught:
        away.transaction().__enter__()
    assert "hunter2" not in str(caught.value)


def end_session(room: Newsroom, pid: int) -> None:
    room.sql("SELECT pg_terminate_backend(:pid)", pid=pid)


def by_statement(connection: Any) -> None:
    connection.execute(text("SELECT 1"))


def by_copy_in(connection: Any) -> None:
    copy.copy_in(connection, "rerank.article", pa.table({"article_id": ["a"]}))


def by_copy_out(connection: Any) -> None:
    copy.copy_out(
        connection, "topics.current", pa.schema([("n", pa.int64())]), pipeline="news", active_only=True
    )


@pytest.mark.parametrize("work", [by_statement, by_copy_in, by_copy_out])
def test_a_session_that_the_server_ends_is_retryable_whatever_it_was_doing(
    room: Newsroom, work: Callable[[Any], None]
) -> None:
    with pytest.raises(DatabaseUnavailable), room.database.transaction() as connection:
        end_session(room, connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
        work(connection)


def test_a_lock_that_is_not_to_be_had_is_retryable(room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "LOCK_TIMEOUT", "50ms")
    with room.database.transaction() as holder:
        holder.execute(text("LOCK TABLE rerank.article"))
        told = "lock timeout; another task keeps what this one has waited for; try again"
        with pytest.raises(DatabaseUnavailable, match=told), room.database.transaction() as other:
            other.execute(text("LOCK TABLE rerank.article"))


class TestFrozen:
    """A client that is frozen in the middle of its transaction keeps the locks of others for a bounded time."""

    @pytest.fixture
    def soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {"LOCK_TIMEOUT": "100ms", "IDLE_TIMEOUT": "1s", "COPY_LOOK_SECONDS": 0.1}.items():
            monkeypatch.setattr(db, name, value)

    @contextmanager
    def frozen_in_a_copy(self, room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Somebody has the lock of all claims, and stands still after the first rows."""
        begun, go = threading.Event(), threading.Event()

        def to_csv(rows: pa.Table) -> bytes:
            if rows.column("article_id")[0].as_py() == "b":
                begun.set()
                go.wait()
            return b"a\n"

        def copying() -> None:
            with room.database.transaction() as connection:
                db.rows(connection, "runs.lock_claims", pipeline="news")
                copy.copy_in(connection, "rerank.article", pa.table({"article_id": ["a", "b"]}))

        monkeypatch.setattr(copy, "COPY_ROWS", 1)
        monkeypatch.setattr(copy, "to_csv", to_csv)
        with ThreadPoolExecutor(1) as pool:
            job = pool.submit(copying)
            begun.wait()
            try:
                yield
            finally:
                go.set()
                with suppress(DatabaseUnavailable, IntegrityError, SystemError):
                    job.result()

    def takes_the_lock(self, room: Newsroom, *, tries: int) -> bool:
        for _ in range(tries):
            with suppress(DatabaseUnavailable), room.database.transaction() as connection:
                db.rows(connection, "runs.lock_claims", pipeline="news")
                return True
        return False

    @pytest.mark.usefixtures("soon")
    def test_who_waits_for_one_that_is_frozen_in_a_copy_ends_it(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        with self.frozen_in_a_copy(room, monkeypatch):
            assert self.takes_the_lock(room, tries=100)
        assert "stand still in the middle of a COPY" in caplog.text
        assert room.value("SELECT count(*) FROM rerank.article") == 0

    @pytest.mark.usefixtures("soon")
    def test_control_no_timeout_ends_it(self, room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Database, "end_frozen", lambda _: None)
        with self.frozen_in_a_copy(room, monkeypatch):
            assert not self.takes_the_lock(room, tries=30)

    @pytest.mark.usefixtures("soon")
    def test_a_copy_that_goes_on_is_left_alone(self, room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
        taken = itertools.count()
        monkeypatch.setattr(Database, "_copying", lambda _: {(1, next(taken))})
        monkeypatch.setattr(db, "rows", never)
        room.database.end_frozen()

    @pytest.mark.usefixtures("soon")
    def test_one_that_is_frozen_between_two_statements_loses_its_locks(self, room: Newsroom) -> None:
        with pytest.raises(DatabaseUnavailable), room.database.transaction() as connection:
            db.rows(connection, "runs.lock_claims", pipeline="news")
            assert self.takes_the_lock(room, tries=100)
            connection.execute(text("SELECT 1"))


def test_a_mistake_in_a_statement_is_not_called_an_outage(room: Newsroom) -> None:
    with pytest.raises(Exception, match="syntax error") as caught, room.database.transaction() as connection:
        connection.execute(text("SELEKT"))
    assert not isinstance(caught.value, DatabaseUnavailable)


def test_nothing_of_a_rehearsal_stays_and_its_transactions_see_one_another(room: Newsroom) -> None:
    with room.database.rehearsal() as rehearsed:
        with rehearsed.transaction() as connection:
            connection.execute(text("INSERT INTO rerank.article (article_id) VALUES ('a')"))
        with rehearsed.transaction(read_only=True) as connection:
            assert connection.execute(text("SELECT count(*) FROM rerank.article")).scalar() == 1
    assert room.value("SELECT count(*) FROM rerank.article") == 0


def test_a_part_of_a_rehearsal_that_fails_leaves_the_others(room: Newsroom) -> None:
    with room.database.rehearsal() as rehearsed:
        with pytest.raises(ZeroDivisionError), rehearsed.transaction() as connection:
            connection.execute(text("INSERT INTO rerank.article (article_id) VALUES ('a')"))
            raise ZeroDivisionError
        with rehearsed.transaction() as connection:
            assert connection.execute(text("SELECT count(*) FROM rerank.article")).scalar() == 0


def test_topic_versions_cannot_be_changed(room: Newsroom) -> None:
    room.follow("solar")
    with pytest.raises(Exception, match="topic_version rows are never changed"):
        room.sql("UPDATE rerank.topic_version SET top_k = 1")


def test_two_writers_may_make_the_same_month_at_once(room: Newsroom) -> None:
    ready = threading.Barrier(4)

    def make() -> None:
        ready.wait()
        room.sql("SELECT rerank.ensure_month('2031-05-17')")

    with ThreadPoolExecutor(4) as threads:
        for job in [threads.submit(make) for _ in range(4)]:
            job.result()
    assert room.value("SELECT to_regclass('rerank.pair_score_2031_05') IS NOT NULL")
