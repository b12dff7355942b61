"""The contract of a recall strategy.

A strategy orders members of the freshness window for one topic. It knows nothing of hours, limits of a run, budgets or
the ledger. Recall asks it once for each hour of ingestion, and for the whole window while a topic is filled. It is asked
about eligible members only. A member that it does not find is not in its answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rerank_core.records import Topic
from rerank_core.storage.artifacts import Ids

Scores = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

RRF_K = 60  # the constant of reciprocal rank fusion


class Light(Protocol):
    """BM25 scores of the members of a window for one topic; an array of them is one, too."""

    def __len__(self) -> int:
        """The members of the window."""
        ...

    def __getitem__(self, positions: Ids, /) -> Any:
        """The scores of the members at these positions: float32."""
        ...


@dataclass(frozen=True)
class Asked:
    """One topic, as a strategy is asked for it. The arrays have one entry a member of the window."""

    topic: Topic
    query_ids: Ids  # the topic's query for the language of the member
    light: Light  # BM25 score of that query; 0.0 if query and member have no term in common
    queries: tuple[int, ...] = ()  # the different ids among `query_ids`, ascending


@dataclass(frozen=True)
class Found:
    """Members that a strategy found, best first."""

    positions: Ids  # of members in the window
    by: npt.NDArray[np.str_]  # what found each member: bm25, dense, bm25+dense or all

    @classmethod
    def all_by(cls, name: str, positions: Ids) -> "Found":
        """These members, all found by one strategy."""
        return cls(positions, np.full(len(positions), name, dtype="U10"))


class Retriever(Protocol):
    """One recall strategy over one window."""

    @property
    def name(self) -> str:
        """The strategy and its embedder, if it has one. A run with another name fills its topics again."""
        ...

    def best(self, asked: Asked, among: Ids, limit: int) -> Found:
        """At most `limit` of the members at positions `among`, the best first; ties by position."""
        ...

    def any_language(self, asked: Asked) -> Mask:
        """Which members this topic can find in any language: bool, one entry a member."""
        ...


def top(positions: Ids, scores: Scores, limit: int) -> Ids:
    """The `limit` positions with the highest scores, the best first; ties by position. `scores` is parallel to `positions`."""
    if (
        len(positions) > 4 * limit
    ):  # then it is quicker to drop what is below the limit than to sort everything
        floor = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        positions, scores = positions[scores >= floor], scores[scores >= floor]
    return np.asarray(positions[np.lexsort((positions, -scores))[:limit]], dtype=np.int64)


def fuse(parts: Sequence[tuple[str, Ids]], limit: int) -> Found:
    """Reciprocal rank fusion of named lists of positions, each with the best first; ties by position.

    A list gives 1 / (60 + place) to the member at each place, from 1. A member that several lists have is named after
    all of them. G. Cormack, C. Clarke and S. Büttcher, "Reciprocal Rank Fusion Outperforms Condorcet and Individual Rank
    Learning Methods", 2009.
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
