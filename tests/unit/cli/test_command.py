"""Every command starts at once, explains itself, and ends an error with one sentence and the right exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Ended, Rerank

from rerank_core import __version__
from rerank_core.cli import main


def test_the_command_starts_at_once_for_it_imports_nothing_heavy() -> None:
    code = "import sys, rerank_core.cli; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = {name.partition(".")[0] for name in shown.split()}
    assert (
        loaded
        & {"airflow", "vllm", "torch", "bm25s", "jieba", "pyarrow", "sqlalchemy", "pydantic", "transformers"}
        == set()
    )


def test_the_version_is_printed(rerank: Rerank) -> None:
    assert rerank("--version") == Ended(0, f"news-rerank {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("db",),
        ("topics",),
        ("topics", "apply"),
        ("articles", "load"),
        ("run",),
        ("show",),
        ("doctor",),
        ("scorer",),
        ("settings",),
    ],
)
def test_every_command_explains_itself(rerank: Rerank, arguments: tuple[str, ...]) -> None:
    ended = rerank(*arguments, "--help")
    assert ended.code == 0
    assert "Usage: rerank" in ended.out


def test_a_wrong_option_is_a_usage_error(rerank: Rerank) -> None:
    assert rerank("show", "--nonsense").code == 2


def test_a_permanent_error_is_one_sentence_and_exit_code_1(rerank: Rerank, tmp_path: Path) -> None:
    ended = rerank("topics", "apply", str(tmp_path / "none.yaml"))
    assert ended == Ended(
        1,
        "",
        f"rerank: {tmp_path}/none.yaml cannot be read: No such file or directory; name a file that this user may read\n",
    )


def test_a_retryable_error_is_one_sentence_and_exit_code_75(rerank: Rerank) -> None:
    ended = rerank("topics", "list", database_url="postgresql://u:secret@127.0.0.1:1/x")
    assert ended.code == 75
    assert ended.err.startswith("rerank: Database(postgresql+psycopg2://u:***@127.0.0.1:1/x): ")
    assert ended.err.count("\n") == 1


def test_a_database_without_the_schema_is_one_sentence(rerank: Rerank, empty_database_url: str) -> None:
    ended = rerank("topics", "list", database_url=empty_database_url)
    assert ended.code == 1
    assert "run `rerank db upgrade`" in ended.err
    assert "Traceback" not in ended.err


def test_the_traceback_is_there_for_who_asks(
    rerank: Rerank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RERANK_DEBUG", "1")
    with pytest.raises(Exception, match="cannot be read"):
        main(["topics", "apply", str(tmp_path / "none.yaml")])


def test_a_wrong_setting_is_one_sentence(rerank: Rerank) -> None:
    ended = rerank("settings", max_pairs="many")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("rerank: RERANK_MAX_PAIRS = 'many': ")


@pytest.mark.parametrize("arguments", [("--version",), ("settings",)])
def test_a_reader_that_stops_early_is_no_error(arguments: tuple[str, ...]) -> None:
    """As in `rerank show | head`: here nobody reads at all."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", "from rerank_core.cli import main; main()", *arguments]
    try:
        ended = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(write)
    assert (ended.returncode, ended.stderr) == (0, "")
