"""The contract of a recall strategy.

A strategy orders members of the freshness window for one topic. It knows nothing of hours, limits of a run, budgets or
the ledger: recall asks it once for each hour of ingestion and, while a topic is filled, for the whole window. A member
that it does not find is not in its answer; which ones are eligible at all was decided before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rerank_core.records import Topic

Ids = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

RRF_K = 60


@dataclass(frozen=True)
class Asked:
    """One topic, as a strategy is asked for it; the arrays have one entry a member of the window."""

    topic: Topic
    query_ids: Ids  # the query of the member's language
    light: Scores  # BM25 of that query; 0.0 where no term is shared


@dataclass(frozen=True)
class Found:
    """Members that a strategy found, best first."""

    positions: Ids  # of members
    by: npt.NDArray[np.str_]  # what found each: bm25, dense, bm25+dense or all

    @classmethod
    def all_by(cls, name: str, positions: Ids) -> "Found":
        """All of these found by the same."""
        return cls(positions, np.full(len(positions), name, dtype="U10"))


class Retriever(Protocol):
    """One recall strategy over one window."""

    @property
    def name(self) -> str:
        """The strategy and, where it has one, its embedder; a run of another name fills its topics again."""
        ...

    def best(self, asked: Asked, among: Ids, limit: int) -> Found:
        """At most `limit` of the members at positions `among`, best first; ties go by position."""
        ...

    def any_language(self, asked: Asked) -> Mask:
        """Members that can be found for this topic whatever their language is."""
        ...


def top(positions: Ids, scores: Scores, limit: int) -> Ids:
    """The `limit` positions with the highest scores (parallel arrays), best first; ties go by position."""
    if len(positions) > 4 * limit:  # what is below the limit need not be sorted
        floor = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        positions, scores = positions[scores >= floor], scores[scores >= floor]
    return np.asarray(positions[np.lexsort((positions, -scores))[:limit]], dtype=np.int64)


def fuse(parts: Sequence[tuple[str, Ids]], limit: int) -> Found:
    """Reciprocal rank fusion of named lists, each best first; what several found is named after all of them.

    A list gives 1 / (60 + place) to what stands at a place, from 1. Cormack, Clarke and Büttcher, Reciprocal Rank Fusion
    Outperforms Condorcet and Individual Rank Learning Methods, 2009. Ties go by position.
    """
    positions = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *(found for _, found in parts)]))
    total = np.zeros(len(positions))
    names = [""] * len(positions)
    for name, found in parts:
        places = np.searchsorted(positions, found)
        total[places] += 1 / (RRF_K + 1 + np.arange(len(found)))
        for place in places.tolist():
            names[place] = f"{names[place]}+{name}" if names[place] else name
    order = np.lexsort((positions, -total))[:limit]
    return Found(positions[order], np.asarray(names, dtype="U10")[order])
