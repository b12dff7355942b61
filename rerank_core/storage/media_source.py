"""The view of articles' media, beside the view of articles: its contract, what has changed, and what a claim keeps.

A changed picture gives an article no new version in the source. So a claim that uses media compares a print of each article's media
with the print of its latest revision, and claims the article again if they differ. A claim without media looks at none of it.

A content is known by its sha256. So it does not matter whether the two views are of one moment: what does not fit is dropped and
counted, and the next run looks again.
"""

from collections.abc import Sequence

import pyarrow as pa
from sqlalchemy import Connection

from rerank_core.records import Run
from rerank_core.settings import DEFAULT_MEDIA, Settings
from rerank_core.storage import database as db
from rerank_core.storage.contract import check_columns
from rerank_core.storage.copy import copy_in, copy_out

# Columns of the view of media and the Postgres types they may have. All but the last four are never null; of content and
# path one is null.
CONTRACT: dict[str, tuple[str, ...]] = {
    "article_id": ("text", "character varying"),
    "place": ("integer", "bigint", "smallint"),
    "kind": ("text", "character varying"),
    "sha256": ("text", "character varying", "character"),
    "content": ("bytea",),
    "path": ("text", "character varying"),
    "caption": ("text", "character varying"),
    "alt": ("text", "character varying"),
}
REQUIRED = ("article_id", "place", "kind", "sha256")
FETCH_ROWS = 4  # contents of another database that are in memory at once
_PRINTS = pa.schema([("article_id", pa.string()), ("print", pa.string())])


def check(connection: Connection, settings: Settings) -> None:
    """Raise SourceError if the view of media does not exist, or lacks a column, or has one of a wrong type."""
    check_columns(
        connection,
        settings.media_view,
        columns=CONTRACT,
        required=REQUIRED,
        default=DEFAULT_MEDIA,
        setting="RERANK_MEDIA_VIEW",
    )


def note_changes(snapshot: Connection, connection: Connection, settings: Settings, run: Run) -> None:
    """Let the claim that follows take the articles of the run's window whose media have changed since they were claimed.

    `snapshot` reads the source; the caller makes other claims wait. Raises SourceError if the view breaks its contract.
    """
    check(snapshot, settings)
    window = {"since": run.window.since, "until": run.window.until}
    relations = (("view", settings.source_view), ("media", settings.media_view))
    prints = copy_out(snapshot, "media_source.prints", _PRINTS, relations, **window)
    db.execute(connection, "media_source.make_prints")
    copy_in(connection, "pg_temp.medium_print", prints)
    db.execute(connection, "media_source.note_changes", pipeline=run.pipeline, **window)


def copy_media(
    snapshot: Connection, connection: Connection, settings: Settings, article_ids: Sequence[str]
) -> None:
    """Copy the media of these articles from another database into a temporary table, COPIED."""
    db.execute(connection, "media_source.make_media")
    statement = db.statement("media_source.media", (("media", settings.media_view),))
    values = {"article_ids": list(article_ids), "bytes": settings.media_mib << 20}
    found = snapshot.execute(statement, values, execution_options={"yield_per": FETCH_ROWS})
    for part in found.mappings().partitions(FETCH_ROWS):
        connection.execute(db.statement("media_source.add_media"), [dict(row) for row in part])


COPIED = "pg_temp.source_medium"


def keep(connection: Connection, settings: Settings, run: Run, relation: str) -> None:
    """Keep the media of what the run has claimed, and count each in one bucket; `relation` is the view, or its copy.

    `note_changes` comes before, in the same transaction. Contents are kept if pictures are made of them.
    """
    counts = db.the(
        connection,
        "media_source.keep",
        (("media", relation),),
        run_id=run.run_id,
        most=settings.media_per_article,
        contents=bool({"pictures", "score"} & set(settings.media)),
        bytes=settings.media_mib << 20,
    )
    db.execute(
        connection,
        "media_source.count",
        run_id=run.run_id,
        names=list(counts),
        values=list(counts.values()),
    )
