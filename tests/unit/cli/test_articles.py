"""`rerank articles load` reports bad lines, keeps the others, and fails if no line is good."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Rerank


def test_bad_lines_are_reported_and_the_others_kept(page: Rerank, tmp_path: Path) -> None:
    file = tmp_path / "more.jsonl.gz"
    file.write_bytes(
        gzip.compress(b'{"id": "n", "category": 1}\n{"id"\n\n{"id": "n", "title": "\\u001b[2J"}\n')
    )
    ended = page("articles", "load", str(file))
    assert ended.code == 0
    assert "more.jsonl.gz: 4 lines: 1 inserted, 0 updated, 0 unchanged, 2 bad, 1 blank" in ended.out
    assert "left out: category (1 lines)" in ended.out
    assert "more.jsonl.gz, line 2: not JSON: Expecting ':' delimiter at character 6" in ended.err
    assert "more.jsonl.gz, line 4: article_id is on line 1 already" in ended.err


def test_lines_whose_date_means_none_are_counted(page: Rerank, tmp_path: Path) -> None:
    dates = ('"1970-01-01T00:00:00Z"', "0", '"0000-00-00"', "1795363200", "null")
    lines = (f'{{"id": "{number}", "published_at": {date}}}\n' for number, date in enumerate(dates))
    (tmp_path / "dated.jsonl").write_text("".join(lines))
    ended = page("articles", "load", str(tmp_path / "dated.jsonl"))
    assert "5 lines: 5 inserted" in ended.out
    assert "3 lines have a published_at that means none, such as 1970-01-01: their age counts" in ended.out


@pytest.mark.parametrize(
    "content", [b"id,title\n1,x\n", gzip.compress(b'{"id": "1"}\n')[:-4], b"", b"\n\n", gzip.compress(b"")]
)
def test_a_file_without_a_good_line_or_without_an_end_exits_with_1(
    page: Rerank, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "more.jsonl").write_bytes(content)
    assert page("articles", "load", str(tmp_path / "more.jsonl")).code == 1


def test_articles_may_come_on_standard_input(database_url: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "from rerank_core.cli import main; main()", "articles", "load", "-"],
        input=gzip.compress(b'{"id": "1"}\n'),
        capture_output=True,
        env={**os.environ, "RERANK_DATABASE_URL": database_url},
        check=True,
    )
    assert ended.stdout == b"standard input: 1 lines: 1 inserted, 0 updated, 0 unchanged, 0 bad, 0 blank\n"
