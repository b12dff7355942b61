"""A page for a run that is late: what it has is published, by another process than the one that should score.

Prevents a page that stays as it was because a scoring task never starts, waits, hangs or is slow. It asks
nothing of that task, and does it no harm: it leaves a run alone whose own try of a stage is at work, and
where such a try begins meanwhile, that one overtakes this. When the scores come after all, the run
publishes its next version by itself.
"""

import logging
from time import sleep

from rerank_core.errors import FencedError, InputError
from rerank_core.publish import publish
from rerank_core.publish.publish import Published
from rerank_core.recall import recall
from rerank_core.rerank import degrade
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import runs
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)

PATIENCE_SECONDS = (
    600.0  # beside the time for a light order: a try of a stage that takes longer counts as dead
)
LOOK_SECONDS = 2.0


def publish_overdue(*, database: Database, store: Store, settings: Settings, run_id: int) -> Published | None:
    """Publish the run, unless it is published; None where it was, or came to it by itself meanwhile.

    A run whose recall waits for vectors is frozen without them. Raises InputError for a run that has not
    prepared its articles, and what recall, degrade and publish raise.
    """
    patience = PATIENCE_SECONDS + settings.light_seconds
    while (fence := _take_fence(database, run_id, patience)) is not None:
        try:
            with runs.busy(database, run_id, fence):
                return _publish(database, store, settings, run_id, fence)
        except FencedError:
            log.info("run %d goes on by itself", run_id)
    return None


def _take_fence(database: Database, run_id: int, patience_seconds: float) -> int | None:
    """A fence for a try, as soon as no try of the run's own is at work; None where the run is published."""
    while True:
        with database.transaction() as connection:
            row = db.one(connection, "overdue.take_fence", run_id=run_id, patience_seconds=patience_seconds)
        if row is None:
            raise InputError(f"run {run_id} does not exist; `rerank runs` lists those that do")
        if row["published"]:
            return None
        if not row["prepared"]:
            raise InputError(f"run {run_id} has not prepared its articles: it has nothing to publish yet")
        if row["fence"] is not None:
            return int(row["fence"])
        log.info("run %d is at work on a stage by itself: waiting", run_id)
        sleep(LOOK_SECONDS)


def _publish(database: Database, store: Store, settings: Settings, run_id: int, fence: int) -> Published:
    with database.transaction(read_only=True) as connection:
        run = runs.get(connection, run_id)
    if not run.frozen:
        recall.recall(database=database, store=store, settings=settings, run=run, fence=fence)
        with database.transaction(read_only=True) as connection:
            run = runs.get(connection, run_id)
    missing = degrade.degrade(database=database, store=store, settings=settings, run=run, fence=fence).missing
    log.warning("run %d is late: it is published without %d scores", run_id, missing)
    with database.transaction(read_only=True) as connection:
        run = runs.get(connection, run_id)
    return publish.publish(database=database, store=store, settings=settings, run=run, fence=fence)
