"""Load a file of articles into the default article source.

Loading a file twice changes nothing, and loading again finishes a load that was cut off: a line replaces the article of
its id only if a field differs. If a file has an id more than once, its first line counts; a later line with other content
is a bad line. Every line lands in exactly one bucket.
"""

import hashlib
import io
import logging
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from rerank_core.errors import CorruptError, InputError
from rerank_core.extract.articles_file import NAMES, Line, read_lines
from rerank_core.extract.media_file import Media
from rerank_core.storage import database as db
from rerank_core.storage.copy import copy_in
from rerank_core.storage.database import Database

BATCH_ROWS = 1_000
BATCH_CHARACTERS = 8 * 1024 * 1024

_ROWS = pa.schema(
    [(name, pa.timestamp("us", "UTC") if name == "published_at" else pa.string()) for name in NAMES]
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadReport:
    """The number of lines of a file in each bucket."""

    lines: int
    inserted: int
    updated: int
    unchanged: int  # stored before with the same content, or an earlier line's content again
    bad: int  # reported and left out
    blank: int
    complete: bool  # the file was read to its end
    ignored: Mapping[str, int]  # fields that the article source does not have → lines that have them
    undated: int = (
        0  # lines whose published_at means none, in whatever bucket; they are loaded without a date
    )
    media: int = 0  # pictures and clips of the articles that were inserted, updated or unchanged
    media_dropped: int = 0  # reported; their articles are loaded without them


@dataclass(frozen=True)
class LoadProgress:
    """How far a load is."""

    read_bytes: int
    total_bytes: int | None  # None: it is not known, as on standard input
    lines: int


def load_articles(
    database: Database,
    path: Path | str,
    *,
    published_now: bool = False,
    assume_utc: bool = False,
    media: Path | None = None,
    on_bad_line: Callable[[int, str], None] = lambda number, reason: None,
    on_progress: Callable[[LoadProgress], None] = lambda progress: None,
) -> LoadReport:
    """Load JSON lines, plain or gzipped; "-" is standard input. Batches are committed as they are read.

    `published_now` moves all published_at by one span, so that the newest is the database's now(). Each load then finds
    another span, and changes every article. `media` is the folder of the pictures and clips that lines name; None leaves media
    as they are. Raises InputError if the file or the folder cannot be opened, DatabaseUnavailable if a batch could not be written.
    """
    if media is not None and not media.is_dir():
        raise InputError(f"{media} is no folder; name the folder of the media")
    load = _Load(database, on_bad_line=on_bad_line, has_media=media is not None)
    with _opened(path, twice=published_now) as (stream, total):
        if published_now:
            load.shift = _span_to_now(database, stream, assume_utc=assume_utc)
        for line in read_lines(stream, assume_utc=assume_utc, media=media):
            load.take(line)
            if load.is_full():
                load.write()
                on_progress(LoadProgress(stream.tell() if total else 0, total, load.lines))
        load.write()
        on_progress(LoadProgress(total or 0, total, load.lines))
    report = load.report()
    log.info("articles loaded: %s", report)
    return report


class _Load:
    """One load under way: the batch that is not written yet, and the counts so far."""

    def __init__(
        self, database: Database, *, on_bad_line: Callable[[int, str], None], has_media: bool
    ) -> None:
        self.shift: timedelta | None = None
        self.lines = 0
        self._database = database
        self._on_bad_line = on_bad_line
        self._has_media = has_media
        self._media: list[Mapping[str, Any]] = []
        self._dropped = 0
        self._complete = True
        self._counts: Counter[str] = Counter()
        self._ignored: Counter[str] = Counter()
        self._undated = 0
        self._seen: dict[bytes, tuple[int, bytes]] = {}  # digest of the id → line, digest of the content
        self._batch: list[Mapping[str, Any]] = []
        self._characters = 0

    def take(self, line: Line) -> None:
        """Count a line in its bucket, or add it to the batch; writing the batch counts it."""
        self.lines = line.number
        self._complete &= not line.breaks_off
        self._ignored.update(line.ignored)
        self._undated += line.undated
        if line.reason is not None:
            self._refuse(line.number, line.reason)
        elif line.row is None:
            self._counts["blank"] += 1
        else:
            self._take_row(line.number, line.row, line.media)

    def _take_row(self, number: int, row: Mapping[str, Any], media: Media) -> None:
        content = _digest(
            *row.values(), *((each["sha256"], each["caption"], each["alt"]) for each in media.rows)
        )
        first, known = self._seen.setdefault(_digest(row["article_id"]), (number, content))
        if first != number and known == content:
            self._counts["unchanged"] += 1
        elif first != number:
            self._refuse(
                number, f"article_id is on line {first} already with other content; keep one of them"
            )
        else:
            self._add(number, row, media)

    def _add(self, number: int, row: Mapping[str, Any], media: Media) -> None:
        time = row["published_at"]
        try:
            moved = time + self.shift if time and self.shift else time
        except OverflowError:
            self._refuse(number, f"published_at {time.isoformat()} cannot be moved within the calendar")
            return
        self._batch.append({**row, "published_at": moved})
        self._characters += sum(len(value) for value in row.values() if isinstance(value, str))
        self._media += [{"article_id": row["article_id"], **medium} for medium in media.rows]
        self._characters += media.bytes
        self._dropped += len(media.dropped)
        for reason in media.dropped:
            self._on_bad_line(number, f"{reason}; the article is loaded without it")

    def _refuse(self, number: int, reason: str) -> None:
        self._counts["bad"] += 1
        self._on_bad_line(number, reason)

    def is_full(self) -> bool:
        """Whether the batch is to be written before more is read."""
        return len(self._batch) >= BATCH_ROWS or self._characters >= BATCH_CHARACTERS

    def write(self) -> None:
        """Merge the batch into the article source, in a transaction of its own."""
        if not self._batch:
            return
        with self._database.transaction() as connection:
            db.execute(connection, "articles.stage")
            copy_in(connection, "pg_temp.article_batch", pa.Table.from_pylist(self._batch, schema=_ROWS))
            merged = db.the(connection, "articles.merge")
            if self._has_media:
                self._write_media(connection)
        self._counts.update(dict(merged))
        self._counts["unchanged"] += len(self._batch) - merged["inserted"] - merged["updated"]
        self._batch, self._characters, self._media = [], 0, []

    def _write_media(self, connection: Connection) -> None:
        """Give the articles of the batch the media that their lines name, and no others."""
        db.execute(connection, "articles.stage_media")
        if self._media:
            connection.execute(db.statement("articles.add_medium"), self._media)
        db.execute(connection, "articles.drop_media")
        db.execute(connection, "articles.merge_media")
        self._counts["media"] += len(self._media)

    def report(self) -> LoadReport:
        """The counts, once everything is written."""
        buckets = {name: self._counts[name] for name in ("inserted", "updated", "unchanged", "bad", "blank")}
        if sum(buckets.values()) != self.lines:
            raise CorruptError(
                f"{self.lines} lines were read, but {buckets} were counted; load them again, and report it"
            )
        return LoadReport(
            lines=self.lines,
            complete=self._complete,
            ignored=dict(self._ignored),
            undated=self._undated,
            media=self._counts["media"],
            media_dropped=self._dropped,
            **buckets,
        )


@contextmanager
def _opened(path: Path | str, *, twice: bool) -> Iterator[tuple[io.BufferedReader, int | None]]:
    """The file and its size in bytes. If the file must be read twice and cannot be, a copy of it."""
    with ExitStack() as stack:
        try:
            raw = stack.enter_context(
                io.FileIO(sys.stdin.fileno(), closefd=False) if str(path) == "-" else io.FileIO(path)
            )
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}; name a file of JSON lines") from error
        rewinds = str(path) != "-" and raw.seekable()
        if twice and not rewinds:
            copy = stack.enter_context(tempfile.TemporaryFile(buffering=0))
            shutil.copyfileobj(raw, copy)
            raw, rewinds = copy, True
        size = raw.seek(0, io.SEEK_END) if rewinds else None
        if rewinds:
            raw.seek(0)
        reader: io.BufferedReader = io.BufferedReader(raw)
        stack.callback(reader.detach)  # what was opened here is closed here, standard input is not
        yield reader, size


def _span_to_now(database: Database, stream: io.BufferedReader, *, assume_utc: bool) -> timedelta | None:
    rows = (line.row for line in read_lines(stream, assume_utc=assume_utc) if line.row)
    newest = max((row["published_at"] for row in rows if row["published_at"]), default=None)
    stream.seek(0)
    with database.transaction(read_only=True) as connection:
        now: datetime = db.the(connection, "articles.now")["now"]
    return None if newest is None else now - newest


def _digest(*values: Any) -> bytes:
    return hashlib.blake2b(repr(values).encode(), digest_size=16).digest()
