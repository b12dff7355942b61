"""Feedback is logged: every line in one bucket, nothing twice, and only of rows that were published."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from factories import Newsroom, statement_replaced

from rerank_core.errors import CorruptError, InputError
from rerank_core.evaluation import feedback


@pytest.fixture
def published(room: Newsroom) -> list[dict[str, Any]]:
    """An event for each row of a page."""
    room.follow("solar")
    room.add("solar power", "solar wind")
    room.run()
    return [
        {
            "run_id": row.run_id,
            "topic": row.topic,
            "rank": row.rank,
            "revision_id": row.revision_id,
            "event": "open",
            "time": "2026-11-22T16:00:00Z",
        }
        for row in room.ranking()
    ]


def write(tmp_path: Path, *lines: Any) -> Path:
    file = tmp_path / "events.jsonl"
    file.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines))
    return file


def load(room: Newsroom, file: Path, **options: Any) -> feedback.FeedbackReport:
    return feedback.load(room.database, file, pipeline=room.settings.pipeline, **options)


def test_every_line_lands_in_one_bucket(
    room: Newsroom, published: list[dict[str, Any]], tmp_path: Path
) -> None:
    first, second = published
    file = write(
        tmp_path,
        first,
        second,
        first,
        {**first, "time": "2026-11-22T17:00:00+01:00"},  # the same moment
        {**first, "time": "2026-11-22T16:00:01Z"},
        {**first, "event_id": "mine"},
        {**first, "rank": 7},
        {**first, "revision_id": second["revision_id"]},
        "",
        "no json",
    )
    told: list[tuple[int, str]] = []
    found = load(room, file, on_bad_line=lambda number, why: told.append((number, why)))
    assert found == feedback.FeedbackReport(
        lines=10, added=4, repeated=2, unknown=2, bad=1, blank=1, complete=True
    )
    assert [number for number, _ in told] == [10]
    again = load(room, file)
    assert (again.added, again.repeated) == (0, 6)
    assert room.value("SELECT count(*) FROM rerank.feedback") == 4


def test_the_view_has_what_the_row_was_ranked_by(
    room: Newsroom, published: list[dict[str, Any]], tmp_path: Path
) -> None:
    first, second = published
    events = [{**first, "time": f"2026-11-22T16:00:0{second}Z"} for second in range(3)]
    load(room, write(tmp_path, *events, {**second, "event": "hide"}))
    rows = room.sql("SELECT * FROM rerank.ranking_feedback ORDER BY rank")
    ranked = room.ranking()
    assert [(row.event, row.events) for row in rows] == [("open", 3), ("hide", 1)]
    assert [(row.article_id, row.logit) for row in rows] == [(row.article_id, row.logit) for row in ranked]
    room.sql("SET LOCAL session_replication_role = replica; DELETE FROM rerank.ranking")
    rows = room.sql("SELECT article_id, events FROM rerank.ranking_feedback ORDER BY rank")
    assert [tuple(row) for row in rows] == [(None, 3), (None, 1)]


def test_another_pipeline_has_feedback_of_its_own_rows_only(
    room: Newsroom, published: list[dict[str, Any]], tmp_path: Path
) -> None:
    found = load(room.tuned(pipeline="shadow"), write(tmp_path, *published))
    assert (found.added, found.unknown) == (0, 2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"run_id": 0}, "run_id is 0"),
        ({"run_id": True}, "run_id is True"),
        ({"run_id": 2**63}, "expected a number from 1"),
        ({"rank": "1"}, "rank is 1; expected a number"),
        ({"topic": ""}, "topic is missing"),
        ({"topic": "a\0b"}, "topic is missing"),
        ({"event": "Open it"}, "is no small word"),
        ({"time": "2026-11-22T16:00:00"}, "no ISO 8601 time with its UTC offset"),
        ({"time": "0001-01-01T00:00:00+10:00"}, "no ISO 8601 time"),
        ({"time": 5}, "no ISO 8601 time"),
        ({"event_id": ""}, "event_id is missing"),
        ({"reader": "me"}, "field 'reader' is not one of"),
    ],
)
def test_a_bad_line_is_named_and_spoils_no_other(
    room: Newsroom, published: list[dict[str, Any]], tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    told: list[str] = []
    file = write(tmp_path, {**published[0], **change}, published[1])
    found = load(room, file, on_bad_line=lambda number, why: told.append(why))
    assert (found.bad, found.added) == (1, 1)
    assert said in told[0]


def test_a_file_that_breaks_off_keeps_what_came_before(
    room: Newsroom, published: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl.gz"
    lines = [{**published[0], "time": f"2026-11-22T16:00:00.{number:06}Z"} for number in range(3000)]
    packed = gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode())
    file.write_bytes(packed)
    assert load(room, file).added == 3000
    room.sql("DELETE FROM rerank.feedback")
    file.write_bytes(packed[: len(packed) // 2])
    found = load(room, file)
    assert not found.complete
    assert found.bad == 1
    assert 0 < found.added < 3000
    assert found.added + found.bad == found.lines


def test_an_endless_line_is_one_bad_line(
    room: Newsroom, published: list[dict[str, Any]], tmp_path: Path
) -> None:
    found = load(room, write(tmp_path, "x" * 300_000, published[0]))
    assert (found.lines, found.bad, found.added) == (2, 1, 1)


def test_a_file_that_is_not_there_is_an_error(room: Newsroom, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jsonl cannot be read"):
        load(room, tmp_path / "none.jsonl")


def test_counts_that_do_not_add_up_are_never_reported(
    room: Newsroom, published: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement_replaced(
        monkeypatch, "feedback.merge", "SELECT 0 AS added, 0 AS repeated, :pipeline <> '' AS unknown"
    )
    with pytest.raises(CorruptError, match="2 lines were read"):
        load(room, write(tmp_path, *published))
