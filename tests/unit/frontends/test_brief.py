"""Which texts are picked: by relevance and difference, within the budget, with small cases that a reader can follow."""

import math

import numpy as np
import pytest

from rerank_core.frontends.brief import DISTINCT, ESTIMATE, Candidate, cut, pick, similarity


def sketch(*shared: int) -> np.ndarray:  # type: ignore[type-arg]
    """A signature of 128 places, of which so many are those of each story in turn; the rest is its own."""
    rng = np.random.default_rng(sum(shared) + len(shared))
    found = rng.integers(1_000, 1 << 32, 128, dtype=np.uint32)
    start = 0
    for story, places in enumerate(shared):
        found[start : start + places] = story
        start += places
    return found


def text(rank: int, *, tokens: int = 100, signature: object = None, terms: str = "") -> Candidate:
    made = sketch(0) if signature is None else signature
    return Candidate(1 / math.log2(1 + rank), tokens, made, frozenset(terms.split()))  # type: ignore[arg-type]


def places(candidates: list[Candidate], *, budget: int = 1_000, balance: float = 0.7) -> list[int | None]:
    return [fate.place for fate in pick(candidates, budget=budget, balance=balance)]


def test_different_texts_come_in_the_order_of_the_page() -> None:
    different = [text(rank, signature=np.full(128, rank, dtype=np.uint32)) for rank in range(1, 6)]
    assert places(different) == [0, 1, 2, 3, 4]


def half_alike() -> list[Candidate]:
    """The second shares 40 % with the first, the third nothing."""
    first, second = np.zeros(128, dtype=np.uint32), np.full(128, 2, dtype=np.uint32)
    second[:51] = 0
    third = np.full(128, 3, dtype=np.uint32)
    return [text(rank, signature=one) for rank, one in enumerate((first, second, third), start=1)]


def test_a_text_that_repeats_comes_after_one_that_does_not() -> None:
    # By hand, λ = 0.7: second 0.7 × 0.631 − 0.3 × 0.398 = 0.322, third 0.7 × 0.5 = 0.35.
    assert places(half_alike()) == [0, 2, 1]


def test_control_a_balance_of_one_takes_the_order_of_the_page() -> None:
    assert places(half_alike(), balance=1.0) == [0, 1, 2]


def test_a_text_that_says_nothing_new_is_left_out() -> None:
    alike = np.zeros(128, dtype=np.uint32)
    alike[:63] = 9
    candidates = [text(1, signature=np.zeros(128, dtype=np.uint32)), text(2, signature=alike)]
    first, second = pick(candidates, budget=1_000, balance=0.7)
    assert (first.place, second.place, second.fits, second.similar_to) == (0, None, True, 0)
    assert second.similarity == pytest.approx(65 / 128)
    assert second.similarity > DISTINCT


def test_the_budget_holds_and_a_smaller_text_behind_a_large_one_still_fits() -> None:
    candidates = [
        text(rank, tokens=tokens, signature=np.full(128, rank, dtype=np.uint32))
        for rank, tokens in enumerate((600, 500, 300, 200, 100), start=1)
    ]
    fates = pick(candidates, budget=1_000, balance=0.7)
    assert [fate.place for fate in fates] == [0, None, 1, None, 2]
    assert [fate.fits for fate in fates] == [True, False, True, False, True]
    assert (
        sum(one.tokens for one, fate in zip(candidates, fates, strict=True) if fate.place is not None)
        == 1_000
    )


def test_short_texts_are_compared_by_their_terms() -> None:
    one = Candidate(1.0, 1, None, frozenset({"a", "b", "c"}))
    other = Candidate(1.0, 1, sketch(5), frozenset({"b", "c", "d"}))
    assert similarity(one, other) == similarity(other, one) == 0.5
    assert similarity(Candidate(1.0, 1, None, frozenset()), one) == 0.0


def test_no_candidate_and_no_budget_pick_nothing() -> None:
    assert pick([], budget=100, balance=0.7) == []
    assert places([text(1, tokens=101)], budget=100) == [None]


def words(given: str) -> int:
    return len(given.split())


def test_a_long_text_is_cut_at_the_end_of_a_line() -> None:
    assert cut("one two\nthree four\n\nfive six", 4, words) == "one two\nthree four"
    assert cut("one two\nthree", 3, words) == "one two\nthree"
    assert cut("one two three\nfour", 2, words) == "one two"
    assert cut("", 2, words) == ""


def test_a_long_line_without_blanks_is_cut_within_its_limit() -> None:
    found = cut("新闻" * 500, 20, len)
    assert found == "新闻" * 10


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("seven letters, and more", 7), ("人工智能", 4), ("2026", 4), ("новости дня", 6)],
)
def test_tokens_are_estimated_by_the_kind_of_their_characters(text: str, tokens: int) -> None:
    assert ESTIMATE.count(text) == tokens
