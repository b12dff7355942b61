"""BM25 ranks by shared terms, and never scores a document that shares none."""

import pytest

from rerank_core.recall.bm25 import Bm25

DOCUMENTS = [
    ["solar", "power", "rises"],
    ["wind", "power", "falls"],
    ["solar", "solar", "solar"],
    ["cooking", "with", "apples"],
]


def test_more_of_a_rare_term_scores_higher() -> None:
    scores = Bm25(DOCUMENTS).scores(["solar"])
    assert scores[2] > scores[0] > 0
    assert scores[1] == scores[3] == 0


def test_a_rarer_term_counts_more() -> None:
    scores = Bm25(DOCUMENTS).scores(["wind", "power"])
    assert scores[1] > scores[0] > scores[3] == 0


def test_scores_are_never_negative_even_for_a_term_that_all_documents_have() -> None:
    scores = Bm25([["a", "b"], ["a"], ["a", "c"]]).scores(["a"])
    assert (scores > 0).all()


def test_a_term_that_the_query_repeats_counts_once() -> None:
    index = Bm25(DOCUMENTS)
    assert index.scores(["solar", "solar"]).tolist() == index.scores(["solar"]).tolist()


@pytest.mark.parametrize("query", [[], ["unknown"], [""]])
def test_a_query_without_a_known_term_scores_nothing(query: list[str]) -> None:
    assert Bm25(DOCUMENTS).scores(query).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("documents", [[], [[]], [[], []]])
def test_nothing_to_index_scores_nothing(documents: list[list[str]]) -> None:
    assert Bm25(documents).scores(["solar"]).tolist() == [0] * len(documents)


def test_an_empty_document_among_others_scores_nothing() -> None:
    scores = Bm25([[], ["solar"], [""]]).scores(["solar"])
    assert scores[1] > 0
    assert scores[0] == scores[2] == 0


def test_one_document_alone_is_found() -> None:
    assert Bm25([["solar"]]).scores(["solar"])[0] > 0


def test_an_index_of_the_queries_words_alone_gives_the_same_scores() -> None:
    whole = Bm25(DOCUMENTS)
    small = Bm25(iter(DOCUMENTS), vocabulary={"solar", "power", "unknown"})
    for query in (["solar"], ["power"], ["solar", "power", "unknown"]):
        assert small.scores(query).tolist() == whole.scores(query).tolist()
    assert small.scores(["wind"]).tolist() == [0, 0, 0, 0]
