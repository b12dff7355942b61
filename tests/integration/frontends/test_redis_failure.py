"""No run fails or waits because Redis fails, hangs or refuses; its messages hold no credentials."""

import json
import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import redis
from factories import Newsroom
from hot_copies import assert_right, block, clean_up, copy, news, sync
from redis_servers import RedisServer, needs_redis

from rerank_core.errors import RedisUnavailable, SettingsError
from rerank_core.frontends import redis_copy
from rerank_core.frontends import redis_server as server_module
from rerank_core.frontends.redis_server import Server
from rerank_core.operations.doctor.examine import examine

pytestmark = needs_redis


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
        assert sync(hot_room, rewrite=True).written == 2
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
        self.assert_page_without_copy(room, caplog, "has an option that redis-py does not accept")
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


def test_the_addresses_in_messages_have_no_credentials() -> None:
    assert server_module._address("rediss://me:hunter2@cache.example/0") == "Redis at cache.example:6379"
    assert server_module._address("unix:///run/redis.sock?password=hunter2") == "Redis at /run/redis.sock"
