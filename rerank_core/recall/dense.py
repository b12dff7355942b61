"""Dense recall: members by the similarity of embeddings, so that a topic in one language finds articles in another.

Small sets are compared exactly, in memory: all members of a window of at most EXACT_DOCUMENTS, else the members that
the run claimed. The index of the store searches larger sets.

A member without a vector (embedding failed, or its time was up) is not lost: BM25 recalls it. The name of the strategy
then ends in "partly", so that the next run with all vectors fills the topics again. BM25 also recalls the members in a
language that the embedder does not know; that changes no name, because no later run has vectors of them.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rerank_core.recall.base import Asked, Found, Mask, Scores, fuse, top
from rerank_core.recall.bm25 import Words
from rerank_core.storage.artifacts import Ids
from rerank_core.storage.embeddings import Matrix, Vector

EXACT_DOCUMENTS = 20_000  # compared in memory, which takes 80 MB at 1,024 dimensions


class Vectors(Protocol):
    """A store of the vectors of documents, by one embedder."""

    def missing(self, document_ids: Ids) -> Ids:
        """The ids of the given documents that have no vector, ascending."""
        ...

    def add(self, document_ids: Ids, vectors: Matrix) -> None:
        """Store the vectors of these documents; a document that has a vector keeps it."""
        ...

    def read(self, document_ids: Ids) -> tuple[Ids, Matrix]:
        """The ids of the given documents that have a vector, ascending, and their vectors in that order."""
        ...

    def nearest(self, query: Vector, among: Ids, limit: int) -> tuple[Ids, Scores]:
        """Ids and cosines of the documents of `among` that are nearest to the query, the nearest first.

        There are `limit` of them, or all that have a vector if they are fewer. The order is approximate: an index may
        miss a document, and return a document that is a little farther.
        """
        ...


class Dense:
    """Recall by vectors; by BM25 for members without a vector."""

    def __init__(
        self,
        *,
        embedder: str,
        vectors: Vectors,
        document_ids: Ids,
        known: Mask,
        claimed: Ids,
        queries: Mapping[int, Vector],
        asked: set[int],
    ) -> None:
        """`document_ids` are those of the window's members, in their order. `known` says which members are in a language
        that the embedder knows. `claimed` are positions of the members that the run claimed. `queries` are vectors by
        query id. `asked` are the ids of all queries that will be asked for, and that the embedder knows the language of.
        """
        self._vectors = vectors
        self._document_ids = document_ids
        self._queries = {number: vector.astype(np.float32) for number, vector in queries.items()}
        self._order = np.argsort(document_ids)
        self._has = known & ~np.isin(document_ids, vectors.missing(document_ids))
        self.missing = int((known & ~self._has).sum())  # members that should have a vector, and have none
        whole = not self.missing and asked <= set(queries)
        self.name = f"dense {embedder}" + ("" if whole else ", partly")
        self._rows, self._matrix = self._read(claimed)
        self._cosines: tuple[int, Scores] = (-1, np.zeros(0, dtype=np.float32))  # of the latest query
        self._words = Words()

    def _read(self, claimed: Ids) -> tuple[Ids, npt.NDArray[np.float32]]:
        """For each member its row in the matrix of members that are compared exactly, else −1; and the matrix, float32."""
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
        similar = self.similar(asked, among, limit)
        others = among[~self.any_language(asked)[among]]
        if not len(others):
            return Found.all_by("dense", similar)
        words = self._words.best(asked, others, limit).positions
        return fuse([("dense", similar), ("bm25", words)], limit)

    def similar(self, asked: Asked, among: Ids, limit: int) -> Ids:
        """Positions of the members with a vector that are most similar to the query for their language, the best first."""
        positions, scores = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.float32)]
        ready = among[self.any_language(asked)[among]]
        for query_id in np.unique(asked.query_ids[ready]).tolist():
            of_query = ready[asked.query_ids[ready] == query_id]
            nearest, cosines = self._nearest(query_id, of_query, limit)
            positions.append(nearest)
            scores.append(cosines)
        return top(np.concatenate(positions), np.concatenate(scores), limit)

    def any_language(self, asked: Asked) -> Mask:
        """The members that have a vector, and whose query has a vector."""
        with_query = np.isin(asked.query_ids, np.fromiter(self._queries, dtype=np.int64))
        return np.asarray(self._has & with_query)

    def _nearest(self, query_id: int, among: Ids, limit: int) -> tuple[Ids, Scores]:
        rows = self._rows[among]
        if (rows >= 0).all():
            if self._cosines[0] != query_id:  # all hours of a topic ask for one query
                self._cosines = (query_id, self._matrix @ self._queries[query_id])
            return among, self._cosines[1][rows]
        query = self._queries[query_id].astype(np.float16)
        found, cosines = self._vectors.nearest(query, self._document_ids[among], limit)
        return self._positions(found), cosines

    def _positions(self, document_ids: Ids) -> Ids:
        places = np.searchsorted(self._document_ids, document_ids, sorter=self._order)
        return np.asarray(self._order[places], dtype=np.int64)
