"""A real scheduler with LocalExecutor, driven through Airflow's REST API."""

from datetime import UTC, datetime

import pytest

from rerank_core import topics
from rerank_core.articles import load_articles
from rerank_core.database import Database
from rerank_core.demo.airflow import REPOSITORY, AirflowSandbox

DAG = "rank_new_articles"
SAMPLE = REPOSITORY / "rerank_core" / "demo" / "sample"
PUBLICATIONS = """
SELECT run.key, publication.version, publication.rows_sha256, publication.row_count
FROM rerank.publication JOIN rerank.run USING (run_id) ORDER BY publication_id
"""
pytestmark = [pytest.mark.scheduler, pytest.mark.engine, pytest.mark.slow]


@pytest.fixture
def news(database_url, tmp_path):
    """The sample's topics and its first 24 articles."""
    database = Database(database_url)
    with database.transaction() as connection:
        topics.apply(connection, "news", topics.load_topics(SAMPLE / "topics.yaml"))
    file = tmp_path / "articles.jsonl"
    lines = (SAMPLE / "articles.jsonl").read_text(encoding="utf-8").splitlines()[:24]
    file.write_text("\n".join(lines), encoding="utf-8")
    load_articles(database, file, published_now=True)
    return database


@pytest.fixture
def airflow(postgres, news, database_url, store_url, tmp_path):
    """Airflow on a metadata database of its own, with the pool left to the plugin."""
    metadata = postgres.create("airflow_of_test_scheduler")
    with AirflowSandbox(
        home=tmp_path / "airflow",
        database_url=metadata,
        environment={
            "RERANK_DATABASE_URL": database_url,
            "RERANK_STORE_URL": store_url,
            "RERANK_RETRY_SECONDS": "2",
            "VLLM_LOGGING_LEVEL": "WARNING",
        },
    ) as sandbox:
        sandbox.migrate()
        sandbox.start()
        sandbox.wait_healthy()
        sandbox.wait_dag(DAG)
        yield sandbox
    postgres.drop("airflow_of_test_scheduler")


def read(database, query):
    with database.transaction(read_only=True) as connection:
        return connection.exec_driver_sql(query).all()


def states(airflow, run_id):
    found = {}
    for task in airflow.tasks(DAG, run_id):
        found.setdefault(task.task_id, []).append(task.state)
    return found


@pytest.mark.timeout(600)
def test_a_triggered_dag_run_cleared_and_repeated_gives_the_same_rows_without_the_engine(airflow, news):
    hour = datetime.now(UTC).strftime("%Y-%m-%dT%H:00:00")
    first = airflow.trigger(DAG, partition_key=hour)
    assert airflow.wait_run(DAG, first, timeout_seconds=90) == "success"
    print(airflow.tasks(DAG, first))
    assert states(airflow, first)["rerank"] == ["success"]
    assert [tuple(row)[:2] for row in read(news, PUBLICATIONS)] == [(f"{hour}Z", 1)]

    airflow.clear(DAG, first)
    assert airflow.wait_run(DAG, first, timeout_seconds=120) == "success"
    print(airflow.tasks(DAG, first))
    second = airflow.trigger(DAG, partition_key=hour)
    assert airflow.wait_run(DAG, second, timeout_seconds=120) == "success"
    published = read(news, PUBLICATIONS)
    assert [row.version for row in published] == [1, 2, 3]
    assert len({row.rows_sha256 for row in published}) == 1
    assert published[0].row_count > 0
