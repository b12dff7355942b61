"""Recall by the likeness of embeddings: a topic in one language finds an article in another.

A small set is compared exactly, in memory: every member of a window that is not large, else what the run claimed.
Beyond that the store's index searches. What has no vector (the embed task failed, or its time was up) is not
lost: it takes part by BM25, and the run's name says so, so that the next whole one fills the topics again.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rerank_core.recall.base import Asked, Found, Ids, Mask, Scores, fuse, top
from rerank_core.recall.bm25 import Words

Vector = npt.NDArray[np.float16]  # of length 1, so that the inner product is the cosine
Matrix = npt.NDArray[np.float16]  # one vector a row

EXACT_DOCUMENTS = 20_000  # compared in memory: 80 MB at 1,024 dimensions


class Vectors(Protocol):
    """Keeps the vectors of documents by one embedder; those of another are somewhere else."""

    def missing(self, document_ids: Ids) -> Ids:
        """Those of these documents that have no vector."""
        ...

    def add(self, document_ids: Ids, vectors: Matrix) -> None:
        """Keep the vectors of these documents; one that a document has already stays."""
        ...

    def read(self, document_ids: Ids) -> tuple[Ids, Matrix]:
        """Those of these documents that have a vector, by id, and the vectors."""
        ...

    def nearest(self, query: Vector, among: Ids, limit: int) -> tuple[Ids, Scores]:
        """Ids and cosines of the nearest of these documents, nearest first: min(limit, those with a vector) of them.

        Approximate: what the index misses is replaced by what is a little farther.
        """
        ...


class Dense:
    """Recall by vectors, from the queries' and the store's."""

    def __init__(
        self,
        *,
        embedder: str,
        vectors: Vectors,
        document_ids: Ids,
        claimed: Ids,
        queries: Mapping[int, Vector],
        asked: set[int],
    ) -> None:
        """`document_ids`: of the window's members, in their order; `claimed`: positions of those that the run claimed;
        `queries`: vectors by query id; `asked`: ids of all queries that will be asked for.
        """
        self._vectors = vectors
        self._document_ids = document_ids
        self._queries = {number: vector.astype(np.float32) for number, vector in queries.items()}
        self._order = np.argsort(document_ids)
        self._has = ~np.isin(document_ids, vectors.missing(document_ids))
        self.missing = int((~self._has).sum())  # members without a vector
        whole = self._has.all() and asked <= set(queries)
        self.name = f"dense {embedder}" + ("" if whole else ", partly")
        self._rows, self._matrix = self._read(claimed)
        self._likeness: tuple[int, Scores] = (-1, np.zeros(0, dtype=np.float32))
        self._words = Words()

    def _read(self, claimed: Ids) -> tuple[Ids, npt.NDArray[np.float32]]:
        """The row of each member in the matrix of what is compared exactly, −1 for the others; and that matrix."""
        rows = np.full(len(self._document_ids), -1, dtype=np.int64)
        near = np.arange(len(rows)) if len(rows) <= EXACT_DOCUMENTS else claimed
        near = near[self._has[near]]
        if not 0 < len(near) <= EXACT_DOCUMENTS:
            return rows, np.zeros((0, 0), dtype=np.float32)
        found, matrix = self._vectors.read(self._document_ids[near])
        rows[self._positions(found)] = np.arange(len(found))
        return rows, matrix.astype(np.float32)

    def best(self, asked: Asked, among: Ids, limit: int) -> Found:
        """See Retriever.best."""
        like = self.similar(asked, among, limit)
        others = among[~self.any_language(asked)[among]]
        if not len(others):
            return Found.all_by("dense", like)
        words = self._words.best(asked, others, limit).positions
        return fuse([("dense", like), ("bm25", words)], limit)

    def similar(self, asked: Asked, among: Ids, limit: int) -> Ids:
        """Positions of the members with a vector that are most like the query of their language, best first."""
        positions, scores = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.float32)]
        ready = among[self.any_language(asked)[among]]
        for query_id in np.unique(asked.query_ids[ready]).tolist():
            mine = ready[asked.query_ids[ready] == query_id]
            found, likeness = self._nearest(query_id, mine, limit)
            positions.append(found)
            scores.append(likeness)
        return top(np.concatenate(positions), np.concatenate(scores), limit)

    def any_language(self, asked: Asked) -> Mask:
        """Members that have a vector, where the query of their language has one too."""
        with_query = np.isin(asked.query_ids, np.fromiter(self._queries, dtype=np.int64))
        return np.asarray(self._has & with_query)

    def _nearest(self, query_id: int, among: Ids, limit: int) -> tuple[Ids, Scores]:
        rows = self._rows[among]
        if (rows >= 0).all():
            if self._likeness[0] != query_id:  # every hour of a topic asks for the same
                self._likeness = (query_id, self._matrix @ self._queries[query_id])
            return among, self._likeness[1][rows]
        query = self._queries[query_id].astype(np.float16)
        found, likeness = self._vectors.nearest(query, self._document_ids[among], limit)
        return self._positions(found), likeness

    def _positions(self, document_ids: Ids) -> Ids:
        places = np.searchsorted(self._document_ids, document_ids, sorter=self._order)
        return np.asarray(self._order[places], dtype=np.int64)
