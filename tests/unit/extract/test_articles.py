"""Whatever is wrong with a line becomes a reason of that line alone."""

import gzip
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_core.extract import articles_file
from rerank_core.extract.articles_file import Line, read_line, read_lines


def read(content: bytes, *, assume_utc: bool = False) -> list[Line]:
    return list(read_lines(io.BufferedReader(io.BytesIO(content)), assume_utc=assume_utc))


def row(**fields: Any) -> dict[str, Any]:
    line = read_line(json.dumps(fields).encode(), 1, assume_utc=False)
    assert line.reason is None
    return dict(line.row or {})


def reason(raw: bytes | dict[str, Any]) -> str | None:
    return read_line(raw if isinstance(raw, bytes) else json.dumps(raw).encode(), 1, assume_utc=False).reason


def test_a_line_needs_only_an_id() -> None:
    assert row(article_id="a") == {
        "article_id": "a",
        "title": "",
        "url": None,
        "summary": None,
        "body": None,
        "lang": None,
        "source": None,
        "published_at": None,
    }


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"id": "b"}, "article_id", "b"),
        ({"id": 7}, "article_id", "7"),
        ({"article_id": "a", "id": "b"}, "article_id", "a"),
        ({"article_id": "a", "body_html": "<p>"}, "body", "<p>"),
        ({"article_id": "a", "text": "t"}, "body", "t"),
        ({"article_id": "a", "body": "", "text": "t"}, "body", "t"),
        ({"article_id": "a", "body": "b", "text": "t"}, "body", "b"),
        ({"article_id": "a", "title": None}, "title", ""),
        ({"article_id": "a", "title": " 标题\n"}, "title", " 标题\n"),
        ({"article_id": "a", "published_at": ""}, "published_at", None),
        ({"article_id": "a", "published_at": None}, "published_at", None),
        (
            {"article_id": "a", "published_at": 1700000000},
            "published_at",
            datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        ),
        (
            {"article_id": "a", "published_at": 1700000000.5},
            "published_at",
            datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC),
        ),
    ],
)
def test_a_field_may_have_another_name_or_be_missing(
    fields: dict[str, Any], name: str, value: str | None
) -> None:
    assert row(**fields)[name] == value


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-10-01T19:00:00+08:00", datetime(2024, 10, 1, 11, tzinfo=UTC)),
        ("1987-02-26T15:01:01Z", datetime(1987, 2, 26, 15, 1, 1, tzinfo=UTC)),
        ("2024-10-01 19:00:00.123456789-0530", datetime(2024, 10, 2, 0, 30, 0, 123456, tzinfo=UTC)),
    ],
)
def test_times_become_utc(text: str, time: datetime) -> None:
    assert row(article_id="a", published_at=text)["published_at"] == time


def test_a_time_without_offset_is_taken_as_utc_only_when_asked() -> None:
    line = b'{"id": "a", "published_at": "2024-10-01T19:00:00"}'
    assert (
        reason(line)
        == "published_at '2024-10-01T19:00:00' has no UTC offset; add one, or load with --assume-utc"
    )
    taken = read_line(line, 1, assume_utc=True).row
    assert taken is not None
    assert taken["published_at"] == datetime(2024, 10, 1, 19, tzinfo=UTC)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"{", "not JSON: Expecting property name enclosed in double quotes at character 2"),
        (b"id,title", "not JSON: Expecting value at character 1"),
        (b'{"id": "\xff"}', "not UTF-8 at byte 9"),
        (b'["a"]', "not an object but a list; write one {…} a line"),
        (b"null", "not an object but null; write one {…} a line"),
        (b"1e5", "not an object but a number; write one {…} a line"),
        (b"[" * 100_000, "lists or objects are nested too deeply in one another"),
        (b'{"id": ' + b"9" * 5_000 + b"}", "not JSON that can be read: a number has too many digits"),
        ({"title": "t"}, "article_id is missing or empty"),
        ({"id": " "}, "article_id is missing or empty"),
        ({"id": True}, "id is true or false, not text"),
        ({"id": 1.5}, "id is a number, not text"),
        ({"id": "a" * 501}, "article_id has 501 characters; 500 is the most"),
        ({"id": "a", "title": 5}, "title is a number, not text"),
        ({"id": "a", "body": ["x"]}, "body is a list, not text"),
        ({"id": "a", "body": "x", "text": {}}, "text is an object, not text"),
        ({"id": "a", "title": "x\0"}, "title holds a NUL character, which Postgres cannot store"),
        (b'{"id": "a", "title": "\\ud83d"}', "title holds half a character, U+D83D"),
        ({"id": "a", "published_at": True}, "published_at is true or false, not text"),
        ({"id": "a", "published_at": ["2024"]}, "published_at is a list, not text"),
        (
            {"id": "a", "published_at": "yesterday"},
            "published_at 'yesterday' is not a time that can be read: write ISO 8601 such as 2026-11-22T16:00:00Z, RFC 822"
            " such as Sun, 22 Nov 2026 16:00:00 +0000, or seconds (9 to 11 digits) or milliseconds (12 or 13) since 1970",
        ),
    ],
)
def test_a_bad_line_has_a_reason(raw: bytes | dict[str, Any], why: str) -> None:
    assert reason(raw) == why


@pytest.mark.parametrize(
    ("written", "undated"),
    [
        ("1970-01-01T00:00:00Z", True),
        (0, True),
        ("0000-00-00", True),
        ("", False),
        ("  ", False),
        (None, False),
        ("2026-11-22T16:00:00Z", False),
    ],
)
def test_a_line_whose_date_means_none_is_good_and_told_from_one_without_a_date(
    written: Any, undated: bool
) -> None:
    line = read_line(json.dumps({"id": "a", "published_at": written}).encode(), 1, assume_utc=False)
    assert line.row is not None
    assert line.undated is undated
    assert (line.row["published_at"] is None) == (undated or not str(written or "").strip())


def test_a_pair_of_surrogate_escapes_is_one_character() -> None:
    assert row(article_id="a", title="😀")["title"] == "😀"


def test_fields_that_the_source_lacks_are_named() -> None:
    assert read_line(b'{"id": "a", "category": 1, "ingested_at": 2}', 1, assume_utc=False).ignored == {
        "category",
        "ingested_at",
    }


def test_lines_end_at_line_feeds_alone_and_blank_ones_are_neither_good_nor_bad() -> None:
    content = '\ufeff{"id": "1"}\r\n\n  \n{"id": "2", "title": "a\u2028b"}\n{"id": "3"}'.encode()
    assert [(line.number, line.row and line.row["article_id"]) for line in read(content)] == [
        (1, "1"),
        (2, None),
        (3, None),
        (4, "2"),
        (5, "3"),
    ]


def test_an_empty_file_has_no_lines() -> None:
    assert read(b"") == []
    assert read(gzip.compress(b"")) == []


def test_a_gzipped_file_is_told_by_its_first_bytes() -> None:
    assert [
        line.number for line in read(gzip.compress(b'{"id": "1"}\n') + gzip.compress(b'{"id": "2"}\n'))
    ] == [1, 2]


def test_a_cut_off_gzip_gives_its_whole_lines_and_then_one_bad_line() -> None:
    content = b"".join(
        json.dumps({"id": f"{i}", "title": f"{i * 7919}"}).encode() + b"\n" for i in range(5_000)
    )
    whole = gzip.compress(content)
    lines = read(whole[: len(whole) // 2])
    assert 100 < len(lines) < 5_000
    assert all(line.row for line in lines[:-1])
    assert lines[-1].breaks_off
    assert "the file breaks off or is damaged here" in str(lines[-1].reason)
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))


@pytest.mark.parametrize("damage", [b"garbage", b"\x1f\x8b\x08\x00"])
def test_what_stands_behind_a_gzip_is_one_bad_line(damage: bytes) -> None:
    lines = read(gzip.compress(b'{"id": "1"}\n') + damage)
    assert [(line.row is not None, line.breaks_off) for line in lines] == [(True, False), (False, True)]


def test_an_over_long_line_is_skipped_without_being_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(articles_file, "LONGEST_LINE", 64)
    lines = read(b'{"id": "1"}\n{"id": "' + b"2" * 1_000 + b'"}\n{"id": "3"}\n' + b"4" * 65)
    assert [line.row["article_id"] if line.row else None for line in lines] == ["1", None, "3", None]
    assert "longer than" in str(lines[1].reason)


@given(st.binary(max_size=400))
def test_no_bytes_whatever_raise(content: bytes) -> None:
    for number, line in enumerate(read(content), 1):
        assert line.number == number
        assert line.row is None or line.reason is None


@given(
    st.dictionaries(
        st.sampled_from([*sorted(articles_file.KNOWN), "other"]),
        st.none() | st.text() | st.integers() | st.floats() | st.lists(st.none()),
    )
)
def test_no_object_whatever_raises(fields: dict[str, Any]) -> None:
    line = read_line(json.dumps(fields).encode(), 1, assume_utc=True)
    assert (line.row is None) != (line.reason is None)
