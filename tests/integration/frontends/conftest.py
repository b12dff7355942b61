"""A newsroom whose page is copied to Redis, and a reader of the copy."""

from collections.abc import Iterator

import pytest
import redis
from factories import Newsroom
from hot_copies import news
from redis_servers import RedisServer


@pytest.fixture
def hot_room(room: Newsroom, redis_server: RedisServer) -> Newsroom:
    """A newsroom with two topics, of which one finds nothing, whose page is copied."""
    return news(room.tuned(redis_url=redis_server.url))


@pytest.fixture
def reader(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    with redis_server.client() as client:
        yield client
