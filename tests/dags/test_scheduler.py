"""A real scheduler with LocalExecutor, driven through Airflow's REST API."""

import json
import os
import re
import time
from contextlib import closing
from datetime import UTC, datetime

import psycopg2
import pytest
from sqlalchemy import make_url
from unserved_queue import QUEUE, WORKER

from rerank_core.demo.airflow import REPOSITORY, AirflowSandbox
from rerank_core.extract.articles import load_articles
from rerank_core.operations.doctor import workers
from rerank_core.storage import topics
from rerank_core.storage.database import Database

DAG = "rank_new_articles"
LATE = {"gpu_pool": "away", "page_deadline_minutes": 0.1}  # a second pipeline, whose device is taken away
UNSERVED = {"gpu_queue": QUEUE, "page_deadline_minutes": 0.1}  # a third one, whose queue has no worker
SAMPLE = REPOSITORY / "rerank_core" / "demo" / "sample"
PUBLICATIONS = """
SELECT publication.publication_id, publication.run_id, publication.version, publication.rows_sha256,
       publication.row_count, publication.degraded
FROM rerank.publication JOIN rerank.run USING (run_id)
WHERE run.key = %s ORDER BY publication_id
"""

pytestmark = [pytest.mark.scheduler, pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def news(postgres, _migrated_template):
    """A database with the sample's topics."""
    database = Database(postgres.create("news_of_test_scheduler", template=_migrated_template))
    with database.transaction() as connection:
        for pipeline in ("news", "late", "unserved"):
            topics.apply(connection, pipeline, topics.load_topics(SAMPLE / "topics.yaml"))
    yield database
    postgres.drop("news_of_test_scheduler")


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    """The file that stands for a worker of the third pipeline's queue; not there at first."""
    return tmp_path_factory.mktemp("worker") / "there"


@pytest.fixture(scope="module")
def airflow(airflow_database_url, news, worker, tmp_path_factory):
    """Airflow on a metadata database of its own; the pool is left to the plugin."""
    folder = tmp_path_factory.mktemp("scheduler")
    (folder / "store").mkdir()
    with AirflowSandbox(
        home=folder / "airflow",
        database_url=airflow_database_url,
        environment={
            "RERANK_DATABASE_CONN_ID": "news_db",  # and no address: every task asks Airflow for it
            "RERANK_STORE_URL": (folder / "store").as_uri(),
            "RERANK_RETRY_SECONDS": "1",
            "RERANK_AIRFLOW_PIPELINES": json.dumps({"news": {}, "late": LATE, "unserved": UNSERVED}),
            "AIRFLOW__CORE__EXECUTOR": "unserved_queue.UnservedQueueExecutor",
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "tests"), os.environ.get("PYTHONPATH", "")]),
            WORKER: str(worker),
        },
    ) as sandbox:
        sandbox.start()
        sandbox.wait_healthy()
        where = make_url(news.url)
        sandbox._call(
            "POST",
            "/connections",
            {
                "connection_id": "news_db",
                "conn_type": "rerank_postgres",
                "host": where.query["host"],
                "schema": where.database,
                "login": where.username,
            },
        )
        for pipeline in ("", "_late", "_unserved"):
            for dag in (DAG, "publish_overdue_rankings", "announce_rankings"):
                sandbox.wait_dag(dag + pipeline)
        yield sandbox


@pytest.fixture
def load(news, tmp_path):
    """Loads lines of the sample, published as if they were new."""

    def loaded(first, last):
        file = tmp_path / "articles.jsonl"
        lines = (SAMPLE / "articles.jsonl").read_text(encoding="utf-8").splitlines()[first:last]
        file.write_text("\n".join(lines), encoding="utf-8")
        load_articles(news, file, published_now=True)

    return loaded


def publications(news, key):
    with news.transaction(read_only=True) as connection:
        return connection.exec_driver_sql(PUBLICATIONS, (key,)).all()


def shards(airflow, run_id):
    return [task for task in airflow.tasks(DAG, run_id) if task.task_id == "rerank"]


def clear_scoring(airflow, run_id):
    """Clear the scoring tasks and what follows, as the Clear button of a task does."""
    asked = {
        "dry_run": False,
        "dag_run_id": run_id,
        "task_ids": ["rerank"],
        "include_downstream": True,
        "only_failed": False,
        "reset_dag_runs": True,
    }
    airflow._call("POST", f"/dags/{DAG}/clearTaskInstances", asked)


def strange_lines(logs):
    """Lines of the tasks' logs that neither this library nor Airflow has written, and warnings of Airflow."""
    found = []
    for file in sorted(logs.rglob("*.log")):
        written, _, _ = file.read_text(encoding="utf-8").rpartition("\n")  # the last line may be half written
        for event in map(json.loads, written.splitlines()):
            logger, level = event["logger"], event["level"]
            ours = logger.startswith(("rerank_core.", "rerank_airflow.")) or ".rerank_airflow." in logger
            airflows = (logger.startswith("airflow.") or logger == "task") and level == "info"
            if not ours and not airflows:
                found.append(f"{level} {logger}: {event['event']}")
    return found


def test_clearing_and_repeating_give_the_same_rows_without_the_engine(
    airflow, airflow_database_url, news, load
):
    load(0, 24)
    hour = datetime.now(UTC).strftime("%Y-%m-%dT%H:00:00")
    first = airflow.trigger(DAG, partition_key=hour)
    assert airflow.wait_run(DAG, first, timeout_seconds=180) == "success"
    (shard,) = shards(airflow, first)
    assert (shard.state, shard.try_number) == ("success", 1)

    airflow.clear(DAG, first)
    assert airflow.wait_run(DAG, first, timeout_seconds=180) == "success"
    (shard,) = shards(airflow, first)
    assert (shard.state, shard.try_number) == ("removed", 1)  # nothing was left to score

    clear_scoring(airflow, first)
    assert airflow.wait_run(DAG, first, timeout_seconds=180) == "success"

    again = airflow.trigger(DAG, partition_key=hour)
    assert airflow.wait_run(DAG, again, timeout_seconds=180) == "success"
    assert [task.state for task in shards(airflow, again)] == ["skipped"]

    published = publications(news, f"{hour}Z")
    assert [row.version for row in published] == [1, 2, 3, 4]
    assert {row.rows_sha256 for row in published} == {published[0].rows_sha256}
    assert published[0].row_count > 0
    assert not any(row.degraded for row in published)
    assert len(list((airflow.logs / "tasks").rglob("*.log"))) > 20
    assert strange_lines(airflow.logs / "tasks") == []
    said = workers.find(airflow_database_url, "news")
    assert re.fullmatch(
        r"scheduler on \S+; dag-processor on \S+; \S+ ran a task of queue default \d min ago", said.found
    )


@pytest.mark.parametrize(
    "line",
    [
        {
            "logger": "task.stdout",
            "level": "info",
            "event": "(Process-7 pid=7) WARNING [cpu.py:1] Triton is missing",
        },
        {"logger": "task.stderr", "level": "error", "event": "[W1129 utils.cpp:37] Warning: NUMA binding"},
        {"logger": "vllm.triton_utils.importing", "level": "info", "event": "Triton is not installed"},
        {"logger": "airflow.models", "level": "warning", "event": "deprecated"},
    ],
)
def test_control_a_line_of_others_is_found(tmp_path, line):
    ours = {"logger": "rerank_core.pipeline", "level": "warning", "event": "drift"}
    (tmp_path / "attempt=1.log").write_text(f"{json.dumps(ours)}\n{json.dumps(line)}\n")
    assert len(strange_lines(tmp_path)) == 1


def test_a_scoring_task_cleared_while_it_runs_unwinds_and_its_next_try_finishes(airflow, news, load):
    load(24, 36)
    run_id = airflow.trigger(DAG)
    deadline = time.monotonic() + 180
    while [task.state for task in shards(airflow, run_id)] != ["running"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(3.0)  # the engine is starting
    (running,) = shards(airflow, run_id)
    clear_scoring(airflow, run_id)
    assert airflow.wait_run(DAG, run_id, timeout_seconds=180) == "success"
    (shard,) = shards(airflow, run_id)
    assert (shard.state, shard.try_number) == ("success", 2)
    assert "TaskKilled" in airflow.task_log(DAG, run_id, running)
    (published,) = publications(news, run_id)
    assert not published.degraded


def wait_for(airflow, condition, *, seconds=180):
    """What `condition` gives, as soon as it gives something."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        airflow.check()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def page_of(news, pipeline="late"):
    """Run, version, degraded and the blocks of a pipeline's page."""
    with news.transaction(read_only=True) as connection:
        found = connection.exec_driver_sql(
            "SELECT t.run_id, t.version, t.page_degraded, array_agg(DISTINCT r.ranked_by) AS blocks"
            " FROM rerank.current_topic t JOIN rerank.current_ranking r USING (pipeline, topic)"
            " WHERE t.pipeline = %s GROUP BY 1, 2, 3",
            (pipeline,),
        ).all()
    return found[0] if found else None


def test_no_device_delays_no_page_and_when_it_is_back_the_page_heals_by_itself(airflow, news, load):
    late = f"{DAG}_late"
    airflow._call(
        "PATCH",
        "/pools/away?update_mask=slots&update_mask=include_deferred",
        {"pool": "away", "slots": 0, "include_deferred": False},
    )
    load(60, 72)  # of which the ledger has no score
    first = airflow.trigger(late)
    (page,) = wait_for(airflow, lambda: publications(news, first))
    assert (page.version, page.degraded) == (1, True)
    assert "bm25" in page_of(news).blocks
    states = {task.task_id: task.state for task in airflow.tasks(late, first)}
    assert (states["page_deadline"], states["publish"]) == ("success", None)
    assert states["rerank"] in {None, "scheduled"}

    airflow._call("DELETE", "/pools/away")  # tasks of a pool that does not exist are not even looked at
    load(72, 78)
    second = airflow.trigger(late)
    wait_for(airflow, lambda: publications(news, second))
    assert page_of(news).version == 1
    assert page_of(news).run_id > page.run_id
    announced = f"/dags/announce_rankings_late/dagRuns/publication_{page.publication_id}"
    assert wait_for(airflow, lambda: airflow._call("GET", announced)["state"] == "success")

    airflow.make_pool("away", slots=1)
    for dag_run in (first, second):
        assert airflow.wait_run(late, dag_run, timeout_seconds=240) == "success"
        assert [(row.version, row.degraded) for row in publications(news, dag_run)] == [(1, True), (2, False)]
    assert (page_of(news).version, page_of(news).page_degraded, page_of(news).blocks) == (2, False, ["model"])


def test_an_extract_that_hangs_has_the_page_before_say_so_and_goes_on_by_itself(airflow, news, load):
    late = f"{DAG}_late"
    before = page_of(news)
    load(84, 90)
    with closing(psycopg2.connect(**dsn(news))) as other, other.cursor() as cursor:
        cursor.execute("SELECT rerank.take_turn('claim late')")  # until the connection is closed
        run_id = airflow.trigger(late)
        wait_for(airflow, lambda: overdue_since(news))
        assert page_of(news).run_id == before.run_id
        states = {task.task_id: task.state for task in airflow.tasks(late, run_id)}
        assert (states["page_deadline"], states["prepare"]) == ("success", None)
        assert states["extract"] in {"running", "up_for_retry", "scheduled", "queued"}
    assert airflow.wait_run(late, run_id, timeout_seconds=240) == "success"
    assert page_of(news).run_id > before.run_id
    assert overdue_since(news) is None


def overdue_since(news, pipeline="late"):
    """What readers of a pipeline's page are told."""
    with news.transaction(read_only=True) as connection:
        found = connection.exec_driver_sql(
            "SELECT DISTINCT overdue_since FROM rerank.current_topic WHERE pipeline = %s", (pipeline,)
        ).all()
    (row,) = found
    return row[0]


def dsn(database):
    """How psycopg2 reaches a database."""
    url = make_url(database.url)
    return {"dbname": url.database, "user": url.username, "host": url.query["host"]}


@pytest.mark.long
def test_a_queue_that_nobody_serves_delays_no_page_and_a_worker_heals_it(airflow, news, worker, load):
    unserved = f"{DAG}_unserved"
    load(78, 84)  # of which the ledger has no score
    run_id = airflow.trigger(unserved)
    (page,) = wait_for(airflow, lambda: publications(news, run_id))
    assert (page.version, page.degraded) == (1, True)
    assert "bm25" in page_of(news, "unserved").blocks
    states = {task.task_id: task.state for task in airflow.tasks(unserved, run_id)}
    assert (states["rerank"], states["publish"]) == ("queued", None)

    worker.touch()
    assert airflow.wait_run(unserved, run_id, timeout_seconds=240) == "success"
    assert [(row.version, row.degraded) for row in publications(news, run_id)] == [(1, True), (2, False)]
    assert page_of(news, "unserved").blocks == ["model"]
