"""How each topic stands: its rows and counts, from the frozen pairs and what the ledger holds of them.

A topic never mixes scorers: the one before ranks it until the fill under the new one is complete.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, RowMapping

from rerank_core.errors import NoLightOrder
from rerank_core.publish.ranking import Page, Ranked, rank_topic
from rerank_core.records import RankedTopic, Run, Topic, TopicState
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
    forgotten: int  # pairs of articles that were forgotten, which count for nothing
    documents: int  # of the window: texts that are scored, one a cluster


@dataclass(frozen=True)
class FrozenTopic:
    """One topic as the run has frozen it."""

    topic: Topic
    selected: bool
    filling: bool
    previous_scorer_id: int | None
    left_out: int


class _ScoredPairs:
    """The frozen pairs with what the ledger holds of them, as arrays side by side; one topic's stand together."""

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
        for scorer_id in np.unique(self.scorer_id).tolist():
            found = ledger.lookup_pairs(connection, scorer_id, pairs)
            places = found.positions(self.query_id, self.document_id)
            here = (self.scorer_id == scorer_id) & (places >= 0)
            self.logit[here] = found.logit[places[here]]
            self.truncated[here] = found.truncated[places[here]]
        ends = pc.run_end_encode(pairs.column("topic").combine_chunks())
        stops = ends.run_ends.to_pylist()
        self._spans = dict(zip(ends.values.to_pylist(), zip([0, *stops], stops, strict=False), strict=True))

    def of_topic(self, slug: str) -> "_ScoredPairs":
        """The pairs of one topic."""
        start, stop = self._spans.get(slug, (0, 0))
        part = copy(self)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                setattr(part, name, value[start:stop])
        return part


def stand(connection: Connection, *, store: Store, run: Run, hidden: Mapping[str, str]) -> Standings:
    """Rank every topic of a frozen run; `hidden` articles, each with the reason, are left out.

    Pairs of forgotten articles count for nothing: neither their texts nor their scores are there any more.

    Raises CorruptError where an artifact is gone or a score is no number, NoLightOrder where pairs are missing
    that no light order was made for.
    """
    members = artifacts.read_members(store, run)
    frozen_pairs = artifacts.read_pairs(store, run)
    pairs = _without_forgotten(connection, frozen_pairs, members, hidden)
    light = artifacts.read_light(store, run)
    wanted = tuple(_frozen(row) for row in db.rows(connection, "standings.topics", run_id=run.run_id))
    page = Page.of(members, as_of=run.window.until, blocked=set(hidden))
    scored = _ScoredPairs(connection, run, pairs)
    label = artifacts.label_of(light)
    ranked = {one.topic.slug: _rank(one, run, page, scored, light, label) for one in wanted}
    return Standings(
        rows=_rows(connection, members, page, ranked, label),
        frozen=wanted,
        topics={slug: standing for slug, (_, standing) in ranked.items()},
        lost=int((scored.known & np.isnan(scored.logit)).sum()),
        forgotten=frozen_pairs.num_rows - pairs.num_rows,
        documents=len(page.document_ids),
    )


def _without_forgotten(
    connection: Connection, pairs: pa.Table, members: pa.Table, hidden: Mapping[str, str]
) -> pa.Table:
    """The pairs but for those whose text went with its last article; that of a copy is there still."""
    forgotten = pa.array([article for article, why in hidden.items() if why == "forgotten"], pa.string())
    if not len(forgotten):
        return pairs
    theirs = members.filter(pc.is_in(members.column("article_id"), forgotten)).column("scored_document_id")
    asked = sorted(set(theirs.to_pylist()))
    there = {row["document_id"] for row in db.rows(connection, "ledger.documents", document_ids=asked)}
    gone = pa.array([document_id for document_id in asked if document_id not in there], pa.int64())
    return pairs.filter(pc.invert(pc.is_in(pairs.column("document_id"), gone)))


def _frozen(row: RowMapping) -> FrozenTopic:
    return FrozenTopic(
        topic=topics.to_record(row),
        selected=row["selected"],
        filling=row["filling"],
        previous_scorer_id=row["previous_scorer_id"],
        left_out=row["left_out"],
    )


def _rank(
    one: FrozenTopic, run: Run, page: Page, pairs: _ScoredPairs, light: pa.Table, light_label: str
) -> tuple[Ranked, RankedTopic]:
    """One topic's rows, and how it stands."""
    slug = one.topic.slug
    mine = pairs.of_topic(slug)
    has_score = ~np.isnan(mine.logit)
    refused = mine.work & ~has_score & mine.refused
    missing = mine.work & ~has_score & ~mine.refused
    complete = one.selected and not missing.any() and not one.left_out
    # A topic never mixes scorers: the one before ranks it until the fill under the new one is complete, or
    # until what it has scored grows so old that the new one fills the page better.
    by_new, by_previous = (
        int((has_score & (mine.scorer_id == scorer)).sum())
        for scorer in (run.scorer_id, one.previous_scorer_id)
    )
    switch = complete or by_previous < min(one.topic.top_k, by_new)
    scorer_id = run.scorer_id if one.previous_scorer_id is None or switch else one.previous_scorer_id
    rankable = has_score & (mine.scorer_id == scorer_id)
    unscored_ids = np.setdiff1d(mine.document_id[missing], mine.document_id[rankable])
    unscored_light = _light_scores(slug, unscored_ids, light)
    if light_label == "bm25":
        # Nothing speaks for a text that shares no word with the query and was not found by its meaning.
        promising = (unscored_light > 0) | np.isin(unscored_ids, mine.document_id[mine.by_meaning])
        unscored_ids, unscored_light = unscored_ids[promising], unscored_light[promising]
    rows = rank_topic(
        topic=one.topic,
        page=page,
        document_ids=mine.document_id[rankable],
        logit=mine.logit[rankable],
        light=mine.light[rankable],
        truncated=mine.truncated[rankable],
        unscored_ids=unscored_ids,
        unscored_light=unscored_light,
    )
    state: TopicState = "full"
    if missing.any():
        state = "degraded"
    elif not one.selected:
        state = "stale"
    elif one.left_out or scorer_id != run.scorer_id:
        state = "partial"
    elif not len(rows.places):
        state = "abstained"
    return rows, RankedTopic(
        slug=slug,
        topic_version_id=one.topic.topic_version_id,
        scorer_id=scorer_id if rankable.any() else None,
        state=state,
        candidates=int(mine.work.sum()) + one.left_out,
        from_ledger=int((mine.work & mine.known & has_score).sum()),
        scored=int((mine.work & ~mine.known & has_score).sum()),
        refused=int(refused.sum()),
        missing=int(missing.sum()),
        left_out=one.left_out,
        ranked=len(rows.places),
    )


def _light_scores(slug: str, document_ids: Ids, light: pa.Table) -> npt.NDArray[np.float64]:
    if not len(document_ids):
        return np.zeros(0)
    mine = light.filter(pc.equal(light.column("topic"), slug))
    scores = dict(
        zip(mine.column("document_id").to_pylist(), mine.column("light_score").to_pylist(), strict=True)
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
    page: Page,
    ranked: Mapping[str, tuple[Ranked, RankedTopic]],
    light_label: str,
) -> pa.Table:
    """All rows of the page (schemas.RANKING), in (topic, rank) order; those without a score get the light order's label."""
    tables = [schemas.RANKING.empty_table()]
    all_places = np.unique(
        np.concatenate([np.zeros(0, dtype=np.int64), *(rows.places for rows, _ in ranked.values())])
    )
    display = _display(connection, members, page, all_places)
    copies = _copies(members, page, all_places)
    for slug, (rows, standing) in sorted(ranked.items()):
        count = len(rows.places)
        here = members.take(pa.array(page.positions[rows.places]))
        shown = [display[revision_id] for revision_id in here.column("revision_id").to_pylist()]
        told = [copies[place] for place in rows.places.tolist()]
        by_model = np.arange(count) < rows.by_model
        columns = {
            "topic": pa.array([slug] * count, pa.string()),
            "rank": pa.array(np.arange(1, count + 1), pa.int32()),
            "title": pa.array([row["title"] for row in shown], pa.string()),
            "url": pa.array([row["url"] for row in shown], pa.string()),
            "source": pa.array([row["source"] for row in shown], pa.string()),
            "ranked_by": pa.array(np.where(by_model, "model", light_label).tolist(), pa.string()),
            "logit": pa.array(rows.logit.astype(np.float32), mask=~by_model),
            "rank_score": pa.array(rows.rank_score, mask=~by_model),
            "light_score": pa.array(rows.light.astype(np.float32)),
            "truncated": pa.array(rows.truncated),
            "copies": pa.array(page.copies[rows.places], pa.int32()),
            "copy_sources": pa.array([one.sources for one in told], pa.list_(pa.string())),
            "scored_article_id": pa.array([one.scored_article_id for one in told], pa.string()),
            "topic_version_id": pa.array([standing.topic_version_id] * count, pa.int64()),
            "scorer_id": pa.array([standing.scorer_id] * count, pa.int32(), mask=~by_model),
        }
        tables.append(
            pa.table(
                {
                    name: columns[name] if name in columns else here.column(name)
                    for name in schemas.RANKING.names
                }
            )
        )
    return pa.concat_tables(tables)


@dataclass(frozen=True)
class _Copies:
    """What a row tells of its cluster."""

    sources: list[str]  # of its articles that may be shown, each once, that of the row first
    scored_article_id: str | None  # the article whose text was scored; None: it may not be named


def _copies(members: pa.Table, page: Page, places: Ids) -> dict[int, _Copies]:
    """What the rows at these places tell of their clusters."""
    found = {}
    names = ("article_id", "source", "document_id", "scored_document_id", "scored_article_id")
    article, source, own, scored, first = (members.column(name) for name in names)
    for place in places.tolist():
        here = page.copies_of(place).tolist()
        sources = dict.fromkeys(source[position].as_py() for position in here)
        text = scored[here[0]].as_py()
        same = [article[position].as_py() for position in here if own[position].as_py() == text]
        named = first[here[0]].as_py()
        if same and named not in same:
            named = same[0]  # that one is blocked, or has another text by now
        found[place] = _Copies([name for name in sources if name is not None], named)
    return found


def _display(connection: Connection, members: pa.Table, page: Page, places: Ids) -> dict[int, RowMapping]:
    """What frontends show of each ranked revision."""
    revision_ids = members.column("revision_id").take(pa.array(page.positions[places])).to_pylist()
    return {
        row["revision_id"]: row for row in db.rows(connection, "standings.display", revision_ids=revision_ids)
    }
