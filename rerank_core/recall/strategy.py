"""The strategy that a pipeline's settings name, over one run's window."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection

from rerank_core.errors import SettingsError, StoreUnavailable
from rerank_core.recall.base import Ids, Retriever
from rerank_core.recall.bm25 import Words
from rerank_core.recall.dense import Dense, Vectors
from rerank_core.recall.exhaustive import Exhaustive
from rerank_core.recall.hybrid import Hybrid
from rerank_core.recall.pgvector import PgVectors
from rerank_core.records import Run
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.database import Database

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KnownEmbedder:
    """An embedder, as the stores of its vectors need to know it."""

    embedder_id: int
    digest: str
    dimensions: int


def in_postgres(settings: Settings) -> bool:
    """Whether the settings keep vectors in Postgres; else they do in Milvus."""
    return settings.recall == "dense" or (settings.recall == "hybrid" and settings.milvus_url is None)


@contextmanager
def open_vectors(settings: Settings, database: Database, embedder: KnownEmbedder) -> Iterator[Vectors]:
    """The store of one embedder's vectors: Milvus where the settings name one, else Postgres.

    Raises SettingsError where recall is `milvus` and no address is given, or the extra is not installed.
    """
    if settings.recall == "milvus" and settings.milvus_url is None:
        raise SettingsError(
            "RERANK_RECALL = milvus needs RERANK_MILVUS_URL: http://user:password@host:19530, or a file that ends in .db"
        )
    if not in_postgres(settings) and settings.milvus_url is not None:
        from rerank_core.recall.milvus import MilvusVectors

        with MilvusVectors(
            settings.milvus_url, digest=embedder.digest, dimensions=embedder.dimensions
        ) as vectors:
            yield vectors
    else:
        with PgVectors(database, embedder_id=embedder.embedder_id) as found:
            yield found


@contextmanager
def open_retriever(
    settings: Settings,
    database: Database,
    connection: Connection,
    *,
    run: Run,
    document_ids: Ids,
    claimed: Ids,
    query_ids: set[int],
) -> Iterator[Retriever]:
    """The settings' strategy over the members of a window, by document id; `claimed` are positions.

    Where nothing was ever embedded, or Milvus does not answer, it is BM25: the page is never down for it.
    """
    if settings.recall == "bm25":
        yield Words()
        return
    if settings.recall == "exhaustive":
        yield Exhaustive()
        return
    row = db.one(connection, "strategy.of_run", pipeline=run.pipeline, run_id=run.run_id)
    if row is None:
        if len(document_ids):
            log.warning("run %d: nothing was embedded; recall is by BM25 this time", run.run_id)
        yield Words()
        return
    embedder = KnownEmbedder(**row)
    rows = db.rows(
        connection,
        "strategy.read_queries",
        embedder_id=embedder.embedder_id,
        query_ids=sorted(query_ids),
    )
    with ExitStack() as stack:
        try:
            dense = Dense(
                embedder=embedder.digest[:12],
                vectors=stack.enter_context(open_vectors(settings, database, embedder)),
                document_ids=document_ids,
                claimed=claimed,
                queries={row["query_id"]: np.frombuffer(row["vector"], dtype="<f2") for row in rows},
                asked=query_ids,
            )
        except StoreUnavailable as error:
            log.warning("run %d: %s; recall is by BM25 this time", run.run_id, error)
            yield Words()
            return
        if dense.missing:
            log.warning("run %d: %d documents have no vector; BM25 recalls them", run.run_id, dense.missing)
        yield Hybrid(dense) if settings.recall == "hybrid" else dense
