"""Rank the frozen pairs and publish: one immutable Parquet file, then one transaction.

The transaction holds the ranking rows, their topics, the publication with the file's path and digest,
and the pointer that frontends follow; so nobody sees half of a page, or of two. A try that a newer one
has overtaken commits nothing. The pointer never moves to an older as-of time.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, RowMapping

from rerank_core import database as db
from rerank_core import frozen, ledger, runs, schemas, topics
from rerank_core.database import Database
from rerank_core.errors import CorruptError
from rerank_core.ledger import Ids
from rerank_core.ranking import Page, Ranked, rank_topic
from rerank_core.records import RankedTopic, Run, Topic, TopicState
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


@dataclass(frozen=True)
class _Frozen:
    """One topic as the run has frozen it."""

    topic: Topic
    selected: bool
    filling: bool
    previous_scorer_id: int | None
    left_out: int


class _ScoredPairs:
    """The frozen pairs with what the ledger holds of them, as arrays side by side; one topic's stand together."""

    def __init__(self, connection: Connection, run: Run, pairs: pa.Table) -> None:
        self.query_id = pairs.column("query_id").to_numpy()
        self.document_id = pairs.column("document_id").to_numpy()
        self.scorer_id = pairs.column("scorer_id").to_numpy()
        self.work = pairs.column("work").to_numpy(zero_copy_only=False)
        self.known = pairs.column("known").to_numpy(zero_copy_only=False)
        self.light = pairs.column("light_score").to_numpy().astype(np.float64)
        self.logit = np.full(len(pairs), np.nan)  # NaN: no score
        self.truncated = np.zeros(len(pairs), dtype=bool)
        self.refused = ledger.refused(connection, run.scorer_id, self.query_id, self.document_id)
        for scorer_id in np.unique(self.scorer_id).tolist():
            found = ledger.lookup_pairs(connection, scorer_id, pairs)
            places = found.positions(self.query_id, self.document_id)
            here = (self.scorer_id == scorer_id) & (places >= 0)
            self.logit[here] = found.logit[places[here]]
            self.truncated[here] = found.truncated[places[here]]
        ends = pc.run_end_encode(pairs.column("topic").combine_chunks())
        stops = ends.run_ends.to_pylist()
        self._spans = dict(zip(ends.values.to_pylist(), zip([0, *stops], stops, strict=False), strict=True))

    def of_topic(self, slug: str) -> "_ScoredPairs":
        """The pairs of one topic."""
        start, stop = self._spans.get(slug, (0, 0))
        part = copy(self)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                setattr(part, name, value[start:stop])
        return part


def publish(*, database: Database, store: Store, run: Run, fence: int) -> Published:
    """Publish the run's rankings as a new version of it.

    Raises FencedError where a newer try has begun, CorruptError where pairs are missing that no light
    order was made for.
    """
    members = frozen.read_members(store, run)
    pairs = frozen.read_pairs(store, run)
    light = frozen.read_light(store, run)
    with database.transaction(read_only=True) as connection:
        wanted = [_frozen(row) for row in db.rows(connection, "publish_topics", run_id=run.run_id)]
        blocked = {row["article_id"] for row in db.rows(connection, "publish_blocked", pipeline=run.pipeline)}
        page = Page.of(members, as_of=run.window.until, blocked=blocked)
        scored = _ScoredPairs(connection, run, pairs)
        ranked = {one.topic.slug: _rank(one, run, page, scored, light) for one in wanted}
        table = _rows(connection, members, page, ranked)
        before = db.one(connection, "publish_latest", run_id=run.run_id)
    standings = {slug: standing for slug, (_, standing) in ranked.items()}
    rows_sha256 = hashlib.sha256(canonical(table)).hexdigest()
    version = 1 if before is None else before["version"] + 1
    written = store.write(
        store.ranking_path(
            pipeline=run.pipeline, run_id=run.run_id, as_of=run.window.until, version=version, fence=fence
        ),
        _with(
            table,
            schemas.PUBLISHED,
            pipeline=run.pipeline,
            as_of=run.window.until,
            run_id=run.run_id,
            version=version,
            attempt=fence,
        ),
    )
    degraded = any(standing.missing for standing in standings.values())
    with database.transaction() as connection:
        runs.hold_fence(connection, run.run_id, fence)
        db.rows(connection, "publish_lock", pipeline=run.pipeline)
        lost = int((scored.known & np.isnan(scored.logit)).sum())
        difference = _difference(connection, before, rows_sha256, table, list(standings.values()), lost)
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
            row_count=table.num_rows,
            degraded=degraded,
            difference=difference,
        )
        assert row is not None
        publication_id = int(row["publication_id"])
        db.copy_in(connection, "rerank.ranking", _of_publication(table, publication_id))
        _add_topics(connection, publication_id, list(standings.values()))
        moved = db.one(
            connection, "publish_move_pointer", pipeline=run.pipeline, publication_id=publication_id
        )
        is_current = moved is not None
        _settle_fills(connection, run, wanted, standings)
        db.execute(connection, "publish_done", run_id=run.run_id, degraded=degraded)
    return Published(
        publication_id=publication_id,
        version=version,
        rows=table.num_rows,
        rows_sha256=rows_sha256,
        parquet_path=written.path,
        parquet=store.full_path(written.path),
        topics=len(ranked),
        degraded=degraded,
        is_current=is_current,
        difference=difference,
    )


def _frozen(row: RowMapping) -> _Frozen:
    return _Frozen(
        topic=topics.to_record(row),
        selected=row["selected"],
        filling=row["filling"],
        previous_scorer_id=row["previous_scorer_id"],
        left_out=row["left_out"],
    )


def _rank(
    one: _Frozen, run: Run, page: Page, pairs: _ScoredPairs, light: pa.Table
) -> tuple[Ranked, RankedTopic]:
    """One topic's rows, and how it stands."""
    slug = one.topic.slug
    mine = pairs.of_topic(slug)
    has_score = ~np.isnan(mine.logit)
    refused = mine.work & ~has_score & mine.refused
    missing = mine.work & ~has_score & ~mine.refused
    complete = one.selected and not missing.any() and not one.left_out
    # A topic never mixes scorers: the one before ranks it until the fill under the new one is complete.
    scorer_id = run.scorer_id if one.previous_scorer_id is None or complete else one.previous_scorer_id
    rankable = has_score & (mine.scorer_id == scorer_id)
    unscored_ids = np.setdiff1d(mine.document_id[missing], mine.document_id[rankable])
    rows = rank_topic(
        topic=one.topic,
        page=page,
        document_ids=mine.document_id[rankable],
        logit=mine.logit[rankable],
        light=mine.light[rankable],
        truncated=mine.truncated[rankable],
        unscored_ids=unscored_ids,
        unscored_light=_light_scores(slug, unscored_ids, light),
    )
    state: TopicState = "full"
    if missing.any():
        state = "degraded"
    elif not one.selected:
        state = "stale"
    elif one.left_out or scorer_id != run.scorer_id:
        state = "partial"
    elif not len(rows.places):
        state = "abstained"
    return rows, RankedTopic(
        slug=slug,
        topic_version_id=one.topic.topic_version_id,
        scorer_id=scorer_id if rankable.any() else None,
        state=state,
        candidates=int(mine.work.sum()) + one.left_out,
        from_ledger=int((mine.work & mine.known & has_score).sum()),
        scored=int((mine.work & ~mine.known & has_score).sum()),
        refused=int(refused.sum()),
        missing=int(missing.sum()),
        left_out=one.left_out,
        ranked=len(rows.places),
    )


def _light_scores(slug: str, document_ids: Ids, light: pa.Table) -> npt.NDArray[np.float64]:
    if not len(document_ids):
        return np.zeros(0)
    mine = light.filter(pc.equal(light.column("topic"), slug))
    scores = dict(
        zip(mine.column("document_id").to_pylist(), mine.column("light_score").to_pylist(), strict=True)
    )
    without = [document_id for document_id in document_ids.tolist() if document_id not in scores]
    if without:
        raise CorruptError(
            f"topic {slug!r}: {len(without)} documents have neither a score nor a light order; run the degrade stage"
        )
    return np.asarray([scores[document_id] for document_id in document_ids.tolist()], dtype=np.float64)


def _rows(
    connection: Connection, members: pa.Table, page: Page, ranked: Mapping[str, tuple[Ranked, RankedTopic]]
) -> pa.Table:
    """All rows of the page (schemas.RANKING), in (topic, rank) order."""
    tables = [schemas.RANKING.empty_table()]
    display = _display(connection, members, page, [rows.places for rows, _ in ranked.values()])
    for slug, (rows, standing) in sorted(ranked.items()):
        count = len(rows.places)
        here = members.take(pa.array(page.positions[rows.places]))
        shown = [display[revision_id] for revision_id in here.column("revision_id").to_pylist()]
        by_model = np.arange(count) < rows.by_model
        columns = {
            "topic": pa.array([slug] * count, pa.string()),
            "rank": pa.array(np.arange(1, count + 1), pa.int32()),
            "title": pa.array([row["title"] for row in shown], pa.string()),
            "url": pa.array([row["url"] for row in shown], pa.string()),
            "source": pa.array([row["source"] for row in shown], pa.string()),
            "ranked_by": pa.array(np.where(by_model, "model", "bm25").tolist(), pa.string()),
            "logit": pa.array(rows.logit.astype(np.float32), mask=~by_model),
            "rank_score": pa.array(rows.rank_score, mask=~by_model),
            "light_score": pa.array(rows.light.astype(np.float32)),
            "truncated": pa.array(rows.truncated),
            "topic_version_id": pa.array([standing.topic_version_id] * count, pa.int64()),
            "scorer_id": pa.array([standing.scorer_id] * count, pa.int32(), mask=~by_model),
        }
        tables.append(
            pa.table(
                {
                    name: columns[name] if name in columns else here.column(name)
                    for name in schemas.RANKING.names
                }
            )
        )
    return pa.concat_tables(tables)


def _display(
    connection: Connection, members: pa.Table, page: Page, places: Sequence[Ids]
) -> dict[int, RowMapping]:
    """What frontends show of each ranked revision."""
    positions = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *places]))
    revision_ids = members.column("revision_id").take(pa.array(page.positions[positions])).to_pylist()
    return {
        row["revision_id"]: row for row in db.rows(connection, "publish_display", revision_ids=revision_ids)
    }


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
    connection: Connection,
    before: RowMapping | None,
    rows_sha256: str,
    table: pa.Table,
    standings: Sequence[RankedTopic],
    lost: int,  # pairs that had a score when the run was frozen, and have none now
) -> str | None:
    """Why the rows are not those of the run's version before; None where they are."""
    if before is None or before["rows_sha256"] == rows_sha256:
        return None
    reasons = []
    was = db.rows(connection, "publish_rows", publication_id=before["publication_id"])
    missing = sum(standing.missing for standing in standings)
    if missing < before["missing"]:
        reasons.append(f"healed: {before['missing'] - missing} pairs have a score now")
    lost = max(lost, missing - before["missing"])
    if lost > 0:
        reasons.append(f"past retention: {lost} pairs have lost their score")
    # A real comes from Postgres as its shortest decimal, which is the same float32 and another float64.
    logits = {
        (row["slug"], row["document_id"]): np.float32(row["logit"]) for row in was if row["logit"] is not None
    }
    now = zip(*(table.column(name).to_pylist() for name in ("topic", "document_id", "logit")), strict=True)
    rescored = sum(
        logits.get((slug, document_id), np.float32(logit)) != np.float32(logit)
        for slug, document_id, logit in now
        if logit is not None
    )
    if rescored:
        reasons.append(f"rescored: {rescored} pairs have another score")
    gone = {row["article_id"] for row in was} - set(table.column("article_id").to_pylist())
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


def _add_topics(connection: Connection, publication_id: int, standings: Sequence[RankedTopic]) -> None:
    for standing in standings:
        db.execute(connection, "publish_add_topic", publication_id=publication_id, **asdict(standing))


def _settle_fills(
    connection: Connection,
    run: Run,
    wanted: Sequence[_Frozen],
    standings: Mapping[str, RankedTopic],
) -> None:
    """A topic is filled when all that the newest run wanted of it is scored; else it is filled again."""
    if run.scorer_id is None:
        return
    newest = db.one(connection, "publish_is_newest", pipeline=run.pipeline, until=run.window.until)
    assert newest is not None
    for one in wanted:
        standing = standings[one.topic.slug]
        whole = one.selected and not standing.missing and not standing.left_out
        values = {
            "pipeline": run.pipeline,
            "slug": one.topic.slug,
            "queries_digest": topics.queries_digest(one.topic),
            "scorer_id": run.scorer_id,
            "run_id": run.run_id,
        }
        if not whole:
            db.execute(connection, "publish_unfill", is_newest=newest["is_newest"], **values)
        elif newest["is_newest"]:
            db.execute(connection, "publish_fill", **values)
