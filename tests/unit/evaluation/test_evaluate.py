"""Measures and comparisons on orders that a reader can rank by eye."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rerank_core.errors import InputError
from rerank_core.evaluation.evaluate import Order, compare, interval, measure, report
from rerank_core.evaluation.plot import draw

QRELS = {"t": {"a": 3, "b": 0, "c": 1}}


def make_order(name: str = "one", **overrides: Any) -> Order:
    values: dict[str, Any] = {"scores": {"t": {"a": 3.0, "b": 2.0, "c": 1.0}}, "judgements": QRELS}
    return Order(name, **{**values, **overrides})


def test_the_measures_are_those_of_their_definitions() -> None:
    found = measure(make_order(), ["t"])["t"]
    ideal = 3 + 1 / math.log2(3)
    assert found["nDCG@10"] == pytest.approx((3 + 1 / math.log2(4)) / ideal)
    assert found["RR"] == 1
    assert found["R@50"] == 1
    worst = make_order(scores={"t": {"a": 1.0, "b": 2.0, "x": 3.0}})
    found = measure(worst, ["t"])["t"]
    assert found["nDCG@10"] == pytest.approx(3 / math.log2(4) / ideal)
    assert found["RR"] == pytest.approx(1 / 3)
    assert found["R@50"] == 0.5


def test_a_topic_without_any_ranked_article_counts_as_nothing_found() -> None:
    assert measure(make_order(scores={}), ["t"]) == {"t": {"nDCG@10": 0, "RR": 0, "R@50": 0}}


def test_only_topics_that_both_orders_have_and_that_have_something_relevant_are_measured() -> None:
    qrels = {"t": {"a": 1}, "only-first": {"a": 1}, "nothing": {"a": 0}}
    scores = {topic: {"a": 1.0, "b": 2.0} for topic in ("t", "only-first", "nothing", "unjudged")}
    first = make_order(judgements=qrels, scores=scores)
    second = make_order("two", judgements=qrels, scores={"t": {"a": 1.0}, "nothing": {"a": 1.0}})
    found = report([first, second])
    assert found.topics == ("t",)
    assert found.passed_over == 2
    assert found.compared is not None
    assert found.compared["RR"].difference.value == pytest.approx(-0.5)


def test_judgements_that_name_no_ranked_topic_are_refused() -> None:
    with pytest.raises(InputError, match=r"the judgements \(other, …\) name no topic"):
        report([make_order(judgements={"other": {"a": 1}})])


def test_languages_are_measured_over_their_own_documents() -> None:
    order = make_order(
        scores={"t": {"zh-bad": 9.0, "zh-good": 1.0, "en-good": 5.0, "de-bad": 4.0}},
        judgements={"t": {"zh-good": 1, "en-good": 1, "zh-bad": 0}},
        langs={"zh-bad": "zh", "zh-good": "zh", "en-good": "en", "de-bad": "de"},
    )
    found = report([order]).languages
    assert {lang: means[0]["RR"].value for lang, means in found.items()} == {"en": 1.0, "zh": 0.5}


def test_the_randomisation_test_is_exact_for_few_topics() -> None:
    rng = np.random.default_rng(1)
    # Of the 2**4 ways to swap, only keeping all or swapping all is as extreme.
    assert compare(np.asarray([0.1, 0.2, 0.3, 0.4]), rng).p == pytest.approx(2 / 16)
    assert compare(np.zeros(5), rng).p == 1
    assert compare(np.asarray([0.5, -0.5]), rng).p == 1


def test_the_randomisation_test_finds_a_difference_and_no_other() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 1, 200)
    assert compare(noise + 0.5, rng).p < 0.001
    even = np.concatenate([noise, -noise])
    assert compare(even, rng).p == pytest.approx(1, abs=0.01)
    half = rng.normal(0.05, 1, 100)
    exact = compare(half, np.random.default_rng(2)).p
    assert compare(half, np.random.default_rng(3)).p == pytest.approx(exact, abs=0.03)


def test_an_interval_holds_the_mean_and_narrows_with_topics() -> None:
    rng = np.random.default_rng(1)
    few, many = interval(rng.random(5), rng), interval(rng.random(500), rng)
    for found in (few, many):
        assert found.low < found.value < found.high
    assert many.high - many.low < (few.high - few.low) / 3
    assert interval(np.full(7, 0.25), rng).high == 0.25


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_a_report_is_drawn(tmp_path: Path, ending: str) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra `eval`)")
    file = tmp_path / f"plot.{ending}"
    draw(report([make_order("a $x^2$ model"), make_order("two")]), file)
    content = file.read_bytes()
    assert content.startswith(b"<?xml" if ending == "svg" else b"\x89PNG")
    assert len(content) > 5_000


def test_many_topics_are_drawn_by_language(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra `eval`)")
    topics = [f"t{number}" for number in range(80)]
    order = make_order(
        scores={topic: {"a": 1.0} for topic in topics},
        judgements={topic: {"a": 1} for topic in topics},
        langs={"a": "en"},
    )
    draw(report([order]), tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").stat().st_size < 100_000


def test_a_plot_in_no_known_format_or_place_is_refused(tmp_path: Path) -> None:
    found = report([make_order()])
    with pytest.raises(InputError, match="its ending is none of"):
        draw(found, tmp_path / "plot.txt")
    with pytest.raises(InputError, match="does not exist"):
        draw(found, tmp_path / "none" / "plot.svg")
