"""The light order: what a page follows, without the model, for pairs that have no score.

Made by the stage degrade; and by publish, where scores were lost or set aside after that. BM25, or by setting the similarity
that a sentence-embedding model finds on the CPU; where that one fails or takes too long, it is BM25 after all. A run keeps
the order that its first try made, so that a rerun repeats it.
"""

import logging
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rerank_core.errors import CorruptError, RerankError
from rerank_core.records import Run
from rerank_core.settings import Settings
from rerank_core.storage import artifacts, ledger, runs, schemas
from rerank_core.storage import database as db
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ordered:
    """What has no score, and has a light order now."""

    missing: int  # pairs
    topics: int  # that these belong to
    fell_back: bool = False  # the sentence-embedding model failed: BM25 orders them


def order_missing(*, database: Database, store: Store, settings: Settings, run: Run, fence: int) -> Ordered:
    """Write the light order of the run's pairs that have no score now, unless it has one of all of them.

    Raises FencedError where a newer try has begun.
    """
    pairs = artifacts.read_pairs(store, run)
    work = pairs.filter(pairs.column("work"))
    with database.transaction(read_only=True) as connection:
        settled = ledger.settled(connection, run, work, rescore=False)
    missing = work.filter(pa.array(~settled))
    topics = len(missing.column("topic").unique())
    if not missing.num_rows or _is_ordered(store, run, missing):
        return Ordered(missing=missing.num_rows, topics=topics)
    light = _by_embedding(database, settings, run, missing) if settings.light_order == "embeddings" else None
    fell_back = light is None and settings.light_order == "embeddings"
    if light is None:
        light = artifacts.labelled(missing.select(schemas.LIGHT.names).cast(schemas.LIGHT), "bm25")
    written = store.write(store.light_path(pipeline=run.pipeline, run_id=run.run_id, fence=fence), light)
    with database.transaction() as connection:
        runs.hold_fence(connection, run.run_id, fence)
        db.execute(connection, "light.light", run_id=run.run_id, path=written.path, sha256=written.sha256)
    return Ordered(missing=missing.num_rows, topics=topics, fell_back=fell_back)


def _is_ordered(store: Store, run: Run, missing: pa.Table) -> bool:
    """Whether an earlier try has made a light order of all these pairs."""
    try:
        before = artifacts.read_light(store, run)
    except CorruptError as error:
        log.warning("run %d: its light order is made anew: %s", run.run_id, error)
        return False
    known = set(
        zip(before.column("topic").to_pylist(), before.column("document_id").to_pylist(), strict=True)
    )
    return known.issuperset(
        zip(missing.column("topic").to_pylist(), missing.column("document_id").to_pylist(), strict=True)
    )


def _by_embedding(database: Database, settings: Settings, run: Run, missing: pa.Table) -> pa.Table | None:
    """The light order by cosine similarity; None where it cannot be had."""
    from rerank_core.models import sentences

    query_ids, query_places = np.unique(missing.column("query_id").to_numpy(), return_inverse=True)
    document_ids, document_places = np.unique(missing.column("document_id").to_numpy(), return_inverse=True)
    with database.transaction(read_only=True) as connection:
        queries = db.rows(connection, "worklist.queries", query_ids=query_ids.tolist())
        documents = db.rows(connection, "worklist.documents", document_ids=document_ids.tolist())
    texts = {row["document_id"]: row["text"] for row in documents}
    try:
        scores = sentences.similarity(
            model=settings.light_model,
            queries=[row["query"] for row in queries],
            # One that was forgotten meanwhile has no text, and no place on the page.
            documents=[texts.get(document_id, "") for document_id in document_ids.tolist()],
            query_places=query_places,
            document_places=document_places,
            seconds=settings.light_seconds,
        )
    except (RerankError, OSError) as error:
        log.warning("run %d: %s; the light order is BM25", run.run_id, error)
        return None
    light = missing.select(["topic", "document_id"]).append_column("light_score", pa.array(scores))
    return artifacts.labelled(light.cast(schemas.LIGHT), "embedding")
