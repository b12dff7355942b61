"""What follows the pointer: the hot copy in Redis, and the JSON pages in the store.

Both are brought to what frontends see after a publication that moved the page, and after a block, a rollback or a
forgetting. A failure of one stops neither the other nor what moved the page: it is told, counted, and repaired later.
"""

from rerank_core import hot, pages
from rerank_core.database import Database
from rerank_core.settings import Settings
from rerank_core.store import Store


def follow(
    *,
    database: Database,
    store: Store,
    settings: Settings,
    pipeline: str | None = None,
    topics: int = 0,
) -> dict[str, int]:
    """Let everything follow the page of a pipeline (the setting's where None); returns what was written and failed.

    `topics` of the publication count as failed where nothing could be written.
    """
    pipeline = pipeline or settings.pipeline
    in_redis = hot.follow(database=database, settings=settings, pipeline=pipeline, topics=topics)
    in_store = pages.follow(
        database=database,
        store=store,
        pipeline=pipeline,
        topics=topics,
        grace_hours=settings.store_grace_hours,
    )
    return {**in_store, **in_redis}
