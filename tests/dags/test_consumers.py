"""Who follows the rankings: what an event says, when it comes, and a consumer that events cannot confuse."""

import itertools
import json
import os
import shutil
import signal
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import airflow_home
import psycopg2
import pytest
from airflow.sdk.exceptions import AirflowSkipException
from factories import FakeEngines, Newsroom
from sqlalchemy import make_url

from rerank_airflow.signals import assets
from rerank_core.airflow_settings import of_pipeline
from rerank_core.demo.airflow import AirflowSandbox
from rerank_core.frontends import followers
from rerank_core.settings import Settings
from rerank_core.storage import topics
from rerank_core.storage.database import Database
from rerank_core.storage.roles import Roles, script

DAGS = airflow_home.REPOSITORY / "dags"
SAMPLE = airflow_home.REPOSITORY / "rerank_core" / "demo" / "sample"
ROLES = Roles(**{name: f"consumers_{name}" for name in ("owner", "source", "writer", "frontend")})
SAID = {*assets.EXTRA, *assets.NEWS}
ON_PARTITIONS = """
from airflow.sdk import DAG, PartitionedAssetTimetable, task
from rerank_airflow.signals.assets import rankings

with DAG(dag_id="plain_follower", schedule=[rankings("news")], catchup=False):
    @task
    def nothing(): ...
    nothing()

with DAG(dag_id="partition_follower", schedule=PartitionedAssetTimetable(assets=rankings("news")), catchup=False):
    @task
    def nothing(): ...
    nothing()
"""


@pytest.fixture
def dag_of(metadata):
    """A DAG as Airflow parses it."""

    def parsed(dag_id):
        from airflow.dag_processing.dagbag import DagBag

        file = DAGS / f"{dag_id}.py"
        bag = DagBag(file if file.exists() else DAGS / "news_rerank.py")
        assert not bag.import_errors
        return bag.dags[dag_id]

    return parsed


def events(run_id):
    """The asset events of a dag run."""
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(select(AssetEvent).where(AssetEvent.source_run_id == run_id)).unique().all()
        return [(event.asset.name, event.partition_key, event.extra) for event in found]


fresh_publication_id = itertools.count(10_000).__next__


def announcements(publication_id):
    """Dag runs that announce a publication."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        return session.scalars(
            select(DagRun).where(
                DagRun.dag_id == "announce_rankings", DagRun.run_id == f"publication_{publication_id}"
            )
        ).all()


def test_a_page_that_moved_is_announced_once(stages, ranking_dag, run_dag):
    stages.is_current = True
    outcome = run_dag(ranking_dag)
    assert outcome.tasks["announce"] == ["success"]
    (announced,) = announcements(stages.publication_id)
    assert announced.partition_key is None
    ((_, _, said),) = events(outcome.run_id)
    assert {name: announced.conf[name] for name in said} == said
    assert set(announced.conf) == SAID
    assert (
        set(said) == set(assets.EXTRA) >= {"run_id", "as_of", "rows", "topics", "parquet_path", "is_current"}
    )

    stages.told.clear()  # as if the first one had died before it took the publication out
    again = run_dag(ranking_dag)
    assert (again.state, again.tasks["announce"]) == ("success", ["success"])
    assert len(announcements(stages.publication_id)) == 1
    assert run_dag(ranking_dag).tasks["announce"] == ["skipped"]  # the outbox is empty


def test_a_page_that_did_not_move_is_not_announced(stages, ranking_dag, run_dag):
    outcome = run_dag(ranking_dag)
    assert (outcome.state, outcome.tasks["announce"]) == ("success", ["skipped"])
    assert [name for name, *_ in events(outcome.run_id)] == ["rankings"]
    assert announcements(stages.publication_id) == []


def test_an_announcement_is_an_event_without_a_partition(dag_of, run_dag):
    said = {"publication_id": 9, "run_id": 3, "parquet_path": "news/9.parquet"}
    outcome = run_dag(dag_of("announce_rankings"), **said)
    assert events(outcome.run_id) == [("rankings_current", None, said)]


def test_every_pipeline_announces_its_own_page(dag_of, parse, monkeypatch):
    monkeypatch.setenv("RERANK_AIRFLOW_PIPELINES", '{"shadow": {}}')
    dag = dag_of("announce_rankings_shadow")
    announce = parse("rank_new_articles_shadow").get_task("announce")
    assert dag.dag_id == of_pipeline("announce_rankings", announce.pipeline) == "announce_rankings_shadow"
    assert [asset.name for asset in dag.get_task("page").outlets] == ["rankings_current_shadow"]


def test_the_example_is_not_loaded_from_the_folder_of_the_dags(metadata):
    from airflow.dag_processing.dagbag import DagBag

    assert "example_consumer" not in DagBag(DAGS).dags


@pytest.fixture
def room(database_url, store_url, monkeypatch):
    """A newsroom with one topic and a page, and a frontend's login for the example."""
    engines = FakeEngines()
    engines.install(monkeypatch)
    made = Newsroom(Settings.load(database_url=database_url, store_url=store_url), engines)
    prepare_reader(database_url)
    made.follow("solar")
    made.add("solar power")
    monkeypatch.setenv("RERANK_DATABASE_URL", database_url)
    monkeypatch.setenv("AIRFLOW_CONN_NEWS_READER", reader_uri(database_url))
    return made


def prepare_reader(url):
    """Make the roles: the example reads as a frontend."""
    found = make_url(url)
    connection = psycopg2.connect(dbname=found.database, user=found.username, host=found.query["host"])
    connection.autocommit = True
    connection.cursor().execute(script(ROLES, source_view="rerank.source_article"))
    connection.close()


def reader_uri(url):
    found = make_url(url).set(drivername="postgresql", username=ROLES.frontend)
    return found.render_as_string(hide_password=False)


def test_by_hand_the_page_as_it_stands_is_announced(room, dag_of, run_dag):
    dag = dag_of("announce_rankings")
    assert run_dag(dag).tasks["page"] == ["skipped"]  # there is none
    published = room.run()["publish"]
    room.run("later", until=room.ago(days=1))  # the page does not go back to it
    outcome = run_dag(dag)
    ((name, partition, said),) = events(outcome.run_id)
    assert (name, partition, said["publication_id"]) == (
        "rankings_current",
        None,
        published["publication_id"],
    )
    assert set(said) == SAID
    assert {name: said[name] for name in ("version", "rows", "topics", "parquet_path", "rows_sha256")} == {
        name: published[name] for name in ("version", "rows", "topics", "parquet_path", "rows_sha256")
    }


class TestOutbox:
    """A page that moved is announced, though the task died that moved it; and once, however many find it."""

    @pytest.fixture(autouse=True)
    def fresh_ids(self, room):
        """Publications of ids that Airflow, which all tests share, has never heard of."""
        first = 100 * int(fresh_publication_id())
        room.sql(f"ALTER TABLE rerank.publication ALTER COLUMN publication_id RESTART WITH {first}")

    @pytest.fixture
    def watch(self, dag_of, run_dag, monkeypatch):
        """Runs the watching DAG; gives what it announced."""
        dag = dag_of("watch_rankings")

        def watched():
            return run_dag(dag).xcom("watch")["announced"]

        return watched

    def die_after_the_commit(self, room, title):
        """Another process publishes and is killed after the commit, before it can tell anybody; gives the publication."""
        room.add(title)
        run = room.until("publish", title)
        child = os.fork()
        if child == 0:
            followers.follow = lambda **_: os.kill(os.getpid(), signal.SIGKILL)
            try:
                room.stage("publish", run)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status)
        return room.value("SELECT publication_id FROM rerank.publication WHERE run_id = :id", id=run.run_id)

    def test_the_page_of_a_task_that_was_killed_after_its_commit_is_announced_once(
        self, room, watch, dag_of, run_dag
    ):
        lost = self.die_after_the_commit(room, "solar lost")
        assert lost == room.standing().publication_id
        assert announcements(lost) == []
        assert watch() == [lost]
        assert watch() == []
        (announced,) = announcements(lost)
        outcome = run_dag(dag_of("announce_rankings"), **announced.conf)
        ((name, partition, said),) = events(outcome.run_id)
        assert (name, partition, said["publication_id"]) == ("rankings_current", None, lost)
        assert set(said) == SAID

    def test_control_without_the_outbox_its_event_is_lost(self, room, watch, monkeypatch):
        from rerank_core.observe import announcements as outbox

        monkeypatch.setattr(outbox, "pending", lambda database, *, pipeline: [])
        lost = self.die_after_the_commit(room, "solar lost")
        assert watch() == []
        assert announcements(lost) == []

    def test_the_next_task_announces_what_is_left_in_the_order_of_the_moves(
        self, room, metadata, monkeypatch
    ):
        from rerank_airflow.operators import announce

        started = []
        monkeypatch.setattr(
            announce, "start_dag_run", lambda dag_id, name, conf: started.append((dag_id, name, conf))
        )
        lost = [self.die_after_the_commit(room, title) for title in ("solar one", "solar two")]
        own = room.run("own")["publish"]["publication_id"]
        task = announce.AnnounceOperator(task_id="announce", pipeline="news")
        assert task.execute({}) == [*lost, own]
        assert [(dag_id, name) for dag_id, name, _ in started] == [
            ("announce_rankings", f"publication_{number}") for number in (*lost, own)
        ]
        assert all(set(conf) == SAID and conf["is_current"] for *_, conf in started)
        with pytest.raises(AirflowSkipException):
            task.execute({})

    def test_a_death_between_telling_and_noting_tells_again_and_announces_once(
        self, room, watch, monkeypatch
    ):
        from rerank_core.observe import announcements as outbox

        lost = self.die_after_the_commit(room, "solar lost")
        with monkeypatch.context() as patch:
            patch.setattr(outbox, "settle", lambda *_, **__: None)
            assert watch() == [lost]
        assert watch() == [lost]
        assert watch() == []
        assert len(announcements(lost)) == 1

    def test_whoever_moves_the_page_it_is_announced(self, room, watch):
        from rerank_core.operations import pointer, removal

        where = {"database": room.database, "store": room.resources.store, "settings": room.settings}
        room.add("solar one", "solar two")
        first = room.run("first")["publish"]
        assert watch() == [first["publication_id"]]
        removal.forget(article_id="solar one", reason="r", **where)
        (again,) = watch()
        assert again == room.standing().publication_id > first["publication_id"]
        old = room.run("old", until=room.ago(minutes=5))["publish"]
        assert not old["is_current"]
        assert watch() == []
        pointer.rollback(run_id=old["run_id"], reason="r", **where)
        assert watch() == [old["publication_id"]]

    def test_what_was_the_page_days_ago_is_passed_over(self, room, watch):
        for title in ("solar one", "solar two", "solar three"):
            self.die_after_the_commit(room, title)
        room.sql("UPDATE rerank.pointer_move SET moved_at = moved_at - interval '3 days'")
        assert watch() == [room.standing().publication_id]
        assert room.value("SELECT count(*) FROM rerank.pointer_move WHERE announced_at IS NULL") == 0


class Delivered:
    """The events that started a dag run."""

    def __init__(self, publication_ids):
        self.events = [SimpleNamespace(extra={"publication_id": number}) for number in publication_ids]

    def __getitem__(self, asset):
        assert asset.name == "rankings_current"
        return self.events


@pytest.fixture
def deliver(room, dag_of, monkeypatch, tmp_path):
    """Runs the example's task with events of these publications; gives what it says, and its folder."""
    folder = tmp_path / "pages"
    folder.mkdir()
    monkeypatch.setenv("AIRFLOW_VAR_NEWS_PAGES_FOLDER", str(folder))
    keep = dag_of("example_consumer").get_task("keep").python_callable

    def delivered(*publication_ids):
        return keep(Delivered(publication_ids))

    delivered.folder = folder
    delivered.files = lambda: {file.name: file.read_text() for file in sorted(folder.iterdir())}
    return delivered


def history(room, deliver):
    """Two pages, their events repeated and in the wrong order, and two whose first event comes late."""
    pages = []

    def publish(title):
        room.add(title)
        pages.append(room.run(title)["publish"]["publication_id"])
        return pages[-1]

    first = publish("solar one")
    deliver(first)
    second = publish("solar two")
    deliver(second, first, second)
    deliver(first)
    third, fourth = publish("solar three"), publish("solar four")
    deliver(fourth)
    deliver(third)
    deliver(fourth, third, second)
    return first, second, third, fourth


def test_the_example_keeps_each_page_once_however_its_events_come(room, deliver):
    first, second, third, fourth = history(room, deliver)
    files = deliver.files()
    assert sorted(files) == sorted(f"{number}.json" for number in (first, second, fourth))
    assert deliver(fourth, third) == {str(third): "superseded", str(fourth): "kept before"}
    kept = {number: json.loads(files[f"{number}.json"]) for number in (first, second, fourth)}
    assert [len(rows) for rows in kept.values()] == [2, 3, 5]
    assert [row["article_id"] for row in kept[fourth]] == room.page()


def test_control_a_consumer_that_takes_events_as_they_come_doubles_and_mixes(room, deliver):
    naive = []

    def as_it_comes(*publication_ids):
        for number in publication_ids:
            naive.append((number, room.page()))  # whatever is current, under the event's number

    first, *_ = history(room, as_it_comes)
    assert len(naive) > len({number for number, _ in naive})
    assert len({tuple(page) for number, page in naive if number == first}) > 1


def test_the_example_reads_nothing_of_a_blocked_article(room, deliver):
    room.add("solar blocked")
    page = room.run()["publish"]["publication_id"]
    room.sql("INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', 'solar blocked', 'r')")
    deliver(page)
    assert "solar blocked" not in deliver.files()[f"{page}.json"]


@pytest.fixture(scope="module")
def followed(postgres, airflow_database_url, _migrated_template, tmp_path_factory):
    """A real scheduler with the product's DAGs, the example, and two followers of the partitioned asset."""
    folder = tmp_path_factory.mktemp("followed")
    for name in ("store", "pages", "dags"):
        (folder / name).mkdir()
    for name in ("news_rerank", "example_consumer"):
        shutil.copy(DAGS / f"{name}.py", folder / "dags")
    (folder / "dags" / "on_partitions.py").write_text(ON_PARTITIONS)
    news = Database(postgres.create("news_of_test_consumers", template=_migrated_template))
    prepare_reader(news.url)
    with news.transaction() as connection:
        topics.apply(connection, "news", topics.load_topics(SAMPLE / "topics.yaml"))
    with AirflowSandbox(
        home=folder / "airflow",
        database_url=airflow_database_url,
        dags_folder=folder / "dags",
        environment={
            "RERANK_DATABASE_URL": news.url,
            "RERANK_STORE_URL": (folder / "store").as_uri(),
            "AIRFLOW_CONN_NEWS_READER": reader_uri(news.url),
            "AIRFLOW_VAR_NEWS_PAGES_FOLDER": str(folder / "pages"),
            "RERANK_MAINTAIN_SCHEDULE": "0 0 1 1 *",
            "RERANK_SCHEDULE": "0 0 1 1 *",  # once a year, so that it hardly comes by itself
        },
        scheduled=True,  # or nothing follows an asset
    ) as sandbox:
        sandbox.start()
        sandbox.wait_healthy()
        for dag_id in (
            "rank_new_articles",
            "publish_overdue_rankings",
            "announce_rankings",
            "example_consumer",
            "partition_follower",
        ):
            sandbox.wait_dag(dag_id)
        yield SimpleNamespace(airflow=sandbox, news=news, pages=folder / "pages")
    postgres.drop("news_of_test_consumers")


@pytest.mark.scheduler
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_ordinary_dag_follows_the_page_and_hears_of_nothing_else(followed):
    airflow = followed.airflow

    def runs_of(dag_id):
        return airflow._call("GET", f"/dags/{dag_id}/dagRuns?limit=100")["dag_runs"]

    def rank(partition_key):
        run_id = airflow.trigger("rank_new_articles", partition_key=partition_key)
        assert airflow.wait_run("rank_new_articles", run_id, timeout_seconds=240) == "success"
        return {task.task_id: task.state for task in airflow.tasks("rank_new_articles", run_id)}

    def settled():
        """Wait until every page that the pointer moved to is announced and followed; these publications."""
        with followed.news.transaction(read_only=True) as connection:
            rows = connection.exec_driver_sql(
                "SELECT to_publication_id FROM rerank.pointer_move ORDER BY 1"
            ).scalars()
            moved = [f"publication_{number}" for number in rows]
        deadline = time.monotonic() + 90
        while True:
            announced = {run["dag_run_id"]: run["state"] for run in runs_of("announce_rankings")}
            consumed = [run["state"] for run in runs_of("example_consumer")]
            states = {*announced.values(), *consumed}
            if states == {"success"} and consumed and set(moved) <= set(announced):
                return moved, announced
            assert time.monotonic() < deadline, (moved, announced, consumed)
            airflow.check()
            time.sleep(0.5)

    now = datetime.now(UTC)
    tasks = rank(now.strftime("%Y-%m-%dT%H:00:00"))
    assert tasks["announce"] == "success"
    moved, _ = settled()
    kept = {file.stem: json.loads(file.read_text()) for file in followed.pages.iterdir()}
    newest = moved[-1].removeprefix("publication_")
    with followed.news.transaction(read_only=True) as connection:
        on_page = (
            connection.exec_driver_sql("SELECT topic FROM rerank.current_topic ORDER BY 1").scalars().all()
        )
    assert [row["topic"] for row in kept[newest]] == on_page  # no article is there, so that no engine starts
    assert len(on_page) == 12

    backfill = rank((now - timedelta(days=700)).strftime("%Y-%m-%dT%H:00:00"))
    assert (backfill["publish"], backfill["announce"]) == ("success", "skipped")
    again, announced = settled()
    assert again == moved
    assert set(announced) == set(moved)

    runs_before = len(runs_of("example_consumer"))
    airflow.clear("announce_rankings", moved[-1])  # the same event once more
    deadline = time.monotonic() + 90
    while len(runs_of("example_consumer")) == runs_before:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    settled()
    assert {file.stem for file in followed.pages.iterdir()} == set(kept)

    # Control: the partitioned asset starts an ordinary DAG never, and one of partitions each time.
    assert runs_of("plain_follower") == []
    assert len(runs_of("partition_follower")) >= 2
