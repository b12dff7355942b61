"""What the demo prints lines up, in Chinese too, and holds no control codes in a file."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from rerank_core.demo.airflow import TaskState
from rerank_core.demo.show import RunProgress, Teller, age, one_line, pairs_of, ranking_table

NOW = datetime(2026, 11, 22, 17, tzinfo=UTC)


def make_row(**overrides: object) -> dict[str, Any]:
    row: dict[str, Any] = {
        "rank": 1,
        "title": "A headline",
        "source": "Wire",
        "copies": 1,
        "began_at": NOW - timedelta(hours=2),
        "logit": 1.25,
        "is_new": True,
        "as_of": NOW,
    }
    return row | overrides


def make_task(**overrides: object) -> TaskState:
    task: dict[str, object] = {
        "task_id": "extract",
        "map_index": -1,
        "label": None,
        "state": "success",
        "try_number": 1,
        "started": NOW,
        "ended": NOW + timedelta(seconds=2),
    }
    return TaskState(**(task | overrides))  # type: ignore[arg-type]


def rendered(rows: list[dict[str, Any]], *, width: int) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width).print(ranking_table(rows, width=width))
    return file.getvalue().splitlines()


def test_titles_begin_in_the_same_cell_whatever_script_the_source_is_in() -> None:
    rows = [
        make_row(title="First", source="Northline Wire"),
        make_row(title="第二", source="北岸新闻网"),
        make_row(
            title="Third", source="とても長い名前の新聞社のニュース", rank=20, logit=-12.345, is_new=False
        ),
    ]
    lines = rendered(rows, width=100)[1:]
    starts = {
        cell_len(line[: line.index(title)])
        for line, title in zip(lines, ("First", "第二", "Third"), strict=True)
    }
    assert len(starts) == 1


@pytest.mark.parametrize("width", [80, 110, 200])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    lines = rendered([make_row(title="标题" * 200), make_row(title="word " * 200)], width=width)
    assert len(lines) == 3
    assert max(cell_len(line) for line in lines) <= width


def test_a_row_without_a_score_says_that_bm25_ranked_it() -> None:
    assert "bm25" in rendered([make_row(logit=None, ranked_by="bm25")], width=80)[1]


def test_an_escape_sequence_in_a_title_does_not_reach_the_terminal() -> None:
    line = rendered([make_row(title="\x1b[31mred\x07\nnext [bold]kept[/bold]")], width=120)[1]
    assert "\x1b" not in line
    assert "[bold]kept[/bold]" in line


def test_letters_that_do_not_print_become_spaces() -> None:
    assert one_line("a\tb\u202ec") == "a b c"


@pytest.mark.parametrize(
    ("passed", "told"),
    [
        (timedelta(minutes=40), "40 min"),
        (timedelta(hours=7, minutes=50), "7 h"),
        (timedelta(days=2, hours=3), "2 d 3 h"),
        (timedelta(minutes=-5), "0 min"),
    ],
)
def test_an_age_is_told_in_the_unit_that_fits(passed: timedelta, told: str) -> None:
    assert age(NOW, NOW - passed) == told


def test_the_number_of_pairs_is_read_from_the_label_of_the_shard() -> None:
    assert pairs_of(make_task(label="shard 0: 455 pairs, 12 topics")) == 455
    assert pairs_of(make_task(label=None)) == 0


def test_progress_tells_each_ended_task_once_and_without_control_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = RunProgress(Teller(), None, database=None)  # type: ignore[arg-type]
    progress([make_task(), make_task(task_id="prepare", state="running", ended=None)])
    progress([make_task(), make_task(task_id="prepare"), make_task(task_id="degrade", state="skipped")])
    told = capsys.readouterr().out
    assert told.splitlines() == [
        "   2.0 s  extract",
        "   2.0 s  prepare",
        "          degrade  (nothing to do)",
    ]
