"""Dates: every common form is read, a clock's zero is no date, and what cannot be told is refused in words."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rerank_core.extract.dates import YEAR, ZEROS, longest_age, means_none, read_date
from rerank_core.records import Window

FOUR = datetime(2026, 11, 22, 16, tzinfo=UTC)


def read(written: str, *, assume_utc: bool = False) -> datetime | None:
    return read_date(written, assume_utc=assume_utc)


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-22T16:00:00Z",
        "2026-11-22t16:00:00z",
        "2026-11-22T17:00:00+01:00",
        "2026-11-22 16:00:00 +0000",
        "2026-11-22 16:00:00 UTC",
        "2026-11-22T16:00:00GMT",
        "20261122T160000Z",
        "2026-W47-7T16:00Z",
        " \n2026-11-22T16:00:00Z\t",
        "Sun, 22 Nov 2026 16:00:00 +0000",
        "Sun, 22 Nov 2026 16:00:00 GMT",
        "Sun, 22 Nov 2026 11:00:00 EST",
        "Sun, 22 Nov 2026 17:00:00 +01:00",
        "Sun, 22 Nov 2026 17:00:00 +0100 (CET)",
        "Sun, 22 Nov 2026 16:00:00 -0000",
        "sun, 22 nov 2026 16:00:00 z",
        "Sunday, 22-Nov-26 16:00:00 GMT",
        "22 Nov 2026 16:00 +0000",
        "Sun,22 Nov 2026 16:00:00 +0000",
        "Sun Nov 22 16:00:00 +0000 2026",
        "Sun Nov 22 16:00:00 UTC 2026",
        "22 November 2026 16:00:00 UT",
        "1795363200",
        "1795363200.0",
        "1795363200000",
    ],
)
def test_one_moment_is_read_in_every_form(written: str) -> None:
    assert read(written) == FOUR


@pytest.mark.parametrize(
    ("written", "time"),
    [
        ("2026-11-22T24:00:00Z", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2026-12-31T24:00:00+01:00", datetime(2026, 12, 31, 23, tzinfo=UTC)),
        ("20261122T240000Z", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2026-11-22 24:00Z", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2026-11-22T24:00:00.000Z", datetime(2026, 11, 23, tzinfo=UTC)),
        ("Sun, 22 Nov 2026 24:00:00 +0000", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2026-11-22T23:59:60Z", datetime(2026, 11, 23, tzinfo=UTC)),
        ("1795363200.25", FOUR + timedelta(milliseconds=250)),
        ("1795363200250", FOUR + timedelta(milliseconds=250)),
        ("-1000000000", datetime(1938, 4, 24, 22, 13, 20, tzinfo=UTC)),
        ("99999999999", datetime(5138, 11, 16, 9, 46, 39, tzinfo=UTC)),
        ("100000000000", datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
        ("22 Nov 68 16:00 GMT", datetime(2068, 11, 22, 16, tzinfo=UTC)),
        ("22 Nov 69 16:00 GMT", datetime(1969, 11, 22, 16, tzinfo=UTC)),
        ("9999-12-31T00:00:00Z", datetime(9999, 12, 31, tzinfo=UTC)),
    ],
)
def test_the_end_of_a_day_fractions_and_the_edges_of_the_rules_are_read(written: str, time: datetime) -> None:
    assert read(written) == time


@pytest.mark.parametrize("written", ["2026-11-22T16:00:00", "20261122160000", "22 Nov 2026 16:00:00"])
def test_a_time_without_offset_is_taken_as_utc_only_when_asked(written: str) -> None:
    with pytest.raises(ValueError, match="has no UTC offset; add one, or load with --assume-utc"):
        read(written)
    assert read(written, assume_utc=True) == FOUR


def test_a_day_alone_begins_at_midnight() -> None:
    for written in ("2026-11-22", "20261122"):
        assert read(written, assume_utc=True) == datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "1970-01-01T00:00:00Z",
        "1969-12-31T16:00-08:00",
        "1970-01-01T00:00:00+08:00",
        "1970-01-01T00:00:00-08:00",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "0",
        "-1",
        "0.0",
        "-62135596800",
        "-62135596800000",
        "1899-12-30T00:00:00Z",
        "1899-12-31T00:00:00Z",
        "1900-01-01T00:00:00Z",
        "1904-01-01T00:00:00Z",
        "1753-01-01T00:00:00Z",
        "1601-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+09:00",
        "0001-01-01T00:00:00-05:00",
        "9999-12-31T23:59:59-08:00",
        "9999-12-31T24:00:00Z",
        "0000-00-00",
        "0000-00-00 00:00:00",
        "0000-00-00T00:00:00Z",
        "00000000",
    ],
)
def test_a_date_that_means_none_is_none(written: str) -> None:
    assert read(written) is None


@pytest.mark.parametrize(
    "written",
    ["1970-01-02T00:00:00Z", "1969-12-31T09:59:00Z", "1900-02-01T00:00:00Z", "1987-02-26T15:01:01Z"],
)
def test_control_a_date_near_a_zero_is_a_date(written: str) -> None:
    assert read(written) == datetime.fromisoformat(written)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("yesterday", "write ISO 8601 such as"),
        ("2024-02-30T00:00:00Z", "write ISO 8601 such as"),
        ("2026-11-22T24:00:01Z", "write ISO 8601 such as"),
        ("2026-11-22T25:00:00Z", "write ISO 8601 such as"),
        ("Sun, 31 Feb 2026 16:00:00 GMT", "write ISO 8601 such as"),
        ("Sun, 22 Foo 2026 16:00:00 GMT", "write ISO 8601 such as"),
        (
            "Sun, 22 Nov 2026 16:00:00 CET",
            r"CET is no time zone of RFC 822; write its offset, such as \+0100",
        ),
        ("2026", r"seconds \(9 to 11 digits\) or milliseconds \(12 or 13\) since 1970"),
        ("12345678901234567", r"seconds \(9 to 11 digits\)"),  # microseconds and more
        ("99999999", "write ISO 8601 such as"),
        ("99999999999999", "write ISO 8601 such as"),
        ("20261122.5", "write ISO 8601 such as"),
        ("nan", "write ISO 8601 such as"),
        ("1e10", "write ISO 8601 such as"),
        ("１７９５３６３２００", "write ISO 8601 such as"),
    ],
)
def test_what_cannot_be_told_is_refused_with_what_to_write(written: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        read(written, assume_utc=True)
    assert str(caught.value).startswith(f"published_at {written!r} is not a time that can be read: ")


@given(st.text(max_size=40) | st.from_regex(r"[0-9:TZ+. -]{0,30}", fullmatch=True))
@example("22 Nov 2026 16:00:00 +9999")
@example("22 Nov 2026 99:99:99 +0000")
@example("0001-01-01T00:00:00Z")
@example("-99999999999")
def test_no_text_whatever_raises_anything_else(written: str) -> None:
    time = None
    with suppress(ValueError):
        time = read(written, assume_utc=True)
    assert time is None or time.utcoffset() == timedelta()


@given(st.sampled_from(ZEROS[:-1]), st.integers(-12 * 60, 14 * 60))
def test_a_zero_of_local_time_is_a_zero_in_every_zone(zero: datetime, minutes: int) -> None:
    local = zero.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert means_none(local.astimezone(UTC))


def test_the_longest_age_is_the_freshness_window_and_a_year() -> None:
    window = Window(since=FOUR - timedelta(days=7), fresh_since=FOUR - timedelta(hours=72), until=FOUR)
    assert longest_age(window) == timedelta(hours=72) + YEAR
