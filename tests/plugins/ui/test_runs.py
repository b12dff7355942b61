"""The views of a run: its funnel, shards, versions, files and quarantine, and the way from and to its dag runs."""

import re

import newsrooms
from view_reader import PREFIX, Reader

from rerank_airflow.ui import runs


def test_the_run_page_shows_the_funnel_the_degradation_and_the_resumed_work(get, news):
    room = news.room
    run_id, missing, candidates = room.sql(
        "SELECT r.run_id, sum(t.missing), sum(t.candidates) FROM rerank.run r JOIN rerank.publication p USING (run_id)"
        " JOIN rerank.ranking_topic t USING (publication_id) WHERE r.pipeline = 'news' AND r.key = :key GROUP BY 1",
        key=newsrooms.KEYS[1],
    )[0]
    page = get("/run", run_id=run_id)
    text = re.sub(r"\s+", " ", Reader(page).text)
    assert f"Degraded: {missing} of {candidates} pairs have no score" in text
    assert "degraded" in text
    assert "its last try did not come to its end" in text
    assert re.search(rf"Candidates {candidates} ", text)
    path = room.value("SELECT parquet_path FROM rerank.publication WHERE run_id = :r", r=run_id)
    assert f"{news.store}/{path}" in text


def test_every_step_of_the_funnel_adds_up(get, news):
    from rerank_core.observe import history

    with history.reading(news.room.database) as connection:
        for row in history.list_runs(connection, pipeline="news", limit=10):
            recorded = history.metrics(connection, run_ids=[row.run_id])[row.run_id]
            source = history.source_counts(connection, run_id=row.run_id)
            for step in runs.funnel(row, source, recorded):
                assert step.total == sum(count for _, count, _ in step.parts), (row.run_id, step.name)


def test_no_page_shows_the_stores_credentials(get, news, monkeypatch):
    run_id = news.room.value("SELECT max(run_id) FROM rerank.run WHERE pipeline = 'news'")
    monkeypatch.setenv("RERANK_STORE_URL", "s3://key:sesame@bucket/news?region=eu-west-1")
    page = get("/run", run_id=run_id)
    assert "s3://bucket/news/news/rankings/" in page
    assert "sesame" not in page


def test_a_run_that_is_not_published_yet_has_a_page(get, news):
    run = news.room.tuned(pipeline="empty").open("not-yet")
    try:
        assert "Nothing published yet" in get("/run", pipeline="empty", run_id=run.run_id)
        assert "open" in get("/runs", pipeline="empty")
    finally:
        news.room.sql("DELETE FROM rerank.run WHERE run_id = :r", r=run.run_id)


def test_quarantine_names_the_reason_and_the_article(get, news):
    run_id = news.room.value("SELECT max(run_id) FROM rerank.run WHERE pipeline = 'news'")
    text = get("/run", run_id=run_id)
    assert "no letter or digit" in text
    assert "told to refuse it" in text


def test_a_dag_run_leads_to_its_run_and_the_run_to_its_dag_runs(client, news, monkeypatch):
    from airflow.models.dagrun import DagRun

    from rerank_airflow.ui import dag_runs

    monkeypatch.setattr(dag_runs, "key_of", lambda session, *, dag_id, dag_run_id: newsrooms.KEYS[0])
    answer = client.get(
        f"{PREFIX}/dag-run", params={"dag_id": "rank_new_articles", "dag_run_id": "manual__1"}
    )
    run_id = news.room.value("SELECT min(run_id) FROM rerank.run WHERE pipeline = 'news'")
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"{PREFIX}/run?pipeline=news&run_id={run_id}",
    )
    assert DagRun.partition_date is not None


def test_a_dag_run_that_is_no_run_says_so(get):
    assert "does not rank news" in get("/dag-run", dag_id="another_dag", dag_run_id="x")
    assert "has no run yet" in get("/dag-run", dag_id="rank_new_articles", dag_run_id="never")


def test_dates_that_a_claim_ignored_are_told(get, news):
    run_id = news.room.value("SELECT max(run_id) FROM rerank.run WHERE pipeline = 'news'")
    said = (
        "3 articles have a date that means none or is long before ingestion; their age counts from ingestion."
    )
    assert said not in get("/run", run_id=run_id)
    news.room.sql("UPDATE rerank.run SET dates_ignored = 3 WHERE run_id = :r", r=run_id)
    try:
        assert said in get("/run", run_id=run_id)
    finally:
        news.room.sql("UPDATE rerank.run SET dates_ignored = 0 WHERE run_id = :r", r=run_id)
