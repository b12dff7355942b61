"""JSON lines → rows of the article source.

One line cannot spoil another: whatever is wrong with a line, up to the file breaking off inside it,
becomes a reason that belongs to its number. A line names an article with `article_id` (or `id`);
all other fields are optional: title, url, summary, body (or `body_html`, `text`), lang, source,
published_at. Other fields are left out.
"""

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

LONGEST_LINE = 20 * 1024 * 1024  # bytes
LONGEST_ID = 500  # characters; Postgres indexes up to 2,700 bytes
GZIP = b"\x1f\x8b"

# Field of the row → names that a file may give it, the first one that is there and not empty wins.
NAMES: Mapping[str, tuple[str, ...]] = {
    "article_id": ("article_id", "id"),
    "title": ("title",),
    "url": ("url",),
    "summary": ("summary",),
    "body": ("body", "body_html", "text"),
    "lang": ("lang",),
    "source": ("source",),
    "published_at": ("published_at",),
}
KNOWN = frozenset(name for names in NAMES.values() for name in names)


@dataclass(frozen=True)
class Line:
    """One line of a file, from 1, and what it came to: nothing at all, a row, or a reason why not."""

    number: int
    row: Mapping[str, Any] | None = None
    reason: str | None = None
    ignored: frozenset[str] = frozenset()  # fields that the article source does not have
    breaks_off: bool = False  # the file cannot be read further


def read_lines(stream: io.BufferedReader, *, assume_utc: bool) -> Iterator[Line]:
    """Every line of JSON lines, plain or gzipped; which of the two is told by the first bytes."""
    packed = stream.peek(2)[:2] == GZIP
    lines: io.BufferedIOBase = gzip.GzipFile(fileobj=stream) if packed else stream
    number = 0
    while True:
        number += 1
        try:
            raw = lines.readline(LONGEST_LINE + 1)
            if not raw:
                return
            if len(raw) > LONGEST_LINE:
                while raw and not raw.endswith(b"\n"):
                    raw = lines.readline(LONGEST_LINE)
                yield Line(
                    number, reason=f"longer than {LONGEST_LINE >> 20} MB; is this a file of JSON lines?"
                )
                continue
        except (EOFError, zlib.error, OSError) as error:
            why = f"the file breaks off or is damaged here ({error}); lines before it were read"
            yield Line(number, reason=why, breaks_off=True)
            return
        yield read_line(
            raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw, number, assume_utc=assume_utc
        )


def read_line(raw: bytes, number: int, *, assume_utc: bool) -> Line:
    """What one line comes to."""
    if not raw.strip():
        return Line(number)
    try:
        fields = _object(raw)
        row = {name: _text(fields, name) for name in NAMES}
        row["article_id"] = _article_id(row["article_id"])
        row["title"] = row["title"] or ""
        return Line(
            number,
            row={**row, "published_at": _time(row["published_at"], assume_utc=assume_utc)},
            ignored=frozenset(fields.keys() - KNOWN),
        )
    except ValueError as error:
        return Line(number, reason=str(error))


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw.rstrip().decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("not an article: lists or objects are nested too deep") from None
    except ValueError:
        raise ValueError("not JSON that can be read: a number has too many digits") from None
    if not isinstance(value, dict):
        raise ValueError(f"not an object but {_kind(value)}; write one {{…}} a line")
    return value


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    found: str | None = None
    for alias in NAMES[name]:
        value = fields.get(alias)
        if value is None:
            continue
        if name == "article_id" and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise ValueError(f"{alias} is {_kind(value)}, not text")
        if "\0" in value:
            raise ValueError(f"{alias} holds a NUL character, which Postgres cannot store")
        if lone := re.search("[\ud800-\udfff]", value):
            raise ValueError(f"{alias} holds half a character, U+{ord(lone[0]):04X}")
        found = found or value
    return found


def _article_id(value: str | None) -> str:
    if value is None or not value.strip():
        raise ValueError("article_id is missing or empty")
    if len(value) > LONGEST_ID:
        raise ValueError(f"article_id has {len(value):,} characters; {LONGEST_ID} is the most")
    return value


def _time(value: str | None, *, assume_utc: bool) -> datetime | None:
    if value is None or not value.strip():
        return None
    shown = repr(value if len(value) <= 40 else value[:39] + "…")
    try:
        time = datetime.fromisoformat(value.strip())
    except ValueError:
        raise ValueError(
            f"published_at {shown} is not an ISO 8601 time such as 2026-11-22T16:00:00Z"
        ) from None
    if time.tzinfo is None and not assume_utc:
        raise ValueError(f"published_at {shown} has no UTC offset; add one, or load with --assume-utc")
    try:
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"published_at {shown} is out of the calendar") from None


def _kind(value: Any) -> str:
    kinds = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "an object",
    }
    return "null" if value is None else kinds[type(value)]
