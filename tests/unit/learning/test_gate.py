"""The gate's honesty: without a preference nothing passes, with one it does, and each refusal says by how much."""

from collections.abc import Callable

import numpy as np
import pytest
from learning_worlds import HIDDEN, make_world

from rerank_core.learning import gate, tune

SEEDS = range(5_000, 5_300)  # the check was made on seeds below 1,000


def passed(seed: int, **options: float) -> bool:
    """Whether the readers of one world let its learned head pass."""
    world = make_world(seed, **options)
    return gate.readers(world.held, world.base, tune.cross_fit(world.train, world.base)).passed


@pytest.mark.parametrize(
    ("name", "worlds", "options"),
    [
        ("no interest in anything", 100, {"taste": 0.0, "follows_base": 0.0}),
        ("interest in what the base sees", 40, {"taste": 0.0}),
        ("examination measured too steep", 40, {"taste": 0.0, "wrong_power": 0.15}),
        ("examination measured too flat", 40, {"taste": 0.0, "follows_base": 0.0, "wrong_power": -0.15}),
    ],
)
def test_without_a_preference_nothing_is_proposed(name: str, worlds: int, options: dict[str, float]) -> None:
    assert sum(passed(seed, crowd=300.0, **options) for seed in SEEDS[:worlds]) <= worlds // 20, name


def test_a_preference_is_found() -> None:
    assert sum(passed(seed, crowd=300.0) for seed in SEEDS[:20]) >= 18


def test_control_a_gate_that_only_asks_for_a_higher_likelihood_is_fooled() -> None:
    fooled = 0
    for seed in SEEDS[:40]:
        world = make_world(seed, taste=0.0, follows_base=0.0, crowd=300.0, wrong_power=-0.15)
        change = tune.refit(world.train, world.base, tune.cross_fit(world.train, world.base))
        held = tune.told(world.held)
        before, after = (
            tune.likelihood(held, 0.3 * (held.states @ head)) for head in (world.base, world.base + change)
        )
        fooled += after > before
    assert fooled > 8


@pytest.fixture
def cases() -> list[tune.Floats]:
    best, worst = np.zeros(HIDDEN), np.zeros(HIDDEN)
    best[0], best[3] = 1.0, 1.0
    return [np.stack([best, worst])]


@pytest.mark.parametrize(("change", "is_kept"), [(0.0, True), (-0.9, True), (-1.1, False), (-2.5, False)])
def test_the_canary_keeps_half_of_its_margin(cases: list[tune.Floats], change: float, is_kept: bool) -> None:
    world = make_world(0)
    moved = np.zeros(HIDDEN)
    moved[3] = change
    check = gate.canary(cases, world.base, moved)
    assert check.passed == is_kept
    assert f"{2 + change:.3f}" in check.sentence
    assert "1.000, half the base's 2.000" in check.sentence


@pytest.mark.parametrize(
    ("make", "is_kept"),
    [
        (lambda base: 0.2 * base, True),
        (lambda base: 1.5 * base, False),
        (lambda base: -0.7 * base, False),
        (lambda base: np.eye(HIDDEN)[1] * 1.0, False),
    ],
)
def test_logits_keep_their_spread_and_their_mean(
    make: Callable[[tune.Floats], tune.Floats], is_kept: bool
) -> None:
    world = make_world(0)
    assert gate.spread(world.held.states, world.base, make(world.base)).passed == is_kept


def test_judgements_at_hand_may_be_ranked_a_hundredth_worse_and_no_more() -> None:
    states = {"t": {name: np.eye(HIDDEN)[place] for place, name in enumerate("abc")}}
    base = np.array([3.0, 2.0, 1.0, *[0.0] * (HIDDEN - 3)])
    swap = np.array([-2.5, 0.0, 0.0, *[0.0] * (HIDDEN - 3)])
    judged = {"t": {"a": 2, "b": 1, "c": 0}}
    assert gate.judgements(states, judged, base, 0 * base).passed
    check = gate.judgements(states, judged, base, swap)
    assert not check.passed
    assert "1 judged topics" in check.sentence
    assert gate.judgements({}, {}, base, swap).sentence == "there are none at hand"


def test_a_refusal_names_each_check_that_failed() -> None:
    good = gate.Check("canary", True, "fine", {})
    bad = [gate.Check("readers", False, "z is 1", {}), gate.Check("spread", False, "3 times", {})]
    assert gate.refusal([good, *bad]) == "readers: z is 1; spread: 3 times"
    assert gate.refusal([good]) is None
