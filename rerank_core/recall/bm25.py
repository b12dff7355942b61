"""BM25 over a set of documents: the default strategy of recall, and the light order of degraded pages.

S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, in the Lucene variant of
bm25s, whose scores are never negative. Document frequencies and the mean length are those of the
documents given, which a run freezes with its window.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from rerank_core.recall.base import Asked, Found, Mask, Scores, top
from rerank_core.storage.artifacts import Ids

K1, B = 1.5, 0.75
_OTHER = 0  # id of every term that no query has


class Bm25:
    """An index over documents, each a list of terms. The documents are read once.

    With a `vocabulary`, queries can have only its terms. Other terms count for the length of a document and are not
    kept, so the index of a large window stays small.
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
            import bm25s  # loads numba, so only if there is something to index

            names = {"\0": _OTHER, **self._ids}  # no term has a NUL
            self._index = bm25s.BM25(method="lucene", k1=K1, b=B)
            self._index.index((rows, names), show_progress=False)

    def _number(self, term: str) -> int:
        return self._ids.setdefault(term, len(self._ids) + 1)

    def scores(self, query: Iterable[str]) -> Scores:
        """The score of each document, float32, in their order; 0.0 if a document has no term of the query."""
        known = [self._ids[term] for term in dict.fromkeys(query) if term and term in self._ids]
        if self._index is None or not known:
            return np.zeros(self._count, dtype=np.float32)
        return np.asarray(self._index.get_scores_from_ids(known), dtype=np.float32)


class Words:
    """Recall by BM25. A member that has no term of the query is not found."""

    name = "bm25"

    def best(self, asked: Asked, among: Ids, limit: int) -> Found:
        """See Retriever.best."""
        light = asked.light[among]
        return Found.all_by("bm25", top(among[light > 0], light[light > 0], limit))

    def any_language(self, asked: Asked) -> Mask:
        """No member: languages do not share their words."""
        return np.zeros(len(asked.light), dtype=bool)
