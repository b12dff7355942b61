"""Registered scorers: known by what their scores depend on, wherever they lie."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rerank_core.cli import main
from rerank_core.errors import ModelError
from rerank_core.models import scorers
from rerank_core.settings import DEMO_CHECKPOINT, Settings
from rerank_core.storage.database import Database

Command = Callable[..., tuple[int, str, str]]


class Canary:
    """Stands in for the engine: notes which settings it was started with, and passes or fails."""

    def __init__(self) -> None:
        self.started: list[Settings] = []
        self.error: ModelError | None = None

    def load(self, settings: Settings) -> "Canary":
        self.started.append(settings)
        if self.error is not None:
            raise self.error
        return self

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> Canary:
    found = Canary()
    monkeypatch.setattr(scorers, "load", found.load)
    return found


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the bundled checkpoint; its hashes are cached for this test alone."""
    monkeypatch.setenv("RERANK_CACHE_DIR", str(tmp_path / "cache"))
    shutil.copytree(DEMO_CHECKPOINT, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def scorer(database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `rerank scorer …`; gives exit code, output and errors."""

    def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            for name, value in {"database_url": database_url, **environment}.items():
                patch.setenv(f"RERANK_{name.upper()}", value)
            with pytest.raises(SystemExit) as ended:
                main(["scorer", *arguments])
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run


def known(database_url: str) -> list[dict[str, Any]]:
    with Database(database_url).transaction(read_only=True) as connection:
        return scorers.known(connection)


def register(url: str, settings: Settings) -> int:
    """The number that a run gets for these settings."""
    with Database(url).transaction() as connection:
        return scorers.scorer_id(connection, settings)


def test_a_checkpoint_is_registered_after_its_canary(
    scorer: Command, canary: Canary, checkpoint: Path, database_url: str
) -> None:
    code, out, _ = scorer("register", str(checkpoint), max_document_tokens="256", passages="max")
    assert code == 0
    (row,) = known(database_url)
    assert out.startswith(f"{row['digest']} is scorer {row['scorer_id']}; RERANK_MODEL={checkpoint}")
    assert [started.model for started in canary.started] == [str(checkpoint)]
    stored = [row[name] for name in ("family", "precision", "max_document_tokens", "passages", "location")]
    assert stored == ["qwen3-reranker", "float32", 256, "max", str(checkpoint)]
    chosen = Settings.load(model=str(checkpoint), max_document_tokens=256, passages="max")
    assert register(database_url, chosen) == row["scorer_id"]


def test_a_failed_canary_registers_nothing(
    scorer: Command, canary: Canary, checkpoint: Path, database_url: str
) -> None:
    canary.error = ModelError("canary case 0: expected descending")
    code, out, err = scorer("register", str(checkpoint))
    assert (code, out) == (1, "")
    assert "expected descending" in err
    assert known(database_url) == []


def test_without_an_engine_the_canary_is_a_clear_error(
    scorer: Command, checkpoint: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rerank_core.models.vllm.find_spec", lambda name: None)
    code, _, err = scorer("register", str(checkpoint))
    assert code == 1
    assert "vllm is not installed" in err
    assert known(database_url) == []


def test_without_the_canary_the_id_is_only_computed(
    scorer: Command, canary: Canary, checkpoint: Path, database_url: str
) -> None:
    code, out, _ = scorer("register", str(checkpoint), "--no-canary")
    assert code == 0
    assert out.split()[0] == scorers.identity(Settings.load(model=str(checkpoint))).digest
    assert canary.started == []
    assert known(database_url) == []


def test_a_checkpoint_that_moved_is_the_same_scorer_at_its_new_place(
    scorer: Command, canary: Canary, checkpoint: Path, database_url: str
) -> None:
    scorer("register", str(checkpoint))
    (before,) = known(database_url)
    moved = checkpoint.rename(checkpoint.parent / "moved")
    assert register(database_url, Settings.load(model=str(moved))) == before["scorer_id"]
    scorer("register", str(moved))
    (after,) = known(database_url)
    assert {**after, "location": str(checkpoint)} == {**before, "registered_at": after["registered_at"]}
    assert after["location"] == str(moved)
    shutil.rmtree(moved)  # now a host that has only the name
    assert register(database_url, Settings.load(model=str(moved))) == before["scorer_id"]
    with pytest.raises(ModelError):
        register(database_url, Settings.load(model=str(moved), passages="max"))


def change_a_byte(folder: Path) -> None:
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def change_the_prompt(folder: Path) -> None:
    file = folder / "tokenizer.json"
    file.write_text(file.read_text().replace('"normalizer"', '"normalizer_"', 1))


def test_a_change_of_what_scores_depend_on_is_another_scorer(checkpoint: Path, database_url: str) -> None:
    numbers = [
        register(database_url, Settings.load(model=str(checkpoint), **changes))
        for changes in ({}, {"precision": "bfloat16"}, {"max_document_tokens": 256}, {"passages": "max"})
    ]
    for change in (change_the_prompt, change_a_byte):
        change(checkpoint)
        numbers.append(register(database_url, Settings.load(model=str(checkpoint))))
    assert len(set(numbers)) == 6
    (checkpoint / "notes.txt").write_text("not part of it")
    again = Settings.load(model=str(checkpoint), flush_seconds=1.0, kv_cache_gib=2.0, pipeline="other")
    assert register(database_url, again) == numbers[-1]


def test_a_change_that_keeps_size_and_time_is_found_by_verify(scorer: Command, checkpoint: Path) -> None:
    """What `--verify` is for: only reading everything can see this."""
    import os

    first = scorer("show", model=str(checkpoint))[1]
    file = checkpoint / "model.safetensors"
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    with file.open("r+b") as stream:  # in place: the inode stays
        stream.seek(-1, os.SEEK_END)
        stream.write(b"\x55")
    os.utime(file, ns=times)
    assert scorer("show", model=str(checkpoint))[1] == first
    assert scorer("show", "--verify", model=str(checkpoint))[1] != first


def test_a_hub_name_is_the_place_that_hosts_without_the_files_know(
    checkpoint: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.load(model="owner/name@abc")
    with monkeypatch.context() as patch:
        patch.setattr(scorers, "resolve_model", lambda name: checkpoint)
        number = register(database_url, settings)
    assert known(database_url)[0]["location"] == "owner/name@abc"

    def offline(name: str) -> Path:
        raise ModelError("could not be downloaded")

    monkeypatch.setattr(scorers, "resolve_model", offline)
    assert register(database_url, settings) == number
    with pytest.raises(ModelError, match="could not be downloaded"):
        register(database_url, Settings.load(model="owner/other"))


def test_scorers_are_listed_newest_first(scorer: Command, canary: Canary, checkpoint: Path) -> None:
    assert "no scorer is registered" in scorer("list")[1]
    scorer("register", str(checkpoint))
    scorer("register", str(checkpoint), passages="max")
    lines = scorer("list")[1].splitlines()
    assert [word for line in lines for word in line.split() if word in {"lead", "max"}] == ["max", "lead"]
    assert all(str(checkpoint) in line for line in lines[-2:])


@pytest.mark.engine
@pytest.mark.filterwarnings("ignore")
def test_the_bundled_checkpoint_passes_its_canary(
    scorer: Command, checkpoint: Path, database_url: str
) -> None:
    code, out, err = scorer("register", str(checkpoint), kv_cache_gib="0.25")
    assert code == 0, err
    assert "is scorer" in out
    assert len(known(database_url)) == 1
