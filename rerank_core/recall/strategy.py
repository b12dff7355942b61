"""The strategy of recall that the settings name, and its store of vectors, for the window of one run."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from rerank_core.errors import SettingsError, StoreUnavailable
from rerank_core.models.embedding import LANGUAGES, knows
from rerank_core.prepare.language import language
from rerank_core.recall.base import Mask, Retriever
from rerank_core.recall.bm25 import Words
from rerank_core.recall.dense import Dense, Vectors
from rerank_core.recall.exhaustive import Exhaustive
from rerank_core.recall.hybrid import Hybrid
from rerank_core.recall.pgvector import PgVectors
from rerank_core.records import Run
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.artifacts import Ids
from rerank_core.storage.database import Database
from rerank_core.storage.embeddings import query_vectors

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KnownEmbedder:
    """What a store of vectors needs to know of an embedder."""

    embedder_id: int
    digest: str
    dimensions: int
    family: str

    def knows_documents(self, langs: Sequence[str]) -> Mask:
        """Which documents, by their languages, its vectors are good for: bool, one entry a document."""
        known = {lang: knows(self.family, lang) for lang in set(langs)}
        return np.asarray([known[lang] for lang in langs], dtype=bool)

    def knows_queries(self, query_ids: Mapping[tuple[str, str], int]) -> set[int]:
        """The ids of the queries, given as (instruction, query) → id, that its vectors are good for, by their own text."""
        if self.family not in LANGUAGES:
            return set(query_ids.values())
        return {
            query_id
            for (_, query), query_id in query_ids.items()
            if knows(self.family, language(query, claimed=None).code)
        }


def in_postgres(settings: Settings) -> bool:
    """Whether the settings keep vectors in Postgres; otherwise vectors are kept in Milvus."""
    return settings.recall == "dense" or (settings.recall == "hybrid" and settings.milvus_url is None)


@contextmanager
def open_vectors(settings: Settings, database: Database, embedder: KnownEmbedder) -> Iterator[Vectors]:
    """The store of one embedder's vectors: Milvus if the settings name its address, else Postgres.

    Raises SettingsError if recall is `milvus` without an address or without its client, StoreUnavailable if Milvus does
    not answer.
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
        with PgVectors(database, embedder_id=embedder.embedder_id) as pg_vectors:
            yield pg_vectors


@contextmanager
def open_retriever(
    settings: Settings,
    database: Database,
    connection: Connection,
    *,
    run: Run,
    texts: pa.Table,
    claimed: Ids,
    query_ids: Mapping[tuple[str, str], int],
) -> Iterator[Retriever]:
    """The strategy of the settings over the members of a window.

    `texts` has the columns document_id and lang, one row a member. `claimed` are the positions of the members that the
    run claimed, `query_ids` those of all topics by (instruction, query). If nothing was ever embedded, or Milvus does not
    answer, the strategy is BM25, so that the page comes out.
    """
    if settings.recall == "bm25":
        yield Words()
        return
    if settings.recall == "exhaustive":
        yield Exhaustive()
        return
    row = db.one(connection, "strategy.of_run", pipeline=run.pipeline, run_id=run.run_id)
    if row is None:
        if texts.num_rows:
            log.warning("run %d: nothing was embedded; BM25 recalls all documents of this run", run.run_id)
        yield Words()
        return
    embedder = KnownEmbedder(**row)
    asked = embedder.knows_queries(query_ids)
    with ExitStack() as stack:
        try:
            dense = Dense(
                embedder=embedder.digest[:12],
                vectors=stack.enter_context(open_vectors(settings, database, embedder)),
                document_ids=texts.column("document_id").to_numpy(),
                known=embedder.knows_documents(texts.column("lang").to_pylist()),
                claimed=claimed,
                queries=query_vectors(connection, embedder.embedder_id, asked),
                asked=asked,
            )
        except StoreUnavailable as error:
            log.warning("run %d: %s; BM25 recalls all documents of this run", run.run_id, error)
            yield Words()
            return
        if dense.missing:
            log.warning("run %d: %d documents have no vector; BM25 recalls them", run.run_id, dense.missing)
        yield Hybrid(dense) if settings.recall == "hybrid" else dense
