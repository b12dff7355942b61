"""Judgements are read as they stand, or refused with the line that is wrong."""

import gzip
from pathlib import Path

import pytest

from rerank_core.errors import InputError
from rerank_core.evaluation import judgements


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "qrels.txt"
    file.write_text(text, encoding="utf-8")
    return file


def test_trec_files_are_read_with_spaces_or_tabs_with_or_without_the_unused_column(tmp_path: Path) -> None:
    wanted = {"rates": {"a1": 3, "a2": 0}, "floods": {"an id": -1}}
    spaces = "rates 0 a1 3\nrates 0 a2 0\n\n"
    file = write(tmp_path, f"{spaces}floods\t0\tan id\t-1\n")
    assert judgements.read_file(file) == wanted
    three = write(tmp_path, "query_id\tdoc_id\trelevance\nrates\ta1\t3\nrates\ta2\t0\nfloods\tan id\t-1\n")
    assert judgements.read_file(three) == wanted
    packed = tmp_path / "qrels.gz"
    packed.write_bytes(gzip.compress(three.read_bytes()))
    assert judgements.read_file(packed) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rates 0 a1 3\nrates a2\n", "line 2"),
        ("rates 0 a1 high\n", "line 1"),
        ("rates 0 a1 0.5\n", "line 1"),
        ("rates 0 a1 3\nrates 0 a1 2\n", "grade 2, and grade 3 before"),
        ("rates\t0\t\t1\n", "line 1"),
        ("\n", "holds no judgement"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        judgements.read_file(write(tmp_path, text))


def test_a_judgement_said_twice_with_one_grade_is_one(tmp_path: Path) -> None:
    assert judgements.read_file(write(tmp_path, "t 0 a 1\nt 0 a 1\n")) == {"t": {"a": 1}}
