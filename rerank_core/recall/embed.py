"""The task embed: vectors of the documents of the freshness window and of the topics' queries, for dense recall.

Documents and queries that have a vector by this embedder are skipped, and so are those in a language that it does not
know: BM25 recalls them. Each batch is stored when it is done, so a killed task resumes where it stopped. If the time is
up, the next run embeds the rest, and BM25 recalls it until then. If the strategy of the settings needs no vectors, there
is nothing to do.
"""

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from time import monotonic

import numpy as np
import pyarrow as pa
from sqlalchemy import RowMapping

from rerank_core.models import embedders
from rerank_core.models.embedding import Embedder
from rerank_core.recall import pgvector
from rerank_core.recall.dense import Vectors
from rerank_core.recall.strategy import KnownEmbedder, in_postgres, open_vectors
from rerank_core.recall.window import read_members
from rerank_core.records import Run
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import topics
from rerank_core.storage.artifacts import Ids, clusters_of
from rerank_core.storage.database import Database
from rerank_core.storage.topics import store_queries

log = logging.getLogger(__name__)

BATCH = 256  # documents that are embedded and stored at a time


@dataclass(frozen=True)
class Embedded:
    """Where each document of the window went. documents = had + embedded + left + other_language."""

    documents: int = 0
    had: int = 0  # documents that had a vector
    embedded: int = 0
    left: int = 0  # documents without a vector when the time was up
    other_language: int = 0  # documents in a language that the embedder does not know
    queries: int = 0  # queries that were embedded
    load_seconds: float = 0.0  # start of the embedder
    embed_seconds: float = 0.0  # embedding of queries and documents


def embed(*, database: Database, settings: Settings, run: Run) -> Embedded:
    """Embed the documents and queries that the run's recall will compare and that have no vector yet.

    Raises ModelError if the checkpoint must not be used, EngineError if the engine fails, SettingsError or
    StoreUnavailable if the store of vectors is not available.
    """
    if run.frozen or not settings.recall_needs_vectors:
        return Embedded()
    deadline = monotonic() + settings.scoring_minutes * 60
    identity = embedders.identity(settings)
    with database.transaction() as connection:
        embedder_id = embedders.register(connection, identity)
        if in_postgres(settings):
            pgvector.ensure(connection, embedder_id=embedder_id, dimensions=identity.dimensions)
        query_ids = store_queries(connection, topics.current_topics(connection, run.pipeline))
        members = read_members(connection, run)
        known = KnownEmbedder(embedder_id, identity.digest, identity.dimensions, identity.family)
        documents, readable = _documents(members, known)
        db.execute(connection, "embed.run", run_id=run.run_id, embedder_id=embedder_id)
        queries = db.rows(
            connection,
            "embed.missing_queries",
            embedder_id=embedder_id,
            query_ids=sorted(known.knows_queries(query_ids)) if len(documents) else [],
        )
    result = Embedded(documents=len(documents), other_language=len(documents) - len(readable))
    with open_vectors(settings, database, known) as vectors:
        missing = vectors.missing(readable) if len(readable) else readable
        result = replace(result, had=len(readable) - len(missing))
        if not len(missing) and not queries:
            return result
        log.info("%d documents and %d queries to embed; the embedder starts", len(missing), len(queries))
        started = monotonic()
        with closing(embedders.load(settings)) as embedder:
            loaded = monotonic()
            _embed_queries(database, embedder, embedder_id, queries)
            done = _embed_documents(database, embedder, vectors, missing, deadline)
    if done < len(missing):
        log.warning(
            "the time was up before %d documents were embedded; BM25 recalls them, and the next run embeds them",
            len(missing) - done,
        )
    return replace(
        result,
        embedded=done,
        left=len(missing) - done,
        queries=len(queries),
        load_seconds=round(loaded - started, 3),
        embed_seconds=round(monotonic() - loaded, 3),
    )


def _documents(members: pa.Table, embedder: KnownEmbedder) -> tuple[Ids, Ids]:
    """The ids of the members' texts, one a cluster, and of those the ids in a language that the embedder knows."""
    texts = members.take(pa.array(clusters_of(members)[0]))
    ids: Ids = texts.column("scored_document_id").to_numpy()
    return ids, ids[embedder.knows_documents(texts.column("lang").to_pylist())]


def _embed_queries(
    database: Database, embedder: Embedder, embedder_id: int, queries: Sequence[RowMapping]
) -> None:
    matrix = embedder.embed_queries([(row["instruction"], row["query"]) for row in queries])
    with database.transaction() as connection:
        db.execute(
            connection,
            "embed.add_queries",
            embedder_id=embedder_id,
            query_ids=[row["query_id"] for row in queries],
            vectors=[vector.astype("<f2").tobytes() for vector in matrix],
        )


def _embed_documents(
    database: Database, embedder: Embedder, vectors: Vectors, missing: Ids, deadline: float
) -> int:
    """Embed these documents, the newest first, until the deadline; returns how many were embedded."""
    newest_first = np.sort(missing)[::-1]
    done = 0
    while done < len(missing) and monotonic() < deadline:
        batch = newest_first[done : done + BATCH]
        with database.transaction(read_only=True) as connection:
            rows = db.rows(connection, "embed.documents", document_ids=batch.tolist())
        matrix = embedder.embed_documents([row["text"] for row in rows])
        vectors.add(np.asarray([row["document_id"] for row in rows], dtype=np.int64), matrix)
        done += len(batch)
        log.info("%d of %d documents embedded", done, len(missing))
    return done
