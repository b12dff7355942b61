"""rerank's light twin: an order without the model, for pairs that stayed unscored.

So that a page is never down: where the engine failed after its retries, or the deadline came first,
the new documents still follow on the page, in BM25 order and so labelled.
"""

import logging
from dataclasses import dataclass

import pyarrow as pa

from rerank_core import database as db
from rerank_core import frozen, ledger, runs, schemas
from rerank_core.database import Database
from rerank_core.records import Run
from rerank_core.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Degraded:
    """How much of the page has no score."""

    missing: int  # pairs without a score; 0: the page needs no light order
    topics: int  # topics that these belong to


def degrade(*, database: Database, store: Store, run: Run, fence: int) -> Degraded:
    """Write the light order of the pairs that have no score. Raises FencedError where a newer try has begun."""
    pairs = frozen.read_pairs(store, run)
    work = pairs.filter(pairs.column("work"))
    with database.transaction(read_only=True) as connection:
        settled = ledger.settled(connection, run, work, rescore=False)
    missing = work.filter(pa.array(~settled))
    light = missing.select(schemas.LIGHT.names).cast(schemas.LIGHT)
    if light.num_rows:
        log.warning("run %d: %d pairs have no score; the page is degraded", run.run_id, light.num_rows)
        written = store.write(store.light_path(pipeline=run.pipeline, run_id=run.run_id, fence=fence), light)
        with database.transaction() as connection:
            runs.hold_fence(connection, run.run_id, fence)
            db.execute(
                connection, "degrade_light", run_id=run.run_id, path=written.path, sha256=written.sha256
            )
    return Degraded(missing=light.num_rows, topics=len(light.column("topic").unique()))
