"""The sentence-embedding model works in a process of its own, runs no code of a checkpoint, and is never waited for."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_sentences import make_checkpoint

from rerank_core.errors import EngineError, ModelError
from rerank_core.models import sentences
from rerank_core.settings import USE_MULTILINGUAL


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint to spoil."""
    return make_checkpoint(tmp_path / "checkpoint")


def similarity(model: Path | str, *documents: str, seconds: float = 240.0) -> list[float]:
    """Of the query "solar" and these texts."""
    queries, vectors = sentences.vectors(
        model=str(model), queries=["wind", "solar"], documents=documents, seconds=seconds
    )
    return [float(score) for score in vectors @ queries[1]]


def test_texts_that_mean_the_same_are_more_alike_than_others(made: Path) -> None:
    same, half, other, with_control_tokens, without = similarity(
        made, "sun sun", "solar and much else besides", "cooking with apples", "[SEP] solar [CLS]", "solar"
    )
    assert 1.0 >= same > half > other
    assert with_control_tokens == pytest.approx(without, abs=1e-5)


def test_the_embedder_that_needs_no_gpu_works_in_that_process() -> None:
    queries, documents = sentences.vectors(
        model=USE_MULTILINGUAL,
        queries=["医生罢工"],
        documents=["Physicians walk out of hospitals", "医生推荐的食谱"],
        seconds=240,
    )
    right, wrong = documents @ queries[0]
    assert 1 > right > wrong > 0


def pretend(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Have something else run in the model's process."""
    monkeypatch.setattr(
        sentences, "_command", lambda model, folder: [sys.executable, "-c", script, str(folder)]
    )


def test_a_process_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(
        monkeypatch,
        f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)",
    )
    with pytest.raises(EngineError, match="took longer than 3 s; raise RERANK_LIGHT_SECONDS"):
        similarity("model", "solar", seconds=3)
    pid = int((tmp_path / "pid").read_text())
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", f"exit code -{signal.SIGKILL.value}: it printed nothing"),
        ("raise RuntimeError('no memory left')", "exit code 1: RuntimeError: no memory left"),
    ],
)
def test_a_process_that_dies_is_an_error_that_says_how(
    monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    pretend(monkeypatch, script)
    with pytest.raises(EngineError, match=said):
        similarity("model", "solar")


def test_vectors_that_are_no_numbers_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(
        monkeypatch,
        "import sys, numpy as np; v = np.full((2, 3), np.nan, np.float32); np.savez(sys.argv[1] + '/vectors.npz', queries=v, documents=v)",
    )
    with pytest.raises(EngineError, match="vectors that are not finite"):
        similarity("model", "solar")


def test_the_process_gets_no_secret_of_the_pipeline_and_no_gpu(
    monkeypatch: pytest.MonkeyPatch, made: Path
) -> None:
    monkeypatch.setenv("RERANK_DATABASE_URL", "postgresql://me:hunter2@host/db")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://me:hunter2@host/db")
    environment = sentences._environment(str(made))
    assert "hunter2" not in str(environment)
    assert (environment["CUDA_VISIBLE_DEVICES"], environment["HF_HUB_OFFLINE"]) == ("", "1")


def spoil(folder: Path, name: str, **values: Any) -> None:
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**content, **values}))


def spoil_modules(folder: Path, **values: Any) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[0].update(values)
    (folder / "modules.json").write_text(json.dumps(modules))


@pytest.mark.parametrize(
    "kind",
    [
        "subprocess.Popen",
        "mine.Transformer",
        "sentence_transformers.models.Dense",
        "sentence_transformers.models.Transformer; x",
        "",
    ],
)
def test_modules_that_do_more_than_compute_are_refused(folder: Path, kind: str) -> None:
    spoil_modules(folder, type=kind)
    with pytest.raises(
        ModelError, match="is refused; take a checkpoint of Transformer, Pooling and Normalize"
    ):
        sentences.check(folder)


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (lambda folder: (folder / "modules.json").unlink(), "no sentence-transformers checkpoint"),
        (lambda folder: (folder / "modules.json").write_text("{"), "is not JSON"),
        (lambda folder: (folder / "modules.json").write_text("[]"), "lists no modules"),
        (lambda folder: spoil_modules(folder, path="../elsewhere"), "points outside the folder"),
        (lambda folder: spoil(folder, "config.json", auto_map={"AutoModel": "x.Y"}), "remote code"),
        (
            lambda folder: spoil(folder, "sentence_bert_config.json", model_args={"use_safetensors": False}),
            "sets how weights are loaded",
        ),
        (
            lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
            "pickle weights only",
        ),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 50), "not a safetensors file"),
    ],
)
def test_a_checkpoint_that_must_not_or_cannot_be_loaded_is_refused(
    folder: Path, spoilt: Any, said: str
) -> None:
    sentences.check(folder)
    spoilt(folder)
    with pytest.raises(ModelError, match=said):
        sentences.check(folder)


def test_what_is_wrong_with_a_checkpoint_comes_out_of_the_process(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"tokenizer.json is missing"):
        similarity(folder, "solar")
    with pytest.raises(ModelError, match="correct RERANK_LIGHT_MODEL"):
        similarity("nowhere", "solar")


@pytest.mark.parametrize(
    "text", ["a [SEP] b", "a [sep] b", "a ［SEP］ b", "a [SEP][SEP] b", "a [CLS][MASK] b"]
)
def test_no_name_of_a_control_token_is_left_in_a_text(made: Path, text: str) -> None:
    names = sentences.control_tokens(made / "tokenizer.json")
    assert sentences.without(text, names).split() == ["a", "b"]


def test_a_text_without_such_a_name_stays_as_it_is(made: Path) -> None:
    names = sentences.control_tokens(made / "tokenizer.json")
    for text in ("ｓｏｌａｒ ，power", "[SE P]", ""):
        assert sentences.without(text, names) == text


def test_looking_for_the_model_loads_neither_torch_nor_transformers() -> None:
    script = "import sys, rerank_core.models.sentences; print({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
