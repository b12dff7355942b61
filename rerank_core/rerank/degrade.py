"""The light order: an order without the model, for the pairs that have no score.

If the engine fails after its retries, or the deadline comes first, the page is published all the same: the unscored documents
follow in the light order, and say so. The stage degrade makes the order. Publish makes it again if pairs lost their scores after
that, for example because the gate blocked the run.

The order is BM25, or by setting the similarity that a sentence-embedding model finds on the CPU. If that model fails or takes too
long, BM25 is taken. A run keeps the order that its first try made, so that a rerun repeats it.
"""

import logging
from dataclasses import dataclass

import pyarrow as pa

from rerank_core.errors import CorruptError, RerankError
from rerank_core.records import Run
from rerank_core.settings import Settings
from rerank_core.storage import artifacts, ledger, runs, schemas
from rerank_core.storage import database as db
from rerank_core.storage.database import Database
from rerank_core.storage.pair_texts import read_pair_texts
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Degraded:
    """How much of the page has no score, and has a light order now."""

    missing: int  # pairs without a score; 0: the page needs no light order
    topics: int  # topics that these pairs belong to
    fell_back: bool = False  # the sentence-embedding model failed: BM25 orders the pairs


def degrade(*, database: Database, store: Store, settings: Settings, run: Run, fence: int) -> Degraded:
    """Write the light order of the pairs that have no score, and say in the log how many there are.

    Raises FencedError if a newer try has begun.
    """
    degraded = order_missing(database=database, store=store, settings=settings, run=run, fence=fence)
    if degraded.missing:
        log.warning("run %d: %d pairs have no score; the page is degraded", run.run_id, degraded.missing)
    return degraded


def order_missing(*, database: Database, store: Store, settings: Settings, run: Run, fence: int) -> Degraded:
    """Write the light order of the run's pairs that have no score, unless the run has an order of all of them.

    Raises FencedError if a newer try has begun.
    """
    pairs = artifacts.read_pairs(store, run)
    work = pairs.filter(pairs.column("work"))
    with database.transaction(read_only=True) as connection:
        settled = ledger.settled(connection, run, work, rescore=False)
    missing = work.filter(pa.array(~settled))
    topics = len(missing.column("topic").unique())
    if not missing.num_rows or _is_ordered(store, run, missing):
        return Degraded(missing=missing.num_rows, topics=topics)
    by_embeddings = settings.light_order == "embeddings"
    light = _by_embedding(database, settings, run, missing) if by_embeddings else None
    fell_back = by_embeddings and light is None
    if light is None:
        light = artifacts.labelled(missing.select(schemas.LIGHT.names).cast(schemas.LIGHT), "bm25")
    file = store.write(store.light_path(pipeline=run.pipeline, run_id=run.run_id, fence=fence), light)
    with database.transaction() as connection:
        runs.hold_fence(connection, run.run_id, fence)
        db.execute(connection, "degrade.keep_order", run_id=run.run_id, path=file.path, sha256=file.sha256)
    return Degraded(missing=missing.num_rows, topics=topics, fell_back=fell_back)


def _is_ordered(store: Store, run: Run, missing: pa.Table) -> bool:
    """Whether an earlier try has made a light order of all these pairs."""
    try:
        before = artifacts.read_light(store, run)
    except CorruptError as error:
        log.warning("run %d: its light order is made again: %s", run.run_id, error)
        return False
    known = set(
        zip(before.column("topic").to_pylist(), before.column("document_id").to_pylist(), strict=True)
    )
    return known.issuperset(
        zip(missing.column("topic").to_pylist(), missing.column("document_id").to_pylist(), strict=True)
    )


def _by_embedding(database: Database, settings: Settings, run: Run, missing: pa.Table) -> pa.Table | None:
    """The light order (schemas.LIGHT) by cosine similarity; None if the model failed or took too long."""
    from rerank_core.models import sentences

    with database.transaction(read_only=True) as connection:
        texts = read_pair_texts(connection, missing)
    try:
        scores = sentences.similarity(
            model=settings.light_model,
            queries=[query for _, query in texts.queries],
            documents=texts.documents,
            query_places=texts.query_places,
            document_places=texts.document_places,
            seconds=settings.light_seconds,
        )
    except (RerankError, OSError) as error:
        log.warning("run %d: %s; the light order is BM25", run.run_id, error)
        return None
    light = missing.select(["topic", "document_id"]).append_column("light_score", pa.array(scores))
    return artifacts.labelled(light.cast(schemas.LIGHT), "embedding")
