"""Judgements are read as they stand, or refused with the line that is wrong."""

import gzip
import resource
from collections.abc import Callable, Iterator
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


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_a_file_that_is_too_large_is_refused_before_it_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(judgements, "LARGEST", 1 << 20)
    file = tmp_path / "qrels"
    file.write_bytes(pack(b"rates 0 a1 3\n" * (1 << 20)))
    with pytest.raises(InputError, match="qrels .* holds more than 1 MB.*see whether it is the right file"):
        judgements.read_file(file)


def test_a_gigabyte_in_a_megabyte_is_never_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "qrels.gz"
    with gzip.open(file, "wb", 1) as stream:
        for _ in range(1024):
            stream.write(bytes(1 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="holds more than 32 MB when it is unpacked"):
        judgements.read_file(file)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 * 1024  # KiB


def test_a_file_without_an_end_is_refused() -> None:
    with pytest.raises(InputError, match="holds more than 32 MB"):
        judgements.read_file(Path("/dev/zero"))


def test_a_gzipped_file_that_is_damaged_is_named(tmp_path: Path) -> None:
    file = tmp_path / "qrels.gz"
    for content in (gzip.compress(b"rates 0 a1 3\n" * 100)[:-9], b"\x1f\x8b" + bytes(20)):
        file.write_bytes(content)
        with pytest.raises(InputError, match=r"qrels .*qrels.gz cannot be read: "):
            judgements.read_file(file)


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


def test_judgements_are_gathered_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A list of a million short lines takes a hundred times what the file takes.
    seen: list[object] = []
    gather = judgements._gather
    monkeypatch.setattr(
        judgements, "_gather", lambda source, found: seen.append(found) or gather(source, found)
    )
    assert judgements.read_file(write(tmp_path, "rates 0 a1 3\n" * 1_000)) == {"rates": {"a1": 3}}
    assert isinstance(seen[0], Iterator)
