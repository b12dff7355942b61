"""The 8-bit copy in the real engine: it loads, it computes with the rounded weights, and it orders as its source does."""

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from demo_checkpoint import CHECKPOINT
from engine.engines import Engines
from engine.pairs import make_pairs

from rerank_core.errors import ModelError
from rerank_core.models import quantise as module
from rerank_core.models.canary import read_canary
from rerank_core.models.prompt import Prompter
from rerank_core.models.quantise import quantise
from rerank_core.models.vllm import VllmScorer

Floats = npt.NDArray[np.float32]

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
    scheme = module.SCHEMES["int8"]

    def wrong(values: Floats) -> tuple[Any, Floats]:
        rounded, scales = scheme.rows(values)
        return rounded, scales[::-1].copy()

    monkeypatch.setitem(module.SCHEMES, "int8", replace(scheme, rows=wrong))
    broken = quantise(CHECKPOINT, tmp_path / "broken").folder
    with pytest.raises(ModelError, match="canary"):
        build(broken, run_canary=True)


def test_an_int8_copy_is_not_quantised_again(int8: Path, tmp_path: Path) -> None:
    shutil.copytree(int8, tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="quantised already"):
        quantise(tmp_path / "elsewhere", tmp_path / "twice")


def test_an_fp8_copy_stands_for_weights_whose_logits_are_near_those_of_the_source(
    random_checkpoint: Path, tmp_path: Path
) -> None:
    """No engine: fp8 runs on GPUs. torch reads the copy's bits by its own type, and transformers computes."""
    import torch
    from safetensors.torch import load_file
    from transformers import Qwen3ForCausalLM

    folder = quantise(random_checkpoint, tmp_path / "fp8", scheme="fp8").folder
    model = Qwen3ForCausalLM.from_pretrained(random_checkpoint, dtype=torch.float32)
    prompter = Prompter(random_checkpoint / "tokenizer.json", max_document_tokens=96)

    def logits() -> Floats:
        found = []
        for pair in make_pairs():
            ids = prompter.prompt(instruction=pair.instruction, query=pair.query, document=pair.document).ids
            with torch.no_grad():
                last = model(torch.tensor([ids])).logits[0, -1]
            found.append(float(last[prompter.yes_id] - last[prompter.no_id]))
        return np.array(found, np.float32)

    before = logits()
    stored = load_file(folder / "model.safetensors")
    narrow = [name for name, tensor in stored.items() if tensor.dtype == torch.float8_e4m3fn]
    assert len(narrow) == 7 * model.config.num_hidden_layers
    with torch.no_grad():
        for name in narrow:
            model.get_parameter(name).copy_(stored[name].float() * stored[f"{name}_scale"])
    error = np.abs(logits() - before)
    assert 1e-6 < error.max() < 0.25 * before.std()
    assert np.corrcoef(logits(), before)[0, 1] > 0.99


def _is_int8(scorer: VllmScorer) -> bool:
    found = scorer._llm.apply_model(
        lambda model: type(model.model.layers[0].self_attn.qkv_proj.scheme).__name__
    )
    return all("Int8" in name for name in found)
