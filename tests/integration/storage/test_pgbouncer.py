"""Everything works behind PgBouncer in transaction mode, where each transaction may meet another server session."""

import os
import pwd
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest
from factories import FakeEngines, Newsroom, make_topic, statement_replaced
from sqlalchemy import make_url

from rerank_core import pipeline
from rerank_core.cli import main
from rerank_core.demo.servers import Server
from rerank_core.errors import DatabaseUnavailable
from rerank_core.models import embedders
from rerank_core.models.embedding import FakeEmbedder
from rerank_core.operations.plan import plan
from rerank_core.recall import dense
from rerank_core.settings import Settings

BINARY = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
CONFIGURATION = """
[databases]
* = host={host}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
pool_mode = transaction
default_pool_size = {pool_size}
query_wait_timeout = 5
"""
SESSION = (
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "TimeZone",
    "enable_seqscan",
    "enable_sort",
    "statement_timeout",
    "transaction_isolation",
    "search_path",
)

pytestmark = pytest.mark.skipif(
    BINARY is None, reason="pgbouncer is not installed here (apt-get install pgbouncer)"
)


@pytest.fixture
def pooled() -> Iterator[Callable[..., str]]:
    """The address of a database through a PgBouncer of its own, with this many server connections."""
    folder = Path(tempfile.mkdtemp(prefix="rerank-pgbouncer-"))
    folder.chmod(0o755)
    nobody = pwd.getpwnam("nobody")
    servers: list[Server] = []

    def start(url: str, *, pool_size: int = 1) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        (folder / "users.txt").write_text('"postgres" ""\n')
        configuration = folder / f"{port}.ini"
        configuration.write_text(
            CONFIGURATION.format(
                host=make_url(url).query["host"], port=port, folder=folder, pool_size=pool_size
            )
        )
        servers.append(
            Server(
                name="pgbouncer",
                command=[str(BINARY), str(configuration)],
                log=folder / f"{port}.log",
                stop_signal=signal.SIGINT,
                # It refuses to run as root.
                user=(nobody.pw_uid, nobody.pw_gid) if os.geteuid() == 0 else None,
            )
        )
        found = make_url(url).set(host="127.0.0.1", port=port, query={})
        deadline = time.monotonic() + 20
        while True:
            try:
                psycopg2.connect(**plain(found.render_as_string(hide_password=False))).close()
            except psycopg2.OperationalError:
                assert servers[-1].running, servers[-1].last_lines()
                assert time.monotonic() < deadline, servers[-1].last_lines()
                time.sleep(0.05)
            else:
                return found.render_as_string(hide_password=False)

    yield start
    for server in servers:
        server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def pooled_room(
    pooled: Callable[..., str], database_url: str, store_url: str, engines: FakeEngines
) -> Callable[..., Newsroom]:
    """A newsroom behind PgBouncer, with three articles and a topic."""

    def make(*, pool_size: int = 1, **settings: object) -> Newsroom:
        url = pooled(database_url, pool_size=pool_size)
        room = Newsroom(Settings.load(database_url=url, store_url=store_url), engines).tuned(**settings)
        room.follow("solar")
        room.add("solar power", "solar panel", "wind")
        return room

    return make


def plain(url: str) -> dict[str, object]:
    """The address as psycopg2 takes it."""
    found = make_url(url)
    return {
        "dbname": found.database,
        "user": found.username,
        "host": found.host or found.query["host"],
        "port": found.port or 5432,
    }


def ask(url: str, *statements: str) -> list[object]:
    """The first column of each statement's first row, each in a transaction of its own."""
    connection = psycopg2.connect(**plain(url))
    try:
        connection.autocommit = True
        found = []
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                row = cursor.fetchone() if cursor.description else None
                found.append(row and row[0])
        return found
    finally:
        connection.close()


def left_behind(room: Newsroom, direct: str) -> dict[str, object]:
    """What the pooler's one server session still has of the transactions before, beside that of a new session."""
    shown = [f"SHOW {name}" for name in SESSION]
    found = dict(zip(SESSION, ask(room.settings.database_url, *shown), strict=True))
    new = dict(zip(SESSION, ask(direct, *shown), strict=True))
    locks, tables, statements = ask(
        room.settings.database_url,
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
        "SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'",
        "SELECT count(*) FROM pg_prepared_statements",
    )
    changed: dict[str, object] = {name: value for name, value in found.items() if value != new[name]}
    kept = {"locks": locks, "tables": tables, "statements": statements}
    return changed | {name: count for name, count in kept.items() if count}


def test_one_server_connection_is_enough_for_every_stage_and_nothing_stays_in_its_session(
    pooled_room: Callable[..., Newsroom], database_url: str
) -> None:
    room = pooled_room()
    first = room.run("first")
    assert (first["extract"]["claimed"], first["publish"]["rows"]) == (3, 3)
    assert (first["publish"]["pages_written"], first["publish"]["pages_failed"]) == (1, 0)
    assert plan(room.resources).pairs == 0
    room.add("solar roof", "solar farm")
    room.engines.options = {"pairs_per_chunk": 1, "fail_at_chunk": 1}
    assert room.run("degraded")["publish"]["degraded"]
    room.engines.options = {}
    room.run("healed")
    assert room.run("again", rescore=True)["publish"]["rows"] == 5
    assert left_behind(room, database_url) == {}


def test_nothing_that_is_done_by_hand_stays_in_the_session(
    pooled_room: Callable[..., Newsroom],
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    room = pooled_room()
    first = room.run("first")["publish"]
    row = room.ranking()[0]
    events = tmp_path / "events.jsonl"
    events.write_text(
        f'{{"run_id": {row.run_id}, "topic": "solar", "rank": {row.rank}, "revision_id": {row.revision_id},'
        ' "event": "open", "time": "2026-11-25T10:00:00Z"}\n'
    )
    room.follow(*(make_topic(slug=slug, candidate_limit=100) for slug in ("solar", "wind", "tide")))
    room.flood("new")
    room.engines.options = {"constant": 3.0, "pairs_per_chunk": 300}
    bad = room.until("publish", "bad")
    assert room.stage("publish", bad)["blocked"]
    late = room.until("rerank", "late")
    assert pipeline.publish_overdue(room.resources, run_id=late.run_id)
    for name in ("database_url", "store_url"):
        monkeypatch.setenv(f"RERANK_{name}".upper(), getattr(room.settings, name))
    for command in (
        f"publish --approve {bad.run_id} --reason right",
        f"publish --rollback {first['run_id']} --reason wrong",
        "publish --release",
        "block solar-power --reason asked",
        "unblock solar-power",
        "claim --since 2020-01-01T00:00:00Z",
        "forget new1 --reason asked",
        "maintain",
        f"feedback load {events}",
        "explain solar new2",
        "doctor",
    ):
        with pytest.raises(SystemExit) as ended:
            main(command.split())
        printed = capsys.readouterr()
        assert not ended.value.code or command == "doctor", printed.err
    assert room.value("SELECT count(*) FROM rerank.feedback") == 1
    assert left_behind(room, database_url) == {}


def test_recall_by_vectors_takes_a_second_connection_and_leaves_nothing_in_either(
    pooled_room: Callable[..., Newsroom], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeEmbedder()
    monkeypatch.setattr(embedders, "identity", lambda settings: fake.identity)
    monkeypatch.setattr(embedders, "load", lambda settings: fake)
    monkeypatch.setattr(dense, "EXACT_DOCUMENTS", 0)
    room = pooled_room(pool_size=2, recall="dense", fill_factor=1)
    room.follow(make_topic(query="solar", candidate_limit=1))
    assert room.run()["embed"]["embedded"] == 3
    assert len(room.page()) == 1
    for _ in range(4):  # whichever session answers
        assert left_behind(room, database_url) == {}


def test_concurrent_runs_claim_each_article_once(
    pooled_room: Callable[..., Newsroom], database_url: str
) -> None:
    room = pooled_room(pool_size=2)
    room.add(*(f"solar {number}" for number in range(40)))
    with ThreadPoolExecutor(4) as threads:
        jobs = [threads.submit(room.run, f"run {number}") for number in range(8)]
        results = [job.result() for job in jobs]
    assert sum(result["extract"]["claimed"] for result in results) == 43
    assert room.value("SELECT count(DISTINCT article_id) FROM rerank.revision") == 43
    assert room.value("SELECT count(*) FROM rerank.publication") == 8
    room.run("last")
    assert len(room.page()) == 20


def test_a_source_behind_the_same_pooler_takes_a_second_connection(
    pooled_room: Callable[..., Newsroom],
) -> None:
    room = pooled_room(pool_size=2)
    room.tuned(source_url=room.settings.database_url).run()
    assert len(room.page()) == 3


def test_control_a_pool_that_is_too_small_for_that_ends_in_an_error_that_is_tried_again(
    pooled_room: Callable[..., Newsroom],
) -> None:
    room = pooled_room(pool_size=1)
    with pytest.raises(DatabaseUnavailable, match="query_wait_timeout|closed the connection"):
        room.tuned(source_url=room.settings.database_url).run()


def test_the_command_line_works_from_an_empty_database_on(
    pooled: Callable[..., str],
    empty_database_url: str,
    store_url: str,
    tmp_path: Path,
    engines: FakeEngines,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RERANK_DATABASE_URL", pooled(empty_database_url))
    monkeypatch.setenv("RERANK_STORE_URL", store_url)
    (tmp_path / "topics.yaml").write_text("topics:\n- slug: solar\n  query: solar\n")
    (tmp_path / "articles.jsonl").write_text('{"id": "1", "title": "solar power", "lang": "en"}\n')
    said = []
    for command in (
        "db upgrade",
        f"topics apply {tmp_path}/topics.yaml",
        f"articles load {tmp_path}/articles.jsonl",
        "run --plan",
        "run",
        "show",
        "runs",
    ):
        with pytest.raises(SystemExit) as ended:
            main(command.split())
        printed = capsys.readouterr()
        assert not ended.value.code, printed.err
        said.append(printed.out)
    assert "solar power" in said[-2]
    assert "published" in said[-1]


class TestControls:
    """What a session keeps, the next client gets: each is found by the same look."""

    def test_a_lock_of_the_session_stays_and_blocks_whoever_comes_by_another_session(
        self, pooled_room: Callable[..., Newsroom], database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        room = pooled_room()
        statement_replaced(
            monkeypatch,
            "runs.lock_claims",
            "SELECT pg_advisory_lock(hashtextextended('rerank.claim:' || :pipeline, 0))",
        )
        room.run()
        assert left_behind(room, database_url)["locks"] == 1
        taken = "SELECT pg_try_advisory_xact_lock(hashtextextended('rerank.claim:news', 0))"
        assert ask(database_url, taken) == [False]

    def test_a_setting_of_the_session_reaches_the_next_client(
        self, pooled_room: Callable[..., Newsroom], database_url: str
    ) -> None:
        room = pooled_room()
        ask(room.settings.database_url, "SET lock_timeout = '77s'")
        assert left_behind(room, database_url) == {"lock_timeout": "77s"}

    def test_a_temporary_table_of_the_session_stays(
        self, pooled_room: Callable[..., Newsroom], database_url: str
    ) -> None:
        room = pooled_room()
        ask(room.settings.database_url, "CREATE TEMP TABLE kept (a int)")
        assert left_behind(room, database_url) == {"tables": 1}
