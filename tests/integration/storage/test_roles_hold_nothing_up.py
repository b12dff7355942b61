"""What a role that only reads can hold on to keeps no run waiting, and no clean-up."""

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic

import psycopg2
import psycopg2.errors
import pytest
from factories import Newsroom, statement_replaced
from role_office import VIEW, VIEWS, Office, printed
from sqlalchemy import make_url

from rerank_core.errors import DatabaseUnavailable, Locked
from rerank_core.operations import maintain
from rerank_core.storage import database as db
from rerank_core.storage import migrations
from rerank_core.storage.database import Database
from rerank_core.storage.roles import identifier

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


LATER = """
from alembic import op
revision, down_revision = "0900", "{head}"
def upgrade():
    op.execute("ALTER TABLE rerank.ranking ADD COLUMN later int")
    op.execute("ALTER VIEW rerank.current_topic SET (security_barrier)")
    op.execute("ALTER TABLE rerank.article ADD COLUMN later int")
"""


class TestNoReaderHoldsUpAnUpgrade:
    """A reader's open transaction, or his hold of the lock that upgrades take turns by, does not stop an upgrade."""

    @pytest.fixture
    def waiting(
        self, office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> Office:
        """A database of before, a migration to apply, and an upgrade that loses patience soon."""
        made = office()
        shutil.copytree(db.sql_folder() / "migrations", tmp_path / "migrations")
        later = tmp_path / "migrations/versions/0900_later.py"
        later.write_text(LATER.format(head=migrations.head_revision()))
        monkeypatch.setattr(migrations, "sql_folder", lambda: tmp_path)
        monkeypatch.setattr(migrations, "LOCK_TIMEOUT", "200ms")
        monkeypatch.setattr(migrations, "PAUSE_SECONDS", 0.1)
        monkeypatch.setattr(migrations, "PATIENCE_SECONDS", 2.0)
        return made

    @contextmanager
    def reader(self, office: Office, role: str, *statements: str) -> Iterator[psycopg2.extensions.connection]:
        with closing(office.login(role)) as connection, connection.cursor() as cursor:
            for statement in ("SET idle_in_transaction_session_timeout = 0", *statements):
                cursor.execute(statement)
            yield connection

    @pytest.mark.parametrize(
        "held",
        [
            "SELECT * FROM rerank.current_ranking",
            "LOCK TABLE rerank.current_topic IN ACCESS SHARE MODE",
            f"SELECT pg_advisory_lock({migrations.MIGRATION_LOCK})",
        ],
    )
    def test_a_frontend_that_holds_it_up_is_ended(
        self, waiting: Office, held: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with self.reader(waiting, waiting.roles.frontend, held) as reader:
            assert migrations.upgrade(waiting.url_of(waiting.roles.owner))[1] == "0900"
            with pytest.raises(psycopg2.OperationalError):
                reader.cursor().execute("SELECT 1")
        assert "waits for sessions that only read" in caplog.text

    def test_a_reader_of_the_source_is_ended_too(self, waiting: Office) -> None:
        with self.reader(waiting, waiting.roles.source, f"SELECT * FROM {VIEW}"):
            waiting.sql("postgres", "SELECT 1")
            assert migrations.upgrade(waiting.url_of(waiting.roles.owner))[1] == "0900"

    def test_control_without_the_rights_of_the_reader_it_gives_up_and_names_the_session(
        self, waiting: Office
    ) -> None:
        with self.reader(waiting, waiting.roles.frontend, "SELECT * FROM rerank.current_ranking"):
            waiting.sql(
                "postgres",
                f"REVOKE {identifier(waiting.roles.frontend)} FROM {identifier(waiting.roles.owner)}",
            )
            with pytest.raises(
                Locked, match=f"of role {re.escape(waiting.roles.frontend)}.*pg_terminate_backend"
            ):
                migrations.upgrade(waiting.url_of(waiting.roles.owner))
        assert migrations.revision(Database(waiting.url)) != "0900"

    def test_a_task_that_still_writes_is_not_ended_but_named(self, waiting: Office) -> None:
        write = "INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', 'a', 'r'); SELECT * FROM rerank.ranking"
        with self.reader(waiting, waiting.roles.writer, write) as task:
            with pytest.raises(Locked, match=re.escape(f"of role {waiting.roles.writer}")):
                migrations.upgrade(waiting.url_of(waiting.roles.owner))
            task.cursor().execute("SELECT 1")

    def test_who_reads_while_an_upgrade_waits_is_held_up_for_a_moment_only(self, waiting: Office) -> None:
        """Readers queue behind an upgrade that waits for a lock, so it waits in short turns."""
        with (
            self.reader(waiting, waiting.roles.writer, "SELECT * FROM rerank.ranking"),
            ThreadPoolExecutor(1) as pool,
        ):
            upgrading = pool.submit(migrations.upgrade, waiting.url_of(waiting.roles.owner))
            longest = 0.0
            while not upgrading.done():
                began = monotonic()
                waiting.sql(waiting.roles.frontend, "SELECT * FROM rerank.current_ranking")
                longest = max(longest, monotonic() - began)
            with pytest.raises(Locked):
                upgrading.result()
        assert longest < 1.5  # of 2 seconds that the upgrade tried

    def test_a_transaction_that_a_reader_forgets_ends_by_itself_unless_another_limit_is_set(
        self, office: Callable[..., Office], capsys: pytest.CaptureFixture[str]
    ) -> None:
        made = office()
        limit = "SHOW idle_in_transaction_session_timeout"
        assert made.sql(made.roles.frontend, limit) == made.sql(made.roles.source, limit) == [("10min",)]
        name = identifier(made.roles.frontend)
        made.sql("postgres", f"ALTER ROLE {name} SET idle_in_transaction_session_timeout = '7min'")
        made.sql("postgres", f"ALTER ROLE {name} IN DATABASE {make_url(made.url).database} RESET ALL")
        made.sql("postgres", printed(made.roles, capsys))
        assert made.sql(made.roles.frontend, limit) == [("7min",)]


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
