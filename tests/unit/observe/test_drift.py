"""The population stability index against values worked out by hand, and when there is none."""

import numpy as np
import pytest

from rerank_core.observe import drift

TEN = np.arange(10, dtype=np.float64)


def test_equal_distributions_have_no_drift() -> None:
    assert drift.index(TEN, TEN) == 0


def test_halves_that_change_places_by_a_third() -> None:
    baseline = np.asarray([0.0, 0.0, 1.0, 1.0])  # half and half
    found = np.asarray([0.0, 1.0, 1.0, 1.0])  # a quarter and three quarters
    by_hand = (0.25 - 0.5) * np.log(0.25 / 0.5) + (0.75 - 0.5) * np.log(0.75 / 0.5)
    assert drift.index(baseline, found, bins=2) == pytest.approx(by_hand)


def test_an_empty_bin_counts_as_epsilon() -> None:
    found = np.full(4, 1.0)
    by_hand = (1e-4 - 0.5) * np.log(1e-4 / 0.5) + (1 - 0.5) * np.log(1 / 0.5)
    assert drift.index(np.asarray([0.0, 0.0, 1.0, 1.0]), found, bins=2) == pytest.approx(by_hand)


def test_bins_are_of_the_baseline_and_what_lies_beyond_it_falls_in_the_outer_ones() -> None:
    inside = drift.index(TEN, np.asarray([0.0, 9.0]))
    assert drift.index(TEN, np.asarray([-1e9, 1e9])) == inside


def test_a_shift_of_everything_is_far_and_noise_is_not() -> None:
    random = np.random.default_rng(7)
    baseline, same = random.normal(size=(2, 5000))
    assert drift.index(baseline, same) < 0.01
    assert drift.index(baseline, same + 1) > drift.SHIFT


def test_a_baseline_that_is_all_alike_has_two_bins() -> None:
    assert drift.index(np.full(5, 2.0), np.full(5, 2.0)) == 0
    assert drift.index(np.full(5, 2.0), np.full(5, 3.0)) > drift.SHIFT


@pytest.mark.parametrize(
    ("before", "now", "known"), [(500, 500, True), (499, 500, False), (500, 499, False)], ids=str
)
def test_pooled_it_needs_five_hundred_pairs_a_side(before: int, now: int, known: bool) -> None:
    found = drift.measure(
        baseline_query_ids=np.arange(before),
        baseline=np.linspace(-1, 1, before),
        query_ids=np.arange(now),
        found=np.linspace(-1, 1, now),
        topics={},
    )
    assert (found.psi is not None, found.pairs, found.baseline_pairs) == (known, now, before)


def test_each_topic_is_of_its_own_queries_and_needs_fifty_pairs_a_side() -> None:
    one, two, few = np.repeat(1, 60), np.repeat(2, 60), np.repeat(3, 49)
    query_ids = np.concatenate([one, two, few])
    baseline = np.concatenate([np.linspace(0, 1, 60), np.linspace(0, 1, 60), np.linspace(0, 1, 49)])
    found = baseline + np.where(query_ids == 2, 5, 0)
    measured = drift.measure(
        baseline_query_ids=query_ids,
        baseline=baseline,
        query_ids=query_ids[::-1].copy(),
        found=found[::-1].copy(),
        topics={"same": [1], "moved": [2], "few": [3], "both": [1, 2], "none": []},
    )
    assert measured.topics["same"] == 0
    assert (measured.topics["moved"] or 0) > drift.SHIFT
    assert (measured.topics["few"], measured.topics["none"]) == (None, None)
    assert 0 < (measured.topics["both"] or 0) < (measured.topics["moved"] or 0)


def test_nothing_scored_has_no_drift() -> None:
    nothing = np.zeros(0)
    ids = np.zeros(0, dtype=np.int64)
    found = drift.measure(
        baseline_query_ids=ids, baseline=nothing, query_ids=ids, found=nothing, topics={"a": [1]}
    )
    assert (found.psi, found.topics) == (None, {"a": None})
