"""Exhaustive recall: all eligible members. For small windows, and as the standard for other strategies."""

import numpy as np

from rerank_core.recall.base import Asked, Found, Mask, top
from rerank_core.storage.artifacts import Ids


class Exhaustive:
    """Recall of all members in BM25 order, so that a budget cuts the least likely members."""

    name = "exhaustive"

    def best(self, asked: Asked, among: Ids, limit: int) -> Found:
        """See Retriever.best; `limit` is ignored."""
        return Found.all_by("all", top(among, asked.light[among], len(among)))

    def any_language(self, asked: Asked) -> Mask:
        """All members."""
        return np.ones(len(asked.light), dtype=bool)
