"""What a scorer is called, and which checkpoints are refused."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unit.models.conftest import TOKENIZER, change_config, write_weights

from rerank_core.errors import ModelError
from rerank_core.models.identity import ScorerIdentity, identify, read_checkpoint
from rerank_core.models.prompt import QWEN3
from rerank_core.models.vllm import _arithmetic, wait_asleep_if_busy


def digest(folder: Path, *, precision: str = "auto", max_document_tokens: int = 512) -> str:
    return identify(folder, precision=precision, max_document_tokens=max_document_tokens).digest


def test_the_id_depends_on_weights_prompt_precision_and_limit(checkpoint: Path) -> None:
    ids = [digest(checkpoint)]
    ids.append(digest(checkpoint, precision="float32"))
    ids.append(digest(checkpoint, max_document_tokens=256))
    (checkpoint / "tokenizer.json").write_text(json.dumps({**TOKENIZER, "normalizer": {"type": "NFC"}}))
    ids.append(digest(checkpoint))
    write_weights(checkpoint / "model.safetensors", values=bytes(15) + b"\1")
    ids.append(digest(checkpoint))
    change_config(checkpoint, rope_theta=1_000_000)
    ids.append(digest(checkpoint))
    assert len(set(ids)) == len(ids)


def test_the_id_depends_on_nothing_else(checkpoint: Path, tmp_path: Path) -> None:
    before = identify(checkpoint, precision="auto", max_document_tokens=512)
    change_config(checkpoint, transformers_version="9.9", use_cache=False, _name_or_path="elsewhere")
    (checkpoint / "README.md").write_text("words")
    moved = checkpoint.rename(tmp_path / "moved")
    after = identify(moved, precision="auto", max_document_tokens=512)
    assert after.digest == before.digest
    assert after.location != before.location
    assert digest(moved, precision="bfloat16") == before.digest  # what auto stands for


def test_the_precision_is_never_auto(checkpoint: Path) -> None:
    assert identify(checkpoint, precision="auto", max_document_tokens=512).precision == "bfloat16"
    with pytest.raises(ModelError, match="precision 'int3'"):
        digest(checkpoint, precision="int3")


def test_weights_that_the_engine_narrows_are_another_scorer(checkpoint: Path) -> None:
    assert digest(checkpoint, precision="fp8") != digest(checkpoint, precision="bfloat16")
    assert _arithmetic("fp8", on_cpu=False) == {"dtype": "bfloat16", "quantization": "fp8"}
    assert _arithmetic("bfloat16", on_cpu=True) == {"dtype": "bfloat16"}
    with pytest.raises(ModelError, match="fp8 needs a GPU"):
        _arithmetic("fp8", on_cpu=True)


@pytest.mark.parametrize(
    ("load", "given", "policy"), [(1.9, None, None), (2.1, None, "passive"), (9.0, "active", "active")]
)
def test_threads_wait_asleep_if_more_work_waits_than_the_host_has_processors(
    monkeypatch: pytest.MonkeyPatch, load: float, given: str | None, policy: str | None
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr("os.environ", {} if given is None else {"OMP_WAIT_POLICY": given})
    wait_asleep_if_busy()
    assert os.environ.get("OMP_WAIT_POLICY") == policy


def test_narrow_weights_are_not_narrowed_again(checkpoint: Path) -> None:
    change_config(checkpoint, quantization_config={"quant_method": "compressed-tensors"})
    with pytest.raises(ModelError, match="quantised already; set RERANK_PRECISION=auto"):
        digest(checkpoint, precision="fp8")
    assert digest(checkpoint, precision="auto")


def test_identity_needs_neither_torch_nor_vllm(checkpoint: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from rerank_core.models.identity import identify\n"
        "identify(Path(sys.argv[1]), precision='auto', max_document_tokens=512)\n"
        "assert not {'torch', 'vllm', 'transformers', 'huggingface_hub'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(checkpoint)], check=True)


def test_an_identity_is_its_parts() -> None:
    parts: dict[str, Any] = {
        "family": QWEN3.name,
        "weights": "w",
        "prompt": "p",
        "precision": "float32",
        "max_document_tokens": 9,
    }
    here = ScorerIdentity(**parts, location="here")
    assert here.digest == ScorerIdentity(**parts, location="there").digest
    assert len(here.digest) == 64
    assert here.as_dict()["location"] == "here"


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut_off(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def garbage(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 64)


def shard_missing(folder: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def index_damaged(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text("{}")


def remote_code(folder: Path) -> None:
    change_config(folder, auto_map={"AutoModel": "code.Model"})


def remote_tokenizer(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text('{"auto_map": {}}')


def other_architecture(folder: Path) -> None:
    change_config(folder, architectures=["BertForSequenceClassification"])


def other_size(folder: Path) -> None:
    change_config(folder, vocab_size=5)


def no_size(folder: Path) -> None:
    change_config(folder, vocab_size="many")


def odd_type(folder: Path) -> None:
    change_config(folder, torch_dtype="float8")


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_weights, "no .*safetensors"),
        (pickle_only, "pickle weights only"),
        (cut_off, r"has \d+ bytes, expected \d+"),
        (garbage, "not a safetensors file"),
        (shard_missing, "lacks model-2.safetensors"),
        (index_damaged, "is damaged"),
        (remote_code, "wants remote code"),
        (remote_tokenizer, "wants remote code"),
        (other_architecture, r"architecture \['Bert.*expected Qwen3ForCausalLM"),
        (other_size, "do not belong together"),
        (no_size, "must be numbers"),
        (odd_type, "dtype 'float8'"),
        (no_config, "config.json is missing"),
        (broken_config, "is not JSON"),
    ],
)
def test_a_checkpoint_that_must_not_run_is_refused(
    checkpoint: Path, damage: Callable[[Path], None], message: str
) -> None:
    read_checkpoint(checkpoint)
    damage(checkpoint)
    with pytest.raises(ModelError, match=message):
        identify(checkpoint, precision="auto", max_document_tokens=512)
