"""Rank the frozen pairs, have the gate look at the page, and publish: one immutable Parquet file, then one transaction.

The transaction holds the ranking rows, their topics, the publication with the file's path and digest,
and the pointer that frontends follow; so nobody sees half of a page, or of two. A try that a newer one
has overtaken commits nothing. The pointer never moves to an older as-of time. Articles that must not be
shown are looked for here, at the last moment: blocked, forgotten, and gone from the source.

Where the gate blocks the run, the page that is published is the one without the run's scores. It is the pointer's, too,
unless it is too empty itself: then the page that stands stays, which is older and fuller.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, RowMapping

from rerank_core.errors import NoLightOrder
from rerank_core.publish import gate, hidden, publications, standings
from rerank_core.publish.publications import Draft
from rerank_core.publish.standings import Standings
from rerank_core.records import Run
from rerank_core.rerank import light
from rerank_core.settings import Settings
from rerank_core.storage import artifacts, runs, schemas, topics
from rerank_core.storage import database as db
from rerank_core.storage.copy import copy_in
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)

T = TypeVar("T")

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
    blocked: str | None = None  # by the gate: which check, and by how much
    distrusted: int = 0  # scores of the run that count for nothing, because it is blocked
    empty: int = 0  # topics without a row
    made: int = 0  # scores of the run that the gate looked at
    deviation: float | None = None  # of their logits; null: there are none


@dataclass(frozen=True)
class _Judged:
    """What the gate found."""

    standings: Standings | None  # of the page with the run's scores; null: these cannot even be ranked
    hidden: Mapping[str, str]
    made: gate.Spread
    wrong: tuple[str, ...]  # empty: the run passes


@dataclass(frozen=True)
class _Page:
    """A page that is ready to be published."""

    standings: Standings
    hidden: Mapping[str, str]  # article of the window → why it is left out
    before: RowMapping | None  # the run's latest publication
    draft: Draft
    made: gate.Spread
    blocked: str | None = None
    distrusted: int = 0
    stays: str | None = None  # why the pointer does not go to the page of a blocked run


def publish(*, database: Database, store: Store, settings: Settings, run: Run, fence: int) -> Published:
    """Publish the run's rankings as a new version of it; where `blocked` says that the gate blocked it, degraded ones.

    Raises FencedError where a newer try has begun, CorruptError where pairs are missing that no light
    order was made for, SourceError where the source has lost too much of the window at once.
    """
    article_ids = artifacts.read_members(store, run).column("article_id").to_pylist()
    deleted = hidden.deleted_articles(database, settings, article_ids)
    while True:
        page = _prepare(database, store, settings, run, fence, article_ids, deleted)
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
    settings: Settings,
    run: Run,
    fence: int,
    article_ids: Sequence[str],
    deleted: Collection[str] | None,
) -> _Page:
    """Rank the page, have the gate judge it, and write its file."""
    look = _Look(database, store, settings, article_ids, deleted)
    judged = _with_light(look, run, fence, lambda run: look.judge(run, fence))
    page, left_out, blocked, distrusted, stays = judged.standings, judged.hidden, None, 0, None
    if judged.wrong:
        blocked = "; ".join(judged.wrong)
        log.error("run %d is blocked: %s", run.run_id, blocked)
        with database.transaction() as connection:
            runs.hold_fence(connection, run.run_id, fence)
            distrusted = gate.block(connection, run, fence=fence, sentence=blocked)
        page, left_out, stays = _with_light(look, run, fence, look.without_scores)
    assert page is not None
    with database.transaction(read_only=True) as connection:
        before = db.one(connection, "publish.latest", run_id=run.run_id)
    draft = publications.draft(
        store,
        page.rows,
        pipeline=run.pipeline,
        run_id=run.run_id,
        version=1 if before is None else before["version"] + 1,
        fence=fence,
        as_of=run.window.until,
    )
    return _Page(page, left_out, before, draft, judged.made, blocked, distrusted, stays)


@dataclass(frozen=True)
class _Look:
    """Ways to look at the page of a run."""

    database: Database
    store: Store
    settings: Settings
    article_ids: Sequence[str]  # of the window
    deleted: Collection[str] | None  # of these, gone from the source; null: it did not answer

    def judge(self, run: Run, fence: int) -> _Judged:
        """The page with all scores of the run, and what the gate says to it."""
        with self.database.transaction(read_only=True) as connection:
            decision = gate.latest(connection, run.run_id)
            if decision is None or decision.verdict == "passed":
                return self._judge(connection, run)
        with self.database.transaction() as connection:
            runs.hold_fence(connection, run.run_id, fence)
            trial = connection.begin_nested()
            gate.trust(connection, run.run_id)
            if decision.verdict == "approved":
                page, left_out = self._stand(connection, run)
                return _Judged(page, left_out, gate.spread(connection, run), ())
            judged = self._judge(connection, run)
            if judged.wrong:
                trial.rollback()  # its scores stay where they are
            else:
                gate.decide(connection, run.run_id, "passed", "a later try passed", fence=fence)
            return judged

    def without_scores(self, run: Run) -> tuple[Standings, Mapping[str, str], str | None]:
        """The page of a blocked run, and why it must not be readers' page, if so."""
        with self.database.transaction(read_only=True) as connection:
            page, left_out = self._stand(connection, run)
            share = self.settings.gate_empty_share
            stays = gate.check_empty(connection, run, page.topics, hidden=left_out, share=share)
        return page, left_out, stays[0] if stays else None

    def _judge(self, connection: Connection, run: Run) -> _Judged:
        made = gate.spread(connection, run)
        wrong = gate.check_scores(connection, run, made)
        if made.not_finite:
            return _Judged(None, {}, made, tuple(wrong))
        page, left_out = self._stand(connection, run)
        wrong += gate.check_counts(connection, run, page)
        wrong += gate.check_empty(
            connection, run, page.topics, hidden=left_out, share=self.settings.gate_empty_share
        )
        return _Judged(page, left_out, made, tuple(wrong))

    def _stand(self, connection: Connection, run: Run) -> tuple[Standings, Mapping[str, str]]:
        left_out = hidden.hidden_articles(connection, run.pipeline, self.article_ids, self.deleted)
        return standings.stand(connection, store=self.store, run=run, hidden=left_out), left_out


def _with_light(look: _Look, run: Run, fence: int, attempt: Callable[[Run], T]) -> T:
    """Where pairs have lost their scores after the light order was made, such as to a gate, it is made anew."""
    try:
        return attempt(run)
    except NoLightOrder as error:
        log.warning("run %d: %s; it is made now", run.run_id, error)
    light.order_missing(
        database=look.database, store=look.store, settings=look.settings, run=run, fence=fence
    )
    with look.database.transaction(read_only=True) as connection:
        run = runs.get(connection, run.run_id)
    return attempt(run)


def _is_out_of_date(connection: Connection, run: Run, article_ids: Sequence[str], page: _Page) -> bool:
    """Whether the page shows what was forgotten since, or another version of the run was published."""
    latest = db.one(connection, "publish.latest", run_id=run.run_id)
    known, found = (row and row["publication_id"] for row in (page.before, latest))
    return known != found or hidden.forgotten_since(connection, run.pipeline, article_ids, page.hidden)


def _commit(connection: Connection, store: Store, run: Run, page: _Page) -> Published:
    """Everything that a reader may find, in the caller's transaction."""
    draft, topics_of_page = page.draft, page.standings.topics
    degraded = page.blocked is not None or any(topic.missing for topic in topics_of_page.values())
    difference = _difference(connection, page)
    publication_id = publications.add(
        connection, draft, degraded=degraded, difference=difference, blocked=page.blocked
    )
    _add_topics(connection, publication_id, page.standings)
    db.execute(
        connection,
        "publish.add_hidden",
        publication_id=publication_id,
        article_ids=list(page.hidden),
        whys=list(page.hidden.values()),
    )
    moved = None
    if page.stays is None:
        moved = db.one(
            connection, "publish.move_pointer", pipeline=run.pipeline, publication_id=publication_id
        )
    if page.blocked is None:
        gate.settle(connection, run.run_id)
    standing = db.one(connection, "publications.standing", pipeline=run.pipeline)
    if standing is not None and standing["held"]:
        log.warning(
            "run %d: the page of pipeline %s is held at run %d; `rerank publish --release` lets it go on",
            run.run_id,
            run.pipeline,
            standing["run_id"],
        )
    _settle_fills(connection, run, page.standings)
    db.execute(connection, "publish.done", run_id=run.run_id, degraded=degraded)
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
        blocked=page.blocked,
        distrusted=page.distrusted,
        empty=sum(topic.ranked == 0 for topic in topics_of_page.values()),
        made=page.made.pairs,
        deviation=page.made.deviation,
    )


def _difference(connection: Connection, page: _Page) -> str | None:
    """Why the rows are not those of the run's version before; None where they are."""
    before, now = page.before, page.draft
    if before is None or before["rows_sha256"] == now.rows_sha256:
        return None
    reasons = []
    was = db.rows(connection, "publish.rows", publication_id=before["publication_id"])
    missing = sum(topic.missing for topic in page.standings.topics.values())
    if missing < before["missing"]:
        reasons.append(f"healed: {before['missing'] - missing} pairs have a score now")
    lost = max(page.standings.lost, missing - before["missing"])
    if page.blocked is not None and lost > 0:
        reasons.append(f"blocked: {lost} pairs have a score that counts for nothing")
    elif lost > 0:
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
    found = db.rows(connection, "publish.was_hidden", publication_id=page.before["publication_id"])
    back = len(shown & {row["article_id"] for row in found})
    if back:
        reasons.append(f"restored: {back} articles are shown again")
    if page.before["trimmed"]:
        reasons.append("filled up: the version before left the places of forgotten articles empty")
    return reasons


def _add_topics(connection: Connection, publication_id: int, page: Standings) -> None:
    rows = [{"publication_id": publication_id, **asdict(topic)} for topic in page.topics.values()]
    copy_in(connection, "rerank.ranking_topic", pa.Table.from_pylist(rows, schema=schemas.RANKING_TOPIC))


def _settle_fills(connection: Connection, run: Run, page: Standings) -> None:
    """A topic is filled when all that the newest run wanted of it is scored; else it is filled again."""
    if run.scorer_id is None:
        return
    newest = db.one(connection, "publish.is_newest", run_id=run.run_id)
    assert newest is not None
    filled: list[tuple[str, bytes]] = []
    unfilled: list[tuple[str, bytes]] = []
    for one in page.frozen:
        standing = page.topics[one.topic.slug]
        whole = one.selected and not standing.missing and not standing.left_out
        (filled if whole else unfilled).append((one.topic.slug, topics.recall_digest(one.topic)))
    values = {"pipeline": run.pipeline, "scorer_id": run.scorer_id, "run_id": run.run_id}
    is_newest = newest["is_newest"]
    db.execute(connection, "publish.unfill_topics", is_newest=is_newest, **_columns(unfilled), **values)
    if is_newest:
        db.execute(connection, "publish.fill_topics", **_columns(filled), **values)


def _columns(queries: Sequence[tuple[str, bytes]]) -> dict[str, list[Any]]:
    return {"slugs": [slug for slug, _ in queries], "recall_digests": [digest for _, digest in queries]}
