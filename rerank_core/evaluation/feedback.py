"""What readers did with a ranking: which row of which run's ranking, the event, and when.

Events are only recorded here; nothing is learned from them. Loading a file twice adds nothing, because an event has an
id: its sender's own, or a digest of its fields. So a load that broke off is completed by loading the file again. Every
line of a file lands in exactly one bucket.
"""

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from rerank_core.errors import CorruptError, InputError
from rerank_core.storage import database as db
from rerank_core.storage import json_lines, schemas
from rerank_core.storage.copy import copy_in
from rerank_core.storage.database import Database

log = logging.getLogger(__name__)

BATCH_ROWS = 5_000
LONGEST_LINE = 64 * 1024  # bytes
LONGEST_ID = 200  # characters
FIELDS = ("event_id", "run_id", "topic", "rank", "revision_id", "event", "time")

_EVENT = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_ROWS = pa.schema(
    [
        ("place", pa.int32()),
        ("event_id", pa.string()),
        ("run_id", pa.int64()),
        ("slug", pa.string()),
        ("rank", pa.int32()),
        ("revision_id", pa.int64()),
        ("event", pa.string()),
        ("happened_at", schemas.TIME),
    ]
)


@dataclass(frozen=True)
class FeedbackReport:
    """Where each line of a file went."""

    lines: int
    added: int
    repeated: int  # known before, or twice in the file
    unknown: int  # names no row that the pipeline has published
    bad: int  # reported and left out
    blank: int
    complete: bool  # the file was read to its end


def load(
    database: Database,
    file: Path,
    *,
    pipeline: str,
    on_bad_line: Callable[[int, str], None] = lambda number, reason: None,
) -> FeedbackReport:
    """Load JSON lines, plain or gzipped; each batch is committed as soon as it is read.

    A line is an object with run_id, topic, rank, revision_id, event (a word in small letters such as "open") and time
    (ISO 8601 with its UTC offset). If two equal events may have one time, give each an event_id.
    Raises InputError if the file cannot be opened, DatabaseUnavailable if a batch cannot be written.
    """
    counts: Counter[str] = Counter()
    batch: list[Mapping[str, Any]] = []
    lines, complete = 0, True
    for line in _lines(file):
        lines, complete = line.number, not line.breaks_off
        try:
            row = _row(line)
        except ValueError as error:
            counts["bad"] += 1
            on_bad_line(lines, str(error))
            continue
        if row is None:
            counts["blank"] += 1
            continue
        batch.append({"place": len(batch), **row})
        if len(batch) == BATCH_ROWS:
            counts.update(_merge(database, pipeline, batch))
            batch = []
    if batch:
        counts.update(_merge(database, pipeline, batch))
    buckets = {name: counts[name] for name in ("added", "repeated", "unknown", "bad", "blank")}
    if sum(buckets.values()) != lines:
        raise CorruptError(
            f"{lines} lines were read, but {buckets} were counted; load them again, and report it"
        )
    log.info("feedback loaded: %s", buckets)
    return FeedbackReport(lines=lines, complete=complete, **buckets)


def _merge(database: Database, pipeline: str, batch: list[Mapping[str, Any]]) -> Mapping[str, int]:
    with database.transaction() as connection:
        db.execute(connection, "feedback.stage")
        copy_in(connection, "pg_temp.feedback_batch", pa.Table.from_pylist(batch, schema=_ROWS))
        return dict(db.the(connection, "feedback.merge", pipeline=pipeline))


def _lines(file: Path) -> Iterator[json_lines.RawLine]:
    try:
        stream = file.open("rb")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}; name a file of JSON lines") from error
    with stream:
        yield from json_lines.read_lines(stream, longest=LONGEST_LINE)


def _row(line: json_lines.RawLine) -> dict[str, Any] | None:
    """The event in a line; None for a blank line. Raises ValueError, which says what is wrong with the line."""
    if line.reason is not None:
        raise ValueError(line.reason)
    if not line.raw.strip():
        return None
    fields = json_lines.read_object(line.raw)
    unknown = sorted(fields.keys() - set(FIELDS))
    if unknown:
        raise ValueError(f"field {unknown[0][:40]!r} is not one of {', '.join(FIELDS)}")
    row: dict[str, Any] = {
        "run_id": _number(fields, "run_id", 2**63 - 1),
        "slug": _word(fields, "topic"),
        "rank": _number(fields, "rank", 2**31 - 1),
        "revision_id": _number(fields, "revision_id", 2**63 - 1),
        "event": _word(fields, "event"),
        "happened_at": _time(fields.get("time")),
    }
    if not _EVENT.fullmatch(row["event"]):
        raise ValueError(f"event {row['event'][:40]!r} is no small word such as open, impression or hide")
    own = _word(fields, "event_id") if fields.get("event_id") is not None else None
    return {"event_id": own or _digest(row), **row}


def _number(fields: Mapping[str, Any], name: str, largest: int) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        raise ValueError(f"{name} is {str(value)[:40]}; expected a number from 1")
    return value


def _word(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_ID or not value.isprintable():
        raise ValueError(f"{name} is missing, or no text of at most {LONGEST_ID} printable characters")
    return value


def _time(value: Any) -> datetime:
    try:
        time = datetime.fromisoformat(value)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(
        f"time {str(value)[:40]!r} is no ISO 8601 time with its UTC offset, such as 2026-11-22T16:00:00Z"
    )


def _digest(row: Mapping[str, Any]) -> str:
    return hashlib.sha256(repr(tuple(row.values())).encode()).hexdigest()
