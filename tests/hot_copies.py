"""The copy in Redis as a frontend finds it, and what changes it."""

import json
from typing import Any

import redis
from factories import Newsroom, make_topic

from rerank_core.frontends import redis_copy
from rerank_core.operations import maintain, removal


def news(room: Newsroom) -> Newsroom:
    room.follow("solar", make_topic(slug="french", query="solar", languages=("fr",)))
    room.add("solar power", url="http://x.example/1", source="desk", published_at=room.ago(hours=5))
    room.add("solar", title='太阳 "solar"', lang="zh")
    room.add("wind")
    return room


def sync(room: Newsroom, **options: Any) -> redis_copy.Synced:
    return redis_copy.sync(database=room.database, settings=room.settings, **options)


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


def block(room: Newsroom, article: str) -> None:
    removal.block(
        database=room.database,
        store=room.resources.store,
        settings=room.settings,
        article_id=article,
        reason="wrong",
    )


def clean_up(room: Newsroom, **options: Any) -> maintain.Maintained:
    return maintain.maintain(
        database=room.database, store=room.resources.store, settings=room.settings, **options
    )
