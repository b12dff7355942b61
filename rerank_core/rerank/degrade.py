"""The light order: an order without the model, for the pairs that have no score.

If the engine fails after its retries, or the deadline comes first, the page is published all the same: the unscored documents
follow in the light order, and say so. So do the documents of a query that the scorer refuses, for example because it is too
long. The stage degrade makes the order. Publish makes it again if pairs lost their scores after that, for example because
the gate blocked the run.

The order is BM25, or by setting the similarity that a sentence-embedding model finds on the CPU. Each query and each document is
embedded once, however many pairs it is in; vectors of the same model that dense recall has kept are taken. If that model fails or
takes too long, BM25 is taken. A run keeps the order that its first try made, so that a rerun repeats it.
"""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Connection

from rerank_core.errors import CorruptError, RerankError
from rerank_core.models import numpy_embedder, sentences
from rerank_core.models.embedding import knows
from rerank_core.records import Run
from rerank_core.settings import USE_MULTILINGUAL, Settings
from rerank_core.storage import artifacts, embeddings, ledger, runs, schemas
from rerank_core.storage import database as db
from rerank_core.storage.database import Database
from rerank_core.storage.pair_texts import PairTexts, read_pair_texts
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)

NAMED = 10  # topics that one run's log names
ById = dict[int, npt.NDArray[Any]]  # id of a query or document → its vector, shape (dimensions,)


@dataclass(frozen=True)
class Degraded:
    """How much of the page has no score, and has a light order now."""

    missing: int  # pairs without a score, those of refused queries included; 0: the page needs no light order
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
    work, _ = artifacts.read_work(store, run)
    with database.transaction(read_only=True) as connection:
        settled = ledger.settled(connection, run, work, rescore=False)
        query_refused = _query_refused(connection, store, run, work)
        _warn_of_refused(connection, run, work.filter(pa.array(query_refused)))
    missing = work.filter(pa.array(~settled | query_refused))
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


def _query_refused(connection: Connection, store: Store, run: Run, work: pa.Table) -> npt.NDArray[np.bool_]:
    """As ledger.query_refused, of the pairs that the run wants scored. All pairs are read only if one of these was refused."""
    ids = (work.column(name).to_numpy() for name in ("query_id", "document_id"))
    if not ledger.refused(connection, run.scorer_id, *ids).any():
        return np.zeros(work.num_rows, dtype=bool)
    pairs = artifacts.read_pairs(store, run)
    is_work = pairs.column("work").to_numpy(zero_copy_only=False)
    return np.asarray(ledger.query_refused(connection, run, pairs)[is_work])


def _warn_of_refused(connection: Connection, run: Run, refused: pa.Table) -> None:
    """Say in the log which topics have a query that the scorer refuses, and why."""
    queries = refused.group_by(["topic", "query_id"]).aggregate([]).sort_by("topic").to_pylist()
    query_ids = sorted({query["query_id"] for query in queries})
    rows = db.rows(connection, "ledger.refusals", scorer_id=run.scorer_id, query_ids=query_ids)
    reasons = {row["query_id"]: row["reason"] for row in rows}
    for query in queries[:NAMED]:
        log.warning(
            "run %d: topic %s gets the light order, because the scorer refuses every pair of a query of it: %s",
            run.run_id,
            query["topic"],
            reasons[query["query_id"]],
        )
    if len(queries) > NAMED:
        log.warning("run %d: and %d more such queries", run.run_id, len(queries) - NAMED)


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
    """The light order (schemas.LIGHT) by cosine similarity; None if the model failed or took too long.

    An article in a language that the model does not know comes after the others, by BM25: between −1 and −0.5.
    """
    try:
        with database.transaction(read_only=True) as connection:
            texts = read_pair_texts(connection, missing)
            kept = _kept_vectors(connection, settings, texts)
        known = np.asarray([knows(settings.light_model, lang) for lang in texts.langs], dtype=bool)
        scores = texts.cosines(*_vectors(settings, texts, known, *kept))
    except (RerankError, OSError) as error:
        log.warning("run %d: %s; the light order is BM25", run.run_id, error)
        return None
    words = missing.column("light_score").to_numpy()
    scores = np.where(known[texts.document_places], scores, -1 + 0.5 * words / (1 + words))
    light = missing.select(["topic", "document_id"]).append_column("light_score", pa.array(scores))
    return artifacts.labelled(light.cast(schemas.LIGHT), "embedding")


def _kept_vectors(connection: Connection, settings: Settings, texts: PairTexts) -> tuple[ById, ById]:
    """Vectors of the queries and documents that the task embed has kept by the light model, in Postgres."""
    if settings.light_model != USE_MULTILINGUAL:
        return {}, {}
    identity = numpy_embedder.identify(max_document_tokens=numpy_embedder.MOST_TOKENS)
    row = db.one(connection, "degrade.embedder", digest=identity.digest)
    if row is None:
        return {}, {}
    queries = embeddings.query_vectors(connection, row["embedder_id"], texts.query_ids)
    document_ids = np.asarray(texts.document_ids, dtype=np.int64)
    found, vectors = embeddings.document_vectors(connection, row["embedder_id"], document_ids)
    return queries, dict(zip(found.tolist(), vectors, strict=True))


def _vectors(
    settings: Settings, texts: PairTexts, known: npt.NDArray[np.bool_], queries: ById, documents: ById
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    """The vector of each query and document: the kept one, or one that the light model makes now; zeros if not `known`.

    Raises as sentences.vectors does.
    """
    asked = set(texts.query_places[known[texts.document_places]].tolist())
    new_queries = {
        number: query
        for place, (number, (_, query)) in enumerate(zip(texts.query_ids, texts.queries, strict=True))
        if place in asked and number not in queries
    }
    new_documents = {
        number: text
        for number, text, is_known in zip(texts.document_ids, texts.documents, known, strict=True)
        if is_known and number not in documents
    }
    if new_queries or new_documents:
        made = sentences.vectors(
            model=settings.light_model,
            queries=list(new_queries.values()),
            documents=list(new_documents.values()),
            seconds=settings.light_seconds,
        )
        queries = {**queries, **dict(zip(new_queries, made[0], strict=True))}
        documents = {**documents, **dict(zip(new_documents, made[1], strict=True))}
    nothing = np.zeros_like(next(iter(queries.values()), np.zeros(1)))
    return (
        np.stack([queries.get(number, nothing) for number in texts.query_ids]),
        np.stack([documents.get(number, nothing) for number in texts.document_ids]),
    )
