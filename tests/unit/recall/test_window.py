"""What a topic finds in a window: the best of each search."""

import numpy as np
from factories import make_topic

from rerank_core.recall.base import Asked, Found, Mask
from rerank_core.recall.window import search as search_window
from rerank_core.storage.artifacts import Ids


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
    return found.order.tolist(), found.place.tolist(), found.by.tolist()


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


def test_each_query_of_a_topic_gets_its_share_of_the_limit() -> None:
    query_ids = np.asarray([1, 1, 1, 1, 2, 2, 3], dtype=np.int64)
    light = np.asarray([9.0, 8.0, 7.0, 6.0, 2.0, 1.0, 0.5], dtype=np.float32)
    asked = Asked(make_topic(), query_ids, light)
    everything = np.arange(7, dtype=np.int64)
    found = search_window(Told(*range(7)), asked, np.ones(7, dtype=bool), [(everything, 5)])
    assert found.order.tolist() == [0, 4, 6, 1, 5]
    fewer = search_window(Told(0, 1, 2, 3, 4), asked, np.ones(7, dtype=bool), [(everything, 4)])
    assert fewer.order.tolist() == [0, 4, 1, 2]
