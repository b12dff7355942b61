"""The one door to the source: the view of articles, in this database or in another one.

Every stage asks the same `Source`, so that no two of them look in different databases. The view is never written to.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from sqlalchemy import Connection
from sqlalchemy.exc import ProgrammingError

from rerank_core.errors import SourceError
from rerank_core.records import Run
from rerank_core.settings import DEFAULT_SOURCE, Settings
from rerank_core.storage import database as db
from rerank_core.storage import media_source, schemas
from rerank_core.storage.contract import Columns, check_columns
from rerank_core.storage.copy import copy_in, copy_out
from rerank_core.storage.database import Database

# Columns of the source view. The first three are required.
CONTRACT: Columns = {
    "article_id": ("text", "character varying"),
    "version": ("text", "character varying"),
    "ingested_at": ("timestamp with time zone",),
    "url": ("text", "character varying"),
    "title": ("text", "character varying"),
    "summary": ("text", "character varying"),
    "body": ("text", "character varying"),
    "lang": ("text", "character varying", "character"),
    "source": ("text", "character varying"),
    "published_at": ("timestamp with time zone",),
}
REQUIRED = ("article_id", "version", "ingested_at")  # never null
FETCH_ROWS = 2_000  # bodies read from another database at a time
KEYS = pa.schema([("article_id", pa.string()), ("version", pa.string()), ("ingested_at", schemas.TIME)])
ROWS = pa.schema(
    [
        (name, schemas.TIME if types[0].startswith("timestamp") else pa.string())
        for name, types in CONTRACT.items()
    ]
)


@dataclass(frozen=True)
class Relations:
    """The relations that a claim reads: the view itself, or copies of one snapshot of it."""

    keys: str  # of every article: article_id, version, ingested_at
    rows: str  # with every column; at least of the articles whose version is new


@dataclass(frozen=True)
class Sighting:
    """An article as the source shows it now."""

    version: str | None
    ingested_at: datetime | None


@dataclass(frozen=True)
class Absence:
    """Which of some articles the source does not have."""

    article_ids: tuple[str, ...]  # in order
    is_empty: bool  # the source has no article at all


@dataclass(frozen=True)
class Source:
    """The view of articles, and the database that holds it."""

    view: str
    database: Database
    is_elsewhere: bool  # in another database than the runs

    @classmethod
    def of(cls, settings: Settings, database: Database | None = None) -> "Source":
        """The source of these settings. `database` is that of the runs; None means the one that the settings name."""
        if settings.source_url is not None:
            return cls(settings.source_view, Database(settings.source_url), True)
        return cls(settings.source_view, database or Database(settings.database_url), False)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One snapshot of the source, in a transaction that cannot write.

        Raises DatabaseUnavailable if the source's database does not answer.
        """
        with self.database.transaction(read_only=True) as connection:
            yield connection

    def absent(self, article_ids: Collection[str]) -> Absence:
        """Which of these articles the source does not have.

        Raises SourceError if the view cannot be read, DatabaseUnavailable if its database does not answer.
        """
        view = (("view", self.view),)
        try:
            with self.reading() as connection:
                missing = db.rows(connection, "source.absent", view, article_ids=list(article_ids))
                is_empty = bool(missing) and not db.rows(connection, "source.first", view)
        except ProgrammingError as error:
            raise SourceError(
                f"source view {self.view} cannot be read; create it, or set RERANK_SOURCE_VIEW"
            ) from error
        return Absence(tuple(row["article_id"] for row in missing), is_empty)

    def look_up(self, article_id: str) -> Sighting | None:
        """The article as the source shows it now. None if the source does not have it."""
        with self.reading() as connection:
            row = db.one(connection, "source.article", (("view", self.view),), article_id=article_id)
        return None if row is None else Sighting(row["version"], row["ingested_at"])

    def is_readable(self) -> bool:
        """Whether this role may read the view. Raises SourceError if the view breaks its contract."""
        with self.reading() as connection:
            check_contract(connection, self.view)
            return bool(db.the(connection, "source.readable", view=self.view)["readable"])


def is_default(settings: Settings) -> bool:
    """Whether the source is the table `rerank.article` of this project, which this project alone may delete from."""
    return settings.source_url is None and settings.source_view == DEFAULT_SOURCE


def check_contract(connection: Connection, view: str) -> None:
    """Raise SourceError if the view does not exist, or lacks a column, or has one of a wrong type."""
    check_columns(
        connection,
        view,
        columns=CONTRACT,
        required=REQUIRED,
        default=DEFAULT_SOURCE,
        setting="RERANK_SOURCE_VIEW",
    )


def copy_snapshot(source: Source, connection: Connection, settings: Settings, run: Run) -> Relations:
    """Copy what a run may claim from another database into temporary tables of `connection`'s transaction.

    The keys of all articles are copied, and the texts of those alone whose version is new to the run's pipeline. All of
    it is one snapshot of the source. Raises SourceError if a view breaks its contract.
    """
    copies = Relations(keys="pg_temp.source_key", rows="pg_temp.source_row")
    view = (("view", source.view),)
    with source.reading() as snapshot:
        check_contract(snapshot, source.view)
        db.execute(connection, "source.make_keys")
        db.execute(connection, "source.make_rows")
        copy_in(connection, copies.keys, copy_out(snapshot, "source.keys", KEYS, view))
        db.execute(connection, "source.analyze_keys")
        if settings.media:
            media_source.note_changes(snapshot, connection, settings, run)
        new = db.rows(
            connection,
            "source.new",
            (("keys", copies.keys),),
            pipeline=run.pipeline,
            since=run.window.since,
            until=run.window.until,
        )
        article_ids = [row["article_id"] for row in new]
        for start in range(0, len(article_ids), FETCH_ROWS):
            wanted = article_ids[start : start + FETCH_ROWS]
            copy_in(
                connection, copies.rows, copy_out(snapshot, "source.rows", ROWS, view, article_ids=wanted)
            )
        if settings.media:
            media_source.copy_media(snapshot, connection, settings, article_ids)
    return copies
