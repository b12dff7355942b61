"""Choose and freeze what the run's rankings are made from: members, topics, scorer and pairs.

For each topic: the best `candidate_limit` of the documents that the run claimed, for each hour of
ingestion they cover; and, while the topic is not filled under the scorer, the best of the whole
freshness window; and every document of the window that was scored before. What is best, the
pipeline's strategy says (retrieval/). Frozen at the first try: every later one, and every rerun, ranks
the same pairs. BM25 has the statistics of the window's members, and its scores are kept with the pairs.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from rerank_core.errors import InputError
from rerank_core.models import scorers
from rerank_core.recall.base import Ids, Mask, Retriever
from rerank_core.recall.strategy import open_retriever
from rerank_core.recall.window import (
    Buckets,
    Window,
    ask,
    by_light,
    find_eligible,
    read_members,
    search,
    tally,
)
from rerank_core.records import Run, Topic
from rerank_core.settings import Settings
from rerank_core.storage import artifacts, ledger, runs, schemas, topics
from rerank_core.storage import database as db
from rerank_core.storage.artifacts import clusters_of
from rerank_core.storage.database import Database
from rerank_core.storage.ledger import Lookup
from rerank_core.storage.store import Store
from rerank_core.storage.topics import store_queries

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shard:
    """What one scoring task has to do."""

    shard: int
    pairs: int
    topics: int


@dataclass(frozen=True)
class Recalled:
    """What the run's rankings are made from."""

    documents: int  # of the freshness window: texts that are scored, one a cluster
    claimed_documents: int  # of these, claimed by this run
    topics: int
    candidates: int  # pairs that the run wants scored
    from_ledger: int  # of these, scored before
    left_out: int  # pairs over the run's budget, carried over
    carried: int  # further pairs of the window, scored before
    shards: tuple[Shard, ...]  # with the pairs that still have no score
    articles: int = 0  # of the freshness window; of these:
    copies: int = 0  # another article stands for them; each of the others stands for a document
    near_copies: int = 0  # of the articles, those whose own text is another than the one that is scored
    # What became of the other documents of the window, one count a topic and document:
    ineligible: int = 0  # by languages, must or must_not
    not_searched: int = 0  # an earlier run looked at it for this topic
    not_recalled: int = 0  # not among the best
    not_recalled_language: int = (
        0  # in a language that the topic has no query in, and recalled by words alone
    )


@dataclass(frozen=True)
class _Recalled:
    """One topic's part of the frozen run."""

    topic: Topic
    selected: bool  # false: the run is limited to other topics
    filling: bool
    previous_scorer_id: int | None
    pairs: pa.Table  # PAIRS without shard, work best first
    buckets: Buckets
    left_out: int = 0


def recall(*, database: Database, store: Store, settings: Settings, run: Run, fence: int) -> Recalled:
    """Freeze the run, if it is not frozen yet, and say what is left to score.

    Raises FencedError where a newer try has begun, InputError where the run is limited to a topic
    that does not exist, ModelError where the scorer cannot be identified.
    """
    if not run.frozen:
        _freeze(database=database, store=store, settings=settings, run=run, fence=fence)
        with database.transaction(read_only=True) as connection:
            run = runs.get(connection, run.run_id)
    members = artifacts.read_members(store, run)
    texts = members.take(pa.array(clusters_of(members)[0]))
    pairs = artifacts.read_pairs(store, run)
    work = pairs.filter(pairs.column("work"))
    with database.transaction(read_only=True) as connection:
        missing = work.filter(pa.array(~ledger.settled(connection, run, work, rescore=run.rescore)))
        left_out = db.one(connection, "recall.left_out", run_id=run.run_id)
    assert left_out is not None
    known = int(pc.sum(work.column("known")).as_py() or 0)
    return Recalled(
        documents=texts.num_rows,
        claimed_documents=texts.num_rows - texts.column("claimed_hour").null_count,
        topics=int(left_out["topics"]),
        candidates=work.num_rows,
        from_ledger=known,
        left_out=int(left_out["left_out"]),
        carried=pairs.num_rows - work.num_rows,
        shards=_shards(missing),
        articles=members.num_rows,
        copies=members.num_rows - texts.num_rows,
        near_copies=int(
            pc.sum(pc.not_equal(members.column("document_id"), members.column("scored_document_id"))).as_py()
            or 0
        ),
        ineligible=int(left_out["ineligible"]),
        not_searched=int(left_out["not_searched"]),
        not_recalled=int(left_out["not_recalled"]),
        not_recalled_language=int(left_out["not_recalled_language"]),
    )


def _freeze(*, database: Database, store: Store, settings: Settings, run: Run, fence: int) -> None:
    with database.transaction() as connection:
        wanted = topics.current_topics(connection, run.pipeline)
        unknown = sorted(set(run.topics or ()) - {topic.slug for topic in wanted})
        if unknown:
            raise InputError(
                f"run {run.run_id} is limited to topics that are not active: {', '.join(unknown)};"
                " `rerank topics list` shows those that are"
            )
        members = read_members(connection, run, preferred_sources=settings.preferred_sources)
        scorer_id = scorers.scorer_id(connection, settings) if wanted and members.num_rows else None
        query_ids = store_queries(connection, wanted)
    with database.transaction(read_only=True) as connection:
        db.may_idle(connection)  # a large window is indexed meanwhile, and nothing is locked
        window = Window(members)
        with open_retriever(
            settings,
            database,
            connection,
            run=run,
            document_ids=window.document_ids,
            claimed=np.concatenate([np.zeros(0, dtype=np.int64), *window.hours]),
            query_ids=set(query_ids.values()),
        ) as retriever:
            strategy = retriever.name
            parts = _recall_topics(connection, settings, run, wanted, window, scorer_id, query_ids, retriever)
    parts = _within_budget(parts, settings.max_pairs)
    pairs = _with_shards(parts, settings.shards)
    members_file = store.write(
        store.members_path(pipeline=run.pipeline, run_id=run.run_id, fence=fence), members
    )
    pairs_file = store.write(store.pairs_path(pipeline=run.pipeline, run_id=run.run_id, fence=fence), pairs)
    with database.transaction() as connection:
        runs.hold_fence(connection, run.run_id, fence)
        ledger.ensure_months(connection, pc.unique(pairs.column("month")).to_pylist())
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
        )
        for part in parts:
            db.execute(
                connection,
                "recall.topic",
                run_id=run.run_id,
                slug=part.topic.slug,
                topic_version_id=part.topic.topic_version_id,
                selected=part.selected,
                filling=part.filling,
                previous_scorer_id=part.previous_scorer_id,
                left_out=part.left_out,
                min_score=settings.min_score,
                **asdict(part.buckets),
            )


def _recall_topics(
    connection: Connection,
    settings: Settings,
    run: Run,
    wanted: Sequence[Topic],
    window: Window,
    scorer_id: int | None,
    query_ids: Mapping[tuple[str, str], int],
    retriever: Retriever,
) -> list[_Recalled]:
    document_ids = window.document_ids
    asked = ask(connection, wanted, window, query_ids)
    filled = _filled(connection, run, retriever.name)
    lookups: dict[int, Lookup] = {}

    def scored_under(scorer: int | None, by_member: Ids) -> Mask:
        if scorer is None:
            return np.zeros(len(document_ids), dtype=bool)
        if scorer not in lookups:
            lookups[scorer] = ledger.lookup(
                connection, scorer_id=scorer, query_ids=query_ids.values(), documents=window.texts
            )
        return np.asarray(lookups[scorer].positions(by_member, document_ids) >= 0)

    parts = []
    for one in asked:
        topic = one.topic
        eligible = find_eligible(connection, topic, window)
        filled_under = filled.get((topic.slug, topics.recall_digest(topic)), {})
        selected = run.topics is None or topic.slug in run.topics
        filling = scorer_id is None or not filled_under.get(scorer_id, False)
        previous = next((other for other in filled_under if other != scorer_id), None) if filling else None
        searches: list[tuple[Ids, int]] = []
        if selected:
            searches = [(positions, topic.candidate_limit) for positions in window.hours]
            if filling or run.rescore:
                everything = np.arange(len(window), dtype=np.int64)
                searches.append((everything, topic.candidate_limit * settings.fill_factor))
        found = search(retriever, one, eligible, searches)
        known = scored_under(scorer_id, one.query_ids)
        before = scored_under(previous, one.query_ids)
        spans = [
            (found.order, scorer_id, True, known & (not run.rescore)),
            (by_light(one, np.flatnonzero(eligible & known & ~found.chosen)), scorer_id, False, known),
            (by_light(one, np.flatnonzero(eligible & before)), previous, False, before),
        ]
        tables = []
        for best_first, scorer, work, is_known in spans:
            count = len(best_first)
            tables.append(
                pa.table(
                    {
                        "topic": pa.array([topic.slug] * count, pa.string()),
                        "query_id": pa.array(one.query_ids[best_first]),
                        "document_id": pa.array(document_ids[best_first]),
                        "month": window.texts.column("month").take(best_first),
                        "scorer_id": pa.array([scorer] * count, pa.int32()),
                        "light_score": pa.array(one.light[best_first]),
                        "recalled_by": pa.array(
                            found.by[best_first].tolist() if work else [None] * count, pa.string()
                        ),
                        "recall_rank": pa.array(
                            found.place[best_first].tolist() if work else [None] * count, pa.int32()
                        ),
                        "work": pa.array([work] * count, pa.bool_()),
                        "known": pa.array(is_known[best_first]),
                    }
                )
            )
        buckets = tally(retriever, one, window, eligible, searches, found.chosen, known | before)
        parts.append(_Recalled(topic, selected, filling, previous, pa.concat_tables(tables), buckets))
        log.info("recalled topic %s: %d candidates of %d documents", topic.slug, buckets.wanted, len(window))
    return parts


def _filled(connection: Connection, run: Run, recall: str) -> dict[tuple[str, bytes], dict[int, bool]]:
    """(slug, queries digest) → scorers that it was filled under, the latest first, and whether it is so still."""
    filled: dict[tuple[str, bytes], dict[int, bool]] = defaultdict(dict)
    for row in db.rows(
        connection, "recall.filled", pipeline=run.pipeline, until=run.window.until, recall=recall
    ):
        filled[row["slug"], bytes(row["recall_digest"])][row["scorer_id"]] = row["whole"]
    return filled


def _within_budget(parts: Sequence[_Recalled], max_pairs: int) -> list[_Recalled]:
    """Cut the work that has no score yet to `max_pairs`, every topic to the same length at most."""
    needs = [_to_score(part.pairs) for part in parts]
    share = _fair_shares([int(need.sum()) for need in needs], max_pairs)
    cut = []
    for part, need, allowed in zip(parts, needs, share, strict=True):
        keep = ~need | (np.cumsum(need) <= allowed)
        cut.append(replace(part, pairs=part.pairs.filter(pa.array(keep)), left_out=int((~keep).sum())))
    return cut


def _to_score(pairs: pa.Table) -> Mask:
    work = pairs.column("work").to_numpy(zero_copy_only=False)
    return np.asarray(work & ~pairs.column("known").to_numpy(zero_copy_only=False), dtype=bool)


def _fair_shares(counts: Sequence[int], budget: int) -> list[int]:
    """Max-min fair: nobody gets more while another wants more and has less; those that want most take the remainder."""
    shares = [0] * len(counts)
    left = budget
    for served, place in enumerate(sorted(range(len(counts)), key=lambda place: counts[place])):
        shares[place] = min(counts[place], left // (len(counts) - served))
        left -= shares[place]
    return shares


def _with_shards(parts: Sequence[_Recalled], shards: int) -> pa.Table:
    """All pairs in one table; the topics with something to score are dealt to the emptiest shard, longest first."""
    loads = [0] * shards
    tables = []
    numbers = {}
    for part in sorted(parts, key=lambda part: -int(_to_score(part.pairs).sum())):
        numbers[part.topic.slug] = loads.index(min(loads))
        loads[numbers[part.topic.slug]] += int(_to_score(part.pairs).sum())
    for part in parts:
        shard = np.where(_to_score(part.pairs), numbers[part.topic.slug], -1)
        column = pa.array(shard, pa.int32(), mask=shard < 0)
        tables.append(part.pairs.append_column("shard", column))
    if not tables:
        return schemas.PAIRS.empty_table()
    return pa.concat_tables(tables).cast(schemas.PAIRS)


def _shards(missing: pa.Table) -> tuple[Shard, ...]:
    return tuple(
        Shard(shard=row["shard"], pairs=row["topic_count"], topics=row["topic_count_distinct"])
        for row in missing.group_by("shard")
        .aggregate([("topic", "count"), ("topic", "count_distinct")])
        .sort_by("shard")
        .to_pylist()
    )
