"""Feedback is logged: every line in one bucket, nothing twice, and only of rows that were published."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from factories import Newsroom, statement_replaced

from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.errors import CorruptError, InputError, SourceError
from rerank_core.learning import events
from rerank_core.storage import database


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


def load(room: Newsroom, file: Path, **options: Any) -> events.Loaded:
    return events.load(room.database, file, pipeline=room.settings.pipeline, **options)


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
    assert found == events.Loaded(lines=10, added=4, repeated=2, unknown=2, bad=1, blank=1, complete=True)
    assert [number for number, _ in told] == [10]
    again = load(room, file)
    assert (again.added, again.repeated) == (0, 6)
    assert room.value("SELECT count(*) FROM rerank.feedback") == 4


def test_the_view_has_what_the_row_was_ranked_by(
    room: Newsroom, published: list[dict[str, Any]], tmp_path: Path
) -> None:
    first, second = published
    opens = [{**first, "time": f"2026-11-22T16:00:0{second}Z"} for second in range(3)]
    load(room, write(tmp_path, *opens, {**second, "event": "hide"}))
    rows = room.sql("SELECT * FROM rerank.ranking_feedback ORDER BY rank")
    ranked = room.ranking()
    assert [(row.event, row.events) for row in rows] == [("open", 3), ("hide", 1)]
    assert [(row.article_id, row.logit) for row in rows] == [(row.article_id, row.logit) for row in ranked]
    for row, of_page in zip(rows, ranked, strict=True):
        assert (row.scored_document_id, row.began_at, row.copies) == (
            of_page.scored_document_id,
            of_page.began_at,
            of_page.copies,
        )
        assert row.age == of_page.as_of - of_page.began_at > timedelta(minutes=9)
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
        monkeypatch, "events.merge", "SELECT 0 AS added, 0 AS repeated, :pipeline <> '' AS unknown"
    )
    with pytest.raises(CorruptError, match="2 lines were read"):
        load(room, write(tmp_path, *published))


VIEW = """
CREATE TABLE public.reader_event (
    event_id text, run_id bigint, topic text, rank int, revision_id bigint, event text, "time" timestamptz
);
CREATE VIEW public.events AS SELECT * FROM public.reader_event
"""


def put(room: Newsroom, row: dict[str, Any], **changes: Any) -> None:
    """An event in the view, an hour ago."""
    values = {**row, "event_id": "1", "time": room.ago(hours=1), **changes}
    room.sql(
        "INSERT INTO public.reader_event VALUES (:event_id, :run_id, :topic, :rank, :revision_id, :event, :time)",
        **values,
    )


@pytest.fixture
def there(postgres: EmbeddedPostgres) -> Iterator[str]:
    yield postgres.create("events_elsewhere")
    postgres.drop("events_elsewhere")


@pytest.fixture(params=["here", "elsewhere"])
def writer(request: pytest.FixtureRequest, room: Newsroom) -> Newsroom:
    """Writes events: in the newsroom's database, or in another one."""
    there = None if request.param == "here" else request.getfixturevalue("there")
    found = room.tuned(database_url=there or room.settings.database_url)
    found.sql(VIEW)
    return found


@pytest.fixture
def reading(room: Newsroom, writer: Newsroom) -> Newsroom:
    """Claims the events of `writer`."""
    url = writer.settings.database_url
    elsewhere = None if url == room.settings.database_url else url
    return room.tuned(feedback_view="public.events", feedback_url=elsewhere)


def claim(room: Newsroom, **options: Any) -> events.Claimed:
    found = events.claim(room.database, room.settings, **options)
    assert found is not None
    return found


def test_a_view_s_events_are_claimed_once_late_ones_too_and_each_is_in_one_bucket(
    reading: Newsroom, writer: Newsroom, published: list[dict[str, Any]]
) -> None:
    first, second = published
    put(writer, first)
    put(writer, first)
    put(writer, second, event_id="2", event="hide")
    put(writer, first, event_id="3", rank=7)
    put(writer, first, event_id="4", event="Open it")
    put(writer, first, event_id="5", time=None)
    put(writer, first, event_id="6", time=writer.ago(days=8))
    put(writer, first, event_id="7", time=writer.ago(hours=-1))
    expected = events.Claimed(looked=8, added=2, repeated=1, unknown=1, bad=2, too_late=1, later=1)
    assert claim(reading) == expected
    put(writer, first, event_id="0", time=writer.ago(days=6))  # late, and out of order
    assert claim(reading) == replace(expected, looked=9, added=1, repeated=3)
    kept = "SELECT event_id, event, happened_at FROM rerank.feedback ORDER BY event_id"
    assert [tuple(row) for row in reading.sql(kept)] == [
        ("0", "open", writer.ago(days=6)),
        ("1", "open", writer.ago(hours=1)),
        ("2", "hide", writer.ago(hours=1)),
    ]
    assert claim(reading, since=writer.ago(days=9)).added == 1  # by hand, what was too late


def test_control_a_watermark_loses_what_comes_late(
    room: Newsroom, published: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    watermark = 'e."time" > (SELECT COALESCE(max(happened_at), :since) FROM rerank.feedback)'
    careless = database.statement_texts()["events.take"].replace('e."time" >= :since', watermark)
    statement_replaced(monkeypatch, "events.take", careless.replace("{events}", "public.events"))
    room.sql(VIEW)
    put(room, published[0])
    claim(room.tuned(feedback_view="public.events"))
    put(room, published[0], event_id="0", time=room.ago(days=6))
    claim(room.tuned(feedback_view="public.events"))
    assert room.value("SELECT count(*) FROM rerank.feedback") == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "ALTER TABLE public.reader_event ADD reader_id text",
            "has the columns reader_id, and an event has none but",
        ),
        ("ALTER TABLE public.reader_event ADD ip inet, ADD cookie text", "has the columns cookie, ip, and "),
        ("ALTER TABLE public.reader_event DROP event_id CASCADE", "does not exist"),
    ],
)
def test_a_view_that_says_more_than_an_event_is_refused(
    room: Newsroom, published: list[dict[str, Any]], change: str, said: str
) -> None:
    room.sql(VIEW)
    put(room, published[0])
    room.sql(
        f"{change}; CREATE OR REPLACE VIEW public.events AS SELECT * FROM public.reader_event"
        if "ADD" in change
        else change
    )
    team = room.tuned(feedback_view="public.events")
    with pytest.raises(SourceError, match=said):
        claim(team)
    with pytest.raises(SourceError, match=said):
        events.check_view(team.settings)
    assert room.value("SELECT count(*) FROM rerank.feedback") == 0


def test_a_view_of_wrong_types_is_told_how_to_be_written(room: Newsroom) -> None:
    room.sql(
        "CREATE VIEW public.events AS SELECT 1::bigint AS event_id, now()::timestamp AS \"time\", ''::text AS topic"
    )
    with pytest.raises(SourceError) as refused:
        claim(room.tuned(feedback_view="public.events"))
    assert "event_id is bigint; write CAST(event_id AS text) AS event_id" in str(refused.value)
    assert "time has no time zone" in str(refused.value)
    assert "column run_id is missing;" in str(refused.value)


def test_without_a_view_nothing_is_claimed(room: Newsroom) -> None:
    assert events.claim(room.database, room.settings) is None
    assert events.check_view(room.settings) is None
