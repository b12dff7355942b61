"""The embedded Postgres starts anywhere, is private, and recovers from its owner's death."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from rerank_core.demo import postgres as module
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.errors import SettingsError


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that `nobody` can get to, whatever pytest's own is like."""
    made = Path(tempfile.mkdtemp(prefix="rerank-pg-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def answer(url: str) -> int:
    name, _, host = url.removeprefix("postgresql+psycopg2://postgres:@/").partition("?host=")
    connection = psycopg2.connect(dbname=name, user="postgres", host=host)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 42")
            row = cursor.fetchone()
            assert row is not None
            return int(row[0])
    finally:
        connection.close()


def test_it_keeps_its_data_over_a_restart(folder: Path) -> None:
    with EmbeddedPostgres(folder=folder / "pg") as server:
        server.create("news")
    with EmbeddedPostgres(folder=folder / "pg") as server:
        assert answer(server.url("news")) == 42


def test_its_address_is_the_folder_itself(folder: Path) -> None:
    with EmbeddedPostgres(folder=folder / "pg") as server:
        assert server.url("news") == f"postgresql+psycopg2://postgres:@/news?host={folder}/pg"


def test_only_its_owner_reaches_the_socket(folder: Path) -> None:
    with EmbeddedPostgres(folder=folder / "pg"):
        assert stat.S_IMODE((folder / "pg").stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "pg" / ".s.PGSQL.5432").stat().st_mode) == 0o700


def test_a_path_too_long_for_a_socket_gets_a_short_one(folder: Path) -> None:
    deep = folder / ("d" * 100)
    with pytest.raises(OSError, match="too long"), socket.socket(socket.AF_UNIX) as control:
        control.bind(str(deep / "pg" / ".s.PGSQL.5432"))
    with EmbeddedPostgres(folder=deep / "pg") as server:
        assert answer(server.url("postgres")) == 42
        short = Path(server.url("postgres").partition("?host=")[2])
        assert len(str(short)) < 60
    assert not short.exists()


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root's folders can be closed to the user that Postgres runs as"
)
def test_a_checkout_closed_to_other_users_works_and_stays_closed(folder: Path) -> None:
    closed = folder / "home"
    closed.mkdir(mode=0o700)
    with EmbeddedPostgres(folder=closed / "pg") as server:
        assert answer(server.url("postgres")) == 42
        shelter = server.folder.parent
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert shelter != closed
    shutil.rmtree(shelter)


def test_a_folder_in_use_is_refused_with_the_process_that_uses_it(folder: Path) -> None:
    with EmbeddedPostgres(folder=folder / "pg"):
        with pytest.raises(SettingsError, match=rf"process {os.getpid()} is using .*RERANK_DEMO_DIR"):
            EmbeddedPostgres(folder=folder / "pg").start()


def test_without_the_wheel_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"install news-rerank\[dev\], or set RERANK_DATABASE_URL"):
        module.find_binaries()


OWNER = """
import sys, time
from pathlib import Path
from rerank_core.demo.postgres import EmbeddedPostgres
server = EmbeddedPostgres(folder=Path(sys.argv[1]))
server.start()
server.create("news")
print("up", flush=True)
time.sleep(120)
"""


def test_after_its_owner_was_killed_it_ends_and_starts_again(folder: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder / "pg")], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "up\n"
    pid = int((folder / "pg" / "postmaster.pid").read_text().split()[0])
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    with EmbeddedPostgres(folder=folder / "pg") as server:
        assert answer(server.url("news")) == 42
        assert int((folder / "pg" / "postmaster.pid").read_text().split()[0]) != pid


def test_a_pid_file_left_by_a_crash_does_not_stop_the_next_start(folder: Path) -> None:
    with EmbeddedPostgres(folder=folder / "pg"):
        left = (folder / "pg" / "postmaster.pid").read_text()
    # By now the number belongs to some other process: this one.
    stale = left.replace(left.split()[0], str(os.getpid()), 1)
    (folder / "pg" / "postmaster.pid").write_text(stale)
    began = time.monotonic()
    with EmbeddedPostgres(folder=folder / "pg") as server:
        assert answer(server.url("postgres")) == 42
    assert time.monotonic() - began < 10
