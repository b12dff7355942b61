"""Whatever ends the owner of a server, nothing of the server is left; without the supervisor much is."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rerank_core.demo.servers import Server

# A server like Airflow's scheduler: a worker, whose task runs in a process group of its own and ignores
# SIGTERM. Each writes its pid into a file of the folder argv[1].
SERVER = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
def note(name):
    (folder / (name + ".new")).write_text(str(os.getpid()))
    (folder / (name + ".new")).rename(folder / name)
note("scheduler")
if os.fork() == 0:
    if os.fork() == 0:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        note("task")
        time.sleep(300)
    note("worker")
    time.sleep(300)
time.sleep(300)
"""

SUPERVISED = """
import signal, sys, time
from pathlib import Path
from rerank_core.demo.servers import Server
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests by nohup has it ignored
folder = Path(sys.argv[1])
server = Server(name="fake", command=[sys.executable, "-c", sys.argv[2], str(folder)], log=folder / "log", grace_seconds=1)
print(server.pid, flush=True)
time.sleep(300)
"""

# The broken control: the same server as a plain child in a session of its own.
BARE = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[2], sys.argv[1]], start_new_session=True)
print(0, flush=True)
time.sleep(300)
"""

NAMES = ("scheduler", "worker", "task")


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for_pids(folder: Path) -> list[int]:
    deadline = time.monotonic() + 20
    while not all((folder / name).exists() for name in NAMES):
        assert time.monotonic() < deadline, "the fake server did not start"
        time.sleep(0.02)
    return [int((folder / name).read_text()) for name in NAMES]


def wait_until_gone(pids: list[int], *, seconds: float) -> list[int]:
    deadline = time.monotonic() + seconds
    while (left := [pid for pid in pids if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


@pytest.fixture
def started() -> Iterator[list[int]]:
    """Pids that a test started, killed at its end if they still run."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


def start_owner(script: str, folder: Path) -> tuple[subprocess.Popen[str], int]:
    owner = subprocess.Popen(
        [sys.executable, "-c", script, str(folder), SERVER],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert owner.stdout is not None
    supervisor = int(owner.stdout.readline())
    owner.stdout.close()
    return owner, supervisor


@pytest.mark.parametrize(
    "how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda s: s.name
)
def test_when_the_owner_ends_nothing_of_the_server_is_left(
    how: signal.Signals, tmp_path: Path, started: list[int]
) -> None:
    owner, supervisor = start_owner(SUPERVISED, tmp_path)
    pids = wait_for_pids(tmp_path)
    started.extend([*pids, supervisor])
    owner.send_signal(how)
    owner.wait()
    assert wait_until_gone([*pids, supervisor], seconds=10) == []


def test_a_plain_child_outlives_its_killed_owner(tmp_path: Path, started: list[int]) -> None:
    owner, _ = start_owner(BARE, tmp_path)
    pids = wait_for_pids(tmp_path)
    started.extend(pids)
    owner.kill()
    owner.wait()
    assert wait_until_gone(pids, seconds=2) == pids


def test_when_the_supervisor_itself_is_killed_the_server_is_asked_to_stop(
    tmp_path: Path, started: list[int]
) -> None:
    owner, supervisor = start_owner(SUPERVISED, tmp_path)
    pids = wait_for_pids(tmp_path)
    started.extend([*pids, owner.pid])
    os.kill(supervisor, signal.SIGKILL)
    assert wait_until_gone(pids[:1], seconds=5) == []
    owner.kill()
    owner.wait()


def test_stop_returns_when_nothing_is_left(tmp_path: Path, started: list[int]) -> None:
    server = Server(
        name="fake",
        command=[sys.executable, "-c", SERVER, str(tmp_path)],
        log=tmp_path / "log",
        grace_seconds=1,
    )
    pids = wait_for_pids(tmp_path)
    started.extend(pids)
    server.stop()
    assert [pid for pid in pids if alive(pid)] == []
    assert not server.running


def test_a_server_that_fails_is_seen_and_its_words_are_kept(tmp_path: Path) -> None:
    server = Server(
        name="fake",
        command=[sys.executable, "-c", "raise SystemExit('no such database')"],
        log=tmp_path / "log",
    )
    deadline = time.monotonic() + 10
    while server.running and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not server.running
    assert server.last_lines() == "no such database"
    server.stop()
