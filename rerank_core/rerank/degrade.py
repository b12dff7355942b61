"""rerank's light twin: an order without the model, for pairs that stayed unscored.

So that a page is never down: where the engine failed after its retries, or the deadline came first,
the new documents still follow on the page, in the light order (light.py) and so labelled.
"""

import logging
from dataclasses import dataclass

from rerank_core.records import Run
from rerank_core.rerank import light
from rerank_core.settings import Settings
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Degraded:
    """How much of the page has no score."""

    missing: int  # pairs without a score; 0: the page needs no light order
    topics: int  # topics that these belong to
    fell_back: bool = False  # the sentence-embedding model failed: BM25 orders them


def degrade(*, database: Database, store: Store, settings: Settings, run: Run, fence: int) -> Degraded:
    """Write the light order of the pairs that have no score. Raises FencedError where a newer try has begun."""
    found = light.order_missing(database=database, store=store, settings=settings, run=run, fence=fence)
    if found.missing:
        log.warning("run %d: %d pairs have no score; the page is degraded", run.run_id, found.missing)
    return Degraded(missing=found.missing, topics=found.topics, fell_back=found.fell_back)
