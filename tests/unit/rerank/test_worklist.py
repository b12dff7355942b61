"""Topics go into the engine slice by slice, so that whatever ends scoring leaves each of them its best scored."""

import pyarrow as pa
import pytest

from rerank_core.rerank import worklist
from rerank_core.rerank.worklist import in_slices


def test_each_topic_has_its_best_scored_before_any_has_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worklist, "SLICE_PAIRS", 2)
    topics = ["b", "b", "b", "b", "b", "a", "a", "a"]
    assert in_slices(topics, [1, 1, 1, 1, 1, 2, 2, 2]).tolist() == [0, 1, 5, 6, 2, 3, 7, 4]


def test_in_a_slice_pairs_of_one_query_stand_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worklist, "SLICE_PAIRS", 4)
    assert in_slices(["a"] * 6, [7, 3, 7, 3, 3, 7]).tolist() == [0, 2, 1, 3, 5, 4]


def test_a_topic_with_many_queries_gets_no_more_than_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worklist, "SLICE_PAIRS", 2)
    order = in_slices(["a", "a", "a", "a", "b", "b"], [1, 2, 3, 4, 5, 5]).tolist()
    assert order == [0, 1, 4, 5, 2, 3]


def test_whatever_is_left_over_is_at_most_a_slice_more_for_one_topic_than_for_another() -> None:
    topics = [topic for topic in "abcde" for _ in range(50)]
    order = in_slices(topics, [ord(topic) for topic in topics])
    for done in range(0, 251, 7):
        scored = [sum(topics[place] == topic for place in order[:done]) for topic in "abcde"]
        assert max(scored) - min(scored) <= worklist.SLICE_PAIRS


def test_nothing_is_left_out_and_the_order_within_a_topic_is_kept() -> None:
    topics = [topic for topic in "ab" for _ in range(100)]
    order = in_slices(topics, [1] * 200).tolist()
    assert sorted(order) == list(range(200))
    assert [place for place in order if place < 100] == list(range(100))
    assert in_slices([], []).tolist() == []


def test_a_pair_that_topics_share_stands_once_where_it_comes_first() -> None:
    table = pa.table({"query_id": [1, 1, 2, 1], "document_id": [5, 6, 5, 5], "n": [0, 1, 2, 3]})
    assert worklist._once(table).column("n").to_pylist() == [0, 1, 2]
