"""What recall decides by arithmetic alone: the best of a set, fair shares, shards, patterns."""

import re

import numpy as np
import pyarrow as pa
import pytest
from factories import make_topic

from rerank_core.recall import recall
from rerank_core.recall.base import Asked, Found, Ids, Mask
from rerank_core.recall.recall import _fair_shares, _Recalled, _with_shards, _within_budget
from rerank_core.recall.window import Buckets, pattern
from rerank_core.recall.window import search as search_window
from rerank_core.storage import schemas


class Told:
    """A strategy that finds what it is told to, in this order, among those that it is asked about."""

    name = "told"

    def __init__(self, *positions: int) -> None:
        self.positions = positions

    def best(self, asked: Asked, among: Ids, limit: int) -> Found:
        found = [position for position in self.positions if position in among.tolist()][:limit]
        return Found.all_by("bm25", np.asarray(found, dtype=np.int64))

    def any_language(self, asked: Asked) -> Mask:
        return np.zeros(len(asked.light), dtype=bool)


def search(
    told: Told, *searches: tuple[list[int], int], light: list[float], eligible: list[bool] | None = None
) -> tuple[list[int], list[int], list[str]]:
    """Positions in their order, and the place and the finder of each."""
    asked = Asked(make_topic(), np.zeros(len(light), dtype=np.int64), np.asarray(light, dtype=np.float32))
    allowed = np.asarray(eligible if eligible is not None else [True] * len(light))
    wanted = [(np.asarray(positions, dtype=np.int64), limit) for positions, limit in searches]
    found = search_window(told, asked, allowed, wanted)
    assert sorted(found.order.tolist()) == np.flatnonzero(found.chosen).tolist()
    return found.order.tolist(), found.place[found.order].tolist(), found.by[found.order].tolist()


def test_what_a_strategy_finds_is_taken_in_its_order() -> None:
    assert search(Told(2, 0), ([0, 1, 2, 3], 2), light=[0.0, 9.0, 1.0, 0.0])[:2] == ([2, 0], [1, 2])


def test_where_all_fit_what_was_not_found_follows_in_bm25_order() -> None:
    found = search(Told(2), ([0, 1, 2], 3), light=[1.0, 5.0, 0.0])
    assert found == ([2, 1, 0], [1, 2, 3], ["bm25", "all", "all"])
    assert search(Told(2), ([0, 1, 2], 2), light=[1.0, 5.0, 0.0])[0] == [2]


def test_what_is_not_eligible_neither_gets_in_nor_takes_a_place() -> None:
    found = search(Told(0, 1, 2), ([0, 1, 2, 3], 2), light=[1.0] * 4, eligible=[False, True, True, True])
    assert found[:2] == ([1, 2], [1, 2])


def test_a_document_that_two_searches_find_keeps_its_best_place() -> None:
    found = search(Told(0, 1, 2, 3), ([2, 3], 1), ([0, 1, 2, 3], 3), light=[1.0, 1.0, 2.0, 1.0])
    assert found[:2] == ([2, 0, 1], [1, 1, 2])


def test_nothing_is_searched_where_nothing_is_asked() -> None:
    assert search(Told(0), light=[1.0]) == ([], [], [])


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
    return _Recalled(make_topic(slug=slug), True, False, None, pa.table(columns), buckets)


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
    assert bool(re.search(pattern(term), text, re.IGNORECASE)) == found


def test_counts_by_shard_are_of_what_has_no_score() -> None:
    pairs = _with_shards([part("a", 2, known=1), part("b", 3)], 1)
    missing = pairs.filter(pa.array([row["shard"] is not None for row in pairs.to_pylist()]))
    assert recall._shards(missing) == (recall.Shard(shard=0, pairs=5, topics=2),)
    assert recall._shards(missing.slice(0, 0)) == ()
