"""What recall decides by arithmetic alone: the best of a set, fair shares, shards, patterns."""

import re

import numpy as np
import pyarrow as pa
import pytest
from factories import make_topic

from rerank_core import recall, schemas
from rerank_core.recall import _best, _fair_shares, _pattern, _Recalled, _with_shards, _within_budget


def best(light: list[float], limit: int, *, eligible: list[bool] | None = None) -> list[int]:
    scores = np.asarray(light, dtype=np.float32)
    allowed = np.asarray(eligible if eligible is not None else [True] * len(light))
    return _best(np.arange(len(light)), scores, allowed, limit).tolist()


def test_the_best_are_taken_and_the_others_left() -> None:
    assert sorted(best([0.1, 3.0, 2.0, 0.2], 2)) == [1, 2]


def test_a_document_without_any_match_is_taken_only_where_all_fit() -> None:
    assert sorted(best([0.0, 1.0, 0.0], 3)) == [0, 1, 2]
    assert best([0.0, 1.0, 0.0], 2) == [1]


def test_what_is_not_eligible_neither_gets_in_nor_takes_a_place() -> None:
    assert sorted(best([9.0, 1.0, 0.0], 2, eligible=[False, True, True])) == [1, 2]


def test_equal_scores_go_by_position_so_that_a_rerun_takes_the_same() -> None:
    assert best([1.0] * 5, 2) == [0, 1]


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
    assert _fair_shares(counts, budget) == shares
    assert sum(shares) == min(sum(counts), budget)


def part(slug: str, unscored: int, known: int = 0, carried: int = 0) -> _Recalled:
    """A topic with work, best first, of which the first `known` have a score."""
    size = known + unscored + carried
    columns = {
        "topic": pa.array([slug] * size, pa.string()),
        "query_id": pa.array([1] * size, pa.int64()),
        "document_id": pa.array(range(size), pa.int64()),
        "month": pa.array([None] * size, pa.date32()),
        "scorer_id": pa.array([1] * size, pa.int32()),
        "light_score": pa.array([float(size - place) for place in range(size)], pa.float32()),
        "work": pa.array([place < known + unscored for place in range(size)]),
        "known": pa.array([place < known or place >= known + unscored for place in range(size)]),
    }
    return _Recalled(make_topic(slug=slug), True, False, None, pa.table(columns))


def test_over_budget_the_worst_unscored_pairs_are_left_out_and_counted() -> None:
    cut = _within_budget([part("a", 3, known=2, carried=2), part("b", 1)], 3)
    assert [one.left_out for one in cut] == [1, 0]
    assert cut[0].pairs.column("document_id").to_pylist() == [0, 1, 2, 3, 5, 6]


def test_a_shard_has_whole_topics_and_the_loads_are_even() -> None:
    pairs = _with_shards([part("a", 1), part("b", 5), part("c", 4, known=3), part("d", 0, known=2)], 2)
    assert pairs.schema.equals(schemas.PAIRS)
    loads: dict[int, set[str]] = {}
    for row in pairs.to_pylist():
        assert (row["shard"] is None) == row["known"]
        if row["shard"] is not None:
            loads.setdefault(row["shard"], set()).add(row["topic"])
    assert sorted(map(sorted, loads.values())) == [["a", "c"], ["b"]]


def test_no_topics_are_no_pairs() -> None:
    assert _with_shards([], 3).equals(schemas.PAIRS.empty_table())


@pytest.mark.parametrize(
    ("term", "text", "found"),
    [
        ("AI", "new AI rules", True),
        ("AI", "he said again", False),
        ("AI", "AI芯片出口", True),
        ("ai", "GenAI", False),
        ("3.5", "version 3.5 is out", True),
        ("3.5", "version 345 is out", False),
        ("C++", "in C++, and", True),
        ("American football", "an American football team", True),
        ("智能", "人工智能", True),
        ("(a|b)*", "a", False),
        ("(a|b)*", "regex (a|b)* here", True),
    ],
)
def test_a_term_is_matched_as_it_stands_and_latin_ones_as_whole_words(
    term: str, text: str, found: bool
) -> None:
    assert bool(re.search(_pattern(term), text, re.IGNORECASE)) == found


def test_counts_by_shard_are_of_what_has_no_score() -> None:
    pairs = _with_shards([part("a", 2, known=1), part("b", 3)], 1)
    missing = pairs.filter(pa.array([row["shard"] is not None for row in pairs.to_pylist()]))
    assert recall._shards(missing) == (recall.Shard(shard=0, pairs=5, topics=2),)
    assert recall._shards(missing.slice(0, 0)) == ()
