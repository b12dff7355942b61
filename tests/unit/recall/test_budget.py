"""A budget is shared fairly over topics, and work is dealt evenly to shards."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from factories import make_topic

from rerank_core.recall import budget
from rerank_core.recall.budget import (
    Others,
    TopicPairs,
    fair_shares,
    others_of,
    with_shards,
    within_budget,
)
from rerank_core.recall.recall import Shard, _shards
from rerank_core.recall.window import Buckets
from rerank_core.storage import schemas


@pytest.mark.parametrize(
    ("counts", "budget", "shares"),
    [
        ([5, 5, 5], 15, [5, 5, 5]),
        ([5, 5, 5], 100, [5, 5, 5]),
        ([1, 10, 10], 11, [1, 5, 5]),
        ([10, 1, 10], 12, [5, 1, 6]),
        ([2, 2], 3, [1, 2]),
        ([1, 9, 1], 1, [0, 1, 0]),  # the remainder goes to who wants most: nobody starves for ever
        ([2, 3], 3, [1, 2]),
        ([3, 0], 2, [2, 0]),
        ([3, 3], 0, [0, 0]),
        ([], 5, []),
    ],
)
def test_a_budget_is_shared_fairly_and_used_up(counts: list[int], budget: int, shares: list[int]) -> None:
    assert fair_shares(counts, budget) == shares
    assert sum(shares) == min(sum(counts), budget)


def part(slug: str, unscored: int, known: int = 0, carried: int = 0) -> TopicPairs:
    """A topic with work, best first, of which the first `known` have a score."""
    size = known + unscored + carried
    columns = {
        "topic": pa.array([slug] * size, pa.string()),
        "query_id": pa.array([1] * size, pa.int64()),
        "document_id": pa.array(range(size), pa.int64()),
        "month": pa.array([None] * size, pa.date32()),
        "scorer_id": pa.array([1] * size, pa.int32()),
        "light_score": pa.array([float(size - place) for place in range(size)], pa.float32()),
        "recalled_by": pa.array(["bm25"] * size, pa.string()),
        "recall_rank": pa.array([place + 1 for place in range(size)], pa.int32()),
        "work": pa.array([place < known + unscored for place in range(size)]),
        "known": pa.array([place < known or place >= known + unscored for place in range(size)]),
    }
    buckets = Buckets(
        wanted=known + unscored,
        carried=carried,
        ineligible=0,
        not_searched=0,
        not_recalled=0,
        not_recalled_language=0,
    )
    return TopicPairs(make_topic(slug=slug), True, False, None, pa.table(columns), buckets)


def test_over_budget_the_worst_unscored_pairs_are_left_out_and_counted() -> None:
    cut = within_budget([part("a", 3, known=2, carried=2), part("b", 1)], 3)
    assert [one.left_out for one in cut] == [1, 0]
    assert cut[0].pairs.column("document_id").to_pylist() == [0, 1, 2, 3, 5, 6]


def test_a_shard_has_whole_topics_and_the_loads_are_even() -> None:
    pairs = with_shards([part("a", 1), part("b", 5), part("c", 4, known=3), part("d", 0, known=2)], 2)
    assert pairs.schema.equals(schemas.PAIRS)
    loads: dict[int, set[str]] = {}
    for row in pairs.to_pylist():
        assert (row["shard"] is None) == row["known"]
        if row["shard"] is not None:
            loads.setdefault(row["shard"], set()).add(row["topic"])
    assert sorted(map(sorted, loads.values())) == [["a", "c"], ["b"]]


def test_pairs_that_need_no_score_come_topic_by_topic_in_tables_of_a_bounded_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(budget, "OTHERS_ROWS", 3)
    texts = pa.table(
        {"document_id": pa.array(range(10, 20), pa.int64()), "month": pa.array([None] * 10, pa.date32())}
    )

    def others(scorer_id: int, *positions: int) -> Others:
        at = np.asarray(positions, dtype=np.int64)
        return Others(scorer_id, at, at + 100, at.astype(np.float32) / 2)

    parts = [
        replace(part("a", 1), others=(others(1, 3, 4), others(2, 5))),
        replace(part("b", 1), others=(others(1),)),
        replace(part("c", 1), others=(others(1, 6, 7, 8, 9), others(2, 0))),
    ]
    tables = list(others_of(texts, parts))
    assert [table.num_rows for table in tables] == [2, 1, 5]
    assert all(table.schema.equals(schemas.PAIRS) for table in tables)
    found = pa.concat_tables(tables)
    assert found.column("topic").to_pylist() == ["a"] * 3 + ["c"] * 5
    assert found.column("document_id").to_pylist() == [13, 14, 15, 16, 17, 18, 19, 10]
    assert found.column("query_id").to_pylist() == [103, 104, 105, 106, 107, 108, 109, 100]
    assert found.column("scorer_id").to_pylist() == [1, 1, 2, 1, 1, 1, 1, 2]
    assert found.column("light_score").to_pylist() == [1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 0.0]
    assert set(map(tuple, found.select(["work", "known", "shard"]).to_pylist()[0].items())) == {
        ("work", False),
        ("known", True),
        ("shard", None),
    }
    assert list(others_of(texts, [])) == []


def test_no_topics_are_no_pairs() -> None:
    assert with_shards([], 3).equals(schemas.PAIRS.empty_table())


def test_counts_by_shard_are_of_what_has_no_score() -> None:
    pairs = with_shards([part("a", 2, known=1), part("b", 3)], 1)
    missing = pairs.filter(pa.array([row["shard"] is not None for row in pairs.to_pylist()]))
    assert _shards(missing) == (Shard(shard=0, pairs=5, topics=2),)
    assert _shards(missing.slice(0, 0)) == ()
