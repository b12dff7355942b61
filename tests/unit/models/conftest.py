"""A small checkpoint folder, and a cache of weights of each test's own."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "vocab_size": 4,
    "hidden_size": 2,
    "max_position_embeddings": 2048,
    "rope_theta": 10000,
    "torch_dtype": "bfloat16",
}
TOKENIZER = {"model": {"type": "BPE", "vocab": {}, "merges": []}, "added_tokens": []}


def write_weights(file: Path, *, values: bytes = bytes(16), shape: tuple[int, int] = (4, 2)) -> None:
    """A safetensors file with one tensor, of two bytes a number."""
    entry = {"dtype": "BF16", "shape": list(shape), "data_offsets": [0, len(values)]}
    header = json.dumps({"model.embed_tokens.weight": entry}).encode()
    file.write_bytes(struct.pack("<Q", len(header)) + header + values)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    write_weights(folder / "model.safetensors")
    return folder


def change_config(folder: Path, **changes: Any) -> None:
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changes}))
