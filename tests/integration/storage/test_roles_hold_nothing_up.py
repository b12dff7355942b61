"""What a role that only reads can hold on to keeps no run waiting, and no clean-up."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import psycopg2
import psycopg2.errors
import pytest
from factories import Newsroom, statement_replaced
from role_office import VIEW, VIEWS, Office

from rerank_core.errors import DatabaseUnavailable
from rerank_core.operations import maintain
from rerank_core.storage import database as db

# What runs would take turns by, were it advisory locks: whoever can connect knows the keys.
ADVISORY = {
    "runs.lock_claims": "SELECT pg_advisory_xact_lock(hashtextextended('rerank.claim:' || :pipeline, 0))",
    "publications.lock": "SELECT pg_advisory_xact_lock(hashtextextended('rerank.publish:' || :pipeline, 0))",
    "json_pages.lock": "SELECT pg_advisory_xact_lock(hashtextextended('rerank.pages:' || :pipeline, 0))",
    "maintain.lock": "SELECT pg_advisory_xact_lock(hashtextextended('rerank.maintain', 0))",
}


class Frozen:
    """A file that a COPY reads: one row, and then nothing until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def read(self, _: int) -> bytes:
        if self.begun.is_set():
            self.go.wait()
            return b""
        self.begun.set()
        return b"a\n"


def test_the_writer_may_end_a_session_of_its_own_that_is_frozen_in_a_copy(
    office: Callable[..., Office], newsroom: Callable[..., Newsroom], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = office()
    monkeypatch.setattr(db, "IDLE_TIMEOUT", "0s")
    monkeypatch.setattr(db, "COPY_LOOK_SECONDS", 0.1)
    file = Frozen()
    with closing(made.login(made.roles.writer)) as connection, ThreadPoolExecutor(1) as pool:
        cursor = connection.cursor()
        cursor.execute("SET application_name = 'news-rerank'")
        copying = pool.submit(cursor.copy_expert, "COPY rerank.article (article_id) FROM STDIN", file)
        file.begun.wait()
        newsroom(made).database.end_frozen()
        left = made.sql("postgres", "SELECT count(*) FROM pg_stat_progress_copy")
        file.go.set()
        with pytest.raises(psycopg2.OperationalError):
            copying.result()
    assert left == [(0,)]


class TestNobodyElseHoldsUpAPublication:
    """What a role that only reads can hold on to keeps no run waiting, and no clean-up."""

    @contextmanager
    def hold(self, office: Office, who: str) -> Iterator[None]:
        """All that such a role can hold on to, in a transaction that does not end."""
        role, views = {
            "frontend": (office.roles.frontend, sorted(VIEWS)),
            "source": (office.roles.source, [VIEW]),
        }[who]
        with closing(office.login(role)) as holder, holder.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            for view in views:
                cursor.execute(f"LOCK TABLE {view} IN ACCESS SHARE MODE; SELECT * FROM {view}")
            for statement in ADVISORY.values():
                cursor.execute(statement.replace(":pipeline", "'news'"))
            yield

    @pytest.mark.parametrize("who", ["frontend", "source"])
    def test_whatever_a_reader_holds_runs_and_clean_ups_go_on(
        self,
        office: Callable[..., Office],
        newsroom: Callable[..., Newsroom],
        monkeypatch: pytest.MonkeyPatch,
        who: str,
    ) -> None:
        made = office()
        room = newsroom(made)
        room.follow("solar")
        room.add("solar one")
        room.run("first")
        monkeypatch.setattr(db, "LOCK_TIMEOUT", "300ms")
        with self.hold(made, who):
            room.add("solar two")
            assert room.run("second")["publish"]["is_current"]
            made.sql(
                "postgres",
                "SELECT rerank.ensure_month('2020-01-01'); UPDATE rerank.publication SET published_at = now() - interval '9 years';"
                " UPDATE rerank.pointer_move SET moved_at = now() - interval '9 years'",
            )
            done = maintain.maintain(
                database=room.database, store=room.resources.store, settings=room.settings
            )
            assert (done.publications_deleted, done.months_dropped) == (1, 1)
        turns = ["SELECT * FROM rerank.turn FOR UPDATE", "SELECT rerank.take_turn('publish news')"]
        assert made.allowed(getattr(made.roles, who), turns) == []

    @pytest.mark.parametrize("turn", ["runs.lock_claims", "publications.lock"])
    def test_control_an_advisory_lock_is_anybodys(
        self,
        office: Callable[..., Office],
        newsroom: Callable[..., Newsroom],
        monkeypatch: pytest.MonkeyPatch,
        turn: str,
    ) -> None:
        made = office()
        room = newsroom(made)
        room.follow("solar")
        room.add("solar one")
        monkeypatch.setattr(db, "LOCK_TIMEOUT", "300ms")
        statement_replaced(monkeypatch, turn, ADVISORY[turn])
        with self.hold(made, "frontend"), pytest.raises(DatabaseUnavailable, match="lock timeout"):
            room.run("first")
