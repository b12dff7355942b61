"""The int8 copy in the real engine: it loads, it computes with the rounded weights, and it orders as its source does."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from demo_checkpoint import CHECKPOINT
from engine.engines import Engines

from rerank_core.errors import ModelError
from rerank_core.models import quantise as module
from rerank_core.models.canary import read_canary
from rerank_core.models.quantise import quantise
from rerank_core.models.vllm import VllmScorer

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def int8(random_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random checkpoint, quantised."""
    return quantise(random_checkpoint, tmp_path_factory.mktemp("quantised") / "int8").folder


def test_int8_logits_are_near_those_of_the_source_and_keep_their_order(engines: Engines, int8: Path) -> None:
    wide = np.array([score.logit for score in engines.scores(precision="float32")])
    narrow = np.array([score.logit for score in engines.scores(int8, precision="float32")])
    assert _is_int8(engines.shared(int8, precision="float32"))
    error = np.abs(narrow - wide)
    assert 1e-6 < error.max() < 0.25 * wide.std()  # no error at all: the weights were not int8
    assert np.corrcoef(narrow, wide)[0, 1] > 0.99


@pytest.mark.long
def test_int8_runs_in_every_precision_that_the_rest_may_have(engines: Engines, int8: Path) -> None:
    logits = {
        precision: np.array([score.logit for score in engines.scores(int8, precision=precision)])
        for precision in ("float32", "bfloat16", "float16")
    }
    spread = logits["float32"].std()
    assert np.abs(logits["bfloat16"] - logits["float32"]).max() < 0.5 * spread
    assert np.abs(logits["float16"] - logits["float32"]).max() < 0.5 * spread


@pytest.mark.long
def test_the_demonstration_checkpoint_keeps_the_order_of_its_canary_in_int8(
    build: Callable[..., VllmScorer], tmp_path: Path
) -> None:
    folder = quantise(CHECKPOINT, tmp_path / "int8").folder
    canary = read_canary(folder)
    assert canary.source.startswith(str(folder))
    scorer = build(folder, run_canary=True)
    (chunk,) = scorer.score(canary.pairs(), flush_seconds=math.inf)
    assert len(chunk.scores) == len(canary.pairs())


def test_a_copy_with_the_scales_of_other_rows_fails_its_canary(
    build: Callable[..., VllmScorer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = module.int8_rows
    monkeypatch.setattr(module, "int8_rows", lambda values: (right(values)[0], right(values)[1][::-1].copy()))
    broken = quantise(CHECKPOINT, tmp_path / "broken").folder
    with pytest.raises(ModelError, match="canary"):
        build(broken, run_canary=True)


def test_an_int8_copy_is_not_quantised_again(int8: Path, tmp_path: Path) -> None:
    shutil.copytree(int8, tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="quantised already"):
        quantise(tmp_path / "elsewhere", tmp_path / "twice")


def _is_int8(scorer: VllmScorer) -> bool:
    found = scorer._llm.apply_model(
        lambda model: type(model.model.layers[0].self_attn.qkv_proj.scheme).__name__
    )
    return all("Int8" in name for name in found)
