"""Hybrid recall: BM25 and vectors, fused by places, because their scores are not comparable."""

import numpy as np

from rerank_core.recall.base import Asked, Found, Mask, fuse
from rerank_core.recall.bm25 import Words
from rerank_core.recall.dense import Dense
from rerank_core.storage.artifacts import Ids

DEPTH = 2  # each list has this many times the members that are wanted


class Hybrid:
    """Reciprocal rank fusion of BM25 and dense recall."""

    def __init__(self, dense: Dense) -> None:
        self._dense = dense
        self._words = Words()
        self.name = f"bm25 + {dense.name}"

    def best(self, asked: Asked, among: Ids, limit: int) -> Found:
        """See Retriever.best."""
        words = self._words.best(asked, among, DEPTH * limit).positions
        similar = self._dense.similar(asked, among, DEPTH * limit)
        return fuse([("bm25", words), ("dense", similar)], limit)

    def any_language(self, asked: Asked) -> Mask:
        """As in dense recall."""
        return np.asarray(self._dense.any_language(asked))
