"""The files of a checkpoint: where they are, whether they are complete, and the hashes of its weights.

Hashing a large checkpoint takes seconds, on a network disk minutes. So the sha256 of a file is kept in a small cache,
under its path, size, modification time and inode, and computed again if one of them changes. A lost or damaged cache
costs time, and never gives a wrong answer.
"""

import hashlib
import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

from rerank_core.errors import ModelError, shown
from rerank_core.settings import Settings

logger = logging.getLogger(__name__)

_PICKLE = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_HUB_FILES = ["*.safetensors", "*.json", "*.txt"]


def resolve_model(name: str, *, setting: str = "RERANK_MODEL", download: bool = True) -> Path:
    """The local folder of a checkpoint, which `name` gives as a folder or as a hub name (`owner/name[@revision]`).

    A hub name is taken from the hub's cache, or downloaded, unless `download` is false: only safetensors, JSON and text
    files. Raises ModelError, which names the setting that the name comes from.
    """
    try:
        folder = Path(name).expanduser()
    except RuntimeError:  # "~name" of a user that does not exist
        folder = Path(name)
    if folder.is_dir():
        return folder.resolve()
    repository, _, revision = name.partition("@")
    if name.startswith((".", "/", "~")) or repository.count("/") != 1:
        raise ModelError(
            f"model {shown(name)} is neither a folder here nor a hub name (owner/name); correct {setting}"
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ModelError(f"model {shown(name)}: install the `cpu` or `gpu` extra to download it") from error
    token = Settings.load().hub_token if download else None
    try:
        return Path(
            snapshot_download(
                repository,
                revision=revision or None,
                allow_patterns=_HUB_FILES,
                local_files_only=not download,
                token=token,
            )
        ).resolve()
    except Exception as error:
        raise ModelError(
            f"model {shown(name)} could not be downloaded ({type(error).__name__}); check the name and the network, or "
            "download it elsewhere and give its folder"
        ) from None  # the hub's message may hold a signed address


def read_json(file: Path, *, missing: str) -> Any:
    """The content of a JSON file. Raises ModelError if it is not JSON, or missing: `missing` then ends the message."""
    try:
        return json.loads(file.read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{file} is missing: {missing}") from None
    except ValueError as error:
        raise ModelError(f"{file} is not JSON ({error}); copy the checkpoint again") from None


def refuse_remote_code(file: Path, content: Any) -> None:
    """Raises ModelError if the content of this configuration file asks for code of the checkpoint to be run."""
    if isinstance(content, dict) and "auto_map" in content:
        raise ModelError(f"{file} wants remote code (auto_map): refused; take a checkpoint without it")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, by name.

    Raises ModelError if there are none, only pickle files, a missing file or an incomplete file.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        if any(next(folder.glob(pattern), None) for pattern in _PICKLE):
            raise ModelError(
                f"{folder} has pickle weights only, which can run code: refused; convert them to safetensors"
            )
        raise ModelError(f"{folder} has no *.safetensors file; copy the checkpoint again")
    index = folder / "model.safetensors.index.json"
    if index.exists():
        try:
            expected = set(json.loads(index.read_bytes())["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ModelError(f"{index} is damaged; copy the checkpoint again") from None
        missing = sorted(expected - {file.name for file in files})
        if missing:
            raise ModelError(f"{folder} lacks {', '.join(missing)}; copy the checkpoint again")
    for file in files:
        _header(file)
    return files


def tensor_shapes(folder: Path) -> dict[str, list[int]]:
    """The shape of every tensor, from the headers of the files. Raises ModelError as `weight_files` does."""
    return {
        name: list(entry.get("shape", []))
        for file in weight_files(folder)
        for name, entry in _header(file).items()
        if name != "__metadata__"
    }


def hash_weights(folder: Path, *, verify: bool = False) -> list[str]:
    """sha256, in hex, of each weight file, by name. `verify` ignores the cache and reads all files.

    Raises ModelError as `weight_files` does.
    """
    known = {} if verify else _load_cache()
    hashes, fresh = [], {}
    for file in weight_files(folder):
        status = file.stat()
        key = f"{file.resolve()}|{status.st_size}|{status.st_mtime_ns}|{status.st_ino}"
        digest = known.get(key)
        if not isinstance(digest, str) or len(digest) != 64:
            with file.open("rb") as stream:
                digest = fresh[key] = hashlib.file_digest(stream, "sha256").hexdigest()
        hashes.append(digest)
    if fresh:
        _save_cache({**_load_cache(), **fresh})
    return hashes


def _header(file: Path) -> dict[str, Any]:
    """The header of a complete safetensors file: 8 bytes of header length, the header, then tensors to the last end offset.

    Format: https://github.com/huggingface/safetensors#format
    """
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(size - 8, 100_000_000):
                raise ValueError
            header: dict[str, Any] = json.loads(stream.read(length))
        end = max(
            (entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(f"{file} is not a safetensors file; copy the checkpoint again") from None
    if size != 8 + length + end:
        raise ModelError(f"{file} has {size} bytes, expected {8 + length + end}; copy the checkpoint again")
    return header


def _cache_file() -> Path:
    folder = os.environ.get("RERANK_CACHE_DIR") or "~/.cache/news-rerank"
    return Path(folder).expanduser() / "weights.json"


def _load_cache() -> dict[str, Any]:
    try:
        content = json.loads(_cache_file().read_bytes())
    except (OSError, ValueError, RuntimeError):
        return {}
    return content if isinstance(content, dict) else {}


def _save_cache(content: dict[str, str]) -> None:
    try:
        file = _cache_file()
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as stream:
            json.dump(content, stream)
        Path(stream.name).replace(file)
    except (OSError, RuntimeError) as error:
        logger.warning("weights cache not written, the next start hashes again: %s", error)
