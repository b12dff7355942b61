"""A bounded number of faults against the library; `make faults` has the long fire."""

import pytest

from faults import scenario
from faults.kinds import KINDS
from faults.world import Fire

pytestmark = pytest.mark.timeout(120)

LONG = (
    "terminate",
    "freeze in publish",
    "freeze in a copy",
    "cut off",
    "disk full",
    "pathological article",  # its page has two seconds: a busy machine takes longer
    "database's disk full",
    "link in the store",
    "partition from Redis",
    "stalled task",
)
SEEDS: dict[str, int] = {}  # of another draw than the seventh
DRAWN = [
    pytest.param(kind, SEEDS.get(kind, 7), marks=pytest.mark.long if kind in LONG else [])
    for kind in (scenario.CALM, *scenario.KINDS)
]


def test_the_long_kinds_exist() -> None:
    assert set(LONG) | set(SEEDS) < set(scenario.KINDS)


@pytest.mark.parametrize(("kind", "seed"), DRAWN)
def test_whatever_strikes_a_run_the_promises_hold(fire: Fire, kind: str, seed: int) -> None:
    if reason := fire.why_not(KINDS[kind].needs):
        pytest.skip(reason)
    outcome = scenario.play(fire, kind, seed)
    assert outcome.good, outcome.report(f"make faults N=1 ARGS=\"--kind '{kind}' --seed {seed}\"")
    assert outcome.delivered, f"{outcome.faults} found nothing to strike"
    assert outcome.verdict.readings > 50
