"""Strategies order what they are given: by words, by vectors, by both, or all of it."""

from typing import Any

import numpy as np
import pytest
from factories import make_topic, never
from vectors_contract import brute_force, unit_vectors

from rerank_core.recall import dense
from rerank_core.recall.base import Asked, Scores, fuse, top
from rerank_core.recall.bm25 import Words
from rerank_core.recall.dense import Dense, Matrix, Vector
from rerank_core.recall.exhaustive import Exhaustive
from rerank_core.recall.hybrid import Hybrid
from rerank_core.recall.strategy import KnownEmbedder
from rerank_core.settings import USE_MULTILINGUAL
from rerank_core.storage.artifacts import Ids


def ids(*values: int) -> Ids:
    return np.asarray(values, dtype=np.int64)


def asked(light: list[float], *, query_ids: list[int] | None = None) -> Asked:
    return Asked(make_topic(), ids(*(query_ids or [1] * len(light))), np.asarray(light, dtype=np.float32))


class InMemory:
    """A store of vectors that searches exactly, and counts its searches."""

    def __init__(self, document_ids: Ids, matrix: Matrix) -> None:
        self.ids, self.matrix = document_ids, matrix
        self.searches = 0

    def missing(self, document_ids: Ids) -> Ids:
        return np.setdiff1d(document_ids, self.ids)

    def add(self, document_ids: Ids, vectors: Matrix) -> None:
        raise NotImplementedError

    def read(self, document_ids: Ids) -> tuple[Ids, Matrix]:
        here = np.isin(self.ids, document_ids)
        return self.ids[here], self.matrix[here]

    def nearest(self, query: Vector, among: Ids, limit: int) -> tuple[Ids, Scores]:
        self.searches += 1
        found, matrix = self.read(among)
        likeness = matrix.astype(np.float32) @ query.astype(np.float32)
        order = np.argsort(-likeness)[:limit]
        return found[order], likeness[order]


def make_dense(
    count: int = 40,
    *,
    without: Ids | None = None,
    foreign: Ids | None = None,
    claimed: Ids | None = None,
    queries: Any = None,
) -> tuple[Dense, InMemory, Ids, Matrix]:
    """A dense strategy over `count` members whose ids do not come in order; those at `without` have no vector, and the
    embedder does not know the language of those at `foreign`.
    """
    document_ids = np.random.default_rng(7).permutation(np.arange(100, 100 + count))
    matrix = unit_vectors(count)
    has = np.setdiff1d(np.arange(count), without if without is not None else ids())
    store = InMemory(document_ids[has], matrix[has])
    found = Dense(
        embedder="e1",
        vectors=store,
        document_ids=document_ids,
        known=~np.isin(np.arange(count), foreign if foreign is not None else ids()),
        claimed=claimed if claimed is not None else ids(),
        queries=queries if queries is not None else {1: unit_vectors(1, seed=5)[0]},
        asked={1},
    )
    return found, store, document_ids, matrix


@pytest.mark.parametrize("limit", [1, 3, 10, 200])
def test_the_top_are_the_highest_and_ties_go_by_position(limit: int) -> None:
    scores = np.random.default_rng(0).integers(0, 8, 100).astype(np.float32)
    positions = np.random.default_rng(1).permutation(100)
    expected = sorted(positions.tolist(), key=lambda p: (-scores[positions.tolist().index(p)], p))[:limit]
    assert top(positions, scores, limit).tolist() == expected
    assert top(ids(), scores[:0], limit).tolist() == []


def test_fusion_puts_first_what_both_lists_have() -> None:
    found = fuse([("bm25", ids(5, 1, 2)), ("dense", ids(3, 2))], 10)
    # 1/61 = 0.01639 for a first place; 2 has 1/63 + 1/62 = 0.0320
    assert found.positions.tolist() == [2, 3, 5, 1]
    assert found.by.tolist() == ["bm25+dense", "dense", "bm25", "bm25"]


def test_fusion_cuts_and_takes_empty_lists() -> None:
    assert fuse([("bm25", ids(5, 1)), ("dense", ids())], 1).positions.tolist() == [5]
    assert fuse([("bm25", ids()), ("dense", ids())], 5).positions.tolist() == []


def test_words_find_only_what_shares_a_term() -> None:
    one = asked([0.0, 3.0, 1.0, 2.0])
    assert Words().best(one, ids(0, 2, 3), 5).positions.tolist() == [3, 2]
    assert Words().best(one, ids(0, 1, 2, 3), 1).positions.tolist() == [1]
    assert not Words().any_language(one).any()


def test_exhaustive_takes_all_whatever_the_limit_in_bm25_order() -> None:
    one = asked([0.0, 3.0, 1.0, 2.0])
    assert Exhaustive().best(one, ids(0, 2, 3), 1).positions.tolist() == [3, 2, 0]
    assert Exhaustive().any_language(one).all()


@pytest.mark.parametrize("exact_documents", [1_000, 0], ids=["in memory", "by the store"])
def test_dense_recall_is_brute_force_over_what_it_is_asked_about(
    monkeypatch: pytest.MonkeyPatch, exact_documents: int
) -> None:
    monkeypatch.setattr(dense, "EXACT_DOCUMENTS", exact_documents)
    found, store, _, matrix = make_dense()
    among = np.arange(0, 40, 2)
    expected = brute_force(unit_vectors(1, seed=5)[0], among, matrix[among], 6)
    assert found.best(asked([0.0] * 40), among, 6).positions.tolist() == expected
    assert found.best(asked([0.0] * 40), among, 6).by.tolist() == ["dense"] * 6
    assert store.searches == (0 if exact_documents else 2)


def test_of_a_large_window_what_was_claimed_is_compared_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "EXACT_DOCUMENTS", 10)
    found, store, _, matrix = make_dense(claimed=ids(3, 9, 4))
    expected = brute_force(unit_vectors(1, seed=5)[0], ids(3, 4, 9), matrix[[3, 4, 9]], 2)
    assert found.best(asked([0.0] * 40), ids(3, 4, 9), 2).positions.tolist() == expected
    assert store.searches == 0
    found.best(asked([0.0] * 40), np.arange(40), 2)
    assert store.searches == 1


def test_each_member_is_compared_with_the_query_of_its_language() -> None:
    queries = {1: unit_vectors(1, seed=5)[0], 2: unit_vectors(1, seed=6)[0]}
    found, _, _, matrix = make_dense(queries=queries)
    query_ids = [1 if position < 20 else 2 for position in range(40)]
    likeness = [
        float(matrix[position].astype(np.float32) @ queries[query_ids[position]].astype(np.float32))
        for position in range(40)
    ]
    expected = sorted(range(40), key=lambda position: -likeness[position])[:8]
    assert found.best(asked([0.0] * 40, query_ids=query_ids), np.arange(40), 8).positions.tolist() == expected


def test_what_has_no_vector_takes_part_by_words() -> None:
    found, _, _, _ = make_dense(without=ids(0, 1, 2))
    light = [0.0] * 40
    light[1] = light[30] = 5.0
    best = found.best(asked(light), np.arange(40), 10)
    assert dict(zip(best.positions.tolist(), best.by.tolist(), strict=True))[1] == "bm25"
    assert not {0, 2} & set(best.positions.tolist())
    assert (best.by == "bm25").sum() == 1
    assert found.any_language(asked(light)).tolist() == [position > 2 for position in range(40)]


@pytest.mark.parametrize("has_vector", [True, False])
def test_a_member_in_a_language_that_the_embedder_does_not_know_takes_part_by_words(has_vector: bool) -> None:
    foreign = ids(0, 1, 2)
    found, _, _, _ = make_dense(foreign=foreign, without=None if has_vector else foreign)
    assert (found.name, found.missing) == ("dense e1", 0)  # no later run has vectors of them
    light = [0.0] * 40
    light[1] = 5.0
    best = found.best(asked(light), np.arange(40), 10)
    assert dict(zip(best.positions.tolist(), best.by.tolist(), strict=True))[1] == "bm25"
    assert not {0, 2} & set(best.positions.tolist())
    assert found.any_language(asked(light)).tolist() == [position > 2 for position in range(40)]


def test_an_embedder_says_which_documents_and_queries_it_is_good_for() -> None:
    embedder = KnownEmbedder(1, "e1", 512, USE_MULTILINGUAL)
    assert embedder.knows_documents(["en", "hi", "zh", "und"]).tolist() == [True, False, True, True]
    queries = {
        ("", "Solar power plants"): 1,
        ("", "दिल्ली में भारी बारिश"): 2,
        ("", "Wahl"): 3,
        ("", "太阳能"): 4,
    }
    assert embedder.knows_queries(queries) == {1, 3, 4}
    any_language = KnownEmbedder(1, "e1", 512, "qwen3-embedding")
    assert any_language.knows_queries(queries) == {1, 2, 3, 4}
    assert any_language.knows_documents(["hi"]).all()


def test_without_the_vector_of_its_query_a_topic_is_recalled_by_words() -> None:
    found, _, _, _ = make_dense(queries={7: unit_vectors(1)[0]})
    best = found.best(asked([0.0, 2.0, 1.0] + [0.0] * 37), np.arange(40), 10)
    assert (best.positions.tolist(), best.by.tolist()) == ([1, 2], ["bm25", "bm25"])


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "dense e1"),
        ({"without": ids(0)}, "dense e1, partly"),
        ({"queries": {}}, "dense e1, partly"),
    ],
)
def test_the_name_of_a_run_says_whether_all_had_vectors(options: Any, name: str) -> None:
    found = make_dense(**options)[0]
    assert found.name == name
    assert Hybrid(found).name == f"bm25 + {name}"


def test_hybrid_recall_fuses_words_and_vectors() -> None:
    found, _, _, matrix = make_dense()
    by_vector = brute_force(unit_vectors(1, seed=5)[0], np.arange(40), matrix, 4)
    light = [0.0] * 40
    light[by_vector[3]], light[39 if by_vector[3] != 39 else 38] = 9.0, 8.0
    best = Hybrid(found).best(asked(light), np.arange(40), 2)
    assert best.positions[0] == by_vector[3]
    assert best.by[0] == "bm25+dense"


def test_an_empty_window_reads_and_searches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InMemory, "read", never)
    found, _, _, _ = make_dense(count=0)
    assert found.best(asked([]), ids(), 5).positions.tolist() == []
