"""The fake scorer keeps the contract of a scorer."""

import time
from datetime import date

import pytest

from rerank_core.errors import EngineError
from rerank_core.models.base import ChunkFailed, FakeScorer, Scorer, name_pairs
from rerank_core.records import Pair


def make_pair(document: str, *, query: str = "rate cut", number: int = 0) -> Pair:
    return Pair(1, number, date(2026, 11, 1), "i", query, document)


def test_the_fake_is_a_scorer_that_prefers_shared_words() -> None:
    scorer: Scorer = FakeScorer()
    documents = ["a rate cut came", "one cut", "a storm"]
    pairs = [make_pair(document, number=n) for n, document in enumerate(documents)]
    (chunk,) = scorer.score(pairs, flush_seconds=1.0)
    logits = [score.logit for score in chunk.scores]
    assert logits == sorted(logits, reverse=True)
    (again,) = FakeScorer().score(pairs, flush_seconds=1.0)
    assert [score.logit for score in again.scores] == logits
    assert FakeScorer(name="other").identity.digest != FakeScorer().identity.digest


def test_the_fake_fails_refuses_and_stops_as_told() -> None:
    pairs = [make_pair(f"text {n}", number=n) for n in range(20)]
    scorer = FakeScorer(pairs_per_chunk=5, fail_at_chunk=2, refuse_text="text 1")
    with pytest.raises(ChunkFailed, match="query 1 × document 10") as failure:
        list(scorer.score(pairs, flush_seconds=1.0))
    assert failure.value.suspects == tuple(pairs[10:15])
    with pytest.raises(EngineError, match="finished"):
        next(scorer.score(pairs, flush_seconds=1.0))
    refusing = FakeScorer(refuse_text="text 1")
    refused = [
        refusal.pair for chunk in refusing.score(pairs, flush_seconds=1.0) for refusal in chunk.refused
    ]
    assert refused == [pairs[1], *pairs[10:]]
    assert list(FakeScorer().score(pairs, flush_seconds=1.0, deadline=time.monotonic())) == []


def test_names_of_pairs_are_kept_short() -> None:
    pairs = [make_pair("d", number=n) for n in range(10)]
    assert name_pairs(pairs[:1]) == "query 1 × document 0"
    assert name_pairs(pairs, at_most=1) == "query 1 × document 0 and 9 more"
    assert name_pairs([]) == "no pairs"
