"""How a fault strikes in the real tier. STRIKES has every kind by name."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2

from faults.points import Order
from faults.world import TOPICS
from rerank_core.storage import database, topics

if TYPE_CHECKING:
    from faults.real import RealFire

DAG = "rank_new_articles"
UPGRADE = "from rerank_core.cli import main; raise SystemExit(main(['db', 'upgrade']))"


@dataclass
class RealFault:
    """One thing that goes wrong in a dag run."""

    kind: str
    point: str
    delivered: bool = False

    def __str__(self) -> str:
        return f"{self.kind} at {self.point}"


@dataclass
class Blow:
    """A fault that has met its victim: a task that is held at a point."""

    fire: "RealFire"
    fault: RealFault
    here: dict[str, Any]  # who is at the point
    order: Order
    runs: list[str]  # dag runs
    frozen: list[int]  # pids
    key: str | None  # partition of the dag run

    @property
    def stage(self) -> str:
        return self.fault.point.split("/")[0]


def kill_task(blow: Blow) -> None:
    os.kill(blow.here["pid"], signal.SIGKILL)


def kill_supervisor(blow: Blow) -> None:
    os.kill(blow.here["parent"], signal.SIGKILL)


def kill_scheduler(blow: Blow) -> None:
    blow.fire.airflow.kill_scheduler()


def kill_engine(blow: Blow) -> None:
    blow.order.let_go()
    time.sleep(blow.fire.rng.uniform(0.0, 0.2))
    with suppress(ProcessLookupError):
        os.kill(blow.here["pid"], signal.SIGKILL)


def add_scheduler(blow: Blow) -> None:
    """Two schedulers until the dag run has ended."""
    blow.fire.airflow.add_scheduler()


def clear(blow: Blow) -> None:
    asked = {
        "dry_run": False,
        "dag_run_id": blow.runs[0],
        "task_ids": [blow.stage],
        "include_downstream": True,
        "only_failed": False,
        "reset_dag_runs": True,
    }
    blow.fire.airflow.call("POST", f"/dags/{DAG}/clearTaskInstances", asked)
    await_end([blow.here["pid"]], seconds=20)


def mark_failed(blow: Blow) -> None:
    task = f"{blow.stage}/0" if blow.stage == "rerank" else blow.stage
    path = f"/dags/{DAG}/dagRuns/{blow.runs[0]}/taskInstances/{task}"
    blow.fire.airflow.call("PATCH", path, {"new_state": "failed"})
    await_end([blow.here["pid"]], seconds=20)


def freeze(blow: Blow) -> None:
    for one in (blow.here["parent"], blow.here["pid"]):
        os.kill(one, signal.SIGSTOP)
        blow.frozen.append(one)


def cut_off(blow: Blow) -> None:
    with closing(psycopg2.connect(blow.fire.news.dsn("news"))) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = 'news' AND application_name = 'news-rerank'"
        )


def crash_database(blow: Blow) -> None:
    with blow.fire.outage():
        _crash(blow, blow.fire.news)


def restart_metadata(blow: Blow) -> None:
    """Airflow's own database: it crashes like a machine, and comes back."""
    with blow.fire.outage():
        _crash(blow, blow.fire.metadata)


def _crash(blow: Blow, postgres: Any) -> None:
    postgres.crash()
    blow.order.let_go()
    time.sleep(blow.fire.rng.uniform(0.0, 1.0))
    postgres.start()


def trigger_again(blow: Blow) -> None:
    blow.runs.append(blow.fire.airflow.trigger(DAG, partition_key=blow.key))


def upgrade(blow: Blow) -> None:
    """`rerank db upgrade`, with something to do, while the task is held."""
    news = blow.fire.news
    with closing(psycopg2.connect(news.dsn("news"))) as connection, connection.cursor() as cursor:
        cursor.execute("COMMENT ON COLUMN rerank.current_ranking.rank IS 'as an older version said it'")
        connection.commit()
    environment = {**os.environ, "RERANK_DATABASE_URL": news.url("news")}
    process = subprocess.Popen([sys.executable, "-c", UPGRADE], env=environment, stdout=subprocess.DEVNULL)
    time.sleep(4)  # it has begun
    blow.order.let_go()
    if process.wait(120):
        raise RuntimeError(f"an upgrade in mid-run ended with status {process.returncode}")


def edit_topic(blow: Blow) -> None:
    edited = [topic for topic in TOPICS if topic.slug != "wind"]
    wind = next(topic for topic in TOPICS if topic.slug == "wind")
    number = next(blow.fire.numbers)
    changed = type(wind)(
        slug="wind", query=f"wind energy {number}", candidate_limit=500, top_k=10 + number % 10
    )
    with database.Database(blow.fire.news.url("news")).transaction() as connection:
        topics.apply(connection, "news", [*edited, changed])


STRIKES: dict[str, Callable[[Blow], None]] = {
    "task killed": kill_task,
    "supervisor killed": kill_supervisor,
    "scheduler killed": kill_scheduler,
    "two schedulers": add_scheduler,
    "metadata restarted": restart_metadata,
    "cleared": clear,
    "marked failed": mark_failed,
    "task and supervisor frozen": freeze,
    "cut off": cut_off,
    "database crash": crash_database,
    "engine killed mid-chunk": kill_engine,
    "upgrade": upgrade,
    "duplicate trigger": trigger_again,
    "topic edit": edit_topic,
}
KINDS = tuple(STRIKES)


def await_end(pids: Sequence[int], *, seconds: float) -> None:
    """Wait until these processes have ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(Path(f"/proc/{pid}").exists() for pid in pids):
        time.sleep(0.05)
