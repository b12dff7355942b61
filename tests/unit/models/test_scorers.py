"""What a scorer is called, which checkpoints are refused, the canary, and the fake scorer."""

import hashlib
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from rerank_core.errors import EngineError, ModelError
from rerank_core.models.base import ChunkFailed, FakeScorer, Scorer, name_pairs
from rerank_core.models.canary import DEFAULT, Canary, Case, read_canary
from rerank_core.models.identity import ScorerIdentity, identify, read_checkpoint
from rerank_core.models.prompt import QWEN3
from rerank_core.models.weights import resolve_model, weight_files
from rerank_core.records import Pair

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


def digest(
    folder: Path, *, precision: str = "auto", max_document_tokens: int = 512, verify: bool = False
) -> str:
    found = identify(folder, precision=precision, max_document_tokens=max_document_tokens, verify=verify)
    return found.digest


def change_config(folder: Path, **changes: Any) -> None:
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changes}))


# --- identity


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


def test_identity_needs_neither_torch_nor_vllm(checkpoint: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from rerank_core.models.identity import identify\n"
        "identify(Path(sys.argv[1]), precision='auto', max_document_tokens=512)\n"
        "assert not {'torch', 'vllm', 'transformers', 'huggingface_hub'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(checkpoint)], check=True)


# --- refused checkpoints


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
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: 1 / 0)
    with pytest.raises(ModelError, match="could not be downloaded"):
        resolve_model("owner/name")


# --- canary


def test_the_canary_wants_descending_order() -> None:
    canary = Canary((Case("q", ("best", "middle", "worst")),), "test")
    canary.check({(0, 0): 3.0, (0, 1): 1.0, (0, 2): -4.0})
    for wrong in ({(0, 0): 1.0, (0, 1): 3.0, (0, 2): -4.0}, {(0, 0): 1.0, (0, 1): 1.0, (0, 2): -4.0}):
        with pytest.raises(ModelError, match=r"case 0 \(test\).*expected descending"):
            canary.check(wrong)
    with pytest.raises(ModelError, match="not all pairs were scored"):
        canary.check({(0, 0): 3.0, (0, 1): 1.0})


def test_recorded_logits_must_come_back_within_tolerance() -> None:
    canary = Canary((Case("q", ("best", "worst"), logits=(2.0, -2.0)),), "test", tolerance=0.1)
    canary.check({(0, 0): 2.05, (0, 1): -2.05})
    with pytest.raises(ModelError, match=r"within 0\.1"):
        canary.check({(0, 0): 2.2, (0, 1): -2.0})


def test_a_checkpoint_may_bring_its_own_canary(checkpoint: Path) -> None:
    assert read_canary(checkpoint) is DEFAULT
    file = checkpoint / "canary.json"
    file.write_text(json.dumps({"cases": [{"query": "q", "documents": ["a", "b"], "instruction": "i"}]}))
    assert [pair.document for pair in read_canary(checkpoint).pairs()] == ["a", "b"]
    damaged = [
        "no json",
        "[]",
        '{"cases": []}',
        '{"cases": [{"query": "q", "documents": ["one"]}]}',
        '{"cases": [{"query": "q", "documents": "ab"}]}',
        '{"cases": [{"query": "q", "documents": ["a", "b"], "logits": [1]}]}',
    ]
    for content in damaged:
        file.write_text(content)
        with pytest.raises(ModelError, match="is damaged"):
            read_canary(checkpoint)


# --- the fake


def make_pair(document: str, *, query: str = "rate cut", number: int = 0) -> Pair:
    return Pair(1, number, date(2026, 11, 1), "i", query, document)


def test_the_fake_is_a_scorer_that_prefers_shared_words() -> None:
    scorer: Scorer = FakeScorer()
    documents = ["a rate cut came", "one cut", "a storm"]
    pairs = [make_pair(document, number=n) for n, document in enumerate(documents)]
    (chunk,) = scorer.score(pairs, flush_seconds=1.0)
    logits = [score.logit for score in chunk.scores]
    assert logits == sorted(logits, reverse=True)
    (again,) = FakeScorer().score(pairs, flush_seconds=1.0)
    assert [score.logit for score in again.scores] == logits
    assert FakeScorer(name="other").identity.digest != FakeScorer().identity.digest


def test_the_fake_fails_refuses_and_stops_as_told() -> None:
    pairs = [make_pair(f"text {n}", number=n) for n in range(20)]
    scorer = FakeScorer(pairs_per_chunk=5, fail_at_chunk=2, refuse_text="text 1")
    with pytest.raises(ChunkFailed, match="query 1 × document 10") as failure:
        list(scorer.score(pairs, flush_seconds=1.0))
    assert failure.value.suspects == tuple(pairs[10:15])
    with pytest.raises(EngineError, match="finished"):
        next(scorer.score(pairs, flush_seconds=1.0))
    refusing = FakeScorer(refuse_text="text 1")
    refused = [
        refusal.pair for chunk in refusing.score(pairs, flush_seconds=1.0) for refusal in chunk.refused
    ]
    assert refused == [pairs[1], *pairs[10:]]
    assert list(FakeScorer().score(pairs, flush_seconds=1.0, deadline=time.monotonic())) == []


def test_names_of_pairs_are_kept_short() -> None:
    pairs = [make_pair("d", number=n) for n in range(10)]
    assert name_pairs(pairs[:1]) == "query 1 × document 0"
    assert name_pairs(pairs, at_most=1) == "query 1 × document 0 and 9 more"
    assert name_pairs([]) == "no pairs"


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
