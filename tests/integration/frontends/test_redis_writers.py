"""Several writers of the copy in Redis, and readers beside them: nobody sees half of a page or an outdated page for long."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from factories import Newsroom
from hot_copies import assert_right, block, copy, page_key, sync
from redis_servers import RedisServer, needs_redis

from rerank_core.errors import RedisUnavailable
from rerank_core.frontends import json_pages, redis_copy
from rerank_core.frontends.redis_server import Server

pytestmark = needs_redis


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
        sync(hot_room, rewrite=True)
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
            sync(hot_room, rewrite=True)
        done.set()
        for one in readers:
            one.join()
        assert len(seen) > 3
        assert set(found) == {None}


def test_an_older_page_raises_nothing_but_the_end_of_patience(
    hot_room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    hot_room.run()
    monkeypatch.setattr(Server, "swap", lambda *_: False)
    with pytest.raises(RedisUnavailable, match="5 newer pages came while it was written"):
        sync(hot_room, rewrite=True)
