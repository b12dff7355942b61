"""BM25 over a set of documents: the recall of candidates and the light order of degraded pages.

Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009; in the
Lucene variant (k1 = 1.5, b = 0.75) of bm25s, whose scores are never negative.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class Bm25:
    """An index over documents given as lists of terms."""

    def __init__(self, documents: Sequence[Sequence[str]]) -> None:
        self._count = len(documents)
        self._index: Any = None
        if any(documents):
            import bm25s  # loads numba: only where there is something to index

            self._index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
            self._index.index([list(document) for document in documents], show_progress=False)

    def scores(self, query: Iterable[str]) -> npt.NDArray[np.float32]:
        """One score a document for the terms of a query, in input order; 0.0 where the document has no term of the query."""
        if self._index is None:
            return np.zeros(self._count, dtype=np.float32)
        known = [term for term in dict.fromkeys(query) if term and term in self._index.vocab_dict]
        if not known:
            return np.zeros(self._count, dtype=np.float32)
        return np.asarray(self._index.get_scores(known), dtype=np.float32)
