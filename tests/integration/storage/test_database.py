"""The door to Postgres: transactions hold all or nothing, outages are retryable, frozen clients do not block for ever."""

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa
import pytest
from factories import Newsroom, never
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from rerank_core.errors import DatabaseUnavailable
from rerank_core.storage import copy
from rerank_core.storage import database as db
from rerank_core.storage.database import Database


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


def test_a_server_that_acknowledges_nothing_is_given_up_after_a_minute(room: Newsroom) -> None:
    """`make faults` has the network itself; TCP alone would wait for a quarter of an hour."""
    with room.database.transaction(read_only=True) as connection:
        driver: Any = connection.connection.driver_connection
        told = driver.info.dsn_parameters
    assert told["tcp_user_timeout"] == "60000"
    assert (
        int(told["keepalives_idle"]) + int(told["keepalives_interval"]) * int(told["keepalives_count"]) == 60
    )


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
        told = "lock timeout; another task holds the lock that this task has waited for; try again"
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
        assert "are frozen in the middle of a COPY" in caplog.text
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
        room.sql("SELECT rerank.ensure_month('2021-05-17')")

    with ThreadPoolExecutor(4) as threads:
        for job in [threads.submit(make) for _ in range(4)]:
            job.result()
    assert room.value("SELECT to_regclass('rerank.pair_score_2021_05') IS NOT NULL")
