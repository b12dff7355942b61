"""Thresholds on logits that a reader can cut by eye."""

from typing import Any

import pytest
import yaml

from rerank_core.errors import InputError
from rerank_core.evaluation.calibrate import LEAST_EACH, calibrate, snippet
from rerank_core.evaluation.evaluate import Order


def make_order(relevant: list[float], other: list[float], **unjudged: Any) -> Order:
    """A topic "t" whose judged articles have these logits."""
    logits = [*relevant, *other]
    scores = {f"a{number}": logit for number, logit in enumerate(logits)}
    grades = {f"a{number}": int(number < len(relevant)) * 2 for number in range(len(logits))}
    return Order("test", {"t": scores, **unjudged}, {"t": grades})


def test_the_best_f1_parts_what_can_be_parted() -> None:
    found = calibrate(make_order([3.0, 4.0, 5.0, 6.0, 7.0], [0.0, -1.0, -2.0, 1.0, -3.0]))[0]
    assert found.min_score == 2.0
    assert (found.precision, found.recall) == (1, 1)
    assert found.low is not None
    assert found.high is not None
    assert 1 <= found.low <= found.min_score <= found.high <= 7


def test_the_best_f1_weighs_what_cannot_be_parted() -> None:
    found = calibrate(make_order([5.0, 4.0, 3.0, 2.0, -9.0], [2.5, -1.0, -2.0, -3.0, -4.0]))[0]
    # From 2.0 on: 4 of 5 relevant, 1 other: F1 = 8/10. Down to −9 all: 10/15. From 3.0 on: 6/8.
    assert found.min_score == 0.5
    assert found.precision == pytest.approx(0.8)
    assert found.recall == pytest.approx(0.8)


def test_a_precision_takes_the_lowest_threshold_that_reaches_it() -> None:
    order = make_order([5.0, 4.0, 3.0, 2.0, -9.0], [2.5, -1.0, -2.0, -3.0, -4.0])
    assert calibrate(order, precision=1.0)[0].min_score == 2.75
    assert calibrate(order, precision=0.6)[0].min_score == -1.5
    assert calibrate(order, precision=0.5)[0].min_score == -9.5  # all of them
    impossible = make_order([1.0] * 5, [2.0] * 5)
    with pytest.raises(InputError, match="no threshold reaches a precision of 0.9"):
        calibrate(impossible, precision=0.9)


def test_equal_logits_are_kept_or_cut_together() -> None:
    found = calibrate(make_order([1.0] * 6, [1.0, 0.0, 0.0, 0.0, 0.0]))[0]
    assert found.min_score == 0.5
    assert found.precision == pytest.approx(6 / 7)
    with pytest.raises(InputError, match="no threshold reaches a precision of 1"):
        calibrate(make_order([1.0] * 6, [1.0, 0.0, 0.0, 0.0, 0.0]), precision=1.0)


def test_a_threshold_in_a_narrow_gap_keeps_what_is_above_it() -> None:
    found = calibrate(make_order([1.0] * 5, [0.995] * 5))[0]
    assert (found.min_score, found.precision, found.recall) == (1.0, 1, 1)


def test_unscored_and_unjudged_articles_do_not_count() -> None:
    order = make_order([3.0] * 5, [0.0] * 5, elsewhere={"a0": 1.0})
    order.judgements["t"]["never scored"] = 3  # type: ignore[index]
    order.scores["t"]["never judged"] = 99.0  # type: ignore[index]
    found = calibrate(order)
    assert [(one.topic, one.relevant, one.other, one.min_score) for one in found] == [("t", 5, 5, 1.5)]


def test_too_few_judgements_give_no_threshold() -> None:
    with pytest.raises(InputError, match=rf"4 relevant and 9 other judged pairs .* {LEAST_EACH} of each"):
        calibrate(make_order([3.0] * 4, [0.0] * 9))
    with pytest.raises(InputError, match="precision 1.5"):
        calibrate(make_order([3.0] * 9, [0.0] * 9), precision=1.5)


def test_the_snippet_is_yaml_that_topics_can_take() -> None:
    order = make_order([3.0] * 5, [0.0] * 5)
    few = Order("test", {**order.scores, "few": {"a": 1.0}}, {**order.judgements, "few": {"a": 1}})
    text = snippet(calibrate(few), rule="best F1")
    assert yaml.safe_load(text) == {"topics": [{"slug": "few"}, {"slug": "t", "min_score": 1.5}]}
    assert "# min_score: none proposed: 1 relevant and 0 other" in text
