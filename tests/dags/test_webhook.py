"""The example that tells a webhook what is new: what it posts, once, by a real server's own account."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace

import airflow_home
import pytest
from dags.test_consumers import prepare_reader, reader_uri
from factories import FakeEngines, Newsroom

from rerank_core.observe import announcements
from rerank_core.settings import Settings

pytest.importorskip(
    "airflow.providers.http.hooks.http", reason="apache-airflow-providers-http is not installed"
)
EXAMPLE = airflow_home.REPOSITORY / "dags" / "example_webhook.py"


class Webhook(BaseHTTPRequestHandler):
    """Keeps what is posted; answers with the next status that it was told, else 200."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.server.posts.append((self.path, self.headers["Idempotency-Key"], json.loads(body), status))
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def webhook(monkeypatch) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    server.posts, server.statuses = [], []
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(
        "AIRFLOW_CONN_NEWS_WEBHOOK",
        json.dumps({"conn_type": "http", "host": f"http://127.0.0.1:{server.server_port}/hook"}),
    )
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def room(database_url, store_url, monkeypatch):
    engines = FakeEngines()
    engines.install(monkeypatch)
    made = Newsroom(Settings.load(database_url=database_url, store_url=store_url), engines)
    prepare_reader(database_url)
    monkeypatch.setenv("AIRFLOW_CONN_NEWS_READER", reader_uri(database_url))
    made.follow("solar")
    made.add("solar power")
    made.run("first")
    return made


@pytest.fixture
def deliver(metadata, room, webhook, monkeypatch):
    """Runs the example's task with the events of these publications; gives what it says."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(EXAMPLE)
    assert not bag.import_errors
    tell = bag.dags["example_webhook"].get_task("tell").python_callable
    memory = {}  # the variable, which a worker asks its supervisor for
    variable = SimpleNamespace(
        get=lambda name, default=None: memory.get(name, default), set=memory.__setitem__
    )
    monkeypatch.setitem(tell.__globals__, "Variable", variable)

    def delivered(*events):
        return tell(Delivered([SimpleNamespace(extra=event) for event in events]))

    delivered.forget = memory.clear
    return delivered


class Delivered(dict):
    """The events that started a dag run."""

    def __init__(self, events):
        super().__init__()
        self.events = events

    def __getitem__(self, asset):
        assert asset.name == "rankings_current"
        return self.events


def event(room):
    """The event of the page, as Airflow keeps it."""
    from rerank_airflow.operators.announce import _event

    move = announcements.current(room.database, pipeline="news")
    return json.loads(json.dumps(_event(move.publication, move.news)))


def publish(room, title):
    room.add(title, url="https://x.example/")
    room.run(title)
    return event(room)


def test_it_posts_what_entered_with_the_key_of_the_publication(room, webhook, deliver):
    said = publish(room, 'solar "new" <b>')
    number = said["publication_id"]
    assert deliver(said) == {str(number): "posted"}
    ((path, key, content, _),) = webhook.posts
    assert (path, key) == ("/hook", f"news-{number}")
    assert (content["publication_id"], content["cause"]) == (number, "published")
    assert content["changes"]["entered"] == 1
    (news,) = [row for row in content["news"] if row["change"] == "entered"]
    assert (news["topic"], news["title"], news["url"]) == (
        "solar",
        room.ranking()[news["rank_now"] - 1].title,
        "https://x.example/",
    )


def test_events_that_come_twice_or_out_of_order_post_each_publication_once(room, webhook, deliver):
    first, second = publish(room, "solar 2"), publish(room, "solar 3")
    deliver(second)
    deliver(second, first, second)
    deliver(first)
    keys = [key for _, key, *_ in webhook.posts]
    assert keys == [f"news-{one['publication_id']}" for one in (second, first)]


def test_control_without_its_memory_it_posts_again_and_the_key_tells(room, webhook, deliver):
    said = publish(room, "solar 2")
    deliver(said)
    deliver.forget()
    deliver(said)
    keys = [key for _, key, *_ in webhook.posts]
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_a_webhook_that_refuses_fails_the_task_and_is_told_again(room, webhook, deliver):
    said = publish(room, "solar 2")
    webhook.statuses.append(503)
    with pytest.raises(Exception, match="503"):
        deliver(said)
    assert deliver(said) == {str(said["publication_id"]): "posted"}
    assert [status for *_, status in webhook.posts] == [503, 200]


def test_a_page_without_news_and_a_blocked_article_post_nothing(room, webhook, deliver):
    room.run("same")
    assert list(deliver(event(room)).values()) == ["nothing new"]
    said = publish(room, "solar 2")
    room.sql("INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', 'solar 2', 'r')")
    deliver(said)
    assert "solar 2" not in json.dumps(webhook.posts)
