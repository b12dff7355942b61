"""BM25 over a set of documents: the default recall of candidates, and the light order of degraded pages.

Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009; in the
Lucene variant (k1 = 1.5, b = 0.75) of bm25s, whose scores are never negative. Document frequencies and
the mean length are those of the documents given, which a run freezes with its window.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from rerank_core.recall.base import Asked, Found, Ids, Mask, Scores, top

_OTHER = 0  # id of every term that no query has


class Bm25:
    """An index over documents given as lists of terms, read once.

    With a `vocabulary` only its terms can be asked for: the others count for the length of a document and are not
    kept, which makes the index of a large window small.
    """

    def __init__(
        self, documents: Iterable[Sequence[str]], *, vocabulary: Collection[str] | None = None
    ) -> None:
        self._ids: dict[str, int] = {}
        if vocabulary is not None:
            self._ids = {term: number for number, term in enumerate(sorted(vocabulary), start=_OTHER + 1)}
            known = self._ids.get
            rows = [[known(term, _OTHER) for term in document] for document in documents]
        else:
            rows = [[self._number(term) for term in document] for document in documents]
        self._count = len(rows)
        self._index: Any = None
        if any(rows):
            import bm25s  # loads numba: only where there is something to index

            names = {"\0": _OTHER, **self._ids}  # no term has a NUL
            self._index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
            self._index.index((rows, names), show_progress=False)

    def _number(self, term: str) -> int:
        return self._ids.setdefault(term, len(self._ids) + 1)

    def scores(self, query: Iterable[str]) -> Scores:
        """One score a document for the terms of a query, in input order; 0.0 where the document has no term of the query."""
        known = [self._ids[term] for term in dict.fromkeys(query) if term and term in self._ids]
        if self._index is None or not known:
            return np.zeros(self._count, dtype=np.float32)
        return np.asarray(self._index.get_scores_from_ids(known), dtype=np.float32)


class Words:
    """Recall by BM25: what shares no term with the query is not found."""

    name = "bm25"

    def best(self, asked: Asked, among: Ids, limit: int) -> Found:
        """See Retriever.best."""
        found = among[asked.light[among] > 0]
        return Found.all_by("bm25", top(found, asked.light[found], limit))

    def any_language(self, asked: Asked) -> Mask:
        """None: words of one language are not those of another."""
        return np.zeros(len(asked.light), dtype=bool)
