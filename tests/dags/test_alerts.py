"""Metrics and the deadline in a real Airflow: scheduler, triggerer and tasks as processes of their own."""

import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from listeners import OtlpListener, StatsdListener, wait_until

from rerank_core.demo.airflow import REPOSITORY, AirflowSandbox
from rerank_core.extract.articles import load_articles
from rerank_core.storage import topics
from rerank_core.storage.database import Database

DAG = "rank_new_articles"
SAMPLE = REPOSITORY / "rerank_core" / "demo" / "sample"
ALERTS = """
import json, pathlib
FILE = pathlib.Path(__file__).with_suffix(".jsonl")

def remember(context):
    with FILE.open("a") as file:
        file.write(json.dumps(context["alert"]) + "\\n")

def broken(context):
    raise RuntimeError("the pager is down")
"""

NOTIFIERS = '["the_users_alerts.broken", "the_users_alerts.remember"]'

pytestmark = [pytest.mark.scheduler, pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]


class Observatory:
    """One Airflow whose metrics and deadline a test switches, with listeners beside it."""

    def __init__(self, sandbox: AirflowSandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.told = folder / "the_users_alerts.jsonl"
        self.statsd = StatsdListener()
        self.otlp = OtlpListener()
        self._plain = dict(sandbox.environment)

    def start(self, **environment: str) -> None:
        """Start Airflow with these variables beside its own, and wait until it has read the DAGs with them."""
        self.sandbox.stop()
        self.statsd.lines.clear()
        self.otlp.points.clear()
        self.sandbox.environment = self._plain | environment
        since = datetime.now(UTC)
        self.sandbox.start(("api-server", "scheduler", "dag-processor", "triggerer"))
        self.sandbox.wait_healthy()
        for dag in (DAG, "watch_rankings"):
            self.sandbox.wait_dag(dag)
            wait_until(lambda dag=dag: self._parsed(dag) > since, seconds=60)

    def _parsed(self, dag: str) -> datetime:
        return datetime.fromisoformat(self.sandbox._call("GET", f"/dags/{dag}")["last_parsed_time"])

    def run(self, dag: str = DAG, **conf: object) -> tuple[str, str]:
        """Run a DAG to its end; returns its state and its dag run's id."""
        run_id = self.sandbox.trigger(dag, conf=conf)
        return self.sandbox.wait_run(dag, run_id, timeout_seconds=400), run_id

    def alert(self, *parts: str, seconds: float = 60.0) -> str | None:
        """The first thing that the notifier was told with all of these parts in it, once it is."""

        def found() -> str | None:
            lines = self.told.read_text().splitlines() if self.told.exists() else []
            said = [json.loads(line) for line in lines]
            return next((one for one in said if all(part in one for part in parts)), None)

        wait_until(found, seconds=seconds)
        return found()


def load(database: Database, folder: Path, first: int, last: int) -> None:
    """Load lines of the sample, published as if they were new."""
    file = folder / "articles.jsonl"
    lines = (SAMPLE / "articles.jsonl").read_text(encoding="utf-8").splitlines()[first:last]
    file.write_text("\n".join(lines), encoding="utf-8")
    load_articles(database, str(file), published_now=True)


@pytest.fixture(scope="module")
def news(
    postgres: Any, _migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A database with the sample's topics and a few of its articles."""
    database = Database(postgres.create("news_of_test_alerts", template=_migrated_template))
    with database.transaction() as connection:
        topics.apply(connection, "news", topics.load_topics(SAMPLE / "topics.yaml"))
    load(database, tmp_path_factory.mktemp("articles"), 0, 8)
    yield database
    postgres.drop("news_of_test_alerts")


@pytest.fixture(scope="module")
def airflow(
    airflow_database_url: str, news: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Observatory]:
    folder = tmp_path_factory.mktemp("alerts")
    (folder / "store").mkdir()
    (folder / "the_users_alerts.py").write_text(ALERTS)
    with AirflowSandbox(
        home=folder / "airflow",
        database_url=airflow_database_url,
        environment={
            "RERANK_DATABASE_URL": news.url,
            "RERANK_STORE_URL": (folder / "store").as_uri(),
            "RERANK_RETRIES": "0",
            **{f"RERANK_AIRFLOW_NOTIFY_{what}": NOTIFIERS for what in ("LATE", "FAILED", "DEGRADED")},
            "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]),
        },
    ) as sandbox:
        observatory = Observatory(sandbox, folder)
        yield observatory
        sandbox.stop()
        observatory.statsd.close()
        observatory.otlp.close()


@pytest.fixture(scope="module")
def over_statsd(airflow: Observatory) -> Observatory:
    airflow.start(
        AIRFLOW__METRICS__STATSD_ON="True",
        AIRFLOW__METRICS__STATSD_HOST="127.0.0.1",
        AIRFLOW__METRICS__STATSD_PORT=str(airflow.statsd.port),
        RERANK_AIRFLOW_DEADLINE_MINUTES="0.02",
    )
    return airflow


def test_metrics_arrive_over_statsd_and_nowhere_else(over_statsd: Observatory) -> None:
    assert over_statsd.run()[0] == "success"
    assert over_statsd.run("watch_rankings")[0] == "success"
    names = over_statsd.statsd.of("airflow.news_rerank.news.")
    assert names["airflow.news_rerank.news.runs.full"] == ("1", "c")
    assert int(names["airflow.news_rerank.news.pairs.scored"][0]) > 0
    assert float(names["airflow.news_rerank.news.latency_p99"][0]) > 0
    assert float(names["airflow.news_rerank.news.page_age"][0]) > 0
    assert names["airflow.news_rerank.news.page_degraded"] == ("0", "g")
    assert over_statsd.otlp.points == []


def test_a_dag_run_past_its_deadline_is_told_though_another_notifier_breaks(over_statsd: Observatory) -> None:
    run_id = over_statsd.run()[1]
    assert over_statsd.alert(f"dag run {run_id} has not succeeded 0.02 minutes after it was queued; ")


def test_an_error_is_counted_by_its_class_and_told(over_statsd: Observatory) -> None:
    state, run_id = over_statsd.run(nope=1)
    assert state == "failed"
    name = "airflow.news_rerank.news.errors."
    wait_until(lambda: over_statsd.statsd.of(name))
    assert over_statsd.statsd.of(name) == {f"{name}doctor.InputError": ("1", "c")}
    assert over_statsd.alert(
        f"task doctor of dag run {run_id} failed: InputError: the dag run's conf has 'nope'"
    )


def test_the_degraded_page_of_a_scoring_task_that_was_killed_is_counted_and_told(
    over_statsd: Observatory, news: Database, tmp_path: Path
) -> None:
    load(news, tmp_path, 8, 16)
    run_id = over_statsd.sandbox.trigger(DAG)
    kill_scoring(over_statsd, run_id)
    assert over_statsd.sandbox.wait_run(DAG, run_id, timeout_seconds=400) == "success"
    name = "airflow.news_rerank.news.runs.degraded"
    wait_until(lambda: name in over_statsd.statsd.of(name))
    assert over_statsd.statsd.of(name) == {name: ("1", "c")}
    assert over_statsd.alert("pipeline news: the page of run ", " is degraded")


def kill_scoring(airflow: Observatory, run_id: str) -> None:
    """SIGKILL the process of the scoring task while its engine starts."""
    (scheduler,) = [one for one in airflow.sandbox._servers if one.name == "scheduler"]
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        # The scoring task alone loads torch.
        found = [pid for pid in descendants(scheduler.pid) if "/torch/" in read(f"/proc/{pid}/maps")]
        if found:
            os.kill(found[-1], signal.SIGKILL)
            return
        time.sleep(0.1)
    raise AssertionError(f"no scoring process was found: {airflow.sandbox.tasks(DAG, run_id)}")


def descendants(pid: int) -> list[int]:
    """Processes below this one, parents first."""
    below = [int(child) for child in read(f"/proc/{pid}/task/{pid}/children").split()]
    return below + [deeper for child in below for deeper in descendants(child)]


def read(path: str) -> str:
    """A file of /proc; nothing of a process that has ended."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


@pytest.mark.long
def test_metrics_arrive_over_opentelemetry_and_nowhere_else_and_a_dag_run_in_time_is_not_told(
    airflow: Observatory,
) -> None:
    airflow.start(
        AIRFLOW__METRICS__OTEL_ON="True",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{airflow.otlp.port}",
        OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="delta",
        RERANK_AIRFLOW_DEADLINE_MINUTES="30",
    )
    state, run_id = airflow.run()
    assert state == "success"
    wait_until(lambda: airflow.otlp.of("airflow.news_rerank.runs"))
    found = airflow.otlp.of("airflow.news_rerank.")
    assert found["airflow.news_rerank.runs", "outcome=full pipeline=news"] == (1, "sum")
    assert found["airflow.news_rerank.pairs", "outcome=missing pipeline=news"] == (0, "sum")
    assert airflow.statsd.lines == []
    metadata = Database(airflow.sandbox.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    with metadata.transaction(read_only=True) as connection:
        waiting = connection.exec_driver_sql("SELECT count(*) FROM deadline WHERE NOT missed").scalar()
    assert (waiting, airflow.alert(run_id, seconds=0)) == (0, None)
