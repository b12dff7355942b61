"""What is measured: the 0.6B shape with random weights, made once in a cache folder, and the bundled checkpoint.

Speed depends on the shape and not on the values, so random weights measure as the real ones do; the order that they
give means nothing.
"""

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from real_vocabulary import real_specification

from rerank_core.settings import DEMO_CHECKPOINT

# config.json of Qwen3-Reranker-0.6B.
SHAPE: dict[str, Any] = {
    "vocab_size": 151_669,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 40_960,
    "rope_theta": 1_000_000,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
    "bos_token_id": 151_643,
    "eos_token_id": 151_645,
}


def cache() -> Path:
    """Where checkpoints are kept between runs, outside the repository."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "news-rerank-bench"


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """`folder`, filled by `make` where it is not there yet; one that was interrupted is made again."""
    if not folder.is_dir():
        draft = folder.with_name(folder.name + ".draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        make(draft)
        draft.rename(folder)
    return folder


def tokenizer() -> tuple[Path, str]:
    """A folder with tokenizer.json, and whose vocabulary it is."""
    specification = real_specification() if not (cache() / "vocabulary").is_dir() else {}
    if specification is None:
        return DEMO_CHECKPOINT, "the demonstration checkpoint's vocabulary"

    def make(folder: Path) -> None:
        (folder / "tokenizer.json").write_text(json.dumps(specification))
        settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<|endoftext|>"}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))

    return made_once(cache() / "vocabulary", make), "the real Qwen vocabulary"


def random_checkpoint() -> Path:
    """The 0.6B shape in bfloat16, weights drawn with a fixed seed; needs torch, half a minute at the first call."""
    vocabulary, _ = tokenizer()

    def make(folder: Path) -> None:
        import torch
        from transformers import Qwen3Config, Qwen3ForCausalLM

        torch.manual_seed(0)
        torch.set_default_dtype(torch.bfloat16)
        build: Any = Qwen3ForCausalLM
        build(Qwen3Config(**SHAPE)).save_pretrained(folder)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(vocabulary / name, folder)

    return made_once(cache() / f"random-0.6b-{vocabulary.name}", make)


# config.json of small ModernBERT rerankers: layers, hidden and intermediate size, heads.
SMALL_SHAPES = {
    "ettin-reranker-17m": (7, 256, 384, 4),
    "ettin-reranker-32m": (10, 384, 576, 6),
    "ettin-reranker-68m": (19, 512, 768, 8),
    "gte-reranker-modernbert-base": (22, 768, 1152, 12),
}


def small_checkpoint(name: str) -> Path:
    """A small ModernBERT shape in bfloat16 with random weights, with the vocabulary of `random_checkpoint`.

    So documents have as many tokens for both. Its own vocabulary is a third as large, which changes no arithmetic.
    """
    vocabulary, _ = tokenizer()
    layers, hidden, intermediate, heads = SMALL_SHAPES[name]

    def make(folder: Path) -> None:
        import torch
        from transformers import ModernBertConfig, ModernBertForSequenceClassification

        specification = json.loads((vocabulary / "tokenizer.json").read_text())
        first = 1 + max(token["id"] for token in specification["added_tokens"])
        names = ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]")
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        specification["added_tokens"] += [
            {"id": first + place, "content": name, **flags} for place, name in enumerate(names)
        ]
        (folder / "tokenizer.json").write_text(json.dumps(specification))
        shutil.copy(vocabulary / "tokenizer_config.json", folder)
        torch.manual_seed(0)
        torch.set_default_dtype(torch.bfloat16)
        config = ModernBertConfig(
            vocab_size=first + len(names),
            hidden_size=hidden,
            intermediate_size=intermediate,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            pad_token_id=first + 2,
            classifier_pooling="mean",
            num_labels=1,
        )
        build: Any = ModernBertForSequenceClassification
        build(config).save_pretrained(folder)

    return made_once(cache() / f"{name}-{vocabulary.name}", make)


def vision_checkpoint(shape: str, device: str) -> Path:
    """A checkpoint that reads pictures, in the shape `small` or `2B`, with random weights that are drawn on the device."""
    return made_once(cache() / f"pictures-{shape}", partial(_write_vision_checkpoint, shape, device))


def _write_vision_checkpoint(shape: str, device: str, folder: Path) -> None:
    from benchmarks.machine import apart

    apart(_draw_vision_checkpoint, shape, device, folder)  # what it loads on a card is gone afterwards


def _draw_vision_checkpoint(shape: str, device: str, folder: Path) -> None:
    from vision_checkpoint import SHAPE_2B, SMALL, write_vision_checkpoint

    write_vision_checkpoint(folder, shape=SHAPE_2B if shape == "2B" else SMALL, device=device)


def int8_checkpoint(source: Path) -> Path:
    """A W8A8 copy of a checkpoint, made once by this project's own quantiser."""
    from rerank_core.models.quantise import quantise

    target = cache() / f"{source.name}-int8"
    if not target.is_dir():
        quantise(source, target)
    return target


def computed_flops(config: dict[str, Any], *, tokens: int, cached: int) -> float:
    """Floating point operations of one prompt's tokens beyond the cached ones, one position of output.

    Two for each weight of the linear layers and token, four for each attended position, head dimension and token;
    norms, rotation and softmax are not counted.
    """
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    if (
        "head_dim" not in config
    ):  # ModernBERT: each token sees all others in a third of the layers, else a window
        seen = tokens * (tokens + 2 * min(tokens, config["local_attention"] + 1)) / 3
        linear = hidden * (4 * hidden + 3 * config["intermediate_size"])
        return float(layers * (2 * linear * tokens + 4 * hidden * seen))
    head = config["head_dim"]
    queries = config["num_attention_heads"] * head
    keys = config["num_key_value_heads"] * head
    linear = hidden * (2 * queries + 2 * keys + 3 * config["intermediate_size"])
    attended = (tokens * (tokens + 1) - cached * (cached + 1)) / 2
    return float(layers * (2 * linear * (tokens - cached) + 4 * queries * attended))
