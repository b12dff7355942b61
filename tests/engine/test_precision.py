"""bfloat16 and float16 against float32: how far logits move, and that company and cache move them no further.

The bounds are for these checkpoints; benchmarks/measure_effects.py writes the figures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from demo_checkpoint import CHECKPOINT
from engine.engines import Engines
from engine.pairs import all_scores, make_pairs

from rerank_core.models.canary import read_canary
from rerank_core.models.vllm import VllmScorer
from rerank_core.records import Pair, Score

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore")]


Logits = npt.NDArray[np.float64]
HALVES = ("bfloat16", pytest.param("float16", marks=pytest.mark.long))


@dataclass(frozen=True)
class Measured:
    """Logits of the same pairs in one precision, by what the engine had computed before and beside them."""

    together: Logits  # all pairs at once, nothing cached before
    cached: Logits  # once more, with every prefix in the cache
    backwards: Logits  # in the other order, nothing cached before
    alone: Logits  # each by itself, nothing cached before


def logits(scores: Sequence[Score]) -> Logits:
    return np.array([score.logit for score in scores])


@pytest.fixture(scope="module")
def exact(engines: Engines) -> Logits:
    """Logits in float32."""
    return logits(engines.scores(precision="float32"))


@pytest.fixture(scope="module")
def measured(engines: Engines, exact: Logits) -> Callable[[str], Measured]:
    """Measures the logits in a half precision, each precision once, by an engine of its own."""
    return cache(partial(measure, engines))


def measure(engines: Engines, precision: str) -> Measured:
    pairs = make_pairs()
    together = logits(engines.scores(precision=precision))
    scorer = engines.shared(precision=precision)

    def scored(given: list[Pair], *, cold: bool = True) -> Logits:
        if cold:
            scorer._llm.reset_prefix_cache()
        return logits(all_scores(scorer, given))

    return Measured(
        together=together,
        cached=scored(pairs, cold=False),
        backwards=scored(pairs[::-1])[::-1],
        alone=np.array([scored([pair])[0] for pair in pairs]),
    )


@pytest.mark.parametrize(
    ("precision", "share"), [("bfloat16", 0.1), pytest.param("float16", 0.02, marks=pytest.mark.long)]
)
def test_half_precision_moves_logits_by_a_small_share_of_their_spread(
    exact: Logits, measured: Callable[[str], Measured], precision: str, share: float
) -> None:
    error = np.abs(measured(precision).together - exact).max()
    assert 0 < error < share * exact.std()  # no error at all: the precision was not what was asked for


@pytest.mark.parametrize("precision", HALVES)
def test_company_and_cache_move_a_logit_no_further_than_the_precision_does(
    exact: Logits, measured: Callable[[str], Measured], precision: str
) -> None:
    half = measured(precision)
    own_error = np.abs(half.together - exact).max()
    for other in (half.cached, half.backwards, half.alone):
        assert np.abs(other - half.together).max() <= 2 * own_error


@pytest.mark.long
@pytest.mark.parametrize("precision", HALVES)
def test_the_canary_of_the_demonstration_checkpoint_passes_in_half_precision(
    build: Callable[..., VllmScorer], precision: str
) -> None:
    scorer = build(CHECKPOINT, precision=precision, run_canary=True)
    assert scorer.identity.precision == precision
    assert read_canary(Path(scorer.identity.location)).source.endswith("canary.json")
