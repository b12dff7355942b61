"""JSON lines → rows of the article source.

One line cannot spoil another: whatever is wrong with a line becomes a reason that belongs to its number. A line names
an article with `article_id` (or `id`). All other fields are optional: title, url, summary, body (or `body_html`,
`text`), lang, source, published_at (dates.py reads it). Unknown fields are left out.
"""

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank_core.extract.dates import read_date
from rerank_core.extract.media_file import Media, read_media
from rerank_core.storage import json_lines

LONGEST_LINE = 20 * 1024 * 1024  # bytes
LONGEST_ID = 500  # characters; Postgres indexes up to 2,700 bytes

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
_NUMBERS = {"article_id": (int,), "published_at": (int, float)}  # types of JSON that are read as text


@dataclass(frozen=True)
class Line:
    """One line of a file, from 1, and what it came to: nothing at all, a row, or a reason why not."""

    number: int
    row: Mapping[str, Any] | None = None
    reason: str | None = None
    ignored: frozenset[str] = frozenset()  # fields that the article source does not have
    undated: bool = False  # its published_at means that there is none
    breaks_off: bool = False  # the file cannot be read further
    media: Media = Media()  # noqa: RUF009 - it is frozen


def read_lines(stream: io.BufferedReader, *, assume_utc: bool, media: Path | None = None) -> Iterator[Line]:
    """Every line of JSON lines, plain or gzipped. `media` is the folder of the files that lines name; None: they name none."""
    for line in json_lines.read_lines(stream, longest=LONGEST_LINE):
        if line.reason is not None:
            yield Line(line.number, reason=line.reason, breaks_off=line.breaks_off)
        else:
            yield read_line(line.raw, line.number, assume_utc=assume_utc, media=media)


def read_line(raw: bytes, number: int, *, assume_utc: bool, media: Path | None = None) -> Line:
    """What one line comes to."""
    if not raw.strip():
        return Line(number)
    try:
        fields = json_lines.read_object(raw)
        row = {name: _text(fields, name) for name in NAMES}
        row["article_id"] = _article_id(row["article_id"])
        row["title"] = row["title"] or ""
        written = row["published_at"] or ""
        published_at = read_date(written, assume_utc=assume_utc) if written.strip() else None
        return Line(
            number,
            row={**row, "published_at": published_at},
            ignored=frozenset(fields.keys() - KNOWN - (set() if media is None else {"media"})),
            undated=published_at is None and bool(written.strip()),
            media=Media() if media is None else read_media(fields.get("media"), media),
        )
    except ValueError as error:
        return Line(number, reason=str(error))


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    found: str | None = None
    for alias in NAMES[name]:
        value = fields.get(alias)
        if value is None:
            continue
        if type(value) in _NUMBERS.get(name, ()):
            value = str(value)
        if not isinstance(value, str):
            raise ValueError(f"{alias} is {json_lines.kind(value)}, not text")
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
