"""The budget of a run and its shards: which pairs are scored by this run, and by which task. Pure functions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from rerank_core.recall.base import Mask, Scores
from rerank_core.recall.window import Buckets
from rerank_core.records import Topic
from rerank_core.storage import schemas
from rerank_core.storage.artifacts import Ids

OTHERS_ROWS = 500_000  # pairs that are made ready for the file at a time


@dataclass(frozen=True)
class Others:
    """Pairs of a topic that the run does not want scored, because they have a score by this scorer; arrays side by side."""

    scorer_id: int | None
    positions: Ids  # of the members
    query_ids: Ids
    light: Scores


@dataclass(frozen=True)
class TopicPairs:
    """One topic's part of a run that is about to be frozen."""

    topic: Topic
    selected: bool  # False if the run is limited to other topics
    filling: bool  # the topic is not filled under the run's scorer, so its whole window is searched
    previous_scorer_id: int | None  # whose scores the page shows until the topic is filled
    pairs: pa.Table  # that the run wants scored, the best first: schemas.PAIRS without the column shard
    buckets: Buckets
    left_out: int = 0  # pairs over the budget of the run
    others: tuple[Others, ...] = ()


def within_budget(parts: Sequence[TopicPairs], max_pairs: int) -> list[TopicPairs]:
    """Cut the pairs without a score to `max_pairs` over all topics. Each topic keeps its best pairs.

    The budget is shared max-min fairly: see `fair_shares`.
    """
    needs = [_to_score(part.pairs) for part in parts]
    shares = fair_shares([int(need.sum()) for need in needs], max_pairs)
    cut = []
    for part, need, allowed in zip(parts, needs, shares, strict=True):
        if need.sum() <= allowed:
            cut.append(part)
            continue
        keep = ~need | (np.cumsum(need) <= allowed)
        cut.append(replace(part, pairs=part.pairs.filter(pa.array(keep)), left_out=int((~keep).sum())))
    return cut


def fair_shares(counts: Sequence[int], budget: int) -> list[int]:
    """The max-min fair share of each count, in its order: no count gets more than another that still wants some.

    The counts that want most take the remainder. D. Bertsekas and R. Gallager, "Data Networks", 1992, section 6.5.2.
    """
    shares = [0] * len(counts)
    left = budget
    for served, place in enumerate(sorted(range(len(counts)), key=lambda place: counts[place])):
        shares[place] = min(counts[place], left // (len(counts) - served))
        left -= shares[place]
    return shares


def with_shards(parts: Sequence[TopicPairs], shards: int) -> pa.Table:
    """The pairs that the run wants scored, as schemas.PAIRS. A shard has whole topics; a pair that needs no score has no shard (null).

    The topics are dealt to the shard with the fewest pairs, the topic with the most pairs first.
    """
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


def others_of(texts: pa.Table, parts: Sequence[TopicPairs]) -> Iterator[pa.Table]:
    """The pairs that the run does not want scored, as schemas.PAIRS: some topics at a time.

    `texts` has the columns document_id and month, one row a member.
    """
    found = [(part.topic.slug, each) for part in parts for each in part.others if len(each.positions)]
    ends = np.cumsum([len(each.positions) for _, each in found], dtype=np.int64)
    starts = np.flatnonzero(np.diff(ends // OTHERS_ROWS, prepend=-1)).tolist()
    for start, stop in zip(starts, [*starts, len(found)][1:], strict=True):
        yield _as_pairs(texts, found[start:stop])


def _as_pairs(texts: pa.Table, found: Sequence[tuple[str, Others]]) -> pa.Table:
    """Pairs of these topics as schemas.PAIRS."""
    positions = pa.array(np.concatenate([each.positions for _, each in found]))
    of_topic = pa.array(np.repeat(np.arange(len(found)), [len(each.positions) for _, each in found]))
    columns = {
        "topic": pa.array([slug for slug, _ in found]).take(of_topic),
        "query_id": np.concatenate([each.query_ids for _, each in found]),
        "document_id": texts.column("document_id").take(positions),
        "month": texts.column("month").take(positions),
        "scorer_id": pa.array([each.scorer_id for _, each in found], pa.int32()).take(of_topic),
        "light_score": np.concatenate([each.light for _, each in found]),
        "work": pa.repeat(False, len(positions)),
        "known": pa.repeat(True, len(positions)),
    }
    nothing = pa.nulls(len(positions))
    table = pa.table({name: columns.get(name, nothing) for name in schemas.PAIRS.names})
    return table.cast(schemas.PAIRS)


def _to_score(pairs: pa.Table) -> Mask:
    work = pairs.column("work").to_numpy(zero_copy_only=False)
    return np.asarray(work & ~pairs.column("known").to_numpy(zero_copy_only=False), dtype=bool)
