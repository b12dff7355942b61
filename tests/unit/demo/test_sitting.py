"""Where a sitting keeps what, and whose databases it uses."""

from pathlib import Path

import pytest

from rerank_core.demo.sitting import Sitting, demo_folder
from rerank_core.settings import DEMO_CHECKPOINT

NEWS = "postgresql+psycopg2://me@db/news"
METADATA = "postgresql+psycopg2://me@db/airflow"


def make_sitting(folder: Path, *, model: str | None = None) -> Sitting:
    return Sitting(folder=folder, model=model, port=None, scheduled=False)


def test_without_settings_everything_lies_under_the_folder(tmp_path: Path) -> None:
    sitting = make_sitting(tmp_path)
    assert sitting.settings["RERANK_DATABASE_URL"].endswith(f"/news?host={tmp_path}/postgres")
    assert sitting.settings["RERANK_STORE_URL"] == (tmp_path / "store").as_uri()
    assert sitting.settings["RERANK_MODEL"] == str(DEMO_CHECKPOINT)
    assert sitting.demonstration


def test_with_both_databases_given_none_is_embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_DATABASE_URL", NEWS)
    assert make_sitting(tmp_path).postgres is not None
    monkeypatch.setenv("RERANK_AIRFLOW_DATABASE_URL", METADATA)
    sitting = make_sitting(tmp_path)
    assert sitting.postgres is None
    assert sitting.settings["RERANK_DATABASE_URL"] == NEWS


def test_a_local_checkpoint_is_passed_on_by_its_full_path_and_nothing_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    settings = make_sitting(tmp_path / "demo", model="model").settings
    assert settings["RERANK_MODEL"] == str(tmp_path / "model")
    assert settings["HF_HUB_OFFLINE"] == "1"


def test_a_name_of_the_hub_is_passed_on_and_may_be_downloaded(tmp_path: Path) -> None:
    sitting = make_sitting(tmp_path, model="Qwen/Qwen3-Reranker-0.6B")
    assert sitting.settings["RERANK_MODEL"] == "Qwen/Qwen3-Reranker-0.6B"
    assert "HF_HUB_OFFLINE" not in sitting.settings
    assert not sitting.demonstration


def test_the_users_own_settings_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_FILL_FACTOR", "10")
    assert make_sitting(tmp_path).settings["RERANK_FILL_FACTOR"] == "10"


def test_the_folder_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_DEMO_DIR", str(tmp_path))
    assert demo_folder() == tmp_path
