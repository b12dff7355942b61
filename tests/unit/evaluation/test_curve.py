"""Quality and cost at several token limits: more of a document is read, and more is paid."""

import numpy as np
import pytest

from rerank_core.errors import EngineError, InputError
from rerank_core.evaluation.curve import curve, logits, parse_limits
from rerank_core.evaluation.evaluate import Order
from rerank_core.models.base import FakeScorer, OnChunk, Scorer
from rerank_core.records import Pair, Score
from rerank_core.storage.pair_texts import PairTexts

LATE = "one two three four five six solar"  # its word that counts is the seventh
TEXTS = PairTexts(
    query_ids=[7],
    queries=[("find", "solar")],
    document_ids=[1, 2, 3],
    documents=["wind", LATE, "tide wind and more wind than before"],
    langs=["en"] * 3,
    pictures=[(), (), ()],
    query_places=np.array([0, 0, 0, 0]),
    document_places=np.array([0, 1, 2, 1]),  # two topics ask the same
)
JUDGED = {"solar": {"late": 1}}


class Reader(FakeScorer):
    """Reads the first words of a document, as many as its limit; takes a word of the query for cached."""

    def _score(self, pair: Pair) -> Score:
        words = pair.document.split()
        limit = self.identity.max_document_tokens
        noise = -0.01 * len(words)  # a document that is not read to its word comes last
        return Score(
            pair=pair,
            logit=float("solar" in words[:limit]) + noise,
            truncated=len(words) > limit,
            latency_ms=0.0,
            prompt_tokens=1 + min(len(words), limit),
            cached_tokens=1,
        )


def by(scorer: Scorer, on_chunk: OnChunk) -> Order:
    found = logits(scorer, TEXTS, on_chunk)
    return Order(
        "model", {"solar": dict(zip(("wind", "late", "tide"), found[:3].tolist(), strict=True))}, JUDGED
    )


def test_more_tokens_find_what_stands_late_and_cost_more() -> None:
    opened: list[Reader] = []

    def load(limit: int) -> Scorer:
        assert all(scorer.finished for scorer in opened)  # a process has one engine at a time
        opened.append(Reader(max_document_tokens=limit))
        return opened[-1]

    few, many = curve((4, 8), load, by)
    assert all(scorer.finished for scorer in opened)
    assert (few.tokens, many.tokens) == (4, 8)
    assert many.ndcg == 1 > few.ndcg
    assert many.against_most is None
    assert few.against_most is not None
    assert few.against_most.difference.value == pytest.approx(few.ndcg - 1)
    assert (few.pairs, few.cut_share, many.cut_share) == (3, pytest.approx(2 / 3), 0)
    assert (few.computed_tokens, few.cached_tokens) == (pytest.approx((1 + 4 + 4) / 3), 1)
    assert many.computed_tokens == pytest.approx((1 + 7 + 7) / 3)


def test_a_pair_of_two_topics_is_scored_once_and_a_refused_pair_has_no_logit() -> None:
    found = logits(FakeScorer(refuse_text="tide"), TEXTS)
    assert np.isnan(found).tolist() == [False, False, True, False]
    assert found[1] == found[3] > found[0]


def test_a_failed_engine_ends_the_curve_and_is_closed() -> None:
    scorer = FakeScorer(fail_at_text="wind")
    with pytest.raises(EngineError):
        curve((4,), lambda limit: scorer, by)
    assert scorer.finished


@pytest.mark.parametrize(
    ("text", "limits"),
    [("tokens=64,512,128", (64, 128, 512)), ("tokens = 64, 64", (64,)), ("tokens=8", (8,))],
)
def test_limits_are_parsed(text: str, limits: tuple[int, ...]) -> None:
    assert parse_limits(text) == limits


@pytest.mark.parametrize(
    "text",
    ["", "tokens", "64,128", "tokens=", "tokens=4", "tokens=99999", "tokens=a", "words=64", "tokens=-64"],
)
def test_another_list_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match="curve"):
        parse_limits(text)
