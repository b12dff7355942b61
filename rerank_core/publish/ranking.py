"""The order of a topic, stated once. Pure functions over one topic's documents.

    hide → min_score (on the undecayed logit) → decay → one row for each cluster → top_k

    rank_score = logit − ln 2 × age / half_life,  age = as_of − began_at

The odds of relevance halve with each half-life. `began_at` is min(published_at, first_ingested_at) of the cluster's first
article: a reprint makes no story young, and a date that the claim ignored does not count. Ties go by article_id. Unscored documents follow as a second block in
the light order, never interleaved.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rerank_core.errors import CorruptError
from rerank_core.records import Topic
from rerank_core.storage import schemas
from rerank_core.storage.artifacts import Ids, clusters_of

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Clusters:
    """The clusters of the freshness window, as arrays side by side, in the order of `document_ids`."""

    document_ids: Ids  # the texts that are scored, ascending
    positions: (
        Ids  # in the members table, of the article that is shown for each: the first that is not hidden
    )
    article_ids: npt.NDArray[np.object_]  # of these articles
    age_hours: Floats  # at the run's as-of time, never negative
    hidden: npt.NDArray[np.bool_]  # all articles of the cluster are hidden
    copies: Ids  # articles of the cluster that are not hidden
    starts: Ids  # in the members table, of each cluster's first article
    sizes: Ids  # articles of the cluster
    shown: npt.NDArray[np.bool_]  # of each member: it is not hidden

    @classmethod
    def of(cls, members: pa.Table, *, as_of: datetime, hidden: set[str]) -> "Clusters":
        """The clusters of these members (schemas.MEMBERS), without these articles."""
        starts, sizes = clusters_of(members)
        article_ids = members.column("article_id")
        shown = np.ones(len(members), dtype=bool)
        if hidden:
            is_hidden = pc.is_in(article_ids, pa.array(sorted(hidden), pa.string()))
            shown = ~is_hidden.to_numpy(zero_copy_only=False)
        places = np.where(shown, np.arange(len(members), dtype=np.int64), len(members))
        first = np.minimum.reduceat(places, starts) if len(starts) else starts
        all_hidden = first == len(members)
        # Next to it is another cluster: if all articles are hidden, the first one is as good as any.
        first = np.where(all_hidden, starts, first)
        document_ids = members.column("scored_document_id").to_numpy()[starts]
        began = pc.cast(members.column("began_at"), pa.int64()).to_numpy()[starts]
        until = pa.scalar(as_of, schemas.TIME).value
        order = np.argsort(document_ids)
        positions = first[order]
        return cls(
            document_ids=document_ids[order],
            positions=positions,
            article_ids=np.asarray(article_ids.take(pa.array(positions)).to_pylist(), dtype=object),
            age_hours=np.maximum(0.0, (until - began[order]) / 3.6e9),
            hidden=all_hidden[order],
            copies=np.add.reduceat(shown.astype(np.int64), starts)[order] if len(starts) else starts,
            starts=starts[order],
            sizes=sizes[order],
            shown=shown,
        )

    def copies_of(self, place: int) -> Ids:
        """Positions in the members table of a cluster's articles that are not hidden, the one that is shown first."""
        here = np.arange(self.starts[place], self.starts[place] + self.sizes[place])
        return np.asarray(here[self.shown[here]])

    def find(self, document_ids: Ids) -> Ids:
        """Places of these documents among the clusters. Raises CorruptError if one is not a member."""
        places = np.searchsorted(self.document_ids, document_ids)
        if len(places) and (
            places.max() >= len(self.document_ids) or (self.document_ids[places] != document_ids).any()
        ):
            raise CorruptError(
                "a frozen pair names a document that is not among the run's members; start a new run and report it"
            )
        return np.asarray(places)


@dataclass(frozen=True)
class Ranked:
    """One topic's rows in order: the model's block, then the light one."""

    places: Ids  # among the clusters
    logit: Floats  # NaN: not scored
    rank_score: Floats  # NaN: not scored
    light: Floats
    truncated: npt.NDArray[np.bool_]
    by_model: int  # rows of the first block


def rank_topic(
    *,
    topic: Topic,
    clusters: Clusters,
    document_ids: Ids,
    logit: Floats,
    light: Floats,
    truncated: npt.NDArray[np.bool_],
    unscored_ids: Ids,
    unscored_light: Floats,
) -> Ranked:
    """Rank one topic.

    `document_ids`, `logit`, `light` and `truncated` are aligned; so are `unscored_ids` and `unscored_light`. Raises
    CorruptError if a logit is NaN or infinite, or a document is not in the window.
    """
    if not np.isfinite(logit).all():
        raise CorruptError(
            f"topic {topic.slug!r}: a logit is NaN or infinite; see who else writes to rerank.pair_score, and rerank the run"
        )
    places = clusters.find(document_ids)
    rank_score = logit - math.log(2) * clusters.age_hours[places] / topic.half_life_hours
    keep = ~clusters.hidden[places]
    if topic.min_score is not None:
        keep &= logit >= topic.min_score
    first = _order(rank_score, clusters.article_ids[places], keep)[: topic.top_k]
    later = clusters.find(unscored_ids)
    second = _order(unscored_light, clusters.article_ids[later], ~clusters.hidden[later])[: topic.top_k]
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
