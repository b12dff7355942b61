"""A tiny random checkpoint of the real architecture, and engines over it, shared by the tests that can share one."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from engine.engines import Engines
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from rerank_core.models.prompt import QWEN3
from rerank_core.models.vllm import VllmScorer

TEXTS = [
    "The central bank cut its key rate by half a point, its first cut in four years.",
    "A storm closed the port; ships wait outside the harbour.",
    "中国人民银行宣布下调存款准备金率，释放长期资金。",
    "The striker scored twice and the visitors went home without a point.",
    "What did the central bank decide? Which ships are waiting?",
    *QWEN3.before_instruction,
    *QWEN3.after_document,
]


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


def write_tokenizer(folder: Path) -> int:
    """A small byte-level vocabulary with the family's control tokens; gives the number of ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=900, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([*TEXTS * 4, "yes", "no", "yes", "no"], trainer)
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens(["<think>", "</think>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return tokenizer.get_vocab_size(with_added_tokens=True)


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
