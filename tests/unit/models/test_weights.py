"""Where a checkpoint is, which of its files are weights, and that they are hashed once."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from rerank_core.errors import ModelError
from rerank_core.models.identity import identify
from rerank_core.models.weights import resolve_model, weight_files


def digest(folder: Path, *, verify: bool = False) -> str:
    return identify(folder, precision="auto", max_document_tokens=512, verify=verify).digest


def test_weights_are_read_once_and_again_when_changed(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    file_digest = hashlib.file_digest

    def counted(stream: Any, name: Any) -> Any:
        read.append(stream.name)
        return file_digest(stream, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    first = digest(checkpoint)
    assert digest(checkpoint) == first
    assert len(read) == 1
    assert digest(checkpoint, verify=True) == first
    assert len(read) == 2
    os.utime(checkpoint / "model.safetensors", ns=(1, 1))
    assert digest(checkpoint) == first
    assert len(read) == 3


def test_a_damaged_or_unwritable_cache_costs_time_only(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = digest(checkpoint)
    for content in ("no json", "[]", '{"x": 3}'):
        (tmp_path / "cache" / "weights.json").write_text(content)
        assert digest(checkpoint) == first
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("RERANK_CACHE_DIR", str(blocked / "below"))
    assert digest(checkpoint) == first


def test_pickle_beside_safetensors_is_ignored(checkpoint: Path) -> None:
    (checkpoint / "pytorch_model.bin").write_bytes(b"anything")
    assert [file.name for file in weight_files(checkpoint)] == ["model.safetensors"]


def test_a_model_is_a_folder_or_a_hub_name(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_model(str(checkpoint)) == checkpoint
    for name in ("./absent", "/absent/model", "~absent", "one-word", "a/b/c"):
        with pytest.raises(ModelError, match="neither a folder here nor a hub name"):
            resolve_model(name)
    import huggingface_hub

    asked: dict[str, Any] = {}

    def download(repository: str, **options: Any) -> str:
        asked.update(repository=repository, **options)
        return str(checkpoint)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert resolve_model("owner/name@abc") == checkpoint
    assert (asked["repository"], asked["revision"]) == ("owner/name", "abc")
    assert set(asked["allow_patterns"]) == {"*.safetensors", "*.json", "*.txt"}
    assert asked["token"] is None
    monkeypatch.setenv("RERANK_HUB_TOKEN", "hf_token")
    assert resolve_model("owner/name") == checkpoint
    assert asked["token"] == "hf_token"
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: 1 / 0)
    with pytest.raises(ModelError, match="could not be downloaded"):
        resolve_model("owner/name")
