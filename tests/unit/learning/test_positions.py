"""The effect of rank and age, fitted to simulated readers whose truth is known."""

import numpy as np
import pytest
from readers import Readers, falling, pages, read

from rerank_core.learning import positions
from rerank_core.learning.positions import NAIVE, Positions, Seen, fit

RANKS = np.arange(1, 16)
DECAY = 0.03
KNOTS = positions._knots
NOBODY = Seen(*(np.zeros(0, dtype=kind) for kind in (int, int, int, float, int, int)))


def seen(seed: int, readers: float, drift: float = 0.0) -> Seen:
    """What readers did with hourly pages of six topics over five days, of 15 rows each."""
    rng = np.random.default_rng(seed)
    rows, relevance = pages(rng, topics=6, hours=120, top_k=15)
    done = read(rng, rows, relevance, Readers(falling(15), decay=DECAY, readers=readers, drift=drift))
    kept = done.impressions > 0
    columns = (rows.pair, rows.topic, rows.rank, rows.age, done.impressions, done.opens)
    return Seen(*(column[kept] for column in columns))


def error(found: Positions) -> float:
    """The mean difference of the logarithms of the found and the true examination."""
    logs = np.log(found.exposure(RANKS, np.zeros(len(RANKS))))
    return float(np.abs(logs - np.log(falling(15))).mean())


@pytest.mark.parametrize("drift", [0.0, 0.01], ids=["steady", "drifting"])
def test_the_error_falls_with_data_with_drifting_interest_too(drift: float) -> None:
    few, many = (
        np.mean([error(fit(seen(seed, readers, drift))) for seed in (1, 2)]) for readers in (15, 3000)
    )
    assert many < 0.5 * few
    assert many < 0.1


def test_control_without_an_effect_of_age_more_data_does_not_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions, "AGE_KNOTS", (0,))
    monkeypatch.setattr(
        positions, "_knots", lambda wanted, *rest: KNOTS(wanted, *rest)[: None if len(wanted) > 1 else 1]
    )
    assert error(fit(seen(1, 3000))) > 0.4


def test_the_intervals_have_the_truth_and_become_narrow_with_data() -> None:
    found = [fit(seen(seed, 60)) for seed in range(3)]
    effects = [effect for each in found for effect in each.examination[1:]]
    covered = [effect.low <= effect.at**-0.7 <= effect.high for effect in effects]
    assert np.mean(covered) > 0.8
    fresh = [effect for each in found for effect in each.freshness[1:]]
    assert np.mean([effect.low <= np.exp(-DECAY * effect.at) <= effect.high for effect in fresh]) > 0.8
    wide, narrow = (fit(seen(0, readers)).examination[3] for readers in (60, 3000))
    assert np.log(narrow.high / narrow.low) < 0.5 * np.log(wide.high / wide.low)


def test_what_nobody_has_seen_stays_as_if_every_row_were_read_alike() -> None:
    assert fit(NOBODY) == NAIVE
    once = Seen(np.arange(3), np.zeros(3, int), np.arange(1, 4), np.zeros(3), np.full(3, 100), np.full(3, 30))
    found = fit(once)  # each pair was at one rank only
    assert [effect.factor for effect in found.examination] == pytest.approx([1, 1, 1])
    assert found.examination[1].high > 100


def test_pairs_count_and_their_order_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = seen(3, 60)
    order = np.random.default_rng(0).permutation(len(rows.rank))
    shuffled = Seen(*(column[order] for column in vars(rows).values()))
    monkeypatch.setattr(positions, "CHUNK_ROWS", 500)
    expected, found = fit(rows), fit(shuffled)
    for name in ("examination", "freshness"):
        factors = [[effect.factor for effect in getattr(each, name)] for each in (expected, found)]
        assert factors[0] == pytest.approx(factors[1], rel=1e-6)
    assert positions._parts(np.sort(rows.pair)).__next__().stop >= 500


def test_an_exposure_is_read_between_the_knots_and_held_beyond_them() -> None:
    rank = tuple(positions.Effect(at, factor, factor, factor, 0, 0) for at, factor in ((1, 1.0), (4, 0.125)))
    age = tuple(positions.Effect(at, factor, factor, factor, 0, 0) for at, factor in ((0, 1.0), (10, 0.01)))
    found = Positions(rank, age).exposure(np.array([1, 2, 3, 9, 1]), np.array([0.0, 0, 0, 0, 5]))
    assert found == pytest.approx([1, 0.5, 0.25, 0.125, 0.1])
