"""A tiny random checkpoint of the real architecture, and engines over it, shared by the tests that can share one."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from byte_vocabulary import write_tokenizer
from engine.engines import Engines

from rerank_core.models.vllm import VllmScorer


@pytest.fixture(scope="session")
def random_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers, float32, weights large enough that logits differ."""
    torch = pytest.importorskip("torch", reason="the engine is not installed (extra `cpu` or `gpu`)")
    pytest.importorskip("vllm", reason="the engine is not installed (extra `cpu` or `gpu`)")
    from transformers import Qwen3Config, Qwen3ForCausalLM

    folder = tmp_path_factory.mktemp("random-checkpoint")
    size = write_tokenizer(folder)
    config = Qwen3Config(
        vocab_size=size,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        make: Any = Qwen3ForCausalLM  # transformers leaves it untyped
        model = make(config).to(torch.float32)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.data.mul_(5)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def altered(random_checkpoint: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes a copy of the checkpoint; keywords change fields of its config.json, None removes one."""

    def alter(**changes: Any) -> Path:
        folder = tmp_path / "checkpoint"
        shutil.copytree(random_checkpoint, folder)
        config = {**json.loads((folder / "config.json").read_text()), **changes}
        kept = {name: value for name, value in config.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(kept))
        return folder

    return alter


@pytest.fixture(scope="session")
def _all_engines(random_checkpoint: Path) -> Engines:
    return Engines(random_checkpoint)


@pytest.fixture(scope="module")
def engines(_all_engines: Engines) -> Iterator[Engines]:
    """Engines of the tests; the open one closes after the module, as other modules start their own."""
    yield _all_engines
    _all_engines.close()


@pytest.fixture
def build(engines: Engines) -> Iterator[Callable[..., VllmScorer]]:
    """Builds one engine after the other for this test alone; the last one closes after it."""
    yield engines.build
    engines.close()


@pytest.fixture
def scorer(engines: Engines) -> VllmScorer:
    """An engine over the random checkpoint, shared with other tests, which leave it usable."""
    return engines.shared()
