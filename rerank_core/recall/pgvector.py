"""Vectors in Postgres by pgvector: a table for each embedder, in half precision, with an HNSW index.

The index knows nothing of windows, so a search is iterative: it goes on until it has found enough of the wanted
documents. If the index gives up before that, the documents are compared one by one, so an answer is never short.
"""

from contextlib import ExitStack
from typing import Any, Self

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from rerank_core.errors import SettingsError
from rerank_core.recall.base import Scores
from rerank_core.storage import database as db
from rerank_core.storage import embeddings
from rerank_core.storage.artifacts import Ids
from rerank_core.storage.copy import copy_in
from rerank_core.storage.database import Database
from rerank_core.storage.embeddings import Matrix, Vector

SETS = 4  # sets of wanted documents that are kept; as a rule a topic has one set for each of its languages


def ensure(connection: Connection, *, embedder_id: int, dimensions: int) -> None:
    """Make the embedder's table, and the extension, if they are missing.

    Raises SettingsError if this role may not make them, or if the server has no pgvector.
    """
    try:
        db.rows(connection, "pgvector.ensure", embedder_id=embedder_id, dimensions=dimensions)
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) not in {"42501", "0A000", "58P01"}:
            raise
        reason = str(error.orig).strip().splitlines()[0]
        raise SettingsError(
            f"dense recall needs pgvector 0.8 or newer in the database ({reason}); have a superuser run"
            " CREATE EXTENSION vector SCHEMA rerank there, or set RERANK_RECALL=bm25"
        ) from error


class PgVectors:
    """The vectors of one embedder. A context manager, because searches share a transaction."""

    def __init__(self, database: Database, *, embedder_id: int) -> None:
        self._database = database
        self._embedder_id = embedder_id
        self._table = embeddings.table(embedder_id)
        self._stack = ExitStack()
        self._searching: Connection | None = None
        self._sets: dict[bytes, str] = {}  # wanted documents → the temporary table that holds them

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._searching = None
        self._sets = {}
        self._stack.__exit__(*error)

    def missing(self, document_ids: Ids) -> Ids:
        """See Vectors.missing."""
        with self._database.transaction(read_only=True) as connection:
            rows = db.rows(connection, "pgvector.missing", self._table, document_ids=document_ids.tolist())
        return np.asarray([row["document_id"] for row in rows], dtype=np.int64)

    def add(self, document_ids: Ids, vectors: Matrix) -> None:
        """See Vectors.add."""
        values = {
            "document_ids": document_ids.tolist(),
            "vectors": [_as_text(vector) for vector in vectors],
        }
        with self._database.transaction() as connection:
            db.rows(connection, "embeddings.search_path")
            connection.execute(db.statement("pgvector.add", self._table), values)

    def read(self, document_ids: Ids) -> tuple[Ids, Matrix]:
        """See Vectors.read."""
        with self._database.transaction(read_only=True) as connection:
            return embeddings.document_vectors(connection, self._embedder_id, document_ids)

    def nearest(self, query: Vector, among: Ids, limit: int) -> tuple[Ids, Scores]:
        """See Vectors.nearest."""
        connection = self._search()
        relations = (*self._table, ("wanted", self._set(connection, among)))
        values = {"query": _as_text(query), "limit": limit}
        db.rows(connection, "pgvector.search_settings")
        rows = db.rows(connection, "pgvector.nearest", relations, **values)
        if len(rows) < limit:  # the index gave up, or there are no more documents
            rows = db.rows(connection, "pgvector.exact", relations, **values)
        ids = np.asarray([row["document_id"] for row in rows], dtype=np.int64)
        cosines = np.asarray([row["cosine"] for row in rows], dtype=np.float32)
        order = np.lexsort((ids, -cosines))
        return ids[order], cosines[order]

    def _search(self) -> Connection:
        """The transaction that searches share, for its temporary tables."""
        if self._searching is None:
            self._searching = self._stack.enter_context(self._database.transaction())
            db.may_idle(self._searching)
            db.rows(self._searching, "embeddings.search_path")
        return self._searching

    def _set(self, connection: Connection, document_ids: Ids) -> str:
        """A temporary table of these ids. The latest SETS tables stay, because most topics ask for the same ids."""
        key = document_ids.tobytes()
        name = self._sets.pop(key, None)
        if name is None:
            if len(self._sets) == SETS:
                oldest = next(iter(self._sets))
                name = self._sets.pop(oldest)
                _run(connection, "pgvector.drop_wanted", name)
            else:
                name = f"pg_temp.wanted_{len(self._sets)}"
            _run(connection, "pgvector.create_wanted", name)
            copy_in(connection, name, pa.table({"document_id": np.unique(document_ids)}))
            _run(connection, "pgvector.analyze_wanted", name)
        self._sets[key] = name  # at the end: it is the latest
        return name


def _run(connection: Connection, statement: str, wanted: str) -> None:
    connection.execute(db.statement(statement, (("wanted", wanted),)))


def _as_text(vector: Vector) -> str:
    """The vector as pgvector reads it. Five digits are enough to tell numbers of half precision apart."""
    return "[" + ",".join(format(value, ".5g") for value in vector.tolist()) + "]"
