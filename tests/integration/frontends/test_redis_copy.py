"""The copy in Redis shows what frontends see, whole or not at all; it may be lost, and no run waits or fails for it."""

import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
import redis
from factories import Newsroom, make_topic
from redis_servers import RedisServer, free_port, needs_redis

from rerank_core.cli import main
from rerank_core.errors import RedisUnavailable, SettingsError
from rerank_core.frontends import json_pages, redis_copy
from rerank_core.frontends import redis_server as server_module
from rerank_core.frontends.redis_server import Server
from rerank_core.operations import maintain, pointer, removal
from rerank_core.operations.doctor.examine import examine
from rerank_core.settings import settings as process_settings

pytestmark = needs_redis


@pytest.fixture
def hot_room(room: Newsroom, redis_server: RedisServer) -> Newsroom:
    """A newsroom with two topics, of which one finds nothing, whose page is copied."""
    return news(room.tuned(redis_url=redis_server.url))


@pytest.fixture
def reader(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    with redis_server.client() as client:
        yield client


def news(room: Newsroom) -> Newsroom:
    room.follow("solar", make_topic(slug="french", query="solar", languages=("fr",)))
    room.add("solar power", url="http://x.example/1", source="desk", published_at=room.ago(hours=5))
    room.add("solar", title='太阳 "solar"', lang="zh")
    room.add("wind")
    return room


def sync(room: Newsroom, **options: Any) -> redis_copy.Synced:
    return redis_copy.sync(
        database=room.database, settings=room.settings, pipeline=room.settings.pipeline, **options
    )


def copy(client: "redis.Redis", topic: str = "solar", pipeline: str = "news") -> list[str]:
    """Article ids as a frontend finds them; the sorted set says the same."""
    keys = redis_copy.Keys(pipeline)
    with client.pipeline(transaction=True) as pipe:
        pipe.get(keys.topic(topic))
        pipe.zrange(keys.ranked(topic), 0, -1, withscores=True)
        content, ranked = pipe.execute()
    articles = json.loads(content)["articles"]
    assert [(article["article_id"].encode(), article["rank"]) for article in articles] == ranked
    return [article["article_id"] for article in articles]


def page_key(client: "redis.Redis", pipeline: str = "news") -> Any:
    return json.loads(client.get(redis_copy.Keys(pipeline).page) or "null")


def assert_right(room: Newsroom, client: "redis.Redis") -> None:
    """The copy is what frontends see, has no key too many, and each will expire."""
    pipeline = room.settings.pipeline
    keys = redis_copy.Keys(pipeline)
    views = room.sql(
        "SELECT topic, article_id, rank FROM rerank.current_ranking WHERE pipeline = :p", p=pipeline
    )
    topics = {
        row.topic
        for row in room.sql("SELECT topic FROM rerank.current_topic WHERE pipeline = :p", p=pipeline)
    }
    wanted = {keys.page, *map(keys.topic, topics), *(keys.ranked(row.topic) for row in views)}
    assert {key.decode() for key in client.scan_iter(f"rerank:{{{pipeline}}}:*")} == wanted
    for topic in topics:
        assert set(client.zrange(keys.ranked(topic), 0, -1, withscores=True)) == {
            (row.article_id.encode(), row.rank) for row in views if row.topic == topic
        }
        copy(client, topic, pipeline)
    assert all(client.ttl(key) > 3600 for key in wanted)


def test_a_topics_copy_is_its_json_page_byte_for_byte_and_a_sorted_set_of_its_ranks(
    hot_room: Newsroom, reader: "redis.Redis"
) -> None:
    published = hot_room.run()["publish"]
    assert (published["redis_written"], published["redis_failed"]) == (2, 0)
    latest = json_pages.read_latest(hot_room.resources.store, "news")
    assert latest is not None
    for slug in ("solar", "french"):
        page = hot_room.resources.store.read_json(latest["topics"][slug]["page"])
        assert reader.get(f"rerank:{{news}}:topic:{slug}") == page
    assert copy(reader) == hot_room.page()
    assert len(hot_room.page()) == 3
    assert not reader.exists("rerank:{news}:ranked:french")
    assert_right(hot_room, reader)


def test_the_page_key_says_which_page_it_is_and_how_its_topics_stand(
    hot_room: Newsroom, reader: "redis.Redis"
) -> None:
    published = hot_room.run()["publish"]
    found = page_key(reader)
    assert (found["publication_id"], found["run_id"]) == (published["publication_id"], published["run_id"])
    assert found["as_of"] == hot_room.standing().as_of.isoformat()
    assert found["topics"] == {
        "french": {"state": "abstained", "ranked": 0},
        "solar": {"state": "full", "ranked": 3},
    }


def test_without_a_redis_nothing_is_copied_or_counted(room: Newsroom) -> None:
    published = news(room).run()["publish"]
    assert "redis_written" not in published
    assert "redis_failed" not in published


def test_a_run_that_does_not_move_the_pointer_leaves_the_copy_alone(
    hot_room: Newsroom, reader: "redis.Redis"
) -> None:
    hot_room.run("now")
    before = reader.get("rerank:{news}:page")
    assert "redis_written" not in hot_room.run("backfill", until=hot_room.ago(hours=5))["publish"]
    assert reader.get("rerank:{news}:page") == before


def test_a_topic_that_left_is_removed_even_where_the_page_key_was_lost(
    hot_room: Newsroom, reader: "redis.Redis"
) -> None:
    hot_room.follow("solar", "wind")
    hot_room.run()
    assert copy(reader, "wind")
    reader.delete("rerank:{news}:page")
    hot_room.follow("solar")
    hot_room.run()
    assert not reader.exists("rerank:{news}:topic:wind", "rerank:{news}:ranked:wind")
    assert_right(hot_room, reader)


def test_a_topic_that_ranks_nothing_any_more_loses_its_sorted_set(
    hot_room: Newsroom, reader: "redis.Redis"
) -> None:
    hot_room.run()
    for article in hot_room.page():
        block(hot_room, article)
    assert copy(reader) == []
    assert not reader.exists("rerank:{news}:ranked:solar")
    assert_right(hot_room, reader)


def block(room: Newsroom, article: str) -> None:
    removal.block(
        database=room.database,
        store=room.resources.store,
        settings=room.settings,
        article_id=article,
        reason="wrong",
    )


def test_a_blocked_article_leaves_at_once_and_comes_back_with_the_end_of_the_block(
    hot_room: Newsroom, reader: "redis.Redis"
) -> None:
    hot_room.run()
    block(hot_room, "solar")
    assert "solar" not in copy(reader)
    assert_right(hot_room, reader)
    removal.unblock(
        database=hot_room.database,
        store=hot_room.resources.store,
        settings=hot_room.settings,
        article_id="solar",
    )
    assert "solar" in copy(reader)


def test_a_forgotten_article_leaves_at_once(hot_room: Newsroom, reader: "redis.Redis") -> None:
    hot_room.run()
    removal.forget(
        database=hot_room.database,
        store=hot_room.resources.store,
        settings=hot_room.settings,
        article_id="solar power",
        reason="asked to",
    )
    assert_right(hot_room, reader)
    everything = b"".join(reader.get(key) or b"" for key in reader.scan_iter("*", _type="string"))
    assert b"solar power" not in everything


def test_an_article_that_is_forgotten_in_one_pipeline_leaves_the_copies_of_all(
    hot_room: Newsroom,
    start_redis: Callable[..., RedisServer],
    reader: "redis.Redis",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = start_redis()
    shadow = hot_room.tuned(pipeline="shadow", redis_url=elsewhere.url)
    shadow.follow("solar")
    hot_room.run()
    shadow.run()
    own = {"news": {"redis_url": hot_room.settings.redis_url}, "shadow": {"redis_url": elsewhere.url}}
    monkeypatch.setenv("RERANK_AIRFLOW_PIPELINES", json.dumps(own))
    forgotten = removal.forget(
        database=hot_room.database,
        store=hot_room.resources.store,
        settings=hot_room.settings,
        article_id="solar power",
        reason="asked to",
    )
    assert forgotten.pipelines == ("news", "shadow")
    with elsewhere.client() as client:
        assert "solar power" not in copy(client, pipeline="shadow")
        assert_right(shadow, client)
        assert not list(client.scan_iter("rerank:{news}*"))
    assert "solar power" not in copy(reader)
    assert not list(reader.scan_iter("rerank:{shadow}*"))


def test_a_rollback_and_its_release_reach_the_copy(hot_room: Newsroom, reader: "redis.Redis") -> None:
    first = hot_room.run("first")["publish"]
    hot_room.add("solar 2")
    second = hot_room.run("second")["publish"]
    assert "solar 2" in copy(reader)
    resources = {
        "database": hot_room.database,
        "store": hot_room.resources.store,
        "settings": hot_room.settings,
    }
    pointer.rollback(**resources, run_id=first["run_id"], reason="wrong")
    assert page_key(reader)["publication_id"] == first["publication_id"]
    assert "solar 2" not in copy(reader)
    pointer.release(**resources, reason="right again")
    assert page_key(reader)["publication_id"] == second["publication_id"]
    assert_right(hot_room, reader)


def test_two_pipelines_share_a_server_and_no_key(hot_room: Newsroom, reader: "redis.Redis") -> None:
    shadow = hot_room.tuned(pipeline="shadow")
    shadow.follow("wind")
    hot_room.run()
    before = {key: reader.dump(key) for key in reader.scan_iter("rerank:{news}:*")}
    shadow.run()
    assert_right(shadow, reader)
    assert {key: reader.dump(key) for key in reader.scan_iter("rerank:{news}:*")} == before
    shadow.follow("solar")
    shadow.run()
    assert_right(shadow, reader)
    assert_right(hot_room, reader)


def test_a_pipeline_without_a_page_has_no_copy(hot_room: Newsroom, reader: "redis.Redis") -> None:
    assert sync(hot_room) == redis_copy.Synced(None, 0)
    assert reader.dbsize() == 0


class TestRepair:
    """What is lost or spoilt is made anew; what is right is not written again, and lives on."""

    def test_what_is_right_is_not_written_again_and_its_time_to_live_begins_anew(
        self, hot_room: Newsroom, reader: "redis.Redis"
    ) -> None:
        published = hot_room.run()["publish"]
        for key in reader.scan_iter("*"):
            reader.expire(key, 60)
        assert sync(hot_room) == redis_copy.Synced(published["publication_id"], 0)
        assert all(reader.ttl(key) > 3600 for key in reader.scan_iter("*"))

    @pytest.mark.parametrize(
        "key", ["rerank:{news}:page", "rerank:{news}:topic:solar", "rerank:{news}:ranked:solar"]
    )
    def test_a_key_that_was_evicted_comes_back(
        self, hot_room: Newsroom, reader: "redis.Redis", key: str
    ) -> None:
        hot_room.run()
        assert reader.delete(key) == 1
        assert sync(hot_room).written == 2
        assert_right(hot_room, reader)

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 2}', b'{"format": 1}', b"\xff"])
    def test_a_page_key_that_cannot_be_read_is_written_anew(
        self, hot_room: Newsroom, reader: "redis.Redis", content: bytes
    ) -> None:
        hot_room.run()
        reader.set("rerank:{news}:page", content)
        assert sync(hot_room).written == 2
        assert_right(hot_room, reader)

    def test_keys_of_another_type_are_replaced(self, hot_room: Newsroom, reader: "redis.Redis") -> None:
        hot_room.run()
        for key in ("rerank:{news}:topic:solar", "rerank:{news}:ranked:solar"):
            reader.delete(key)
            reader.lpush(key, "x")
        assert sync(hot_room, anew=True).written == 2
        assert_right(hot_room, reader)

    def test_the_copy_expires_and_is_made_anew(self, hot_room: Newsroom, reader: "redis.Redis") -> None:
        hot_room.tuned(redis_ttl_hours=1e-5).run()
        deadline = time.monotonic() + 20
        while reader.dbsize():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert sync(hot_room).written == 2
        assert_right(hot_room, reader)

    def test_a_server_that_was_restarted_empty_is_filled_by_the_next_run(
        self,
        hot_room: Newsroom,
        redis_server: RedisServer,
    ) -> None:
        hot_room.run()
        redis_server.kill()
        redis_server.start()
        hot_room.add("solar 2")
        assert hot_room.run()["publish"]["redis_failed"] == 0
        with redis_server.client() as client:
            assert "solar 2" in copy(client)
            assert_right(hot_room, client)

    def test_the_command_makes_it_anew(
        self,
        hot_room: Newsroom,
        reader: "redis.Redis",
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        published = hot_room.run()["publish"]
        reader.flushall()
        for name in ("database_url", "store_url", "redis_url"):
            monkeypatch.setenv(f"RERANK_{name.upper()}", getattr(hot_room.settings, name))
        process_settings.cache_clear()
        with suppress(SystemExit):
            main(["redis", "sync"])
        process_settings.cache_clear()
        assert f"publication {published['publication_id']}, 2 topics" in capsys.readouterr().out
        assert_right(hot_room, reader)

    def test_the_clean_up_makes_it_anew(self, hot_room: Newsroom, reader: "redis.Redis") -> None:
        hot_room.run()
        reader.delete("rerank:{news}:topic:solar")
        assert clean_up(hot_room, dry_run=True).redis_written == 0
        assert clean_up(hot_room).redis_written == 2
        assert clean_up(hot_room).redis_written == 0
        assert_right(hot_room, reader)


def clean_up(room: Newsroom, **options: Any) -> maintain.Maintained:
    return maintain.maintain(
        database=room.database, store=room.resources.store, settings=room.settings, **options
    )


class TestFailure:
    """Nothing that Redis does fails a run, a block or the clean-up; it is told and counted."""

    def assert_page_without_copy(
        self, room: Newsroom, caplog: pytest.LogCaptureFixture, said: str
    ) -> dict[str, Any]:
        """A run whose page is published while nothing is copied; the log says why."""
        room.add("solar 2")
        with caplog.at_level(logging.WARNING, "rerank_core.frontends.redis_copy"):
            published = room.run()["publish"]
        assert (published["redis_written"], published["redis_failed"]) == (0, 2)
        assert published["pages_failed"] == 0
        assert published["is_current"]
        assert "solar 2" in room.page()
        warnings = [
            record.getMessage()
            for record in caplog.records
            if record.name == "rerank_core.frontends.redis_copy"
        ]
        assert len(warnings) == 1
        assert said in warnings[0]
        kept = "SELECT value FROM rerank.run_metric WHERE run_id = :r AND stage = 'publish' AND name = 'redis_failed'"
        assert room.value(kept, r=published["run_id"]) == 2
        return published

    def test_a_server_that_is_away_fails_no_run_block_or_clean_up(
        self,
        hot_room: Newsroom,
        redis_server: RedisServer,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        redis_server.kill()
        self.assert_page_without_copy(hot_room, caplog, "Connection refused")
        block(hot_room, "solar")
        assert "solar" not in hot_room.page()
        assert clean_up(hot_room).redis_failed == 1
        redis_server.start()
        with redis_server.client() as client:
            assert sync(hot_room).written == 2
            assert_right(hot_room, client)

    def test_a_server_that_dies_while_it_is_written_to_fails_no_run(
        self,
        hot_room: Newsroom,
        redis_server: RedisServer,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        hot_room.run()
        swap = Server.swap

        def die(server: Server, *arguments: Any) -> bool:
            redis_server.kill()
            return swap(server, *arguments)

        monkeypatch.setattr(Server, "swap", die)
        self.assert_page_without_copy(hot_room, caplog, "Redis at 127.0.0.1")
        monkeypatch.undo()
        redis_server.start()
        hot_room.engines.install(monkeypatch)
        assert sync(hot_room, anew=True).written == 2
        with redis_server.client() as client:
            assert_right(hot_room, client)

    def test_a_server_that_was_lost_and_is_back_empty_before_the_swap_gets_no_half_page(
        self,
        hot_room: Newsroom,
        redis_server: RedisServer,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        swap = Server.swap

        def restart(server: Server, *arguments: Any) -> bool:
            redis_server.kill()
            redis_server.start()
            return swap(server, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(Server, "swap", restart)
            self.assert_page_without_copy(hot_room, caplog, "Redis at 127.0.0.1")
        with redis_server.client() as client:
            assert client.dbsize() == 0

    def test_a_server_that_hangs_is_not_waited_for(
        self,
        hot_room: Newsroom,
        redis_server: RedisServer,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        room = hot_room.tuned(redis_timeout_seconds=0.4)
        room.run()
        redis_server.freeze()
        # It still hangs when the run is done: had the run waited for it, it would not be.
        self.assert_page_without_copy(room, caplog, "does not answer in time")
        redis_server.thaw()
        with redis_server.client() as client:
            assert "solar 2" not in copy(client)  # the page before, whole
            assert sync(room).written == 2
            assert_right(room, client)

    @pytest.fixture
    def unresolved(
        self, hot_room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[tuple[Newsroom, threading.Event]]:
        """A newsroom whose Redis has a name that nobody resolves until the event is set."""
        resolve, event = socket.getaddrinfo, threading.Event()

        def hang(host: Any, *arguments: Any, **options: Any) -> Any:
            if host != "redis.example":
                return resolve(host, *arguments, **options)
            event.wait()
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", hang)
        yield hot_room.tuned(redis_url="redis://redis.example:6379/0", redis_timeout_seconds=0.4), event
        event.set()
        for thread in threading.enumerate():
            if thread.name == "rerank-redis":
                thread.join(timeout=30)

    def test_a_name_that_is_not_resolved_is_not_waited_for(
        self, unresolved: tuple[Newsroom, threading.Event], caplog: pytest.LogCaptureFixture
    ) -> None:
        room, resolved = unresolved
        self.assert_page_without_copy(room, caplog, "Redis at redis.example:6379 does not answer in time")
        assert not resolved.is_set()
        (finding,) = (one for one in examine(room.settings) if one.name == "redis")
        assert (finding.state, finding.found) == (
            "warn",
            "Redis at redis.example:6379 does not answer in time",
        )

    @pytest.mark.parametrize("hanging", ["server", "name"])
    def test_control_without_a_thread_of_its_own_and_a_timeout_it_is(
        self,
        hot_room: Newsroom,
        redis_server: RedisServer,
        unresolved: tuple[Newsroom, threading.Event],
        monkeypatch: pytest.MonkeyPatch,
        hanging: str,
    ) -> None:
        hot_room.run()
        room, resolved = unresolved
        room = room if hanging == "name" else hot_room.tuned(redis_timeout_seconds=0.4)
        from_url = redis.ConnectionPool.from_url

        def patient(url: str, **options: Any) -> Any:
            without = {"socket_timeout": None, "socket_connect_timeout": None} if hanging == "server" else {}
            return from_url(url, **{**options, **without})

        monkeypatch.setattr(redis.ConnectionPool, "from_url", patient)
        monkeypatch.setattr(Server, "_in_time", lambda _, work: work())
        redis_server.freeze()

        def write() -> None:
            with suppress(RedisUnavailable):
                sync(room)

        writer = threading.Thread(target=write)
        writer.start()
        writer.join(timeout=2)
        assert writer.is_alive()
        redis_server.thaw()
        resolved.set()
        writer.join(timeout=30)
        assert not writer.is_alive()

    def test_answers_that_all_come_late_are_not_waited_for_either(
        self, hot_room: Newsroom, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seconds = iter(range(1_000))
        monkeypatch.setattr(server_module, "monotonic", lambda: next(seconds))  # each answer takes a second
        room = hot_room.tuned(redis_timeout_seconds=3)
        self.assert_page_without_copy(room, caplog, "too slow; raise RERANK_REDIS_TIMEOUT_SECONDS")

    @pytest.mark.parametrize("given", ["wr0ng-secret", ""])
    def test_a_wrong_password_fails_no_run_and_is_shown_nowhere(
        self,
        room: Newsroom,
        start_redis: Callable[..., RedisServer],
        caplog: pytest.LogCaptureFixture,
        given: str,
    ) -> None:
        server = start_redis(password="right")
        url = server.url.replace("right", given) if given else server.url.replace(":right@", "")
        wrong = news(room.tuned(redis_url=url))
        self.assert_page_without_copy(wrong, caplog, "check user, password and rights of RERANK_REDIS_URL")
        with pytest.raises(SettingsError):
            sync(wrong)
        assert "wr0ng-secret" not in caplog.text
        assert sync(room.tuned(redis_url=server.url)).written == 2

    def test_a_user_without_rights_fails_no_run(
        self,
        hot_room: Newsroom,
        redis_server: RedisServer,
        caplog: pytest.LogCaptureFixture,
        reader: "redis.Redis",
    ) -> None:
        reader.acl_setuser("guest", enabled=True, passwords=["+pw"], keys=["*"], commands=["+get", "+exists"])
        guest = hot_room.tuned(redis_url=redis_server.url.replace("//", "//guest:pw@"))
        self.assert_page_without_copy(guest, caplog, "check user, password and rights of RERANK_REDIS_URL")
        assert "solar" not in caplog.text

    def test_a_server_without_memory_keeps_the_page_before(
        self, hot_room: Newsroom, reader: "redis.Redis", caplog: pytest.LogCaptureFixture
    ) -> None:
        hot_room.run()
        before = reader.get("rerank:{news}:page")
        reader.config_set("maxmemory", 1)
        self.assert_page_without_copy(hot_room, caplog, "command not allowed when used memory > 'maxmemory'")
        assert "draft" not in caplog.text
        assert reader.get("rerank:{news}:page") == before
        reader.config_set("maxmemory", 0)
        assert "solar 2" not in copy(reader)
        assert sync(hot_room).written == 2
        assert_right(hot_room, reader)

    def test_a_server_that_evicts_what_was_just_written_keeps_the_page_before(
        self,
        hot_room: Newsroom,
        reader: "redis.Redis",
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        hot_room.run()
        write = redis_copy._write

        def write_and_lose(*arguments: Any) -> None:
            write(*arguments)
            reader.delete(next(reader.scan_iter("*draft*")))

        monkeypatch.setattr(redis_copy, "_write", write_and_lose)
        self.assert_page_without_copy(hot_room, caplog, "evicts keys; give it memory")
        assert "solar 2" not in copy(reader)
        assert list(reader.scan_iter("*draft*")) == []

    def test_a_cache_that_evicts_at_random_shows_whole_pages_or_none(
        self, hot_room: Newsroom, reader: "redis.Redis"
    ) -> None:
        reader.config_set("maxmemory-policy", "allkeys-random")
        keys = redis_copy.Keys("news")
        hot_room.run()
        reader.config_set("maxmemory", reader.info("memory")["used_memory"] + 100_000)
        for number in range(400):
            reader.set(f"somebody-else:{number}", "x" * 1000)
            with reader.pipeline(transaction=True) as pipe:
                content, ranked = pipe.get(keys.topic("solar")).zcard(keys.ranked("solar")).execute()
            assert ranked in (0, 3)
            assert content is None or len(json.loads(content)["articles"]) == 3
        assert reader.info("stats")["evicted_keys"] > 0
        reader.config_set("maxmemory", 0)
        sync(hot_room)
        assert copy(reader) == hot_room.page()

    def test_the_client_that_is_not_installed_fails_no_run(
        self, hot_room: Newsroom, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "redis", None)
        self.assert_page_without_copy(hot_room, caplog, "install news-rerank[redis]")

    @pytest.mark.parametrize("query", ["socket_timeout=hunter2", "hunter2=1"])
    def test_an_option_that_cannot_be_meant_fails_no_run_and_is_not_shown(
        self, hot_room: Newsroom, caplog: pytest.LogCaptureFixture, query: str
    ) -> None:
        room = hot_room.tuned(redis_url=f"{hot_room.settings.redis_url}?{query}")
        self.assert_page_without_copy(room, caplog, "has an option that redis-py does not take")
        assert "hunter2" not in caplog.text


def test_a_caller_that_is_interrupted_waits_no_more_and_leaves_the_connection_to_its_thread(
    redis_server: RedisServer, room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            raise KeyboardInterrupt

    disconnected, waits = [], []
    key = redis_copy.Keys("news").page
    with (
        pytest.raises(KeyboardInterrupt),
        Server.open(room.tuned(redis_url=redis_server.url).settings, key, 30) as server,
    ):
        pool = server._client.connection_pool
        monkeypatch.setattr(pool, "disconnect", lambda: disconnected.append(True))
        monkeypatch.setattr(server_module, "Thread", Interrupted)
        try:
            server.ask(("BLPOP", "nothing", 1))
        finally:
            monkeypatch.setattr(server_module, "Thread", lambda **_: waits.append(True))
            server.drop(["draft"])
    assert (disconnected, waits) == ([], [])


class TestOvertaken:
    """A writer that wakes up late does not put the copy back to the page before, not for a moment."""

    @pytest.fixture
    def history(
        self, hot_room: Newsroom, reader: "redis.Redis", monkeypatch: pytest.MonkeyPatch
    ) -> list[int]:
        """The publications that the copy shows, after each swap; before the first one, a newer page comes."""
        swap, shown = Server.swap, []

        def swap_late(server: Server, *arguments: Any) -> bool:
            if not hot_room.sql("SELECT FROM rerank.run WHERE key = 'newer'"):
                hot_room.add("solar 2")
                hot_room.run("newer")
            done = swap(server, *arguments)
            shown.append(page_key(reader)["publication_id"])
            return done

        monkeypatch.setattr(Server, "swap", swap_late)
        return shown

    def test_the_newer_page_stands(
        self, hot_room: Newsroom, reader: "redis.Redis", history: list[int]
    ) -> None:
        published = hot_room.run("older")["publish"]
        assert published["redis_failed"] == 0
        newer = hot_room.standing().publication_id
        assert history == [newer, newer]
        assert "solar 2" in copy(reader)
        assert_right(hot_room, reader)

    def test_control_without_the_comparison_the_older_one_does_for_a_while(
        self, hot_room: Newsroom, reader: "redis.Redis", history: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        swap = Server.swap

        def unguarded(server: Server, guard: str, before: Any, *arguments: Any) -> bool:
            return swap(server, "rerank:{news}:nothing", None, *arguments)

        monkeypatch.setattr(Server, "swap", unguarded)
        older = hot_room.run("older")["publish"]["publication_id"]
        newer = hot_room.standing().publication_id
        assert history == [newer, older, newer]  # looking again, it mends what it has done
        assert_right(hot_room, reader)

    def test_control_without_looking_again_either_it_stays(
        self, hot_room: Newsroom, reader: "redis.Redis", history: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        swap = Server.swap
        monkeypatch.setattr(
            Server, "swap", lambda server, guard, before, *rest: swap(server, "rerank:{news}:no", None, *rest)
        )
        monkeypatch.setattr(json_pages, "is_current", lambda found, _: found is not None)
        older = hot_room.run("older")["publish"]["publication_id"]
        assert page_key(reader)["publication_id"] == older

    def test_a_page_key_that_shows_the_same_page_again_is_not_taken_for_the_one_that_was_seen(
        self, hot_room: Newsroom, reader: "redis.Redis", monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A rollback to the page that the late writer saw before: its comparison must fail all the same."""
        hot_room.run()
        before = page_key(reader)
        sync(hot_room, anew=True)
        after = page_key(reader)
        assert before["copy"] != after["copy"]
        assert {**before, "copy": ""} == {**after, "copy": ""}

    def test_many_writers_at_once_end_with_the_page(self, hot_room: Newsroom, reader: "redis.Redis") -> None:
        hot_room.run()
        reader.flushall()
        with ThreadPoolExecutor(4) as pool:
            done = [one.result() for one in [pool.submit(sync, hot_room) for _ in range(4)]]
        assert {one.publication_id for one in done} == {hot_room.standing().publication_id}
        assert_right(hot_room, reader)


class TestReaders:
    """A reader finds one whole page, or the one before."""

    def look(self, client: "redis.Redis") -> str | None:
        """What is wrong with what a reader gets in one transaction; None: nothing."""
        keys = redis_copy.Keys("news")
        slugs = ("french", "solar", "wind")
        with client.pipeline(transaction=True) as pipe:
            pipe.get(keys.page)
            for slug in slugs:
                pipe.get(keys.topic(slug)).zrange(keys.ranked(slug), 0, -1)
            page, *found = pipe.execute()
        if page is None:
            return None
        named = json.loads(page)
        for slug, content, ranked in zip(slugs, found[::2], found[1::2], strict=True):
            if slug not in named["topics"]:
                if content or ranked:
                    return f"{slug} has left and is there"
                continue
            if content is None:
                return f"{slug} is not there"
            topic = json.loads(content)
            if topic["publication_id"] != named["publication_id"]:
                return f"{slug} is of another page"
            if [article["article_id"].encode() for article in topic["articles"]] != ranked:
                return f"{slug} is half of another page"
        return None

    @pytest.fixture
    def wrong(
        self, hot_room: Newsroom, reader: "redis.Redis", monkeypatch: pytest.MonkeyPatch
    ) -> list[str | None]:
        """What a reader finds wrong who looks after each thing that a writer does."""
        ask, swap, wrong = Server.ask, Server.swap, []

        def watched(method: Callable[..., Any]) -> Callable[..., Any]:
            def called(*arguments: Any, **options: Any) -> Any:
                done = method(*arguments, **options)
                wrong.append(self.look(reader))
                return done

            return called

        monkeypatch.setattr(redis_copy, "BATCH_BYTES", 1)  # each key by itself
        monkeypatch.setattr(Server, "ask", watched(ask))
        monkeypatch.setattr(Server, "swap", watched(swap))
        return wrong

    def publish(self, room: Newsroom) -> None:
        room.run()
        for title, topics in (("solar 2", ("solar", "wind")), ("solar 3", ("solar", "french"))):
            room.add(title)
            room.follow(*topics)
            room.run()

    def test_no_page_is_half_seen(self, hot_room: Newsroom, wrong: list[str | None]) -> None:
        self.publish(hot_room)
        assert len(wrong) > 15
        assert set(wrong) == {None}

    def test_control_a_page_that_is_written_in_place_is(
        self, hot_room: Newsroom, wrong: list[str | None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redis_copy.Keys, "draft", lambda self, version, key: key)
        self.publish(hot_room)
        assert {"solar is of another page", "solar is half of another page"} & set(wrong)

    def test_control_without_a_transaction_it_is_too(
        self, hot_room: Newsroom, wrong: list[str | None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def one_by_one(server: Server, guard: str, before: Any, drafts: Any, left: Any, expiry: int) -> bool:
            for draft, key in drafts.items():
                server.ask(("RENAME", draft, key))
            server.ask(("UNLINK", *left))
            return True

        monkeypatch.setattr(Server, "swap", one_by_one)
        self.publish(hot_room)
        assert set(wrong) - {None}

    def test_readers_that_poll_while_pages_are_swapped_see_whole_pages(
        self,
        hot_room: Newsroom,
        redis_server: RedisServer,
    ) -> None:
        hot_room.run()
        done, found, seen = threading.Event(), [], set()

        def poll() -> None:
            with redis_server.client() as client:
                while not done.is_set():
                    found.append(self.look(client))
                    seen.add(page_key(client)["copy"])

        readers = [threading.Thread(target=poll) for _ in range(2)]
        for one in readers:
            one.start()
        for number in range(12):
            block(hot_room, f"wind {number}")
            hot_room.sql("UPDATE rerank.ranking SET title = title || '.'")
            sync(hot_room)
        done.set()
        for one in readers:
            one.join()
        assert len(seen) > 3
        assert set(found) == {None}


def test_in_a_cluster_the_copy_goes_to_the_node_that_has_the_pipelines_slot(
    room: Newsroom,
    start_redis: Callable[..., RedisServer],
) -> None:
    nodes = [cluster_node(start_redis) for _ in range(2)]
    join(nodes)
    news(room)
    for node in nodes:
        hot_room = room.tuned(redis_url=node.url)
        assert hot_room.run()["publish"]["redis_failed"] == 0
        assert sync(hot_room, anew=True).written == 2
    with redis.RedisCluster.from_url(nodes[0].url) as client:
        slots = {client.keyslot(key) for key in client.scan_iter("*")}
        assert slots == {client.keyslot("rerank:{news}:page")}
        topic = json.loads(client.get("rerank:{news}:topic:solar"))
        assert [article["article_id"] for article in topic["articles"]] == room.page()
    holders = [one.client().dbsize() for one in nodes]
    assert sorted(holders) == [0, 4]


def cluster_node(start_redis: Callable[..., RedisServer]) -> RedisServer:
    port = free_port()
    return start_redis(
        "--cluster-enabled", "yes", "--cluster-config-file", f"nodes-{port}.conf", "--cluster-port", str(port)
    )


def join(nodes: list[RedisServer]) -> None:
    """Make a cluster of two, each with half of the slots."""
    first, second = (node.client() for node in nodes)
    first.execute_command("CLUSTER ADDSLOTSRANGE", 0, 8191)
    second.execute_command("CLUSTER ADDSLOTSRANGE", 8192, 16383)
    bus = second.config_get("cluster-port")["cluster-port"]
    first.execute_command("CLUSTER MEET", "127.0.0.1", nodes[1].port, bus)
    deadline = time.monotonic() + 60
    while not all(
        client.cluster("INFO")["cluster_state"] == "ok"
        and client.cluster("INFO")["cluster_slots_assigned"] == "16384"
        for client in (first, second)
    ):
        assert time.monotonic() < deadline
        time.sleep(0.1)


class TestDoctor:
    """`rerank doctor` says how the copy stands, and never that a run would fail by it."""

    def found(self, room: Newsroom) -> tuple[str, str, str]:
        (finding,) = (finding for finding in examine(room.settings) if finding.name == "redis")
        return finding.state, finding.found, finding.advice

    def test_no_redis_is_no_finding(self, room: Newsroom) -> None:
        assert "redis" not in {finding.name for finding in examine(room.settings)}

    def test_a_copy_that_shows_the_page_is_good(self, hot_room: Newsroom) -> None:
        published = hot_room.run()["publish"]
        state, found, _ = self.found(hot_room)
        assert state == "ok"
        assert f"shows publication {published['publication_id']}, as frontends see it" in found

    def test_a_pipeline_without_a_page_has_nothing_to_lag_behind(self, hot_room: Newsroom) -> None:
        state, found, _ = self.found(hot_room)
        assert (state, found.endswith("there is no page to copy yet")) == ("ok", True)

    def test_a_copy_that_lags_is_told(self, hot_room: Newsroom) -> None:
        first = hot_room.run("first")["publish"]["publication_id"]
        second = hot_room.tuned(redis_url=None).run("second")["publish"]["publication_id"]
        state, found, advice = self.found(hot_room)
        assert state == "warn"
        assert f"shows publication {first}, frontends see {second}" in found
        assert "rerank redis sync" in advice

    def test_a_copy_that_lost_keys_and_one_that_is_not_there_are_told(
        self, hot_room: Newsroom, reader: "redis.Redis"
    ) -> None:
        hot_room.run()
        reader.delete("rerank:{news}:topic:solar")
        assert "has lost 1 of its keys" in self.found(hot_room)[1]
        reader.flushall()
        state, found, _ = self.found(hot_room)
        assert (state, "has no copy" in found) == ("warn", True)

    def test_a_block_that_did_not_reach_the_copy_is_told(self, hot_room: Newsroom) -> None:
        hot_room.run()
        block(hot_room.tuned(redis_url=None), "solar")
        state, found, _ = self.found(hot_room)
        assert (state, "not what frontends see" in found) == ("warn", True)

    def test_a_server_that_is_away_and_a_client_that_is_missing_are_warnings(
        self,
        hot_room: Newsroom,
        redis_server: RedisServer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        redis_server.kill()
        state, found, advice = self.found(hot_room)
        assert (state, "Connection refused" in found, bool(advice)) == ("warn", True, True)
        monkeypatch.setitem(sys.modules, "redis", None)
        state, _, advice = self.found(hot_room)
        assert (state, advice) == ("warn", "install news-rerank[redis]")


def test_an_older_page_raises_nothing_but_the_end_of_patience(
    hot_room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    hot_room.run()
    monkeypatch.setattr(Server, "swap", lambda *_: False)
    with pytest.raises(RedisUnavailable, match="5 newer pages came while it was written"):
        sync(hot_room, anew=True)


def test_the_addresses_in_messages_have_no_credentials() -> None:
    assert server_module._address("rediss://me:hunter2@cache.example/0") == "Redis at cache.example:6379"
    assert server_module._address("unix:///run/redis.sock?password=hunter2") == "Redis at /run/redis.sock"


def test_a_page_is_rendered_once_for_redis_and_the_store(
    hot_room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered, asked = json_pages.rendered, []
    monkeypatch.setattr(json_pages, "rendered", lambda *given: asked.append(given) or rendered(*given))
    published = hot_room.run()["publish"]
    assert (published["redis_written"], published["pages_written"], len(asked)) == (2, 2, 1)
    block(hot_room, "solar")
    assert len(asked) == 2
