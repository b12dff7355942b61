"""Publish a run: rank its page, have the gate judge the page, and commit it.

Three steps, in this order:

    read     the window's articles, and which of them the source has lost
    judge    rank the page; the gate passes or blocks the run (verdict.py)
    write    one immutable Parquet file, then one transaction

The transaction holds the ranking rows, their topics, the publication with path and digest of the file, and the pointer that
frontends follow. So no reader sees half of a page, or parts of two pages. A try that a newer try has overtaken commits
nothing. The pointer never moves to an older as-of time.

Articles that must not be shown are looked for as late as possible: articles that are hidden by hand, forgotten, or gone
from the source. If an article is forgotten between the judging and the commit, the page is judged and written again.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, RowMapping

from rerank_core.publish import editorial, gate, hidden, publications
from rerank_core.publish.difference import difference
from rerank_core.publish.publications import Draft
from rerank_core.publish.standings import Standings
from rerank_core.publish.verdict import Inputs, Verdict, judge
from rerank_core.records import Run
from rerank_core.settings import Settings
from rerank_core.storage import artifacts, runs, schemas, topics
from rerank_core.storage import database as db
from rerank_core.storage.copy import copy_in
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

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
    hidden: (
        int  # articles of the window that are left out: hidden by hand, forgotten, or gone from the source
    )
    degraded: bool
    is_current: bool  # the pointer moved to it
    difference: str | None  # from the run's version before: why the rows differ
    blocked: str | None = None  # by the gate: which check, and by how much
    distrusted: int = 0  # scores of the run that count for nothing, because it is blocked
    empty: int = 0  # topics without a row
    made: int = 0  # scores of the run that the gate looked at
    deviation: float | None = None  # of their logits; null: there are none
    acts: int = 0  # of editors, that the run follows
    idle_acts: int = (
        0  # of these, on articles that are not on the page: hidden, out of the window, or not ranked
    )
    source_limited: int = 0  # rows left out, because their source has its rows


def publish(*, database: Database, store: Store, settings: Settings, run: Run, fence: int) -> Published:
    """Publish the run's rankings as its next version; if the gate blocks the run, a degraded page is published.

    Raises FencedError if a newer try has begun, CorruptError if an artifact of the run is gone, SourceError if the
    source has lost too many articles of the window at once, StoreUnavailable if the store refuses the file.
    """
    members = artifacts.read_members(store, run)
    article_ids = members.column("article_id").to_pylist()
    deleted = hidden.deleted_articles(database, settings, article_ids)
    inputs = Inputs(database, store, settings, run, fence, members, frozenset(article_ids), deleted)
    del article_ids
    while True:
        verdict = judge(inputs)
        before = _latest_version(inputs)
        draft = _write_file(inputs, verdict, before)
        published = _commit(inputs, verdict, before, draft)
        if published is not None:
            return published


def _latest_version(inputs: Inputs) -> RowMapping | None:
    """The run's latest publication; None if it has none."""
    with inputs.database.transaction(read_only=True) as connection:
        return db.one(connection, "publish.latest", run_id=inputs.run.run_id)


def _write_file(inputs: Inputs, verdict: Verdict, before: RowMapping | None) -> Draft:
    """Write the Parquet file of the run's next version; no reader finds the file yet."""
    run = inputs.run
    return publications.draft(
        inputs.store,
        verdict.standings.rows,
        pipeline=run.pipeline,
        run_id=run.run_id,
        version=1 if before is None else before["version"] + 1,
        fence=inputs.fence,
        as_of=run.window.until,
    )


def _commit(inputs: Inputs, verdict: Verdict, before: RowMapping | None, draft: Draft) -> Published | None:
    """Write everything that a reader may find, in one transaction; None if the page is out of date: nothing is written."""
    run, page = inputs.run, verdict.standings
    with inputs.database.transaction() as connection:
        runs.hold_fence(connection, run.run_id, inputs.fence)
        publications.lock(connection, run.pipeline)
        if _is_out_of_date(connection, inputs, verdict, before):
            return None
        _note_deleted(connection, inputs)
        reasons = difference(connection, before=before, draft=draft, verdict=verdict)
        publication_id = publications.add(
            connection, draft, degraded=verdict.degraded, difference=reasons, blocked=verdict.blocked
        )
        _add_topics(connection, publication_id, page)
        _add_hidden(connection, publication_id, verdict)
        editorial.keep(connection, run, verdict.acts)
        is_current = verdict.moves_pointer and _move_pointer(connection, run, publication_id)
        if verdict.blocked is None:
            gate.settle(connection, run.run_id)
        _warn_of_hold(connection, run)
        db.execute(connection, "publish.done", run_id=run.run_id, degraded=verdict.degraded)
        _settle_fills(connection, run, page)
    return Published(
        publication_id=publication_id,
        version=draft.version,
        rows=draft.rows.num_rows,
        rows_sha256=draft.rows_sha256,
        parquet_path=draft.file.path,
        parquet=inputs.store.full_path(draft.file.path),
        topics=len(page.topics),
        hidden=len(verdict.hidden),
        degraded=verdict.degraded,
        is_current=is_current,
        difference=reasons,
        blocked=verdict.blocked,
        distrusted=verdict.distrusted,
        empty=sum(topic.ranked == 0 for topic in page.topics.values()),
        made=verdict.spread.pairs,
        deviation=verdict.spread.deviation,
        acts=len(verdict.acts),
        idle_acts=len(verdict.acts) - len(page.followed),
        source_limited=sum(topic.source_limited for topic in page.topics.values()),
    )


def _is_out_of_date(
    connection: Connection, inputs: Inputs, verdict: Verdict, before: RowMapping | None
) -> bool:
    """Whether the page shows an article that was forgotten since, or the run has got another version."""
    run = inputs.run
    latest = db.one(connection, "publish.latest", run_id=run.run_id)
    known_id, latest_id = (row and row["publication_id"] for row in (before, latest))
    return known_id != latest_id or hidden.forgotten_since(
        connection, run.pipeline, inputs.article_ids, verdict.hidden
    )


def _note_deleted(connection: Connection, inputs: Inputs) -> None:
    """Keep which articles the source has lost, if the source answered."""
    if inputs.deleted is not None:
        hidden.note_deleted(
            connection,
            pipeline=inputs.run.pipeline,
            article_ids=inputs.article_ids,
            deleted=inputs.deleted,
            fresh_since=inputs.run.window.fresh_since,
        )


def _add_topics(connection: Connection, publication_id: int, page: Standings) -> None:
    rows = [{"publication_id": publication_id, **asdict(topic)} for topic in page.topics.values()]
    copy_in(connection, "rerank.ranking_topic", pa.Table.from_pylist(rows, schema=schemas.RANKING_TOPIC))


def _add_hidden(connection: Connection, publication_id: int, verdict: Verdict) -> None:
    db.execute(
        connection,
        "publish.add_hidden",
        publication_id=publication_id,
        article_ids=list(verdict.hidden),
        whys=list(verdict.hidden.values()),
    )


def _move_pointer(connection: Connection, run: Run, publication_id: int) -> bool:
    """Let frontends see the publication, by the rules of the database function; says whether the pointer moved."""
    moved = db.one(connection, "publish.move_pointer", pipeline=run.pipeline, publication_id=publication_id)
    return moved is not None


def _warn_of_hold(connection: Connection, run: Run) -> None:
    """Say it in the log if a rollback holds the pipeline's page."""
    current = db.one(connection, "publications.standing", pipeline=run.pipeline)
    if current is not None and current["held"]:
        log.warning(
            "run %d: the page of pipeline %s is held at run %d; `rerank publish --release` lets it go on",
            run.run_id,
            run.pipeline,
            current["run_id"],
        )


def _settle_fills(connection: Connection, run: Run, page: Standings) -> None:
    """Mark a topic as filled if all that the newest run wanted of it is scored; else it is filled again.

    A topic in the light order is filled again, too: each page shows the whole window of it.
    """
    if run.scorer_id is None:
        return
    is_newest = db.the(connection, "publish.is_newest", run_id=run.run_id)["is_newest"]
    filled: list[tuple[str, bytes]] = []
    unfilled: list[tuple[str, bytes]] = []
    for frozen_topic in page.frozen:
        ranked_topic = page.topics[frozen_topic.topic.slug]
        is_whole = frozen_topic.selected and not (
            ranked_topic.state == "degraded" or ranked_topic.left_out or run.early
        )
        key = (frozen_topic.topic.slug, topics.recall_digest(frozen_topic.topic))
        (filled if is_whole else unfilled).append(key)
    values = {"pipeline": run.pipeline, "scorer_id": run.scorer_id, "run_id": run.run_id}
    db.execute(connection, "publish.unfill_topics", is_newest=is_newest, **_columns(unfilled), **values)
    if is_newest:
        db.execute(connection, "publish.fill_topics", **_columns(filled), **values)


def _columns(queries: Sequence[tuple[str, bytes]]) -> dict[str, list[Any]]:
    return {"slugs": [slug for slug, _ in queries], "recall_digests": [digest for _, digest in queries]}
