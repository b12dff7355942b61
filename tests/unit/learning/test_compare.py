"""The interval of a difference: right at all times at once, while that of a fixed number of readers is not."""

import math

import numpy as np
import pytest

from rerank_core.learning.compare import boundary, sequence

RUNS = 200
STREAMS = 400


def coverage(interval) -> float:
    """Share of streams whose mean rate is in the interval after each of RUNS runs. The rate moves from hour to hour."""
    rng = np.random.default_rng(20261129)
    rates = 0.05 * np.exp(0.3 * np.sin(np.arange(RUNS) / 4))
    right = 0
    for _ in range(STREAMS):
        seen = rng.poisson(60, RUNS) + 1
        opens = rng.binomial(seen, rates)
        truth = np.cumsum(seen * rates) / np.cumsum(seen)
        counts = list(zip(seen.tolist(), opens.tolist(), strict=True))
        right += all(
            low <= mean <= high
            for place, mean in enumerate(truth[9::10])
            for low, high in [interval(counts[: 10 * place + 10])]
        )
    return right / STREAMS


def by_the_normal_law(counts: list[tuple[int, int]]) -> tuple[float, float]:
    """The interval that most dashboards draw: right for one look at a number of readers that was fixed before."""
    seen, opened = (sum(column) for column in zip(*counts, strict=True))
    rate = opened / seen
    width = 1.96 * math.sqrt(rate * (1 - rate) / seen)
    return rate - width, rate + width


def test_the_rate_is_in_the_interval_at_every_look() -> None:
    assert coverage(lambda counts: sequence(counts, alpha=0.05)) >= 0.95


def test_control_an_interval_for_one_look_is_wrong_at_one_of_many() -> None:
    assert coverage(by_the_normal_law) < 0.9


def test_the_interval_narrows_and_tells_two_rates_apart() -> None:
    first, second = sequence([(500, 50)] * 40, alpha=0.025), sequence([(500, 25)] * 40, alpha=0.025)
    assert second[1] < first[0]
    assert first[0] < 0.1 < first[1]
    early = sequence([(500, 50)] * 2, alpha=0.025)
    assert early[1] - early[0] > 3 * (first[1] - first[0])


@pytest.mark.parametrize(
    ("variance", "alpha", "expected"),
    [(1.0, 0.05, 10.759), (1_000.0, 0.025, 140.03), (0.0, 0.05, 10.759)],
)
def test_the_boundary_is_that_of_the_paper(variance: float, alpha: float, expected: float) -> None:
    """Expected: equation 10 of Howard et al. 2021 by hand, η = 2, s = 1.4, m = 1, c = 1."""
    assert boundary(variance, alpha=alpha) == pytest.approx(expected, abs=0.01)


def test_no_reader_leaves_everything_possible() -> None:
    assert sequence([], alpha=0.05) == (0.0, 1.0)
