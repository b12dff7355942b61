"""A dag run whose Redis is lost half-way ends green, and its copy is made again."""

import json

import pytest
from factories import FakeEngines, Newsroom, make_topic
from redis_servers import needs_redis

from rerank_core.frontends import redis_copy
from rerank_core.settings import Settings

pytestmark = needs_redis


@pytest.fixture
def room(database_url, store_url, redis_server, monkeypatch, tmp_path):
    """Real stages on a real database, store and Redis, found by the settings' variables; a fake engine."""
    from rerank_airflow import devices

    monkeypatch.setattr(devices, "lock_path", lambda name: tmp_path / f"{name}.lock")
    engines = FakeEngines()
    engines.install(monkeypatch)
    given = {
        "database_url": database_url,
        "store_url": store_url,
        "redis_url": redis_server.url,
        "retries": 0,
    }
    for name, value in given.items():
        monkeypatch.setenv(f"RERANK_{name.upper()}", str(value))
    room = Newsroom(Settings.load(), engines)
    room.follow(make_topic(slug="solar"), make_topic(slug="wind"))
    room.add("solar power", "wind", "solar wind")
    return room


def copied(server, topic="solar"):
    with server.client() as client:
        found = client.get(redis_copy.Keys("news").topic(topic))
    return found and [article["article_id"] for article in json.loads(found)["articles"]]


def test_a_dag_run_that_loses_its_redis_half_way_ends_green(room, redis_server, parse, run_dag, monkeypatch):
    dag = parse()
    first = run_dag(dag)
    assert first.state == "success"
    assert first.xcom("publish")["redis_written"] == 2
    assert copied(redis_server) == room.page()

    write = redis_copy._write

    def write_and_die(*arguments):
        write(*arguments)
        redis_server.kill()

    room.add("solar again")
    with monkeypatch.context() as patch:
        patch.setattr(redis_copy, "_write", write_and_die)
        second = run_dag(dag)
    assert second.state == "success"
    published = second.xcom("publish")
    assert (published["is_current"], published["degraded"]) == (True, False)
    assert (published["redis_written"], published["redis_failed"], published["pages_failed"]) == (0, 2, 0)
    assert {state for states in second.tasks.values() for state in states} <= {"success", "skipped"}
    assert "solar again" in room.page()

    redis_server.start()  # empty
    redis_copy.sync(database=room.database, settings=room.settings, rewrite=True)
    assert copied(redis_server) == room.page()


def test_control_a_failure_that_is_not_caught_fails_the_dag_run(
    room, redis_server, parse, run_dag, monkeypatch
):
    from rerank_core.frontends import followers

    def unguarded(*, database, settings, topics, render):
        return {"redis_written": redis_copy.sync(database=database, settings=settings, render=render).written}

    redis_server.kill()
    monkeypatch.setattr(followers.redis_copy, "follow", unguarded)
    assert run_dag(parse()).state == "failed"
    assert room.page()  # it was published all the same


def test_a_redis_that_hangs_does_not_keep_a_dag_run(room, redis_server, parse, run_dag, monkeypatch):
    monkeypatch.setenv("RERANK_REDIS_TIMEOUT_SECONDS", "0.4")
    redis_server.freeze()
    outcome = run_dag(parse())
    redis_server.thaw()
    assert (outcome.state, outcome.xcom("publish")["redis_failed"]) == ("success", 2)
    with redis_server.client() as client:
        assert client.dbsize() == 0
