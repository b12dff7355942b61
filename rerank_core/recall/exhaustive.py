"""Everything that is eligible, whatever its number: for small windows, and to judge other strategies by."""

import numpy as np

from rerank_core.recall.base import Asked, Found, Ids, Mask, top


class Exhaustive:
    """Recall of all, in BM25 order, so that a budget cuts the least likely."""

    name = "exhaustive"

    def best(self, asked: Asked, among: Ids, limit: int) -> Found:
        """See Retriever.best; `limit` is not looked at."""
        return Found.all_by("all", top(among, asked.light[among], len(among)))

    def any_language(self, asked: Asked) -> Mask:
        """All of them."""
        return np.ones(len(asked.light), dtype=bool)
