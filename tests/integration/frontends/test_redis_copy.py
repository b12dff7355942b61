"""The copy in Redis shows what frontends see."""

import json
import time
from collections.abc import Callable

import pytest
import redis
from factories import Newsroom
from hot_copies import assert_right, block, copy, news, page_key, sync
from redis_servers import RedisServer, free_port, needs_redis

from rerank_core.frontends import json_pages, redis_copy
from rerank_core.operations import pointer, removal

pytestmark = needs_redis


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
        assert sync(hot_room, rewrite=True).written == 2
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


def test_a_page_is_rendered_once_for_redis_and_the_store(
    hot_room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered, asked = json_pages.rendered, []
    monkeypatch.setattr(json_pages, "rendered", lambda *given: asked.append(given) or rendered(*given))
    published = hot_room.run()["publish"]
    assert (published["redis_written"], published["pages_written"], len(asked)) == (2, 2, 1)
    block(hot_room, "solar")
    assert len(asked) == 2
