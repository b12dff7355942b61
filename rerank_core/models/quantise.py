"""Quantisation: an 8-bit copy of a checkpoint. It is a new scorer, which is faster and a little less exact.

- The format is W8A8 of compressed-tensors, which vLLM loads. Weights of the decoder's linear layers become 8-bit numbers,
  symmetric, with one scale an output channel. The engine narrows activations token by token, while it runs.
- A scheme says which numbers: `int8` runs on CPUs and GPUs, `fp8` (E4M3) on GPUs of compute capability 8.9 or later.
- Embeddings, output head and norms keep their numbers.
- Weights are rounded to the nearest number of the scheme, without calibration data and without torch. What that does to
  rankings must be measured for each checkpoint.
- The target appears whole or not at all: a draft folder beside it is written, flushed and renamed.
- A file is read and written a few MiB at a time, so a checkpoint of any size fits a small machine.

Formats: https://github.com/vllm-project/compressed-tensors, https://github.com/huggingface/safetensors#format and, for
E4M3, "FP8 Formats for Deep Learning" (Micikevicius et al., 2022, https://arxiv.org/abs/2209.05433), section 3
"""

import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from rerank_core.errors import InputError, ModelError
from rerank_core.models.canary import FILE_NAME as CANARY
from rerank_core.models.identity import read_checkpoint
from rerank_core.models.new_folder import check_target, new_folder
from rerank_core.models.weights import NUMBERS, weight_files

logger = logging.getLogger(__name__)

INDEX = "model.safetensors.index.json"
COPIED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "generation_config.json",
    "LICENSE",
)

_LINEAR = re.compile(r"(?:.+\.)?layers\.\d+\.(?:self_attn\.[qkvo]_proj|mlp\.(?:gate|up|down)_proj)\.weight")
_LINEARS_PER_LAYER = 7
_STEPS = 127  # int8 values on either side of zero; −128 is not used, so that scales are symmetric
_FP8_MOST = 448  # the largest number of E4M3
_BLOCK_BYTES = 8 * 2**20  # read at a time

Header = dict[str, dict[str, Any]]
Rows = Callable[[npt.NDArray[np.float32]], tuple[npt.NDArray[Any], npt.NDArray[np.float32]]]
Progress = Callable[[int, int], None]  # bytes read so far, bytes to read


@dataclass(frozen=True)
class Scheme:
    """How weights become narrow."""

    name: str
    number: str  # "int" or "float", for vLLM's loader of compressed-tensors
    format: str  # of the weights, for the same
    kind: str  # of the tensors, for safetensors
    rows: Rows

    def config(self) -> dict[str, Any]:
        """`quantization_config` of config.json: weights by channel, activations by token, scaled while it runs."""
        numbers = {"num_bits": 8, "type": self.number, "symmetric": True}
        return {
            "quant_method": "compressed-tensors",
            "format": self.format,
            "quantization_status": "compressed",
            "ignore": ["lm_head", "score"],
            "config_groups": {
                "group_0": {
                    "targets": ["Linear"],
                    "weights": {**numbers, "strategy": "channel", "dynamic": False},
                    "input_activations": {**numbers, "strategy": "token", "dynamic": True},
                }
            },
        }


@dataclass(frozen=True)
class Quantised:
    """What was written."""

    folder: Path
    precision: str  # of the other tensors: float32, bfloat16 or float16
    scheme: str
    tensors: int  # tensors that became narrow
    bytes_before: int  # of all weight files of the source
    bytes_after: int  # of all weight files of the target


def quantise(
    source: Path, target: Path, *, scheme: str = "int8", on_progress: Progress | None = None
) -> Quantised:
    """Write an 8-bit copy of the checkpoint folder `source` as the new folder `target`; see SCHEMES.

    Raises ModelError if the source cannot be quantised (refused, damaged, quantised already, a weight that is not
    finite), InputError if the scheme is unknown or the target exists or cannot be written. Nothing is then left behind.
    """
    if scheme not in SCHEMES:
        raise InputError(f"scheme {scheme!r} is not one of {', '.join(SCHEMES)}")
    chosen = SCHEMES[scheme]
    checkpoint = read_checkpoint(source)
    if "quantization_config" in checkpoint.config:
        method = (checkpoint.config["quantization_config"] or {}).get("quant_method", "unknown")
        raise ModelError(f"{source} is quantised already ({method}); give the original checkpoint")
    files = weight_files(source)
    count = _check_layers(source, checkpoint.config, files)
    check_target(target)
    _check_space(target, files)
    with new_folder(target) as draft:
        _write_weights(files, draft, chosen, on_progress)
        _write_others(source, checkpoint.config, draft, chosen)
    return Quantised(
        folder=target,
        scheme=scheme,
        precision=checkpoint.precision,
        tensors=count,
        bytes_before=sum(file.stat().st_size for file in files),
        bytes_after=sum((target / file.name).stat().st_size for file in files),
    )


def int8_rows(values: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """The rows of a weight as int8, and their scales: values ≈ int8 × scale.

    `values` has shape (rows, columns) and is finite. The scales are float32 of shape (rows, 1). The largest magnitude of
    a row becomes 127; a row of zeros has scale 1.
    """
    largest = np.abs(values).max(axis=1, keepdims=True, initial=0.0).astype(np.float32)
    scales = np.where(largest > 0, largest / np.float32(_STEPS), np.float32(1)).astype(np.float32)
    scales = np.maximum(scales, np.finfo(np.float32).tiny)  # a subnormal scale would divide by zero
    rounded = np.rint(values / scales)
    return np.clip(rounded, -_STEPS, _STEPS).astype(np.int8), scales


def fp8_rows(values: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """The rows of a weight as the bits of E4M3 numbers, and their scales: values ≈ number × scale.

    Shapes are those of `int8_rows`. The largest magnitude of a row becomes 448; a row of zeros has scale 1. A magnitude
    is n × 2^(e − 3) with e in −6..8; n is under 8 at e = −6 only. Its bits are then 8 × (e + 6) + n.
    """
    largest = np.abs(values).max(axis=1, keepdims=True, initial=0.0).astype(np.float32)
    scales = np.where(largest > 0, largest / np.float32(_FP8_MOST), np.float32(1)).astype(np.float32)
    scales = np.maximum(scales, np.finfo(np.float32).tiny)  # a subnormal scale would divide by zero
    sizes = np.minimum(np.abs(values / scales), np.float32(_FP8_MOST))
    exponents = np.where(sizes > 0, np.maximum(np.frexp(sizes)[1] - 1, -6), -6)
    bits = 8 * (exponents + 6) + np.rint(np.ldexp(sizes, 3 - exponents)).astype(np.int32)
    return (bits | np.where(np.signbit(values), 0x80, 0)).astype(np.uint8), scales


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme("int8", "int", "int-quantized", "I8", int8_rows),
        Scheme("fp8", "float", "float-quantized", "F8_E4M3", fp8_rows),
    )
}


def _check_layers(source: Path, config: dict[str, Any], files: list[Path]) -> int:
    """The number of tensors that become narrow. Raises ModelError if the configuration expects another number."""
    count = 0
    for file in files:
        for name, entry in _header(file)[0].items():
            if not _LINEAR.fullmatch(name):
                continue
            if entry["dtype"] not in NUMBERS or len(entry["shape"]) != 2 or 0 in entry["shape"]:
                raise ModelError(
                    f"{file}: {name} is {entry['dtype']} {entry['shape']}, expected a matrix of "
                    f"{', '.join(NUMBERS)}; give the original checkpoint"
                )
            count += 1
    expected = _LINEARS_PER_LAYER * int(config.get("num_hidden_layers") or 0)
    if count == 0 or count != expected:
        raise ModelError(
            f"{source} has {count} linear layers of the Qwen3 kind, expected {expected} by its config.json: "
            "only Qwen3-Reranker checkpoints can be quantised"
        )
    return count


def _check_space(target: Path, files: list[Path]) -> None:
    needed = sum(_planned_size(file) for file in files)
    place = next(parent for parent in target.absolute().parents if parent.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise InputError(
            f"{place} has {free / 2**20:.0f} MiB free, and the checkpoint needs {needed / 2**20:.0f} MiB; "
            "make room, or give another place"
        )


def _planned_size(file: Path) -> int:
    header = _planned(_header(file)[0], SCHEMES["int8"])  # all schemes take as much
    return 8 + len(_encoded(header)) + max((entry["data_offsets"][1] for entry in header.values()), default=0)


def _header(file: Path) -> tuple[Header, int]:
    """The entries of a checked safetensors file, in the order of their data, and the byte where the data begins."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header: Header = json.loads(stream.read(length))
    header.pop("__metadata__", None)
    ordered = sorted(header.items(), key=lambda item: (item[1]["data_offsets"], item[0]))
    return dict(ordered), 8 + length


def _planned(source: Header, scheme: Scheme) -> Header:
    """The header of the narrow file: linear weights become narrow and get scales, all other tensors stay as they are.

    Wider numbers come first, so that each tensor begins at a multiple of the size of its numbers, as readers expect.
    """
    kept: list[tuple[str, str, list[int], int]] = []
    narrow: list[tuple[str, str, list[int], int]] = []
    for name, entry in source.items():
        if _LINEAR.fullmatch(name):
            rows, columns = entry["shape"]
            kept.append((f"{name}_scale", "F32", [rows, 1], 4 * rows))
            narrow.append((name, scheme.kind, [rows, columns], rows * columns))
        else:
            begin, end = entry["data_offsets"]
            kept.append((name, entry["dtype"], entry["shape"], end - begin))
    kept.sort(key=lambda tensor: tensor[1] != "F32")
    planned: Header = {}
    offset = 0
    for name, kind, shape, size in [*kept, *narrow]:
        planned[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    return planned


def _encoded(header: Header) -> bytes:
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def _write_weights(files: list[Path], draft: Path, scheme: Scheme, on_progress: Progress | None) -> None:
    total = sum(_size(entry) for file in files for entry in _header(file)[0].values())
    done = 0
    weight_map: dict[str, str] = {}
    for file in files:
        source, begin = _header(file)
        planned = _planned(source, scheme)
        weight_map |= dict.fromkeys(planned, file.name)
        with file.open("rb") as reader, (draft / file.name).open("wb") as writer:
            encoded = _encoded(planned)
            writer.write(len(encoded).to_bytes(8, "little") + encoded)
            start = writer.tell()
            for name, entry in source.items():
                reader.seek(begin + entry["data_offsets"][0])
                writer.seek(start + planned[name]["data_offsets"][0])
                if _LINEAR.fullmatch(name):
                    scales = [
                        _write_block(block, writer, scheme.rows, where=f"{file}: {name}")
                        for block in _row_blocks(reader, entry)
                    ]
                    writer.seek(start + planned[f"{name}_scale"]["data_offsets"][0])
                    writer.write(np.concatenate(scales).tobytes())
                else:
                    _copy(reader, writer, _size(entry))
                done += _size(entry)
                if on_progress is not None:
                    on_progress(done, total)
        logger.info("%s written: file=%s tensors=%d", scheme.name, file.name, len(source))
    if len(files) > 1:
        size = sum((draft / file.name).stat().st_size for file in files)
        index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(weight_map.items()))}
        _write_json(draft / INDEX, index)


def _row_blocks(reader: BinaryIO, entry: dict[str, Any]) -> Iterator[npt.NDArray[np.float32]]:
    """The rows of a matrix in float32, a few MiB at a time. The stream must be at its first byte."""
    rows, columns = entry["shape"]
    kind = np.dtype(NUMBERS[entry["dtype"]])
    at_once = max(1, _BLOCK_BYTES // (columns * kind.itemsize))
    for first in range(0, rows, at_once):
        count = min(at_once, rows - first)
        values = np.frombuffer(_read(reader, count * columns * kind.itemsize), kind).reshape(count, columns)
        if entry["dtype"] == "BF16":
            yield (values.astype(np.uint32) << 16).view(np.float32)
        else:
            yield values.astype(np.float32)


def _write_block(
    values: npt.NDArray[np.float32], writer: BinaryIO, narrow_rows: Rows, *, where: str
) -> npt.NDArray[np.float32]:
    """Write rows as narrow numbers; returns their scales. Raises ModelError if a weight is not finite."""
    if not np.isfinite(values).all():
        raise ModelError(
            f"{where} has a value that is not finite: the weights are damaged; copy the checkpoint again"
        )
    rounded, scales = narrow_rows(values)
    writer.write(rounded.tobytes())
    return scales


def _copy(reader: BinaryIO, writer: BinaryIO, size: int) -> None:
    for left in range(size, 0, -_BLOCK_BYTES):
        writer.write(_read(reader, min(left, _BLOCK_BYTES)))


def _read(reader: BinaryIO, size: int) -> bytes:
    block = reader.read(size)
    if len(block) < size:
        raise ModelError(f"{reader.name} became shorter while it was read; copy the checkpoint again")
    return block


def _size(entry: dict[str, Any]) -> int:
    begin, end = entry["data_offsets"]
    return int(end - begin)


def _write_others(source: Path, config: dict[str, Any], draft: Path, scheme: Scheme) -> None:
    _write_json(draft / "config.json", {**config, "quantization_config": scheme.config()})
    for name in COPIED:
        if (source / name).exists():
            shutil.copyfile(source / name, draft / name)
    if (source / CANARY).exists():
        _write_json(draft / CANARY, order_only(json.loads((source / CANARY).read_bytes())))


def order_only(canary: dict[str, Any]) -> dict[str, Any]:
    """The canary without its recorded logits, which hold for the source only. The right order stays the same."""
    cases = [{name: value for name, value in case.items() if name != "logits"} for case in canary["cases"]]
    return {"cases": cases}


def _write_json(file: Path, content: dict[str, Any]) -> None:
    with file.open("w", encoding="utf-8") as stream:
        json.dump(content, stream, ensure_ascii=False, indent=2)
        stream.write("\n")
