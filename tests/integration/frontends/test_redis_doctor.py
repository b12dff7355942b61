"""What the doctor says of the copy in Redis."""

import sys

import pytest
import redis
from factories import Newsroom
from hot_copies import block
from redis_servers import RedisServer, needs_redis

from rerank_core.operations.doctor.examine import examine

pytestmark = needs_redis


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
