"""The order of a topic, stated once. Pure functions over one topic's documents.

    hide → min_score (on the undecayed logit) → decay → one row for each cluster
         → boost and demote → diversity → at most N rows a source → pin → top_k

The second line is `composition.py`; its steps are off unless the topic or an editor asks for them.

    rank_score = logit − ln 2 × age / half_life,  age = as_of − began_at

The odds of relevance halve with each half-life. `began_at` is min(published_at, first_ingested_at) of the cluster's first
article: a reprint makes no story young, and a date that the claim ignored does not count. Ties go by article_id. Unscored documents follow as a second block in
the light order, never interleaved; a pinned row alone may stand in either block.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rerank_core.errors import CorruptError
from rerank_core.publish.composition import POOL, Composed, Likeness, Wishes, compose
from rerank_core.records import Act, Topic
from rerank_core.storage import schemas
from rerank_core.storage.artifacts import Ids, clusters_of

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Placed:
    """An act on an article of the window."""

    act: Act
    place: int  # of the article's cluster
    position: int  # of the article in the members table
    source: str | None  # of the article
    source_number: int = -1  # of the article; −1: it has no source, or none was asked for


@dataclass(frozen=True)
class Clusters:
    """The clusters of the freshness window, as arrays side by side, in the order of `document_ids`."""

    document_ids: Ids  # the texts that are scored, ascending
    positions: (
        Ids  # in the members table, of the article that is shown for each: the first that is not hidden
    )
    names: pa.Array  # article ids of these articles
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
            names=article_ids.take(pa.array(positions)).combine_chunks(),
            age_hours=np.maximum(0.0, (until - began[order]) / 3.6e9),
            hidden=all_hidden[order],
            copies=np.add.reduceat(shown.astype(np.int64), starts)[order] if len(starts) else starts,
            starts=starts[order],
            sizes=sizes[order],
            shown=shown,
        )

    @cached_property
    def article_ids(self) -> npt.NDArray[np.object_]:
        """`names` as an array."""
        return np.asarray(self.names.to_pylist(), dtype=object)

    def by_name(self, places: Ids) -> Ids:
        """The place of each of these clusters' articles among them by article id, which decides ties."""
        ranks = pc.rank(self.names.take(pa.array(places)), tiebreaker="first")
        return np.asarray(ranks.to_numpy(), dtype=np.int64)

    def copies_of(self, place: int) -> Ids:
        """Positions in the members table of a cluster's articles that are not hidden, the one that is shown first."""
        here = np.arange(self.starts[place], self.starts[place] + self.sizes[place])
        return np.asarray(here[self.shown[here]])

    def locate(self, members: pa.Table, acts: Sequence[Act]) -> list[Placed]:
        """The acts whose articles are in the window and not hidden, with their places."""
        wanted = pa.array(sorted({act.article_id for act in acts}), pa.string())
        found = np.flatnonzero(pc.is_in(members.column("article_id"), wanted).to_numpy(zero_copy_only=False))
        here = (
            members.take(pa.array(found)).select(["article_id", "scored_document_id", "source"]).to_pylist()
        )
        at = {row["article_id"]: (int(found[number]), row) for number, row in enumerate(here)}
        return [
            Placed(act, int(self.find(np.asarray([row["scored_document_id"]]))[0]), position, row["source"])
            for act in acts
            if act.article_id in at
            for position, row in [at[act.article_id]]
            if self.shown[position]
        ]

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
class Materials:
    """What composition looks at besides scores."""

    acts: Sequence[Placed] = ()  # on this topic
    sources: Ids | None = None  # the number of each cluster's source; None: no limit asks for it
    likeness: Likeness | None = None  # of the documents in the pool of the topic; None: diversity is off


@dataclass(frozen=True)
class Ranked:
    """One topic's rows in order: the model's block, then the light one, with pinned rows at their places."""

    places: Ids  # among the clusters
    positions: Ids  # in the members table, of the article that is shown
    logit: Floats  # NaN: not scored
    rank_score: Floats  # NaN: not scored
    light: Floats  # NaN: an editor brought the row, and nothing ranks it
    truncated: npt.NDArray[np.bool_]
    composed: Composed
    order: Ids  # clusters by row of the order that `composed` counts in
    acts: Sequence[Placed]  # that were followed

    def has(self, placed: Placed) -> bool:
        """Whether the act is on a row of the page."""
        return bool((self.places == placed.place).any())

    @property
    def by_model(self) -> npt.NDArray[np.bool_]:
        """Rows with a score of the model."""
        return ~np.isnan(self.logit)

    @property
    def brought(self) -> npt.NDArray[np.bool_]:
        """Rows that neither the model nor the light order ranks."""
        return np.asarray(np.isnan(self.logit) & np.isnan(self.light))


@dataclass(frozen=True)
class Order:
    """One topic's rows by their scores alone, before composition and top_k."""

    topic: Topic
    clusters: Clusters
    places: Ids  # among the clusters: of the model's block, then of the light one
    by_model: int  # rows of the first block
    logit: Floats  # NaN: not scored
    rank_score: Floats  # NaN: not scored
    light: Floats
    truncated: npt.NDArray[np.bool_]
    below: dict[int, tuple[float, float, float, bool]]  # cluster → logit, … of what min_score keeps out

    @property
    def blocks(self) -> list[Floats]:
        return [self.rank_score[: self.by_model], self.light[self.by_model :]]

    @cached_property
    def row_of(self) -> dict[int, int]:
        """Cluster → its row."""
        return {place: row for row, place in enumerate(self.places.tolist())}

    def pool(self, acts: Sequence[Placed]) -> Ids:
        """The rows that diversity compares; `acts` are those on the topic."""
        most = POOL * self.topic.top_k
        light = np.arange(self.by_model, len(self.places))
        moved = [self.row_of[placed.place] for placed in acts if placed.place in self.row_of]
        rows = np.concatenate(
            [np.arange(min(self.by_model, most)), light[:most], np.asarray(moved, dtype=np.int64)]
        )
        return np.unique(rows) if moved else rows


def rank_topic(*, materials: Materials | None = None, **order: Any) -> Ranked:
    """Order one topic, and compose its page: see `order_topic` and `compose_topic`."""
    return compose_topic(order_topic(**order), materials or Materials())


def order_topic(
    *,
    topic: Topic,
    clusters: Clusters,
    document_ids: Ids,
    logit: Floats,
    light: Floats,
    truncated: npt.NDArray[np.bool_],
    unscored_ids: Ids,
    unscored_light: Floats,
) -> Order:
    """Order one topic by its scores.

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
    low = np.zeros(len(places), dtype=bool)
    if topic.min_score is not None:
        low = keep & (logit < topic.min_score)
        keep &= ~low
    first = _order(rank_score, places[keep], keep, clusters)
    later = clusters.find(unscored_ids)
    is_shown = ~clusters.hidden[later]
    second = _order(unscored_light, later[is_shown], is_shown, clusters)
    nothing = np.full(len(second), np.nan)
    kept_out = zip(*(values[low].tolist() for values in (logit, rank_score, light, truncated)), strict=True)
    return Order(
        topic=topic,
        clusters=clusters,
        places=np.concatenate([places[first], later[second]]),
        by_model=len(first),
        logit=np.concatenate([logit[first], nothing]),
        rank_score=np.concatenate([rank_score[first], nothing]),
        light=np.concatenate([light[first], unscored_light[second]]),
        truncated=np.concatenate([truncated[first], np.zeros(len(second), dtype=bool)]),
        below=dict(zip(places[low].tolist(), kept_out, strict=True)),
    )


def compose_topic(order: Order, materials: Materials) -> Ranked:
    """Compose one topic's page from its order; a pinned row that the order lacks is brought in."""
    acts = _followed(order.topic, materials.acts)
    pinned = [placed.place for placed in acts if placed.act.kind == "pin"]
    brought = [place for place in pinned if place not in order.row_of]
    places = np.concatenate([order.places, np.asarray(brought, dtype=np.int64)])
    near = None
    if materials.likeness is not None:
        pool = np.concatenate([order.pool(acts), np.arange(len(order.places), len(places))])
        near = materials.likeness.among(pool, order.clusters.document_ids[places[pool]])
    composed = compose(
        order.blocks, _wishes(order, acts, brought), sources=_sources(materials, acts, places), near=near
    )
    rows = np.asarray(composed.rows, dtype=np.int64)
    # A row that is brought in keeps the score that it has, which is below min_score.
    unknown = (math.nan, math.nan, math.nan, False)
    own = [order.below.get(place, unknown) for place in brought]

    def column(values: Any, number: int) -> Any:
        return np.concatenate([values, np.asarray([each[number] for each in own], dtype=values.dtype)])[rows]

    positions = order.clusters.positions[places]
    for placed in acts:
        if placed.act.kind == "pin":
            positions[places == placed.place] = placed.position
    return Ranked(
        places=places[rows],
        positions=positions[rows],
        logit=column(order.logit, 0),
        rank_score=column(order.rank_score, 1),
        light=column(order.light, 2),
        truncated=column(order.truncated, 3),
        composed=composed,
        order=places,
        acts=acts,
    )


def _followed(topic: Topic, acts: Sequence[Placed]) -> list[Placed]:
    """The acts that count: of each cluster the pin before other acts, then the oldest; no more pins than rows."""
    first: dict[int, Placed] = {}
    for placed in sorted(acts, key=lambda placed: (placed.act.kind != "pin", placed.act.act_id)):
        first.setdefault(placed.place, placed)
    pins = sorted(
        (placed for placed in first.values() if placed.act.kind == "pin"),
        key=lambda placed: placed.act.amount,
    )
    return pins[: topic.top_k] + [placed for placed in first.values() if placed.act.kind != "pin"]


def _wishes(order: Order, acts: Sequence[Placed], brought: Sequence[int]) -> Wishes:
    topic, sign = order.topic, {"boost": 1, "demote": -1}
    row_of = dict(zip(brought, range(len(order.places), len(order.places) + len(brought)), strict=True))
    if acts:
        row_of |= {
            placed.place: order.row_of[placed.place] for placed in acts if placed.place in order.row_of
        }
    return Wishes(
        top_k=topic.top_k,
        max_per_source=topic.max_per_source,
        diversity=topic.diversity,
        pins={row_of[placed.place]: placed.act.amount for placed in acts if placed.act.kind == "pin"},
        shifts={
            row_of[placed.place]: sign[placed.act.kind] * placed.act.amount
            for placed in acts
            if placed.act.kind in sign and placed.place in row_of
        },
    )


def _sources(materials: Materials, acts: Sequence[Placed], places: Ids) -> Ids | None:
    """The number of each row's source; of a pinned row that of the pinned article."""
    if materials.sources is None:
        return None
    numbers = materials.sources[places]
    for placed in acts:
        if placed.act.kind == "pin":
            numbers[places == placed.place] = placed.source_number
    return numbers


def _order(score: Floats, kept: Ids, keep: npt.NDArray[np.bool_], clusters: Clusters) -> Ids:
    """Positions where `keep` holds, by falling score, then by article id; `kept` are the places of their clusters."""
    positions = np.flatnonzero(keep)
    falling = -score[positions]
    order = np.argsort(falling, kind="stable")
    ordered = falling[order]
    if (ordered[1:] == ordered[:-1]).any():  # names are compared for ties alone
        order = np.lexsort((clusters.by_name(kept), falling))
    return np.asarray(positions[order])
