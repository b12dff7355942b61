"""Articles that come start a run: the DAG, its task, and a real triggerer, beside the clock and without double runs."""

import shutil
import time
from datetime import datetime

import airflow_home
import pytest
from airflow.sdk.exceptions import AirflowSkipException
from factories import FakeEngines, Newsroom

from rerank_core.demo.airflow import AirflowSandbox
from rerank_core.settings import Settings
from rerank_core.storage import topics
from rerank_core.storage.database import Database

DAGS = airflow_home.REPOSITORY / "dags"
SAMPLE = airflow_home.REPOSITORY / "rerank_core" / "demo" / "sample"


@pytest.fixture
def bag(metadata):
    """The DAGs that start runs on arrival, as Airflow parses them now."""

    def parsed():
        from airflow.dag_processing.dagbag import DagBag

        found = DagBag(DAGS / "news_rerank.py")
        assert not found.import_errors
        return {name: dag for name, dag in found.dags.items() if name.startswith("rank_on_arrival")}

    return parsed


def test_without_the_setting_there_is_no_such_dag_and_nothing_to_watch(bag):
    assert bag() == {}


def test_with_it_each_pipeline_has_one_that_its_own_asset_starts(bag, monkeypatch):
    monkeypatch.setenv("RERANK_AIRFLOW_START_ON_ARRIVAL", "true")
    monkeypatch.setenv("RERANK_AIRFLOW_PIPELINES", '{"news": {}, "shadow": {}}')
    dags = bag()
    assert set(dags) == {"rank_on_arrival", "rank_on_arrival_shadow"}
    assert dags["rank_on_arrival_shadow"].get_task("start").pipeline == "shadow"


@pytest.fixture
def room(database_url, store_url, monkeypatch):
    engines = FakeEngines()
    engines.install(monkeypatch)
    monkeypatch.setenv("RERANK_DATABASE_URL", database_url)
    monkeypatch.setenv("RERANK_AIRFLOW_START_ON_ARRIVAL", "true")
    made = Newsroom(Settings.load(database_url=database_url, store_url=store_url), engines)
    made.follow("solar")
    return made


def arrivals():
    """Dag runs of the ranking DAG that articles have started."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(select(DagRun).where(DagRun.run_id.like("arrival_%")))
        return {run.run_id: (run.dag_id, run.partition_key) for run in found}


def test_a_burst_starts_one_dag_run_however_often_it_is_told_of(room, bag, run_dag, ranking_dag):
    dag = bag()["rank_on_arrival"]
    before = arrivals()
    room.add("solar 1", "solar 2")
    assert run_dag(dag).tasks["start"] == ["success"]
    assert run_dag(dag).tasks["start"] == ["skipped"]  # the same burst once more
    (started,) = arrivals().keys() - before.keys()
    assert started.endswith("_2")
    assert arrivals()[started] == ("rank_new_articles", None)
    room.add("solar late", ingested_at=room.ago(minutes=11))  # older than the newest, and it came later
    assert run_dag(dag).tasks["start"] == ["success"]
    assert len(arrivals().keys() - before.keys()) == 2


def test_what_the_clock_has_claimed_meanwhile_starts_nothing_and_a_pipeline_starts_its_own_dag(
    room, bag, monkeypatch
):
    monkeypatch.setenv("RERANK_AIRFLOW_PIPELINES", '{"news": {}, "shadow": {}}')
    started = []
    monkeypatch.setattr(
        "rerank_airflow.operators.arrival.start_dag_run", lambda dag_id, *_: started.append(dag_id) or True
    )
    dags = bag()
    room.add("solar 1")
    room.run("clock 14:00")
    with pytest.raises(AirflowSkipException, match="claimed"):
        dags["rank_on_arrival"].get_task("start").execute({})
    dags["rank_on_arrival_shadow"].get_task("start").execute({})
    assert started == ["rank_new_articles_shadow"]


def test_the_clocks_run_and_one_on_arrival_share_no_article(room):
    room.add("solar 1")
    room.run("clock 14:00")
    room.add("solar 2", ingested_at=room.ago(seconds=0))
    room.run("arrival_14:59_1")
    room.run("clock 15:00")
    claimed = room.sql(
        "SELECT u.key, array_agg(r.article_id) AS articles FROM rerank.run u JOIN rerank.revision r USING (run_id) GROUP BY u.key"
    )
    assert {row.key: row.articles for row in claimed} == {
        "clock 14:00": ["solar 1"],
        "arrival_14:59_1": ["solar 2"],
    }
    assert set(room.page()) == {"solar 1", "solar 2"}


@pytest.mark.scheduler
@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(600)
def test_breaking_news_are_on_the_page_within_two_minutes(database_url, airflow_database_url, tmp_path):
    """The sample's page, by a real scheduler, triggerer and engine; the clock would come in a year."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "store").mkdir()
    shutil.copy(DAGS / "news_rerank.py", tmp_path / "dags")
    news = Database(database_url)
    with news.transaction() as connection:
        topics.apply(connection, "news", topics.load_topics(SAMPLE / "topics.yaml"))
    room = Newsroom(Settings.load(database_url=news.url), FakeEngines())
    environment = {
        "RERANK_DATABASE_URL": news.url,
        "RERANK_STORE_URL": (tmp_path / "store").as_uri(),
        "RERANK_SCHEDULE": "0 0 1 1 *",
        "RERANK_MAINTAIN_SCHEDULE": "0 0 1 1 *",
        "RERANK_AIRFLOW_START_ON_ARRIVAL": "true",
    }
    with AirflowSandbox(
        home=tmp_path / "airflow",
        database_url=airflow_database_url,
        dags_folder=tmp_path / "dags",
        environment=environment,
        scheduled=True,
    ) as sandbox:
        sandbox.start(("api-server", "scheduler", "dag-processor", "triggerer"))
        sandbox.wait_healthy()
        for dag_id in ("rank_new_articles", "announce_rankings", "rank_on_arrival"):
            sandbox.wait_dag(dag_id)
        time.sleep(10)  # the triggerer takes the trigger up
        came = time.monotonic()
        room.add("Central bank raises interest rates by surprise", ingested_at=None, body="rates " * 20)
        room.sql("UPDATE rerank.article SET ingested_at = now()")
        since = {}  # seconds until a run was opened for it, and until it is on the page
        while len(since) < 2:
            for what, table in (("run", "rerank.run"), ("page", "rerank.current_ranking")):
                if what not in since and room.sql(f"SELECT 1 FROM {table} LIMIT 1"):
                    since[what] = round(time.monotonic() - came)
            sandbox.check()
            assert time.monotonic() - came < 500
            time.sleep(0.5)
        print(f"seconds from the article to its run and to the page: {since}")
        runs = sandbox._call("GET", "/dags/rank_new_articles/dagRuns?limit=100")["dag_runs"]
    arrived = [run["dag_run_id"] for run in runs if run["dag_run_id"].startswith("arrival_")]
    assert len(arrived) == 1
    assert datetime.fromisoformat(arrived[0].split("_")[1])
