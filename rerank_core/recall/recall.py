"""The stage recall: choose and freeze what the run's rankings are made from: members, topics, scorer and pairs.

1. Read the members of the freshness window, and index them (window.py).
2. For each topic, search the window by the strategy of the settings (strategy.py). The topic's pairs are:
   - the best `candidate_limit` of the documents that the run claimed, for each hour of ingestion that they cover
   - the best `candidate_limit` × `fill_factor` of the whole window, while the topic is not filled under the scorer
   - every document of the window that has a score already
3. Cut the pairs without a score to the budget, and deal them to shards (budget.py).
4. Write members and pairs, and freeze the run in one transaction.

The first try freezes. Every later try, and every rerun, ranks the same pairs. BM25 uses the statistics of the window's
members; its scores are kept with the pairs, for the light order.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from rerank_core.errors import InputError
from rerank_core.models import scorers
from rerank_core.recall import postings
from rerank_core.recall.base import Asked, Mask, Retriever
from rerank_core.recall.budget import Others, TopicPairs, others_of, with_shards, within_budget
from rerank_core.recall.filters import Filters
from rerank_core.recall.strategy import open_retriever
from rerank_core.recall.window import (
    Chosen,
    Lexicon,
    Window,
    ask,
    claimed_later,
    find_eligible,
    read_members,
    search,
    tally,
)
from rerank_core.records import Run, Topic
from rerank_core.settings import Settings
from rerank_core.storage import artifacts, ledger, runs, topics
from rerank_core.storage import database as db
from rerank_core.storage.artifacts import Ids, clusters_of
from rerank_core.storage.copy import copy_in
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store
from rerank_core.storage.topics import store_queries

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shard:
    """The work of one scoring task."""

    shard: int  # number, from 0
    pairs: int  # pairs without a score
    topics: int  # topics that these pairs belong to


@dataclass(frozen=True)
class Recalled:
    """What the run's rankings are made from."""

    documents: int  # texts of the freshness window that are scored, one a cluster
    claimed_documents: int  # documents that this run claimed
    topics: int
    candidates: int  # pairs that the run wants scored
    from_ledger: int  # candidates that had a score before
    left_out: int  # pairs over the run's budget; a later run takes them
    carried: int  # other pairs of the window that had a score before
    shards: tuple[Shard, ...]  # the candidates that still have no score
    articles: int = 0  # of the freshness window
    copies: int = 0  # articles that another article stands for: articles = documents + copies
    near_copies: int = 0  # articles whose own text is a near-copy of the text that is scored
    same_link: int = (
        0  # articles that a newer one of the same source with the same link stands for, in other words
    )
    # The other documents of the window, counted once for each topic:
    ineligible: int = 0  # by languages, must or must_not
    not_searched: int = 0  # an earlier run searched them for this topic
    not_recalled: int = 0  # not among the best
    not_recalled_language: int = 0  # the topic has no query in their language, and only words were searched
    claimed_later: int = 0  # articles of the window that are left out, because a later run claimed them


def recall(*, database: Database, store: Store, settings: Settings, run: Run, fence: int) -> Recalled:
    """Freeze the run, if it is not frozen yet, and say what is left to score.

    Raises FencedError if a newer try of the run has begun, InputError if the run is limited to a topic that is not
    active, ModelError if the scorer cannot be identified.
    """
    is_first = not run.frozen
    if is_first:
        counts, work, carried = _freeze(
            database=database, store=store, settings=settings, run=run, fence=fence
        )
        with database.transaction(read_only=True) as connection:
            run = runs.get(connection, run.run_id)
    else:
        counts = _count(artifacts.read_members(store, run))
        work, carried = artifacts.read_work(store, run)
    with database.transaction(read_only=True) as connection:
        missing = work.filter(pa.array(~ledger.settled(connection, run, work, rescore=run.rescore)))
        totals = db.the(connection, "recall.totals", run_id=run.run_id)
        later = claimed_later(connection, run)
    if later and is_first:
        log.warning(
            "later runs have claimed %d articles of this window, and this run leaves them out: its page is as it was at %s; another run"
            " with --as-claimed-now (in the form: As claimed now) ranks them",
            later,
            run.window.until.isoformat(),
        )
    known = int(pc.sum(work.column("known")).as_py() or 0)
    return Recalled(
        **counts,
        topics=int(totals["topics"]),
        candidates=work.num_rows,
        from_ledger=known,
        left_out=int(totals["left_out"]),
        carried=carried,
        shards=_shards(missing),
        ineligible=int(totals["ineligible"]),
        not_searched=int(totals["not_searched"]),
        not_recalled=int(totals["not_recalled"]),
        not_recalled_language=int(totals["not_recalled_language"]),
        claimed_later=later,
    )


def _count(members: pa.Table) -> dict[str, int]:
    """What `Recalled` says of the members."""
    is_near_copy = pc.and_(
        pc.not_equal(members.column("document_id"), members.column("scored_document_id")),
        pc.is_valid(members.column("similarity")),
    )
    claimed = members.column("claimed_hour").take(pa.array(clusters_of(members)[0]))
    return {
        "documents": len(claimed),
        "claimed_documents": len(claimed) - claimed.null_count,
        "articles": members.num_rows,
        "copies": members.num_rows - len(claimed),
        "near_copies": int(pc.sum(is_near_copy).as_py() or 0),
        "same_link": members.column("similarity").null_count,
    }


def _freeze(
    *, database: Database, store: Store, settings: Settings, run: Run, fence: int
) -> tuple[dict[str, int], pa.Table, int]:
    """Freeze the run: counts of its members, the pairs that it wants scored, and the number of its other pairs."""
    with database.transaction() as connection:
        active = topics.current_topics(connection, run.pipeline)
        unknown = sorted(set(run.topics or ()) - {topic.slug for topic in active})
        if unknown:
            raise InputError(
                f"run {run.run_id} is limited to topics that are not active: {', '.join(unknown)};"
                " `rerank topics list` shows the active topics"
            )
        members = read_members(connection, run, preferred_sources=settings.preferred_sources)
        scorer_id = scorers.scorer_id(connection, settings) if active and members.num_rows else None
        query_ids = store_queries(connection, active)
    members_file = store.write(
        store.members_path(pipeline=run.pipeline, run_id=run.run_id, fence=fence), members
    )
    window, counts = Window(members), _count(members)
    del members
    if active:
        postings.keep(database, window.document_ids)
    strategy, parts = _search(
        database, settings, run, window, active=active, scorer_id=scorer_id, query_ids=query_ids
    )
    parts = within_budget(parts, settings.max_pairs)
    work = with_shards(parts, settings.shards)
    months = pc.unique(work.column("month")).to_pylist()

    def noted(pairs: pa.Table) -> pa.Table:
        months.extend(pc.unique(pairs.column("month")).to_pylist())
        return pairs

    path = store.pairs_path(pipeline=run.pipeline, run_id=run.run_id, fence=fence)
    pairs_file = store.write(path, work, map(noted, others_of(window.texts, parts)))
    with database.transaction() as connection:
        runs.hold_fence(connection, run.run_id, fence)
        ledger.ensure_months(connection, months)
        db.execute(
            connection,
            "recall.freeze",
            run_id=run.run_id,
            scorer_id=scorer_id,
            members_path=members_file.path,
            members_sha256=members_file.sha256,
            pairs_path=pairs_file.path,
            pairs_sha256=pairs_file.sha256,
            recall=strategy,
            early=not run.prepared,
        )
        _freeze_topics(connection, settings, run, parts)
    return counts, work, pairs_file.rows - work.num_rows


def _search(
    database: Database,
    settings: Settings,
    run: Run,
    window: Window,
    *,
    active: Sequence[Topic],
    scorer_id: int | None,
    query_ids: Mapping[tuple[str, str], int],
) -> tuple[str, list[TopicPairs]]:
    """The name of the strategy, and the pairs of each topic. What it has in memory is free before the pairs are written."""
    with database.transaction(read_only=True) as connection:
        db.may_idle(connection)  # while a large window is searched; nothing is locked
        with open_retriever(
            settings,
            database,
            connection,
            run=run,
            texts=window.texts,
            claimed=window.claimed,
            query_ids=query_ids,
        ) as retriever:
            topic_search = _TopicSearch(
                connection,
                settings=settings,
                run=run,
                window=window,
                scorer_id=scorer_id,
                query_ids=query_ids,
                retriever=retriever,
                filters=Filters(connection, active, window.document_ids),
            )
            lexicon = Lexicon(connection, active, window)
            parts = [topic_search.pairs_of(asked) for asked in ask(lexicon, active, window, query_ids)]
            return retriever.name, parts


def _freeze_topics(connection: Connection, settings: Settings, run: Run, parts: Sequence[TopicPairs]) -> None:
    """Freeze the run's topics; those of a run that was frozen early go."""
    db.execute(connection, "recall.thaw", run_id=run.run_id)
    rows = [
        {
            "run_id": run.run_id,
            "slug": part.topic.slug,
            "topic_version_id": part.topic.topic_version_id,
            "selected": part.selected,
            "filling": part.filling,
            "previous_scorer_id": part.previous_scorer_id,
            "left_out": part.left_out,
            "min_score": settings.min_score,
            **asdict(part.buckets),
        }
        for part in parts
    ]
    if rows:
        copy_in(connection, "rerank.run_topic", pa.Table.from_pylist(rows))


class _TopicSearch:
    """Searches the window of a run for one topic after another."""

    def __init__(
        self,
        connection: Connection,
        *,
        settings: Settings,
        run: Run,
        window: Window,
        scorer_id: int | None,
        query_ids: Mapping[tuple[str, str], int],
        retriever: Retriever,
        filters: Filters,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._run = run
        self._window = window
        self._scorer_id = scorer_id
        self._query_ids = query_ids
        self._retriever = retriever
        self._filters = filters
        self._filled = _filled(connection, run, retriever.name)
        self._scored: dict[int, Mapping[int, Ids]] = {}  # scorer → query → documents

    def pairs_of(self, asked: Asked) -> TopicPairs:
        """The pairs of one topic, and where every document of the window went."""
        topic, run = asked.topic, self._run
        eligible = find_eligible(topic, self._window, self._filters)
        filled_under = self._filled.get((topic.slug, topics.recall_digest(topic)), {})
        selected = run.topics is None or topic.slug in run.topics
        filling = self._scorer_id is None or not filled_under.get(self._scorer_id, False)
        previous = (
            next((other for other in filled_under if other != self._scorer_id), None) if filling else None
        )
        whole_window = filling or run.rescore
        searches = self._searches(topic, whole_window=whole_window) if selected else []
        searched = self._window.everything if whole_window else self._window.claimed
        chosen = search(self._retriever, asked, eligible, searches)
        known, before = self._scored_under(self._scorer_id, asked), self._scored_under(previous, asked)
        left = eligible & ~chosen.chosen
        is_known = np.zeros(len(self._window), dtype=bool)
        is_known[known if not run.rescore else known[:0]] = True
        work = self._work(asked, chosen, is_known[chosen.order])
        others = [
            self._others(asked, self._scorer_id, known[left[known]]),
            self._others(asked, previous, before[eligible[before]]),
        ]
        buckets = tally(
            self._retriever,
            asked,
            self._window,
            eligible,
            searched if selected else searched[:0],
            chosen,
            np.union1d(known, before) if len(before) else known,
        )
        log.info(
            "recalled topic %s: %d candidates of %d documents", topic.slug, buckets.wanted, len(self._window)
        )
        return TopicPairs(topic, selected, filling, previous, work, buckets, others=tuple(others))

    def _searches(self, topic: Topic, *, whole_window: bool) -> list[tuple[Ids, int]]:
        """The sets of members to search, and how many of each are wanted."""
        searches = [(positions, topic.candidate_limit) for positions in self._window.hours]
        if whole_window:
            searches.append((self._window.everything, topic.candidate_limit * self._settings.fill_factor))
        return searches

    def _scored_under(self, scorer_id: int | None, asked: Asked) -> Ids:
        """The positions of the members whose pair has a score by this scorer."""
        if scorer_id is None:
            return np.zeros(0, dtype=np.int64)
        if scorer_id not in self._scored:
            self._scored[scorer_id] = ledger.scored_documents(
                self._connection,
                scorer_id=scorer_id,
                query_ids=self._query_ids.values(),
                documents=self._window.texts,
            )
        found = [np.zeros(0, dtype=np.int64)]
        for query_id in asked.queries:
            positions = self._window.find(self._scored[scorer_id].get(query_id, found[0]))
            found.append(positions[asked.query_ids[positions] == query_id])
        return np.concatenate(found)

    def _others(self, asked: Asked, scorer_id: int | None, positions: Ids) -> Others:
        return Others(scorer_id, positions, asked.query_ids[positions], asked.light[positions])

    def _work(self, asked: Asked, chosen: Chosen, known: Mask) -> pa.Table:
        """The pairs that the run wants scored, the best first; of some a score is known."""
        best_first, count = chosen.order, len(chosen.order)
        return pa.table(
            {
                "topic": pa.repeat(asked.topic.slug, count),
                "query_id": pa.array(asked.query_ids[best_first]),
                "document_id": pa.array(self._window.document_ids[best_first]),
                "month": self._window.texts.column("month").take(pa.array(best_first)),
                "scorer_id": pa.repeat(pa.scalar(self._scorer_id, pa.int32()), count),
                "light_score": pa.array(asked.light[best_first]),
                "recalled_by": pa.array(chosen.by.tolist(), pa.string()),
                "recall_rank": pa.array(chosen.place, pa.int32()),
                "work": pa.repeat(True, count),
                "known": pa.array(known),
            }
        )


def _filled(connection: Connection, run: Run, recall: str) -> dict[tuple[str, bytes], dict[int, bool]]:
    """(slug, recall digest) → {scorer that the topic was filled under: whether it still is}, the latest scorer first."""
    filled: dict[tuple[str, bytes], dict[int, bool]] = defaultdict(dict)
    for row in db.rows(
        connection, "recall.filled", pipeline=run.pipeline, until=run.window.until, recall=recall
    ):
        filled[row["slug"], bytes(row["recall_digest"])][row["scorer_id"]] = row["whole"]
    return filled


def _shards(missing: pa.Table) -> tuple[Shard, ...]:
    return tuple(
        Shard(shard=row["shard"], pairs=row["topic_count"], topics=row["topic_count_distinct"])
        for row in missing.group_by("shard")
        .aggregate([("topic", "count"), ("topic", "count_distinct")])
        .sort_by("shard")
        .to_pylist()
    )
