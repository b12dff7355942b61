"""Dates of publication: what a file writes → a time in UTC, and which dates mean that there is none.

Programs that have no date write the zero of their clock. Such a date is no date here: the article's age then counts from
its ingestion. The same holds for a date long before ingestion (`longest_age`), which stays visible.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime

from rerank_core.records import Window

# Zeros of clocks and calendars: what a program writes that has no date.
ZEROS = tuple(
    datetime(*day, tzinfo=UTC)
    for day in (
        (1970, 1, 1),  # Unix
        (1899, 12, 30),  # Excel, OLE
        (1899, 12, 31),  # Excel, as its day 0 is shown
        (1900, 1, 1),  # Excel's day 1, SQL Server
        (1904, 1, 1),  # Excel and QuickTime on the Macintosh
        (1753, 1, 1),  # the least of SQL Server
        (1601, 1, 1),  # Windows
        (1, 1, 1),  # .NET, Go
    )
)
ZONES = timedelta(hours=14)  # a zero of local time is so far from the zero in UTC, at most
YEAR = timedelta(days=365)

_NO_TIME = {0, -1, -62_135_596_800_000}  # the last is the year 1 in milliseconds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"-?(?P<digits>[0-9]{1,20})(?:\.[0-9]*)?")
_NULL = re.compile(r"0000-?00-?00(?:[T ]?00:?00:?00.*)?")  # MySQL's zero
_MIDNIGHT = re.compile(r"(?<=[T ])24(?=:?00(?::?00(?:[.,]0+)?)?(?:Z|[ +-].*)?$)")
_ZONE_NAME = re.compile(r"(?<=\d) ?(?:UTC|GMT)$")
_RFC_822 = re.compile(
    r"(?:[A-Z]{3,9}(?:, *| +))?\d{1,2}[ -][A-Z]{3,9}[ -]\d{2,4} +\d\d?:\d\d(?::\d\d)?"
    r"(?: *(?P<zone>[+-]\d\d:?\d\d|[A-Z]{1,5}))?(?: *\([^()]*\))?",
    re.IGNORECASE,
)
# As the C function ctime and some interfaces write a time: Sun Nov 22 16:00:00 +0000 2026.
_CTIME = re.compile(
    r"(?:[A-Z]{3} )?([A-Z]{3}) (\d{1,2}) (\d\d:\d\d:\d\d)((?: [A-Z]{1,5}| [+-]\d{4})?) (\d{4})", re.IGNORECASE
)
_LEAP_SECOND = re.compile(r"(?<=:\d\d):60(?!\d)")
_FORMS = (
    "write ISO 8601 such as 2026-11-22T16:00:00Z, RFC 822 such as Sun, 22 Nov 2026 16:00:00 +0000, or seconds"
    " (9 to 11 digits) or milliseconds (12 or 13) since 1970"
)


def longest_age(window: Window) -> timedelta:
    """How long before its ingestion an article may have been published: the freshness window and a year.

    A date before that says nothing of how new the story is: its article counts from ingestion.
    """
    return window.until - window.fresh_since + YEAR


def means_none(time: datetime) -> bool:
    """Whether the time is a clock's zero, in any time zone."""
    return any(abs(time - zero) <= ZONES for zero in ZEROS)


def read_date(written: str, *, assume_utc: bool) -> datetime | None:
    """The time that a file writes as ISO 8601, RFC 822, or as seconds or milliseconds since 1970; None if it means none.

    Raises ValueError, which says what is wrong, for a text that is none of these, and for a time without UTC offset
    unless `assume_utc` takes it as UTC.
    """
    text = " ".join(written.split())
    shown = repr(text if len(text) <= 40 else text[:39] + "…")
    try:
        time = None if _NULL.fullmatch(text) else _read(text)
    except OverflowError:
        return None  # before the year 1, or after 9999: the least and the greatest time that a program has
    except ValueError as error:
        raise ValueError(f"published_at {shown} is not a time that can be read: {error}") from None
    if time is None:
        return None
    if time.tzinfo is None and not assume_utc:
        raise ValueError(f"published_at {shown} has no UTC offset; add one, or load with --assume-utc")
    try:
        utc = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError:
        return None
    return None if means_none(utc) else utc


def _read(text: str) -> datetime:
    """A time; without an offset if the text has none. Raises ValueError, or OverflowError if it is out of the calendar."""
    number = _NUMBER.fullmatch(text)
    digits = len(number["digits"]) if number else 0
    if digits and (digits not in (8, 14) or text[0] == "-"):  # these are a date, and a date with its time
        return _since_1970(Decimal(text), digits)
    if _CTIME.fullmatch(text):
        text = _CTIME.sub(r"\2 \1 \5 \3\4", text)
    if mail := _RFC_822.fullmatch(text):
        return _of_mail(text, mail["zone"])
    iso = f"{text[:8]}T{text[8:]}" if digits == 14 else _ZONE_NAME.sub("+00:00", text.upper())
    iso, days = _MIDNIGHT.subn("00", iso)
    iso, seconds = _LEAP_SECOND.subn(":59", iso)
    try:
        return datetime.fromisoformat(iso) + timedelta(days=days, seconds=seconds)
    except ValueError:
        raise ValueError(_FORMS) from None


def _since_1970(number: Decimal, digits: int) -> datetime:
    """9 to 11 digits are seconds (from 1973 on), 12 and 13 are milliseconds."""
    if number in _NO_TIME:
        return _EPOCH
    if not 9 <= digits <= 13:
        raise ValueError(_FORMS)
    return _EPOCH + timedelta(microseconds=int(number * (10**6 if digits <= 11 else 10**3)))


def _of_mail(text: str, zone: str | None) -> datetime:
    """A time as mails and RSS write it."""
    plain, days = _MIDNIGHT.subn("00", re.sub(r"([+-]\d\d):(?=\d\d)", r"\1", text))
    try:
        time = parsedate_to_datetime(plain) + timedelta(days=days)
    except (ValueError, TypeError, IndexError):
        raise ValueError(_FORMS) from None
    if time.tzinfo is None and zone in {"-0000", "-00:00"}:
        return time.replace(tzinfo=UTC)
    if time.tzinfo is None and zone is not None:
        raise ValueError(f"{zone} is no time zone of RFC 822; write its offset, such as +0100")
    return time
