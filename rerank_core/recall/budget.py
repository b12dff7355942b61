"""The budget of a run and its shards: which pairs are scored by this run, and by which task. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from rerank_core.recall.base import Mask
from rerank_core.recall.window import Buckets
from rerank_core.records import Topic
from rerank_core.storage import schemas


@dataclass(frozen=True)
class TopicPairs:
    """One topic's part of a run that is about to be frozen."""

    topic: Topic
    selected: bool  # False if the run is limited to other topics
    filling: bool  # the topic is not filled under the run's scorer, so its whole window is searched
    previous_scorer_id: int | None  # whose scores the page shows until the topic is filled
    pairs: pa.Table  # schemas.PAIRS without the column shard; pairs to score come first, the best first
    buckets: Buckets
    left_out: int = 0  # pairs over the budget of the run


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
    """All pairs as schemas.PAIRS. A shard has whole topics; a pair that needs no score has no shard (null).

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


def _to_score(pairs: pa.Table) -> Mask:
    work = pairs.column("work").to_numpy(zero_copy_only=False)
    return np.asarray(work & ~pairs.column("known").to_numpy(zero_copy_only=False), dtype=bool)
