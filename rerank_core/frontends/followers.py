"""What follows the pointer: the hot copy in Redis, and the JSON pages in the store.

Both are brought to what frontends see after a publication that moved the page, and after a block, a rollback or a
forgetting. A failure of one stops neither the other nor what moved the page: it is told, counted, and repaired later.
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
    """Let everything follow the page of the settings' pipeline; returns what was written and failed.

    `topics` of the publication count as failed where nothing could be written.
    """
    pipeline = settings.pipeline
    render = _once()
    in_redis = redis_copy.follow(
        database=database, settings=settings, pipeline=pipeline, topics=topics, render=render
    )
    in_store = json_pages.follow(
        database=database,
        store=store,
        pipeline=pipeline,
        topics=topics,
        grace_hours=settings.store_grace_hours,
        render=render,
    )
    return {**in_store, **in_redis}


def _once() -> json_pages.Render:
    """Renders a page once, whoever asks for it first."""
    kept: dict[tuple[int, str], dict[str, json_pages.TopicPage]] = {}

    def render(database: Database, pipeline: str, page: RowMapping) -> dict[str, json_pages.TopicPage] | None:
        key = (page["publication_id"], page["content"])
        if key not in kept:
            found = json_pages.rendered(database, pipeline, page)
            if found is None:
                return None
            kept.clear()
            kept[key] = found
        return kept[key]

    return render
