"""A copy in Redis that is lost, damaged or outdated is made again."""

import time
from contextlib import suppress

import pytest
import redis
from factories import Newsroom
from hot_copies import assert_right, clean_up, copy, sync
from redis_servers import RedisServer, needs_redis

from rerank_core.cli import main
from rerank_core.frontends import redis_copy

pytestmark = needs_redis


class TestRepair:
    """What is lost or spoilt is made again; what is right is not written again, and lives on."""

    def test_what_is_right_is_not_written_again_and_its_time_to_live_begins_again(
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
    def test_a_page_key_that_cannot_be_read_is_written_again(
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
        assert sync(hot_room, rewrite=True).written == 2
        assert_right(hot_room, reader)

    def test_the_copy_expires_and_is_made_again(self, hot_room: Newsroom, reader: "redis.Redis") -> None:
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

    def test_the_command_makes_it_again(
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
        with suppress(SystemExit):
            main(["redis", "sync"])
        assert f"publication {published['publication_id']}, 2 topics" in capsys.readouterr().out
        assert_right(hot_room, reader)

    def test_the_clean_up_makes_it_again(self, hot_room: Newsroom, reader: "redis.Redis") -> None:
        hot_room.run()
        reader.delete("rerank:{news}:topic:solar")
        assert clean_up(hot_room, dry_run=True).redis_written == 0
        assert clean_up(hot_room).redis_written == 2
        assert clean_up(hot_room).redis_written == 0
        assert_right(hot_room, reader)
