"""What readers did with a ranking: which row of which run's ranking, the event, and when. Nothing about the reader.

Events come from a file of JSON lines, or from a view of the user's own. Both are read as often as you like: an event has
an id (its sender's own, or of a line a digest of its fields) and is kept once. There is no watermark: a claim takes
every event of the lookback that is not kept yet, so those that come late are taken, too. Every line and every row lands
in exactly one bucket. A field or column that an event does not have is refused, whatever its name: what a view does not
show of a reader cannot be kept.
"""

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from rerank_core.errors import CorruptError, InputError, SourceError
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import json_lines, schemas
from rerank_core.storage.contract import Columns, check_columns
from rerank_core.storage.copy import copy_in, copy_out
from rerank_core.storage.database import Database
from rerank_core.storage.source import Source

log = logging.getLogger(__name__)

BATCH_ROWS = 5_000
LONGEST_LINE = 64 * 1024  # bytes
LONGEST_ID = 200  # characters
FIELDS = ("event_id", "run_id", "topic", "rank", "revision_id", "event", "time")
SPAN = timedelta(days=1)  # of which events of a view are read at a time
# Columns of a view of events. All are required, and no other is allowed.
_TEXT: tuple[str, ...] = ("text", "character varying")
_NUMBER: tuple[str, ...] = ("bigint", "integer")
CONTRACT: Columns = dict(
    zip(
        FIELDS,
        (_TEXT, _NUMBER, _TEXT, _NUMBER, _NUMBER, _TEXT, ("timestamp with time zone",)),
        strict=True,
    )
)

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
_SEEN = pa.schema(
    [
        (name, {_TEXT: pa.string(), _NUMBER: pa.int64()}.get(types, schemas.TIME))
        for name, types in CONTRACT.items()
    ]
)


@dataclass(frozen=True)
class Loaded:
    """Where each line of a file went."""

    lines: int
    added: int
    repeated: int  # known before, or twice in the file
    unknown: int  # names no row that the pipeline has published
    bad: int  # reported and left out
    blank: int
    complete: bool  # the file was read to its end


@dataclass(frozen=True)
class Claimed:
    """Where each event of a view went. Those from before twice the lookback were not looked at."""

    looked: int
    added: int
    repeated: int  # known before, or twice in the view
    unknown: int  # names no row that the pipeline has published
    bad: int  # a column is null, or holds what no event has
    too_late: int  # not known, and from before the lookback
    later: int  # of the future; a later claim takes it


def load(
    database: Database,
    file: Path,
    *,
    pipeline: str,
    on_bad_line: Callable[[int, str], None] = lambda number, reason: None,
) -> Loaded:
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
    return Loaded(lines=lines, complete=complete, **buckets)


def claim(database: Database, settings: Settings, *, since: datetime | None = None) -> Claimed | None:
    """Keep the events of RERANK_FEEDBACK_VIEW that are not kept yet; None if there is no such view.

    A day of events is read at a time, and committed. `since` takes the place of the lookback, for events that came too
    late. Raises SourceError if the view breaks its contract or has a column more, DatabaseUnavailable.
    """
    view = settings.feedback_view
    if view is None:
        return None
    source = _source(settings, view, database)
    lookback_seconds = settings.lookback_days * 86_400
    with database.transaction(read_only=True) as connection:
        span = db.the(connection, "events.span", since=since, lookback_seconds=lookback_seconds)
    with source.reading() as connection:
        _check(connection, view)
        rest = db.the(connection, "events.out_of_time", (("events", view),), until=span["until"])
    counts = Counter(bad=rest["timeless"], later=rest["later"], looked=rest["timeless"] + rest["later"])
    start = span["looks_since"]
    while start < span["until"]:
        end = min(start + SPAN, span["until"])
        with database.transaction() as connection:
            counts.update(_take(connection, source, settings.pipeline, (start, end), span["since"]))
        start = end
    claimed = Claimed(**{field: counts[field] for field in Claimed.__dataclass_fields__})
    if claimed.looked * 2 != sum(vars(claimed).values()):
        raise CorruptError(f"{claimed}: the events do not add up; claim them again, and report it")
    log.info("events claimed: %s", claimed)
    return claimed


def check_view(settings: Settings) -> str | None:
    """The view of events, if its columns are right and may be read; None if there is none.

    Raises SourceError if they are not, DatabaseUnavailable if its database does not answer.
    """
    view = settings.feedback_view
    if view is None:
        return None
    with _source(settings, view, Database(settings.database_url)).reading() as connection:
        _check(connection, view)
        if not db.the(connection, "source.readable", view=view)["readable"]:
            raise SourceError(
                f"feedback view {view} may not be read; GRANT SELECT on it to the role that reads it"
            )
    return view


def _source(settings: Settings, view: str, database: Database) -> Source:
    url = settings.feedback_url
    return Source(view, database if url is None else Database(url), is_elsewhere=url is not None)


def _check(connection: Connection, view: str) -> None:
    """Raise SourceError if the view lacks a column of an event, or has another one."""
    more = check_columns(
        connection,
        view,
        columns=CONTRACT,
        required=FIELDS,
        default="",
        setting="RERANK_FEEDBACK_VIEW",
        kind="feedback view",
    )
    if more:
        raise SourceError(
            f"feedback view {view} has the columns {', '.join(sorted(more))}, and an event has none but"
            f" {', '.join(FIELDS)}; leave out of the view what tells of a reader"
        )


def _take(
    connection: Connection, source: Source, pipeline: str, span: tuple[datetime, datetime], since: datetime
) -> Mapping[str, int]:
    """Keep the new events of a span of time; returns what became of each."""
    bounds = {"since": span[0], "until": span[1]}
    events = source.view
    db.execute(connection, "events.stage")
    if source.is_elsewhere:
        events = "pg_temp.feedback_seen"
        db.execute(connection, "events.make_seen")
        with source.reading() as there:
            seen = copy_out(there, "events.seen", _SEEN, (("events", source.view),), **bounds)
        copy_in(connection, events, seen)
    taken = db.the(
        connection,
        "events.take",
        (("events", events),),
        **bounds,
        too_late_before=since,
        longest_id=LONGEST_ID,
    )
    return Counter(taken) + Counter(db.the(connection, "events.merge", pipeline=pipeline))


def _merge(database: Database, pipeline: str, batch: list[Mapping[str, Any]]) -> Mapping[str, int]:
    with database.transaction() as connection:
        db.execute(connection, "events.stage")
        copy_in(connection, "pg_temp.feedback_batch", pa.Table.from_pylist(batch, schema=_ROWS))
        return dict(db.the(connection, "events.merge", pipeline=pipeline))


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
