"""Rank the frozen pairs and publish: one immutable Parquet file, then one transaction.

The transaction holds the ranking rows, their topics, the publication with the file's path and digest,
and the pointer that frontends follow; so nobody sees half of a page, or of two. A try that a newer one
has overtaken commits nothing. The pointer never moves to an older as-of time. Articles that must not be
shown are looked for here, at the last moment: blocked, forgotten, and gone from the source.
"""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, RowMapping

from rerank_core import database as db
from rerank_core import frozen, hidden, publications, runs, schemas, standings, topics
from rerank_core.database import Database
from rerank_core.publications import Draft
from rerank_core.records import Run
from rerank_core.settings import Settings
from rerank_core.standings import Standings
from rerank_core.store import Store

log = logging.getLogger(__name__)

# How a difference tells of articles that the version before showed.
GONE = {"blocked": "were blocked", "deleted": "are gone from the source", "forgotten": "were forgotten"}


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
    hidden: int  # articles of the window that are left out: blocked, forgotten, or gone from the source
    degraded: bool
    is_current: bool  # the pointer moved to it
    difference: str | None  # from the run's version before: why the rows differ


@dataclass(frozen=True)
class _Page:
    """A page that is ready to be published."""

    standings: Standings
    hidden: Mapping[str, str]  # article of the window → why it is left out
    before: RowMapping | None  # the run's latest publication
    draft: Draft


def publish(*, database: Database, store: Store, settings: Settings, run: Run, fence: int) -> Published:
    """Publish the run's rankings as a new version of it.

    Raises FencedError where a newer try has begun, CorruptError where pairs are missing that no light
    order was made for, SourceError where the source has lost too much of the window at once.
    """
    article_ids = frozen.read_members(store, run).column("article_id").to_pylist()
    deleted = hidden.deleted_articles(database, settings, article_ids)
    while True:
        page = _prepare(database, store, run, fence, article_ids, deleted)
        with database.transaction() as connection:
            runs.hold_fence(connection, run.run_id, fence)
            publications.lock(connection, run.pipeline)
            if _is_out_of_date(connection, run, article_ids, page):
                continue  # an article was forgotten meanwhile
            if deleted is not None:
                hidden.note_deleted(
                    connection,
                    pipeline=run.pipeline,
                    article_ids=article_ids,
                    deleted=deleted,
                    fresh_since=run.window.fresh_since,
                )
            return _commit(connection, store, run, page)


def _prepare(
    database: Database,
    store: Store,
    run: Run,
    fence: int,
    article_ids: Sequence[str],
    deleted: Collection[str] | None,
) -> _Page:
    """Rank the page and write its file."""
    with database.transaction(read_only=True) as connection:
        left_out = hidden.hidden_articles(connection, run.pipeline, article_ids, deleted)
        page = standings.stand(connection, store=store, run=run, hidden=left_out)
        before = db.one(connection, "publish_latest", run_id=run.run_id)
    draft = publications.draft(
        store,
        page.rows,
        pipeline=run.pipeline,
        run_id=run.run_id,
        version=1 if before is None else before["version"] + 1,
        fence=fence,
        as_of=run.window.until,
    )
    return _Page(page, left_out, before, draft)


def _is_out_of_date(connection: Connection, run: Run, article_ids: Sequence[str], page: _Page) -> bool:
    """Whether the page shows what was forgotten since, or another version of the run was published."""
    latest = db.one(connection, "publish_latest", run_id=run.run_id)
    known, found = (row and row["publication_id"] for row in (page.before, latest))
    return known != found or hidden.forgotten_since(connection, run.pipeline, article_ids, page.hidden)


def _commit(connection: Connection, store: Store, run: Run, page: _Page) -> Published:
    """Everything that a reader may find, in the caller's transaction."""
    draft, topics_of_page = page.draft, page.standings.topics
    degraded = any(topic.missing for topic in topics_of_page.values())
    difference = _difference(connection, page)
    publication_id = publications.add(connection, draft, degraded=degraded, difference=difference)
    _add_topics(connection, publication_id, page.standings)
    db.execute(
        connection,
        "publish_add_hidden",
        publication_id=publication_id,
        article_ids=list(page.hidden),
        whys=list(page.hidden.values()),
    )
    moved = db.one(connection, "publish_move_pointer", pipeline=run.pipeline, publication_id=publication_id)
    standing = db.one(connection, "pointer_standing", pipeline=run.pipeline)
    if standing is not None and standing["held"]:
        log.warning(
            "run %d: the page of pipeline %s is held at run %d; `rerank publish --release` lets it go on",
            run.run_id,
            run.pipeline,
            standing["run_id"],
        )
    _settle_fills(connection, run, page.standings)
    db.execute(connection, "publish_done", run_id=run.run_id, degraded=degraded)
    return Published(
        publication_id=publication_id,
        version=draft.version,
        rows=draft.rows.num_rows,
        rows_sha256=draft.rows_sha256,
        parquet_path=draft.file.path,
        parquet=store.full_path(draft.file.path),
        topics=len(topics_of_page),
        hidden=len(page.hidden),
        degraded=degraded,
        is_current=moved is not None,
        difference=difference,
    )


def _difference(connection: Connection, page: _Page) -> str | None:
    """Why the rows are not those of the run's version before; None where they are."""
    before, now = page.before, page.draft
    if before is None or before["rows_sha256"] == now.rows_sha256:
        return None
    reasons = []
    was = db.rows(connection, "publish_rows", publication_id=before["publication_id"])
    missing = sum(topic.missing for topic in page.standings.topics.values())
    if missing < before["missing"]:
        reasons.append(f"healed: {before['missing'] - missing} pairs have a score now")
    lost = max(page.standings.lost, missing - before["missing"])
    if lost > 0:
        reasons.append(f"past retention: {lost} pairs have lost their score")
    # A real comes from Postgres as its shortest decimal, which is the same float32 and another float64.
    logits = {
        (row["slug"], row["scored_document_id"]): np.float32(row["logit"])
        for row in was
        if row["logit"] is not None
    }
    columns = (now.rows.column(name).to_pylist() for name in ("topic", "scored_document_id", "logit"))
    rescored = sum(
        logits.get((slug, document_id), np.float32(logit)) != np.float32(logit)
        for slug, document_id, logit in zip(*columns, strict=True)
        if logit is not None
    )
    if rescored:
        reasons.append(f"rescored: {rescored} pairs have another score")
    reasons += _removals(connection, page, {row["article_id"] for row in was})
    copies = {(row["slug"], row["article_id"]): row["copies"] for row in was}
    columns = (now.rows.column(name).to_pylist() for name in ("topic", "article_id", "copies"))
    others = sum(
        copies.get((slug, article), count) != count for slug, article, count in zip(*columns, strict=True)
    )
    if others:
        reasons.append(f"copies: {others} rows count other copies, which were hidden or are shown again")
    if not reasons:
        log.error(
            "run %d: the rows differ from version %d for no known reason", before["run_id"], before["version"]
        )
        reasons.append("unexplained")
    return "; ".join(reasons)


def _removals(connection: Connection, page: _Page, shown_before: set[str]) -> list[str]:
    """What the version before showed and this one must not, and the other way round."""
    reasons = []
    shown = set(page.draft.rows.column("article_id").to_pylist())
    gone = Counter(page.hidden[article_id] for article_id in shown_before & set(page.hidden))
    if gone:
        reasons.append(
            "deleted: " + ", ".join(f"{gone[why]} articles {text}" for why, text in GONE.items() if gone[why])
        )
    assert page.before is not None
    found = db.rows(connection, "publish_was_hidden", publication_id=page.before["publication_id"])
    back = len(shown & {row["article_id"] for row in found})
    if back:
        reasons.append(f"restored: {back} articles are shown again")
    if page.before["trimmed"]:
        reasons.append("filled up: the version before left the places of forgotten articles empty")
    return reasons


def _add_topics(connection: Connection, publication_id: int, page: Standings) -> None:
    rows = [{"publication_id": publication_id, **asdict(topic)} for topic in page.topics.values()]
    db.copy_in(connection, "rerank.ranking_topic", pa.Table.from_pylist(rows, schema=schemas.RANKING_TOPIC))


def _settle_fills(connection: Connection, run: Run, page: Standings) -> None:
    """A topic is filled when all that the newest run wanted of it is scored; else it is filled again."""
    if run.scorer_id is None:
        return
    newest = db.one(connection, "publish_is_newest", run_id=run.run_id)
    assert newest is not None
    filled: list[tuple[str, bytes]] = []
    unfilled: list[tuple[str, bytes]] = []
    for one in page.frozen:
        standing = page.topics[one.topic.slug]
        whole = one.selected and not standing.missing and not standing.left_out
        (filled if whole else unfilled).append((one.topic.slug, topics.recall_digest(one.topic)))
    values = {"pipeline": run.pipeline, "scorer_id": run.scorer_id, "run_id": run.run_id}
    is_newest = newest["is_newest"]
    db.execute(connection, "publish_unfill_topics", is_newest=is_newest, **_columns(unfilled), **values)
    if is_newest:
        db.execute(connection, "publish_fill_topics", **_columns(filled), **values)


def _columns(queries: Sequence[tuple[str, bytes]]) -> dict[str, list[Any]]:
    return {"slugs": [slug for slug, _ in queries], "recall_digests": [digest for _, digest in queries]}
