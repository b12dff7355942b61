"""A killed demo leaves no Airflow behind, not even a task that is at work."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.scheduler, pytest.mark.slow]

DAG = """
import os, pathlib, time
from airflow.sdk import dag, task

@dag(dag_id="sleeper", schedule=None)
def sleeper():
    @task
    def sleep():
        (pathlib.Path(os.environ["AIRFLOW_HOME"]) / "at_work").write_text(str(os.getpid()))
        time.sleep(300)
    sleep()

sleeper()
"""

# How the demo holds its servers; `control` starts the same two as plain children instead.
OWNER = """
import subprocess, sys, time
from pathlib import Path
from rerank_core.demo import airflow, postgres
from rerank_core.demo.servers import Server

class Bare(Server):
    def __init__(self, *, name, command, log, environment=None, user=None, **_):
        log.parent.mkdir(parents=True, exist_ok=True)
        ids = {"user": user[0], "group": user[1], "extra_groups": []} if user else {}
        self.name, self.log = name, log
        self._supervisor = subprocess.Popen(
            command, env=environment, stdout=log.open("ab"), stderr=subprocess.STDOUT, start_new_session=True, **ids
        )

if sys.argv[2] == "control":
    airflow.Server = postgres.Server = Bare
folder = Path(sys.argv[1])
server = postgres.EmbeddedPostgres(folder=folder / "postgres")
server.start()
sandbox = airflow.AirflowSandbox(
    home=folder / "airflow", database_url=server.create("airflow"), environment={},
    dags_folder=folder / "dags", plugins_folder=folder / "plugins",
)
sandbox.migrate()
sandbox.start()
sandbox.wait_healthy()
sandbox.wait_dag("sleeper")
sandbox.trigger("sleeper")
time.sleep(300)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="rerank-sandbox-"))
    made.chmod(0o755)
    (made / "dags").mkdir()
    (made / "plugins").mkdir()
    (made / "dags" / "sleeper.py").write_text(DAG)
    yield made
    for pid in processes_of(made):
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(made, ignore_errors=True)


def processes_of(folder: Path) -> list[int]:
    """Processes that run in `folder`: its name stands in their command, environment or open files.

    Airflow's forks overwrite the first two with their titles, but write to a log of the folder.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            traces = [(entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()]
            traces += [os.fsencode(opened.readlink()) for opened in (entry / "fd").iterdir()]
        except OSError:
            continue
        if any(os.fsencode(folder) in trace for trace in traces):
            found.append(int(entry.name))
    return found


def start_and_kill(folder: Path, *, variant: str) -> None:
    """Start the owner, wait until the task is at work, and kill the owner with SIGKILL."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder), variant], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (folder / "airflow" / "at_work").exists():
        if owner.poll() is not None or time.monotonic() > deadline:
            owner.kill()
            raise AssertionError(f"the sandbox did not get to work: {owner.communicate()[1]}")
        time.sleep(0.1)
    owner.kill()
    owner.communicate()


def test_when_the_owner_is_killed_nothing_is_left_within_ten_seconds(folder: Path) -> None:
    start_and_kill(folder, variant="supervised")
    deadline = time.monotonic() + 10
    while processes_of(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(folder) == []


@pytest.mark.long
def test_without_the_supervisor_airflow_and_postgres_are_left(folder: Path) -> None:
    start_and_kill(folder, variant="control")
    time.sleep(3)
    assert len(processes_of(folder)) > 5
