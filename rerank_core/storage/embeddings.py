"""The vectors that the task embed has stored in Postgres, read by the ids of their texts."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from rerank_core.storage import database as db
from rerank_core.storage.artifacts import Ids

Vector = npt.NDArray[np.float16]  # shape (dimensions,), of length 1, so that the inner product is the cosine
Matrix = npt.NDArray[np.float16]  # shape (texts, dimensions), one vector a row

BATCH = 5_000  # vectors that one statement reads


def table(embedder_id: int) -> tuple[tuple[str, str], ...]:
    """The relation `vectors` of this embedder, for statements."""
    return (("vectors", f"rerank.vector_{embedder_id:d}"),)


def document_vectors(connection: Connection, embedder_id: int, document_ids: Ids) -> tuple[Ids, Matrix]:
    """The ids of the given documents that have a vector by this embedder, ascending, and their vectors in that order."""
    wanted = np.sort(document_ids)
    ids: list[int] = []
    parts: list[Vector] = []
    db.rows(connection, "embeddings.search_path")
    # pgvector sends a vector in big-endian order: two 16-bit words, of which the first is its length, then numbers.
    for start in range(0, len(wanted), BATCH):
        part = wanted[start : start + BATCH].tolist()
        for row in db.rows(connection, "embeddings.documents", table(embedder_id), document_ids=part):
            ids.append(row["document_id"])
            parts.append(np.frombuffer(row["vector"], dtype=">f2", offset=4).astype(np.float16))
    return np.asarray(ids, dtype=np.int64), np.asarray(parts, dtype=np.float16).reshape(len(ids), -1)


def query_vectors(connection: Connection, embedder_id: int, query_ids: Iterable[int]) -> dict[int, Vector]:
    """Query id → vector by this embedder, of the given queries that have one."""
    rows = db.rows(connection, "embeddings.queries", embedder_id=embedder_id, query_ids=sorted(query_ids))
    return {row["query_id"]: np.frombuffer(row["vector"], dtype="<f2") for row in rows}
