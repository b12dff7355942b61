"""The DAG with everything real: Postgres, the store, and vLLM with the bundled checkpoint."""

import json

import pyarrow.parquet as pq
import pytest

from rerank_core.demo.airflow import REPOSITORY
from rerank_core.extract.articles import load_articles
from rerank_core.storage import topics
from rerank_core.storage.database import Database

SAMPLE = REPOSITORY / "rerank_core" / "demo" / "sample"

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture
def news(database_url, store_url, monkeypatch):
    """The sample's topics and its first 24 articles, found by the settings' variables."""
    monkeypatch.setenv("RERANK_DATABASE_URL", database_url)
    monkeypatch.setenv("RERANK_STORE_URL", store_url)
    monkeypatch.setenv("RERANK_RETRIES", "0")
    database = Database(database_url)
    with database.transaction() as connection:
        topics.apply(connection, "news", topics.load_topics(SAMPLE / "topics.yaml"))
    return database


@pytest.fixture
def load(news, tmp_path):
    """Loads lines of the sample, published as if they were new."""

    def loaded(first, last):
        lines = (SAMPLE / "articles.jsonl").read_text(encoding="utf-8").splitlines()[first:last]
        file = tmp_path / f"articles_{first}.jsonl"
        file.write_text("\n".join(lines), encoding="utf-8")
        assert load_articles(news, file, published_now=True).inserted == len(lines)

    return loaded


def test_the_page_is_ranked_by_the_model_and_the_next_dag_run_scores_only_what_is_new(
    news, load, parse, run_dag
):
    load(0, 24)
    dag = parse()
    first = run_dag(dag)
    assert first.state == "success"
    assert first.tasks["degrade"] == ["skipped"]
    published, shard = first.xcom("publish"), first.xcom("rerank", map_index=0)
    assert (published["is_current"], published["degraded"], published["topics"]) == (True, False, 12)
    assert shard["scored"] == shard["pairs"] == first.xcom("recall")[0]["pairs"] > 0
    table = pq.read_table(published["parquet"])
    assert table.num_rows == published["rows"] > 0
    assert set(table.column("ranked_by").to_pylist()) == {"model"}

    quiet = run_dag(dag)
    assert quiet.state == "success"
    assert quiet.tasks["rerank"] == ["skipped"]
    assert quiet.xcom("extract")["claimed"] == 0
    assert quiet.xcom("publish")["rows"] == published["rows"]

    load(24, 27)
    third = run_dag(dag)
    assert third.xcom("extract")["claimed"] == 3
    assert third.xcom("rerank", map_index=0)["scored"] <= 3 * 12
    assert third.state == "success"


def test_without_articles_an_empty_page_is_published_and_no_engine_starts(news, parse, run_dag):
    outcome = run_dag(parse())
    assert outcome.state == "success"
    assert (outcome.xcom("recall"), outcome.xcom("publish")["rows"]) == ([], 0)
    assert outcome.tasks["rerank"] == ["skipped"]
    assert pq.read_table(outcome.xcom("publish")["parquet"]).num_rows == 0


def test_a_run_limited_to_two_topics_passes_no_text_through_xcom(news, load, parse, run_dag):
    load(0, 6)
    outcome = run_dag(parse(), topics=["ai-policy", "new-iphone"])
    assert outcome.state == "success"
    assert {shard["topics"] for shard in outcome.xcom("recall")} <= {1, 2}
    for task_id in set(outcome.tasks) - {"rerank", "degrade", "announce", "page_deadline", "verdict"}:
        assert len(json.dumps(outcome.xcom(task_id))) < 1_900  # the doctor's findings, a line each
