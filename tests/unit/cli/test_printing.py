"""Tables line up whatever a title contains, a file is neither cut nor coloured, and no password is printed."""

from datetime import timedelta

import pytest
from command_line import Rerank
from rich.cells import cell_len
from sqlalchemy import text

from rerank_core.cli import printing
from rerank_core.storage.database import Database


def test_columns_line_up_beside_chinese_and_a_file_is_neither_cut_nor_coloured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    long = "very long " * 50
    printing.print_table(
        ("title", "age"),
        [("新款人工智能芯片发布", "1 h"), ("plain", "12 h"), ("한국어 뉴스", "3 d"), (long, "4 d")],
        right=("age",),
        shorten="title",
        styles=["bold red"] * 4,
    )
    out = capsys.readouterr().out
    rows = [line.rstrip() for line in out.splitlines() if line.rstrip().endswith((" h", " d"))]
    assert len(rows) == 4
    assert len({cell_len(row) for row in rows}) == 1
    assert long.strip() in out
    assert "\x1b" not in out


def test_in_a_narrow_terminal_the_title_gives_way_and_nothing_else(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(printing, "UNCUT", 40)
    printing.print_table(
        ("rank", "title", "source", "new"),
        [("1", "新款人工智能芯片发布会" * 3, "晨曦日报", "new")],
        shorten="title",
    )
    header, _, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["rank", "title", "source", "new"]
    assert row.startswith("1      新款人工")
    assert "…" in row
    assert row.rstrip().endswith("晨曦日报   new")
    assert cell_len(row) == 40


@pytest.mark.parametrize(
    ("age", "shown"),
    [
        (-5, "0 min"),
        (0, "0 min"),
        (119, "119 min"),
        (120, "2 h"),
        (71 * 60, "71 h"),
        (72 * 60, "3 d"),
        (1440 * 14_000, "14,000 d"),
    ],
)
def test_an_age_is_in_its_largest_whole_unit(age: int, shown: str) -> None:
    assert printing.show_age(timedelta(minutes=age)) == shown


def test_a_title_can_neither_steer_the_terminal_nor_style_the_table(page: Rerank, database_url: str) -> None:
    page("run")
    with Database(database_url).transaction() as connection:
        connection.execute(text(r"UPDATE rerank.ranking SET title = E'a\x1b[31mb[bold]c\u202Ed\ne'"))
    assert "a�[31mb[bold]cd e" in page("show").out
