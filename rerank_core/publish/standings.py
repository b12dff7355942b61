"""How each topic stands: its rows and counts, from the frozen pairs and what the ledger holds of them.

A topic never mixes scorers: the scorer before ranks it until the fill under the new scorer is complete.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, RowMapping

from rerank_core.errors import NoLightOrder
from rerank_core.publish.editorial import Composer
from rerank_core.publish.ranking import Clusters, Order, Ranked, order_topic
from rerank_core.records import Act, RankedTopic, Run, Topic, TopicState
from rerank_core.storage import artifacts, ledger, schemas, topics
from rerank_core.storage import database as db
from rerank_core.storage.artifacts import Ids
from rerank_core.storage.store import Store


@dataclass(frozen=True)
class Standings:
    """The page that a run makes."""

    rows: pa.Table  # schemas.RANKING, in (topic, rank) order
    frozen: tuple["FrozenTopic", ...]
    topics: dict[str, RankedTopic]  # by slug
    lost: int  # pairs that had a score when the run was frozen and have none now
    forgotten: int  # pairs of forgotten articles: they count for nothing
    documents: int  # texts of the window that are scored, one for each cluster
    followed: frozenset[int]  # acts that have moved a row, or would have if it were elsewhere


@dataclass(frozen=True)
class FrozenTopic:
    """One topic as the run has frozen it."""

    topic: Topic
    selected: bool
    filling: bool
    previous_scorer_id: int | None
    left_out: int


class _ScoredPairs:
    """The frozen pairs with what the ledger holds of them, as arrays side by side."""

    def __init__(self, connection: Connection, run: Run, pairs: pa.Table) -> None:
        self.query_id = pairs.column("query_id").to_numpy()
        self.document_id = pairs.column("document_id").to_numpy()
        self.scorer_id = pairs.column("scorer_id").to_numpy()
        self.work = pairs.column("work").to_numpy(zero_copy_only=False)
        self.known = pairs.column("known").to_numpy(zero_copy_only=False)
        by_meaning = pc.match_substring(pairs.column("recalled_by"), "dense")
        self.by_meaning = pc.fill_null(by_meaning, False).to_numpy()
        self.light = pairs.column("light_score").to_numpy().astype(np.float64)
        self.logit = np.full(len(pairs), np.nan)  # NaN: no score
        self.truncated = np.zeros(len(pairs), dtype=bool)
        self.refused = ledger.refused(connection, run.scorer_id, self.query_id, self.document_id)
        self.query_refused = ledger.query_refused(connection, run, pairs)
        for scorer_id in pc.unique(pairs.column("scorer_id")).drop_null().to_pylist():
            scores = ledger.lookup_pairs(connection, scorer_id, pairs)
            places = scores.positions(self.query_id, self.document_id)
            here = (self.scorer_id == scorer_id) & (places >= 0)
            self.logit[here] = scores.logit[places[here]]
            self.truncated[here] = scores.truncated[places[here]]
        ends = pc.run_end_encode(pairs.column("topic").combine_chunks())
        stops = ends.run_ends.to_pylist()
        # The pairs of a topic: those that the run wanted, then the others.
        self._spans: dict[str, list[slice]] = {}
        for slug, start, stop in zip(ends.values.to_pylist(), [0, *stops], stops, strict=False):
            self._spans.setdefault(slug, []).append(slice(start, stop))

    def of_topic(self, slug: str) -> "_ScoredPairs":
        """The pairs of one topic."""
        spans = self._spans.get(slug, [slice(0)])
        part = copy(self)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                setattr(part, name, np.concatenate([value[span] for span in spans]))
        return part


def rank_page(
    connection: Connection,
    *,
    store: Store,
    run: Run,
    members: pa.Table,
    hidden: Mapping[str, str],
    acts: Sequence[Act] = (),
) -> Standings:
    """Rank every topic of a frozen run with its members; `hidden` (article → reason) are left out, and editors' acts are followed.

    Pairs of forgotten articles count for nothing: their texts and their scores are gone. Raises CorruptError if an
    artifact is gone or a score is no number, NoLightOrder if pairs are missing that no light order was made for.
    """
    frozen_pairs = artifacts.read_pairs(store, run)
    pairs = _without_forgotten(connection, frozen_pairs, members, hidden)
    light = artifacts.read_light(store, run)
    label = artifacts.label_of(light)
    topic_rows = db.rows(connection, "standings.topics", run_id=run.run_id)
    frozen_topics = tuple(_to_frozen_topic(row) for row in topic_rows)
    clusters = Clusters.of(members, as_of=run.window.until, hidden=set(hidden))
    composer = Composer(connection, members, clusters, acts)
    scored_pairs = _ScoredPairs(connection, run, pairs)
    ordered = [_order(frozen, run, clusters, scored_pairs, light, label) for frozen in frozen_topics]
    composed = composer.compose([order for order, _ in ordered])
    ranked = {
        topic.slug: (rows, _counted(topic, rows)) for rows, (_, topic) in zip(composed, ordered, strict=True)
    }
    return Standings(
        rows=_rows(connection, members, clusters, ranked, label),
        frozen=frozen_topics,
        topics={slug: ranked_topic for slug, (_, ranked_topic) in ranked.items()},
        lost=int((scored_pairs.known & np.isnan(scored_pairs.logit)).sum()),
        forgotten=frozen_pairs.num_rows - pairs.num_rows,
        documents=len(clusters.document_ids),
        followed=frozenset(
            placed.act.act_id for rows, _ in ranked.values() for placed in rows.acts if rows.has(placed)
        ),
    )


def _without_forgotten(
    connection: Connection, pairs: pa.Table, members: pa.Table, hidden: Mapping[str, str]
) -> pa.Table:
    """The pairs whose text is still there: a text goes with the last article that has it."""
    forgotten = pa.array([article for article, why in hidden.items() if why == "forgotten"], pa.string())
    if not len(forgotten):
        return pairs
    theirs = members.filter(pc.is_in(members.column("article_id"), forgotten)).column("scored_document_id")
    their_ids = sorted(set(theirs.to_pylist()))
    stored = {row["document_id"] for row in db.rows(connection, "ledger.documents", document_ids=their_ids)}
    gone = pa.array([document_id for document_id in their_ids if document_id not in stored], pa.int64())
    return pairs.filter(pc.invert(pc.is_in(pairs.column("document_id"), gone)))


def _to_frozen_topic(row: RowMapping) -> FrozenTopic:
    return FrozenTopic(
        topic=topics.to_record(row),
        selected=row["selected"],
        filling=row["filling"],
        previous_scorer_id=row["previous_scorer_id"],
        left_out=row["left_out"],
    )


def _order(
    frozen: FrozenTopic, run: Run, clusters: Clusters, pairs: _ScoredPairs, light: pa.Table, light_label: str
) -> tuple[Order, RankedTopic]:
    """One topic's order, and how the topic stands; its rows are not counted yet."""
    topic = frozen.topic
    own = pairs.of_topic(topic.slug)
    has_score = ~np.isnan(own.logit)
    refused = own.work & ~has_score & own.refused
    missing = own.work & ~has_score & ~own.refused
    unscored = missing | own.query_refused  # what has no place by the model
    scorer_id = _ranking_scorer(frozen, run, own, has_score, is_missing=bool(unscored.any()))
    rankable = has_score & (own.scorer_id == scorer_id)
    unscored_ids = own.document_id[:0]
    if unscored.any():
        unscored_ids = np.setdiff1d(own.document_id[unscored], own.document_id[rankable])
    unscored_light = _light_scores(topic.slug, unscored_ids, light)
    if light_label == "bm25":
        # Nothing speaks for a text that shares no word with the query and was not found by its meaning.
        promising = (unscored_light > 0) | np.isin(unscored_ids, own.document_id[own.by_meaning])
        unscored_ids, unscored_light = unscored_ids[promising], unscored_light[promising]
    order = order_topic(
        topic=topic,
        clusters=clusters,
        document_ids=own.document_id[rankable],
        logit=own.logit[rankable],
        light=own.light[rankable],
        truncated=own.truncated[rankable],
        unscored_ids=unscored_ids,
        unscored_light=unscored_light,
    )
    state: TopicState = "full"
    if unscored.any():
        state = "degraded"
    elif not frozen.selected:
        state = "stale"
    elif frozen.left_out or run.early or scorer_id != run.scorer_id:
        state = "partial"
    return order, RankedTopic(
        slug=topic.slug,
        topic_version_id=topic.topic_version_id,
        scorer_id=scorer_id if rankable.any() else None,
        state=state,
        candidates=int(own.work.sum()) + frozen.left_out,
        from_ledger=int((own.work & own.known & has_score).sum()),
        scored=int((own.work & ~own.known & has_score).sum()),
        refused=int(refused.sum()),
        missing=int(missing.sum()),
        left_out=frozen.left_out,
        ranked=0,
    )


def _counted(topic: RankedTopic, rows: Ranked) -> RankedTopic:
    """The topic with the counts of its rows; a topic without a row abstains, if nothing else is said of it."""
    state = "abstained" if topic.state == "full" and not len(rows.places) else topic.state
    return replace(topic, state=state, ranked=len(rows.places), source_limited=len(rows.composed.left_out))


def _ranking_scorer(
    frozen: FrozenTopic,
    run: Run,
    pairs: _ScoredPairs,
    has_score: npt.NDArray[np.bool_],
    *,
    is_missing: bool,
) -> int | None:
    """The scorer that ranks the topic.

    The scorer before ranks it until the fill under the run's scorer is complete, or until what it has scored grows so
    old that the run's scorer fills the page better.
    """
    previous = frozen.previous_scorer_id
    is_complete = frozen.selected and not is_missing and not frozen.left_out
    by_new, by_previous = (
        int((has_score & (pairs.scorer_id == scorer_id)).sum()) for scorer_id in (run.scorer_id, previous)
    )
    is_overtaken = is_complete or by_previous < min(frozen.topic.top_k, by_new)
    return run.scorer_id if previous is None or is_overtaken else previous


def _light_scores(slug: str, document_ids: Ids, light: pa.Table) -> npt.NDArray[np.float64]:
    if not len(document_ids):
        return np.zeros(0)
    own = light.filter(pc.equal(light.column("topic"), slug))
    scores = dict(
        zip(own.column("document_id").to_pylist(), own.column("light_score").to_pylist(), strict=True)
    )
    without = [document_id for document_id in document_ids.tolist() if document_id not in scores]
    if without:
        raise NoLightOrder(
            f"topic {slug!r}: {len(without)} documents have neither a score nor a light order; run the degrade stage"
        )
    return np.asarray([scores[document_id] for document_id in document_ids.tolist()], dtype=np.float64)


def _rows(
    connection: Connection,
    members: pa.Table,
    clusters: Clusters,
    ranked: Mapping[str, tuple[Ranked, RankedTopic]],
    light_label: str,
) -> pa.Table:
    """All rows of the page (schemas.RANKING), in (topic, rank) order; unscored rows get the light order's label."""
    slugs = sorted(ranked)
    page = [ranked[slug][0] for slug in slugs]
    topics = [ranked[slug][1] for slug in slugs]
    counts = np.asarray([len(rows.places) for rows in page], dtype=np.int64)

    def joined(name: str, kind: type) -> Any:
        return np.concatenate([np.zeros(0, dtype=kind), *(getattr(rows, name) for rows in page)])

    def of_topics(values: Iterable[Any], kind: pa.DataType) -> pa.Array:
        return pa.array(list(values), kind).take(pa.array(np.repeat(np.arange(len(counts)), counts)))

    positions, by_model, brought = (
        joined("positions", np.int64),
        joined("by_model", np.bool_),
        joined("brought", np.bool_),
    )
    # An article may be on the page of many topics.
    distinct, number = np.unique(positions, return_inverse=True)
    shown = _display(connection, members, distinct)
    copies = _copies(members, clusters, distinct)
    here = members.take(pa.array(positions))
    nothing = pa.scalar(None, pa.int32())
    ranked_by = np.where(brought, "editor", np.where(by_model, "model", light_label))

    def of_article(values: Iterable[Any], kind: pa.DataType) -> pa.Array:
        return pa.array(list(values), kind).take(pa.array(number))

    texts, scorer_ids = pa.list_(pa.string()), of_topics((topic.scorer_id for topic in topics), pa.int32())
    columns = {
        "topic": of_topics(slugs, pa.string()),
        "rank": pa.array([rank for count in counts.tolist() for rank in range(1, count + 1)], pa.int32()),
        "title": of_article((row["title"] for row in shown), pa.string()),
        "url": of_article((row["url"] for row in shown), pa.string()),
        "source": of_article((row["source"] for row in shown), pa.string()),
        "ranked_by": pa.array(ranked_by.tolist(), pa.string()),
        "logit": pa.array(joined("logit", np.float64).astype(np.float32), mask=~by_model),
        "rank_score": pa.array(joined("rank_score", np.float64), mask=~by_model),
        "light_score": pa.array(joined("light", np.float64).astype(np.float32), mask=brought),
        "truncated": pa.array(joined("truncated", np.bool_)),
        "copies": pa.array(clusters.copies[joined("places", np.int64)], pa.int32()),
        "copy_sources": of_article((row.sources for row in copies), texts),
        "scored_article_id": of_article((row.scored_article_id for row in copies), pa.string()),
        "topic_version_id": of_topics((topic.topic_version_id for topic in topics), pa.int64()),
        "scorer_id": pc.if_else(pa.array(by_model), scorer_ids, nothing),
        "moved_by": pa.array([by for rows in page for by in rows.composed.moved_by], pa.string()),
        "moved": pa.array([by for rows in page for by in rows.composed.moved], pa.int32()),
        "pictures": of_article((row["pictures"] for row in shown), texts),
        "captions": of_article((row["captions"] for row in shown), texts),
    }
    table = {name: columns[name] if name in columns else here.column(name) for name in schemas.RANKING.names}
    return pa.table(table).cast(schemas.RANKING)


@dataclass(frozen=True)
class _Copies:
    """What a row says of its cluster."""

    sources: list[str]  # of the cluster's articles that are not hidden, each once, that of the row first
    scored_article_id: str | None  # the article whose text was scored; None: that article is hidden


def _copies(members: pa.Table, clusters: Clusters, positions: Ids) -> list[_Copies]:
    """What a row that shows each of these members says of its cluster."""
    names = ("article_id", "source", "document_id", "scored_document_id", "scored_article_id")
    places = clusters.find(members.column("scored_document_id").to_numpy()[positions]).tolist()
    alone = (clusters.sizes[places] == 1).tolist()
    shown = [
        [position]
        if is_alone
        else [position, *(at for at in clusters.copies_of(place).tolist() if at != position)]
        for position, place, is_alone in zip(positions.tolist(), places, alone, strict=True)
    ]
    needed = members.select(names).take(pa.array(list(chain.from_iterable(shown)), pa.int64()))
    article_id, source, document_id, scored_document_id, scored_article_id = (
        needed.column(name).to_pylist() for name in names
    )
    copies, end = [], 0
    for group in shown:
        start, end = end, end + len(group)
        text_id, scored_article = scored_document_id[start], scored_article_id[start]
        with_text = [article_id[at] for at in range(start, end) if document_id[at] == text_id]
        if with_text and scored_article not in with_text:
            scored_article = with_text[0]  # the scored article is hidden, or has another text by now
        sources = [name for name in dict.fromkeys(source[start:end]) if name is not None]
        copies.append(_Copies(sources, scored_article))
    return copies


def _display(connection: Connection, members: pa.Table, positions: Ids) -> list[RowMapping]:
    """What frontends show of the revision of each of these members."""
    revision_ids = members.column("revision_id").take(pa.array(positions)).to_pylist()
    rows = db.rows(connection, "standings.display", revision_ids=revision_ids)
    found = {row["revision_id"]: row for row in rows}
    return [found[revision_id] for revision_id in revision_ids]
