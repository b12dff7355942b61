"""The 8-bit copy of a checkpoint: right numbers, whole or not there at all, and nothing else changed."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

from rerank_core.errors import InputError, ModelError
from rerank_core.models import quantise as module
from rerank_core.models.identity import identify, read_checkpoint
from rerank_core.models.quantise import fp8_rows, int8_rows, quantise

Floats = npt.NDArray[np.float32]
HIDDEN, LAYERS, VOCABULARY = 8, 2, 6
LINEARS = [
    *(f"self_attn.{name}_proj" for name in ("q", "k", "v", "o")),
    *(f"mlp.{name}_proj" for name in ("gate", "up", "down")),
]
CONFIG: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "max_position_embeddings": 64,
    "dtype": "bfloat16",
}
CANARY = {"tolerance": 0.1, "cases": [{"query": "q", "documents": ["good", "bad"], "logits": [1.0, -1.0]}]}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_CACHE_DIR", str(tmp_path / "cache"))


def layer(number: int) -> dict[str, Floats]:
    chance = np.random.default_rng(number)
    tensors = {
        f"model.layers.{number}.{name}.weight": chance.normal(size=(4, HIDDEN)).astype(np.float32)
        for name in LINEARS
    }
    return tensors | {f"model.layers.{number}.input_layernorm.weight": np.ones(HIDDEN, np.float32)}


def as_bfloat16(values: Floats) -> npt.NDArray[np.uint16]:
    """Cut, not rounded: tests compare with what is stored."""
    return (values.view(np.uint32) >> 16).astype(np.uint16)


def from_bfloat16(values: npt.NDArray[np.uint16]) -> Floats:
    return (values.astype(np.uint32) << 16).view(np.float32)


def as_stored(values: Floats, kind: str) -> npt.NDArray[Any]:
    return as_bfloat16(values) if kind == "BF16" else values.astype({"F16": "<f2", "F32": "<f4"}[kind])


def write(file: Path, tensors: dict[str, Floats], kind: str = "BF16") -> None:
    header: dict[str, Any] = {}
    data = b""
    for name, values in tensors.items():
        block = as_stored(values, kind)
        header[name] = {
            "dtype": kind,
            "shape": list(values.shape),
            "data_offsets": [len(data), len(data) + block.nbytes],
        }
        data += block.tobytes()
    encoded = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(encoded)) + encoded + data)


def read(folder: Path) -> dict[str, tuple[str, npt.NDArray[Any]]]:
    """Kind and values of every tensor, bfloat16 as its bits."""
    kinds = {"I8": "<i1", "F8_E4M3": "<u1", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        content = file.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        for name, entry in json.loads(content[8 : 8 + length]).items():
            if name != "__metadata__":
                begin, end = (8 + length + offset for offset in entry["data_offsets"])
                assert (begin - 8 - length) % np.dtype(kinds[entry["dtype"]]).itemsize == 0
                values = np.frombuffer(content[begin:end], kinds[entry["dtype"]])
                found[name] = (entry["dtype"], values.reshape(entry["shape"]))
    return found


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Writes a checkpoint: `files` by name (one file without), `config` over the defaults."""

    def write_checkpoint(
        files: dict[str, dict[str, Floats]] | None = None, *, kind: str = "BF16", **config: Any
    ) -> Path:
        folder = tmp_path / "source"
        folder.mkdir()
        embedding = np.random.default_rng(9).normal(size=(VOCABULARY, HIDDEN)).astype(np.float32)
        first = {"model.embed_tokens.weight": embedding}
        for name, tensors in (files or {"model.safetensors": layer(0) | layer(1)}).items():
            write(folder / name, first | tensors, kind)
            first = {}
        (folder / "config.json").write_text(json.dumps(CONFIG | config))
        (folder / "tokenizer.json").write_text('{"model": {"type": "BPE"}}')
        (folder / "canary.json").write_text(json.dumps(CANARY))
        return folder

    return write_checkpoint


@pytest.mark.parametrize("kind", ["BF16", "F16", "F32"])
def test_weights_times_scales_are_the_source_within_half_a_step(
    make: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    source = make(kind=kind)
    quantise(source, tmp_path / "int8")
    before, after = read(source), read(tmp_path / "int8")
    linears = [name for name in before if "_proj" in name]
    assert len(linears) == len(LINEARS) * LAYERS
    for name in linears:
        stored = before[name][1]
        values = from_bfloat16(stored) if kind == "BF16" else stored.astype(np.float32)
        (int8, whole), (wide, scales) = after[name], after[f"{name}_scale"]
        assert (int8, wide, scales.shape) == ("I8", "F32", (len(values), 1))
        assert np.abs(whole.astype(np.float32) * scales - values).max() <= scales.max() * 0.5001
        assert (np.abs(whole.astype(int)).max(axis=1) == 127).all()


def test_everything_but_linear_weights_keeps_its_bits(make: Callable[..., Path], tmp_path: Path) -> None:
    source = make()
    quantise(source, tmp_path / "int8")
    before, after = read(source), read(tmp_path / "int8")
    kept = [name for name in before if "_proj" not in name]
    assert len(kept) == 1 + LAYERS
    assert set(after) == set(before) | {f"{name}_scale" for name in before if "_proj" in name}
    for name in kept:
        assert after[name][0] == before[name][0]
        assert (after[name][1] == before[name][1]).all()


def test_rounding_is_exact_where_it_can_be_and_zeros_stay_zeros() -> None:
    values = np.array([[127, -127, 1, 0], [0, 0, 0, 0], [-2, 1, 0.5, 0], [1e-44, 0, 0, 0]], np.float32)
    rounded, scales = int8_rows(values)
    assert rounded.tolist()[0] == [127, -127, 1, 0]
    assert rounded.tolist()[1] == [0, 0, 0, 0]
    assert rounded.tolist()[2] == [-127, 64, 32, 0]
    assert np.isfinite(scales).all()
    assert (scales > 0).all()


def of_e4m3(bits: npt.NDArray[np.uint8]) -> Floats:
    """The numbers that bits of E4M3 stand for, by the definition: sign, four of exponent (bias 7), three of mantissa."""
    exponent, mantissa = (bits >> 3 & 15).astype(int), (bits & 7).astype(np.float64)
    size = np.where(exponent > 0, (1 + mantissa / 8) * 2.0 ** (exponent - 7), mantissa / 8 * 2.0**-6)
    return np.where(bits & 0x80, -size, size).astype(np.float32)


NUMBERS_OF_E4M3 = of_e4m3(np.array([bits for bits in range(256) if bits & 0x7F != 0x7F], np.uint8))


def test_every_number_of_fp8_is_written_as_itself() -> None:
    bits, scales = fp8_rows(NUMBERS_OF_E4M3[np.newaxis])
    assert scales.tolist() == [[1.0]]
    assert (of_e4m3(bits) == NUMBERS_OF_E4M3).all()
    assert (np.signbit(of_e4m3(bits)) == np.signbit(NUMBERS_OF_E4M3)).all()


def test_fp8_rounds_to_the_nearest_number_and_halves_to_the_even_one() -> None:
    positive = np.unique(np.abs(NUMBERS_OF_E4M3))
    halves = (positive[1:] + positive[:-1]) / 2
    drawn = np.random.default_rng(0).uniform(0, 448, 500).astype(np.float32)
    small = np.random.default_rng(1).uniform(0, 2.0**-5, 500).astype(np.float32)
    row = np.concatenate([halves, drawn, small, [448.0]]).astype(np.float32)
    bits, _ = fp8_rows(row[np.newaxis])
    written = of_e4m3(bits[0])
    nearest = np.abs(row[:, np.newaxis] - positive).min(axis=1)
    assert (np.abs(row - written) == nearest).all()
    assert (bits[0, : len(halves)] & 1 == 0).all()


def test_fp8_rows_have_their_own_scales_and_zeros_stay_zeros() -> None:
    bits, scales = fp8_rows(np.array([[896, -448, 1], [0, 0, 0], [1e-44, 0, 0]], np.float32))
    assert of_e4m3(bits[0]).tolist() == [448, -224, 0.5]
    assert scales[:2].tolist() == [[2.0], [1.0]]
    assert bits[1].tolist() == [0, 0, 0]
    assert np.isfinite(scales).all()


def test_an_fp8_copy_has_fp8_weights_and_names_its_scheme(make: Callable[..., Path], tmp_path: Path) -> None:
    source = make()
    written = quantise(source, tmp_path / "fp8", scheme="fp8")
    before, after = read(source), read(written.folder)
    for name in (name for name in before if "_proj" in name):
        values = from_bfloat16(before[name][1])
        (kind, bits), (_, scales) = after[name], after[f"{name}_scale"]
        assert kind == "F8_E4M3"
        assert (np.abs(of_e4m3(bits)).max(axis=1) == 448).all()
        error = np.abs(of_e4m3(bits) * scales - values)
        assert (error <= np.maximum(np.abs(values) / 16, scales * 2.0**-10) * 1.0001).all()
    scheme = read_checkpoint(written.folder).config["quantization_config"]
    assert scheme["format"] == "float-quantized"
    assert scheme["config_groups"]["group_0"]["weights"]["type"] == "float"
    assert written.scheme == "fp8"


def test_an_unknown_scheme_is_refused(make: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="scheme 'fp4' is not one of int8, fp8"):
        quantise(make(), tmp_path / "fp4", scheme="fp4")


def test_small_blocks_give_the_same_file(
    make: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make()
    quantise(source, tmp_path / "whole")
    monkeypatch.setattr(module, "_BLOCK_BYTES", 2 * HIDDEN)
    quantise(source, tmp_path / "pieces")
    whole, pieces = (tmp_path / name / "model.safetensors" for name in ("whole", "pieces"))
    assert whole.read_bytes() == pieces.read_bytes()


def test_shards_stay_shards_and_the_index_names_the_scales(make: Callable[..., Path], tmp_path: Path) -> None:
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    source = make({names[0]: layer(0), names[1]: layer(1)})
    seen: list[tuple[int, int]] = []
    quantise(source, tmp_path / "int8", on_progress=lambda done, total: seen.append((done, total)))
    index = json.loads((tmp_path / "int8" / "model.safetensors.index.json").read_text())["weight_map"]
    assert set(index) == set(read(tmp_path / "int8"))
    assert index["model.layers.1.mlp.up_proj.weight_scale"] == names[1]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1]


def test_the_copy_is_another_scorer_of_the_same_family(make: Callable[..., Path], tmp_path: Path) -> None:
    source = make()
    written = quantise(source, tmp_path / "int8")
    one, other = (
        identify(folder, precision="auto", max_document_tokens=64) for folder in (source, written.folder)
    )
    assert one.digest != other.digest
    assert one.weights != other.weights
    assert (one.family, one.prompt, one.precision) == (other.family, other.prompt, other.precision)
    assert written.precision == "bfloat16"
    scheme = read_checkpoint(written.folder).config["quantization_config"]
    assert scheme["quant_method"] == "compressed-tensors"


def test_the_canary_keeps_its_order_and_loses_the_recorded_logits(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    quantise(make(), tmp_path / "int8")
    content = json.loads((tmp_path / "int8" / "canary.json").read_text())
    assert content == {"cases": [{"query": "q", "documents": ["good", "bad"]}]}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"quantization_config": {"quant_method": "fp8"}}, r"quantised already \(fp8\)"),
        ({"num_hidden_layers": 3}, "14 linear layers of the Qwen3 kind, expected 21"),
        ({"num_hidden_layers": None}, "expected 0"),
        ({"architectures": ["LlamaForCausalLM"]}, "architecture"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_with_nothing_left_behind(
    make: Callable[..., Path], tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    source = make(**config)
    with pytest.raises(ModelError, match=message):
        quantise(source, tmp_path / "out" / "int8")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_is_named_and_nothing_is_left_behind(
    make: Callable[..., Path], tmp_path: Path, value: float
) -> None:
    damaged = layer(1)
    damaged["model.layers.1.mlp.down_proj.weight"][2, 3] = value
    source = make({"model.safetensors": layer(0) | damaged})
    with pytest.raises(ModelError, match=r"model\.layers\.1\.mlp\.down_proj\.weight has a value that is not"):
        quantise(source, tmp_path / "out" / "int8")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_interrupt_leaves_nothing_behind(make: Callable[..., Path], tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    source = make()
    with pytest.raises(KeyboardInterrupt):
        quantise(source, tmp_path / "out" / "int8", on_progress=interrupt)
    assert list((tmp_path / "out").iterdir()) == []


def test_an_existing_target_is_never_touched(make: Callable[..., Path], tmp_path: Path) -> None:
    source = make()
    before = {file.name: file.read_bytes() for file in source.iterdir()}
    with pytest.raises(InputError, match="exists; give a new folder"):
        quantise(source, source)
    assert {file.name: file.read_bytes() for file in source.iterdir()} == before


def test_a_target_that_appears_meanwhile_is_never_touched(make: Callable[..., Path], tmp_path: Path) -> None:
    target = tmp_path / "out" / "int8"
    with pytest.raises(InputError, match="exists"):
        quantise(make(), target, on_progress=lambda *_: target.mkdir(exist_ok=True))
    assert list(target.iterdir()) == []
    assert list(target.parent.iterdir()) == [target]


def test_a_place_that_cannot_be_written_says_so(make: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        quantise(make(), tmp_path / "file" / "int8")


def test_a_full_disk_is_seen_before_anything_is_written(
    make: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 10

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    with pytest.raises(InputError, match="make room"):
        quantise(make(), tmp_path / "out" / "int8")
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_it_wrote_and_what_comes_next(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    from rerank_core.cli import app

    result = CliRunner().invoke(app, ["scorer", "quantise", str(make()), str(tmp_path / "int8")])
    assert result.exit_code == 0, result.output
    assert "14 weight matrices in int8, the rest in bfloat16" in result.output
    assert "rerank scorer register" in result.output
