"""The order of a page, stated once. Pure functions over one topic's documents.

    blocks → min_score (on the undecayed logit) → decay → one row a text → top_k

    rank_score = logit − ln 2 × age / half_life,  age = as_of − min(published_at, first_ingested_at)

The odds of relevance halve with each half-life. Ties go by article_id. Unscored documents follow as a
second block in the light order, never interleaved.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rerank_core.errors import CorruptError
from rerank_core.records import Topic

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Page:
    """The documents of the freshness window, as arrays side by side."""

    document_ids: Ids  # ascending
    positions: Ids  # of each in the members table
    article_ids: npt.NDArray[np.object_]
    age_hours: Floats  # at the run's as-of time, never negative
    blocked: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, members: pa.Table, *, as_of: datetime, blocked: set[str]) -> "Page":
        """The page of these members (schemas.MEMBERS)."""
        document_ids = members.column("document_id").to_numpy()
        order = np.argsort(document_ids)
        article_ids = np.asarray(members.column("article_id").to_pylist(), dtype=object)[order]
        ingested = members.column("first_ingested_at").to_pylist()
        published = members.column("published_at").to_pylist()
        ages = [
            max(0.0, (as_of - min(at, out or at)).total_seconds() / 3600)
            for at, out in zip(ingested, published, strict=True)
        ]
        return cls(
            document_ids=document_ids[order],
            positions=order,
            article_ids=article_ids,
            age_hours=np.asarray(ages, dtype=np.float64)[order],
            blocked=np.asarray([article in blocked for article in article_ids], dtype=bool),
        )

    def find(self, document_ids: Ids) -> Ids:
        """Places of these documents on the page. Raises CorruptError where one is not a member."""
        places = np.searchsorted(self.document_ids, document_ids)
        if len(places) and (
            places.max() >= len(self.document_ids) or (self.document_ids[places] != document_ids).any()
        ):
            raise CorruptError("a frozen pair names a document that is not among the run's members")
        return np.asarray(places)


@dataclass(frozen=True)
class Ranked:
    """One topic's rows in order: the model's block, then the light one."""

    places: Ids  # on the page
    logit: Floats  # NaN: not scored
    rank_score: Floats  # NaN: not scored
    light: Floats
    truncated: npt.NDArray[np.bool_]
    by_model: int  # rows of the first block


def rank_topic(
    *,
    topic: Topic,
    page: Page,
    document_ids: Ids,
    logit: Floats,
    light: Floats,
    truncated: npt.NDArray[np.bool_],
    unscored_ids: Ids,
    unscored_light: Floats,
) -> Ranked:
    """Rank one topic; arrays of scored documents are aligned, as are those of unscored ones.

    Raises CorruptError where a logit is NaN or infinite.
    """
    if not np.isfinite(logit).all():
        raise CorruptError(
            f"topic {topic.slug!r}: a logit is NaN or infinite; the ledger was written by other hands"
        )
    places = page.find(document_ids)
    rank_score = logit - math.log(2) * page.age_hours[places] / topic.half_life_hours
    keep = ~page.blocked[places]
    if topic.min_score is not None:
        keep &= logit >= topic.min_score
    first = _order(rank_score, page.article_ids[places], keep)[: topic.top_k]
    later = page.find(unscored_ids)
    second = _order(unscored_light, page.article_ids[later], ~page.blocked[later])[: topic.top_k]
    nothing = np.full(len(second), np.nan)
    return Ranked(
        places=np.concatenate([places[first], later[second]]),
        logit=np.concatenate([logit[first], nothing]),
        rank_score=np.concatenate([rank_score[first], nothing]),
        light=np.concatenate([light[first], unscored_light[second]]),
        truncated=np.concatenate([truncated[first], np.zeros(len(second), dtype=bool)]),
        by_model=len(first),
    )


def _order(
    score: Floats, article_ids: Sequence[str] | npt.NDArray[np.object_], keep: npt.NDArray[np.bool_]
) -> Ids:
    """Positions where `keep` holds, by falling score, then article_id."""
    positions = np.flatnonzero(keep)
    tie = np.argsort(np.argsort(np.asarray(article_ids, dtype=str)[positions], kind="stable"), kind="stable")
    return np.asarray(positions[np.lexsort((tie, -score[positions]))])
