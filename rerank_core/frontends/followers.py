"""What follows the pointer: the hot copy in Redis, and the JSON files in the store.

Both are brought to what frontends see after a publication that moved the pointer, and after a block, a rollback or a
forgetting. If one of them fails, that stops neither the other nor what moved the page: the failure is logged, counted, and
repaired later.
"""

from sqlalchemy import RowMapping

from rerank_core.frontends import json_pages, redis_copy
from rerank_core.settings import Settings
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store


def follow(
    *,
    database: Database,
    store: Store,
    settings: Settings,
    topics: int = 0,
) -> dict[str, int]:
    """Bring both to the page of the settings' pipeline; returns how many topics were written and failed.

    If nothing could be written, `topics` count as failed: the topics of the publication.
    """
    render = _once(database, settings)
    in_redis = redis_copy.follow(database=database, settings=settings, topics=topics, render=render)
    in_store = json_pages.follow(
        database=database, store=store, settings=settings, topics=topics, render=render
    )
    return {**in_store, **in_redis}


def _once(database: Database, settings: Settings) -> json_pages.Render:
    """A render that makes the topic files and feeds of a page once, for Redis and for the store."""
    kept: dict[tuple[int, str], dict[str, json_pages.TopicFile]] = {}

    def render(page: RowMapping) -> dict[str, json_pages.TopicFile] | None:
        key = (page["publication_id"], page["content"])
        if key not in kept:
            files = json_pages.rendered(database, settings, page)
            if files is None:
                return None
            kept.clear()
            kept[key] = files
        return kept[key]

    return render
