"""A publication: ranking rows as one immutable file of the store and, in one transaction, in Postgres.

A publication is made once and never altered. If a publication shows an article that has to go, it is published again as a
new version of its run, without the article.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from rerank_core.errors import CorruptError
from rerank_core.storage import database as db
from rerank_core.storage import schemas
from rerank_core.storage.copy import copy_in, copy_out, to_csv
from rerank_core.storage.store import Artifact, Store


@dataclass(frozen=True)
class Draft:
    """A publication whose file is written, and that no reader finds yet."""

    pipeline: str
    run_id: int
    version: int
    fence: int
    as_of: datetime
    rows: pa.Table  # schemas.RANKING, in (topic, rank) order
    rows_sha256: str  # equal for equal rankings
    file: Artifact


@dataclass(frozen=True)
class Reissued:
    """A publication that was published again."""

    publication_id: int
    version: int
    parquet_path: str  # relative to the store


def canonical(table: pa.Table) -> bytes:
    """The rows as CSV without a header, in (topic, rank) order: what `rows_sha256` is the digest of.

    A page without any picture has the digest of its other columns.
    """
    has_media = any(
        pc.sum(pc.list_value_length(table.column(name))).as_py() for name in schemas.MEDIA_COLUMNS
    )
    names = [name for name in schemas.RANKING.names if has_media or name not in schemas.MEDIA_COLUMNS]
    return to_csv(table.select(names))


def draft(
    store: Store,
    rows: pa.Table,
    *,
    pipeline: str,
    run_id: int,
    version: int,
    fence: int,
    as_of: datetime,
) -> Draft:
    """Write the file of a publication from its rows (schemas.RANKING). Raises StoreUnavailable if the store refuses."""
    path = store.ranking_path(pipeline=pipeline, run_id=run_id, as_of=as_of, version=version, fence=fence)
    file = store.write(
        path,
        _with(
            rows,
            schemas.PUBLISHED,
            pipeline=pipeline,
            as_of=as_of,
            run_id=run_id,
            version=version,
            attempt=fence,
        ),
    )
    digest = hashlib.sha256(canonical(rows)).hexdigest()
    return Draft(pipeline, run_id, version, fence, as_of, rows, digest, file)


def lock(connection: Connection, pipeline: str) -> None:
    """Wait until no other publication of the pipeline commits. Whoever also holds a run takes the run first."""
    db.rows(connection, "publications.lock", pipeline=pipeline)


def add(
    connection: Connection,
    made: Draft,
    *,
    degraded: bool,
    difference: str | None,
    trimmed: bool = False,
    blocked: str | None = None,
) -> int:
    """Add a publication and its rows; returns its id. The caller adds its topics."""
    row = db.the(
        connection,
        "publications.add",
        pipeline=made.pipeline,
        run_id=made.run_id,
        version=made.version,
        fence=made.fence,
        as_of=made.as_of,
        parquet_path=made.file.path,
        parquet_sha256=made.file.sha256,
        rows_sha256=made.rows_sha256,
        row_count=made.rows.num_rows,
        degraded=degraded,
        difference=difference,
        trimmed=trimmed,
        blocked=blocked,
    )
    publication_id = int(row["publication_id"])
    numbered = made.rows.append_column(
        "publication_id", pa.array([publication_id] * made.rows.num_rows, pa.int64())
    )
    names = ["slug" if name == "topic" else name for name in numbered.column_names]
    copy_in(connection, "rerank.ranking", numbered.rename_columns(names))
    return publication_id


def reissue(connection: Connection, *, store: Store, publication_id: int) -> Reissued:
    """Publish a publication again as its run's newest version, without the articles forgotten since.

    The caller holds the run and the pipeline's lock, and moves the pointer. Raises CorruptError if rows of the publication
    are gone, StoreUnavailable if the store refuses.
    """
    before = db.the(connection, "publications.again", publication_id=publication_id)
    if before["rows_left"] != before["row_count"]:
        raise CorruptError(
            f"publication {publication_id} had {before['row_count']} rows and has {before['rows_left']};"
            " it is past retention"
        )
    rows = copy_out(connection, "publications.again_rows", schemas.RANKING, publication_id=publication_id)
    left_out = before["row_count"] - rows.num_rows
    made = draft(
        store,
        rows,
        pipeline=before["pipeline"],
        run_id=before["run_id"],
        version=before["next_version"],
        fence=before["fence"],
        as_of=before["as_of"],
    )
    again = add(
        connection,
        made,
        degraded=before["degraded"],
        difference=f"deleted: {left_out} rows of forgotten articles",
        trimmed=True,
        blocked=before["blocked"],
    )
    db.execute(connection, "publications.again_topics", publication_id=again, before=publication_id)
    db.execute(
        connection,
        "publications.again_hidden",
        publication_id=again,
        before=publication_id,
        pipeline=before["pipeline"],
    )
    return Reissued(again, made.version, made.file.path)


def _with(table: pa.Table, schema: pa.Schema, **values: object) -> pa.Table:
    """The table in this schema, with further columns that have one value in every row."""
    for name, value in values.items():
        table = table.append_column(name, pa.array([value] * table.num_rows, schema.field(name).type))
    return table.select(schema.names).cast(schema)
