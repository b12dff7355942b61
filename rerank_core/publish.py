"""Rank the frozen pairs and publish: one immutable Parquet file, then one transaction.

The transaction holds the ranking rows, their topics, the publication with the file's path and digest,
and the pointer that frontends follow; so nobody sees half of a page, or of two. A try that a newer one
has overtaken commits nothing. The pointer never moves to an older as-of time.
"""

import hashlib
import logging
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, RowMapping

from rerank_core import database as db
from rerank_core import runs, schemas, standings, topics
from rerank_core.database import Database
from rerank_core.records import Run
from rerank_core.standings import Standings
from rerank_core.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """One publication."""

    publication_id: int
    version: int
    rows: int
    rows_sha256: str  # equal for equal rankings
    parquet_path: str  # relative to the store
    parquet: str  # as a reader opens it
    topics: int
    degraded: bool
    is_current: bool  # the pointer moved to it
    difference: str | None  # from the run's version before: why the rows differ


def publish(*, database: Database, store: Store, run: Run, fence: int) -> Published:
    """Publish the run's rankings as a new version of it.

    Raises FencedError where a newer try has begun, CorruptError where pairs are missing that no light
    order was made for.
    """
    with database.transaction(read_only=True) as connection:
        page = standings.stand(connection, store=store, run=run)
        before = db.one(connection, "publish_latest", run_id=run.run_id)
    rows_sha256 = hashlib.sha256(canonical(page.rows)).hexdigest()
    version = 1 if before is None else before["version"] + 1
    written = store.write(
        store.ranking_path(
            pipeline=run.pipeline, run_id=run.run_id, as_of=run.window.until, version=version, fence=fence
        ),
        _with(
            page.rows,
            schemas.PUBLISHED,
            pipeline=run.pipeline,
            as_of=run.window.until,
            run_id=run.run_id,
            version=version,
            attempt=fence,
        ),
    )
    degraded = any(topic.missing for topic in page.topics.values())
    with database.transaction() as connection:
        runs.hold_fence(connection, run.run_id, fence)
        db.rows(connection, "publish_lock", pipeline=run.pipeline)
        difference = _difference(connection, before, rows_sha256, page)
        row = db.one(
            connection,
            "publish_add",
            pipeline=run.pipeline,
            run_id=run.run_id,
            version=version,
            fence=fence,
            as_of=run.window.until,
            parquet_path=written.path,
            parquet_sha256=written.sha256,
            rows_sha256=rows_sha256,
            row_count=page.rows.num_rows,
            degraded=degraded,
            difference=difference,
        )
        assert row is not None
        publication_id = int(row["publication_id"])
        db.copy_in(connection, "rerank.ranking", _of_publication(page.rows, publication_id))
        _add_topics(connection, publication_id, page)
        moved = db.one(
            connection, "publish_move_pointer", pipeline=run.pipeline, publication_id=publication_id
        )
        is_current = moved is not None
        _settle_fills(connection, run, page)
        db.execute(connection, "publish_done", run_id=run.run_id, degraded=degraded)
    return Published(
        publication_id=publication_id,
        version=version,
        rows=page.rows.num_rows,
        rows_sha256=rows_sha256,
        parquet_path=written.path,
        parquet=store.full_path(written.path),
        topics=len(page.topics),
        degraded=degraded,
        is_current=is_current,
        difference=difference,
    )


def _with(table: pa.Table, schema: pa.Schema, **values: object) -> pa.Table:
    """The table with further columns that are the same in every row."""
    for name, value in values.items():
        table = table.append_column(name, pa.array([value] * table.num_rows, schema.field(name).type))
    return table.select(schema.names).cast(schema)


def _of_publication(table: pa.Table, publication_id: int) -> pa.Table:
    """The rows as the table rerank.ranking has them."""
    numbered = table.append_column("publication_id", pa.array([publication_id] * table.num_rows, pa.int64()))
    return numbered.rename_columns(["slug" if name == "topic" else name for name in numbered.column_names])


def canonical(table: pa.Table) -> bytes:
    """The rows as CSV without a header, in (topic, rank) order: what `rows_sha256` is the digest of."""
    return db.to_csv(table.select(schemas.RANKING.names))


def _difference(
    connection: Connection, before: RowMapping | None, rows_sha256: str, page: Standings
) -> str | None:
    """Why the rows are not those of the run's version before; None where they are."""
    if before is None or before["rows_sha256"] == rows_sha256:
        return None
    reasons = []
    was = db.rows(connection, "publish_rows", publication_id=before["publication_id"])
    missing = sum(topic.missing for topic in page.topics.values())
    if missing < before["missing"]:
        reasons.append(f"healed: {before['missing'] - missing} pairs have a score now")
    lost = max(page.lost, missing - before["missing"])
    if lost > 0:
        reasons.append(f"past retention: {lost} pairs have lost their score")
    # A real comes from Postgres as its shortest decimal, which is the same float32 and another float64.
    logits = {
        (row["slug"], row["document_id"]): np.float32(row["logit"]) for row in was if row["logit"] is not None
    }
    columns = (page.rows.column(name).to_pylist() for name in ("topic", "document_id", "logit"))
    rescored = sum(
        logits.get((slug, document_id), np.float32(logit)) != np.float32(logit)
        for slug, document_id, logit in zip(*columns, strict=True)
        if logit is not None
    )
    if rescored:
        reasons.append(f"rescored: {rescored} pairs have another score")
    gone = {row["article_id"] for row in was} - set(page.rows.column("article_id").to_pylist())
    blocked = db.rows(connection, "publish_blocked", pipeline=before["pipeline"])
    deleted = len(gone & {row["article_id"] for row in blocked})
    if deleted:
        reasons.append(f"deleted: {deleted} articles were blocked")
    if not reasons:
        log.error(
            "run %d: the rows differ from version %d for no known reason", before["run_id"], before["version"]
        )
        reasons.append("unexplained")
    return "; ".join(reasons)


def _add_topics(connection: Connection, publication_id: int, page: Standings) -> None:
    for topic in page.topics.values():
        db.execute(connection, "publish_add_topic", publication_id=publication_id, **asdict(topic))


def _settle_fills(connection: Connection, run: Run, page: Standings) -> None:
    """A topic is filled when all that the newest run wanted of it is scored; else it is filled again."""
    if run.scorer_id is None:
        return
    newest = db.one(connection, "publish_is_newest", run_id=run.run_id)
    assert newest is not None
    for one in page.frozen:
        standing = page.topics[one.topic.slug]
        whole = one.selected and not standing.missing and not standing.left_out
        values = {
            "pipeline": run.pipeline,
            "slug": one.topic.slug,
            "recall_digest": topics.recall_digest(one.topic),
            "scorer_id": run.scorer_id,
            "run_id": run.run_id,
        }
        if not whole:
            db.execute(connection, "publish_unfill", is_newest=newest["is_newest"], **values)
        elif newest["is_newest"]:
            db.execute(connection, "publish_fill", **values)
