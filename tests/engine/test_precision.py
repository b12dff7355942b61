"""bfloat16 and float16 against float32: how far logits move, and that company and cache move them no further.

The bounds are for these checkpoints; benchmarks/measure_effects.py writes the figures.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from demo_checkpoint import CHECKPOINT
from engine.pairs import all_scores, make_pairs

from rerank_core.models.canary import read_canary
from rerank_core.models.vllm import VllmScorer
from rerank_core.records import Pair

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore")]


def logits(scorer: VllmScorer, pairs: list[Pair], *, cold: bool = True) -> npt.NDArray[np.float64]:
    if cold:
        scorer._llm.reset_prefix_cache()
    return np.array([score.logit for score in all_scores(scorer, pairs)])


@pytest.mark.parametrize(("precision", "share"), [("bfloat16", 0.1), ("float16", 0.02)])
def test_half_precision_moves_logits_by_a_small_share_of_their_spread(
    build: Callable[..., VllmScorer], precision: str, share: float
) -> None:
    pairs = make_pairs()
    exact = logits(build(precision="float32"), pairs)
    half = logits(build(precision=precision), pairs)
    error = np.abs(half - exact).max()
    assert 0 < error < share * exact.std()  # no error at all: the precision was not what was asked for


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_company_and_cache_move_a_logit_no_further_than_the_precision_does(
    build: Callable[..., VllmScorer], precision: str
) -> None:
    pairs = make_pairs()
    exact = logits(build(precision="float32"), pairs)
    scorer = build(precision=precision)
    together = logits(scorer, pairs)
    own_error = np.abs(together - exact).max()
    cached = logits(scorer, pairs, cold=False)
    backwards = logits(scorer, pairs[::-1])[::-1]
    alone = np.array([logits(scorer, [pair])[0] for pair in pairs])
    for other in (cached, backwards, alone):
        assert np.abs(other - together).max() <= 2 * own_error


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_the_canary_of_the_demonstration_checkpoint_passes_in_half_precision(
    build: Callable[..., VllmScorer], precision: str
) -> None:
    scorer = build(CHECKPOINT, precision=precision, run_canary=True)
    assert scorer.identity.precision == precision
    assert read_canary(Path(scorer.identity.location)).source.endswith("canary.json")
