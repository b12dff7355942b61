"""The order of the stages, stated once; the DAG and the command line follow it.

    extract → prepare → embed → recall → rerank (one task a shard) → degrade → publish → observe

A stage never calls another: each reads what the one before left in Postgres and the store, so any of
them can be run again by itself. `run_stage` gives a try its fence, times it and keeps its counts.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from threading import Timer
from time import monotonic
from typing import Any, Self
from uuid import uuid4

from sqlalchemy import Connection

from rerank_core import overdue
from rerank_core.errors import BlockedError, InputError, RerankError
from rerank_core.extract import extract
from rerank_core.frontends import followers
from rerank_core.observe import observe
from rerank_core.prepare import prepare
from rerank_core.publish import gate, publish
from rerank_core.recall import embed, recall
from rerank_core.records import Run
from rerank_core.rerank import degrade, rerank
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import runs
from rerank_core.storage import topics as stored
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)

STAGES = ("extract", "prepare", "embed", "recall", "rerank", "degrade", "publish", "observe")

OnStage = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True)
class Resources:
    """What the stages work with."""

    settings: Settings
    database: Database
    store: Store

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The database and the store that these settings name."""
        return cls(settings, Database(settings.database_url), Store(settings.store_url))

    def with_settings(self, **changes: Any) -> Self:
        """The same with other settings."""
        return replace(self, settings=self.settings.model_copy(update=changes))


def open_run(
    resources: Resources,
    *,
    key: str | None = None,
    until: datetime | None = None,
    topics: tuple[str, ...] | None = None,
    rescore: bool = False,
    since: datetime | None = None,
) -> Run:
    """The run with this key, made if there is none yet; see runs.open_run.

    Raises InputError, too, where a run would be made for a topic that is not active.
    """
    with resources.database.transaction() as connection:
        check_topics(connection, resources.settings.pipeline, key=key, topics=topics)
        return runs.open_run(
            connection,
            settings=resources.settings,
            key=key,
            until=until,
            topics=topics,
            rescore=rescore,
            since=since,
        )


def check_topics(
    connection: Connection, pipeline: str, *, key: str | None, topics: tuple[str, ...] | None
) -> None:
    """Raise InputError where a run would be made for a topic that is not active; one that exists keeps its topics."""
    if topics is not None and db.one(connection, "runs.by_key", pipeline=pipeline, key=key) is None:
        stored.check_active(connection, pipeline, topics)


@dataclass(frozen=True)
class ClaimedLate:
    """What was claimed from before the lookback."""

    run: Run
    counts: extract.Extracted
    fresh: int  # of the claimed revisions, those young enough to be ranked


def claim_late(resources: Resources, *, since: datetime, until: datetime | None = None) -> ClaimedLate:
    """Claim what was ingested in this span, however long ago, by a run of its own that is never published.

    The next published run owes its articles a place: it prepares them, and ranks those that are within
    freshness. Raises InputError for a span that is none, and what extract raises.
    """
    run = open_run(resources, key=f"claim__{uuid4()}", since=since, until=until)
    result = run_stage("extract", resources=resources, run_id=run.run_id)
    counts = extract.Extracted(**{field.name: result[field.name] for field in fields(extract.Extracted)})
    with resources.database.transaction(read_only=True) as connection:
        row = db.one(
            connection,
            "extract.fresh",
            run_id=run.run_id,
            fresh_seconds=resources.settings.freshness_hours * 3600,
        )
    assert row is not None
    return ClaimedLate(run=_get(resources.database, run.run_id), counts=counts, fresh=int(row["fresh"]))


def run_stage(stage: str, *, resources: Resources, run_id: int, shard: int | None = None) -> dict[str, Any]:
    """One try of a stage. Returns its counts, ids and paths, ready for JSON; `seconds` is its wall time.

    Raises InputError for a stage that does not exist, and what the stage raises.
    """
    started = monotonic()
    result = asdict(_perform(stage, resources, run_id, shard))
    name = stage if shard is None else f"{stage}[{shard}]"
    return _keep(name, result, resources=resources, run_id=run_id, started=started)


def publish_overdue(resources: Resources, *, run_id: int) -> dict[str, Any] | None:
    """Publish a run whose page is late with the scores that there are; None where its page is out. See overdue.py.

    Returns what `run_stage` does of publish; the numbers are kept as those of the stage `overdue`.
    """
    started = monotonic()
    published = overdue.publish_overdue(
        database=resources.database, store=resources.store, settings=resources.settings, run_id=run_id
    )
    if published is None:
        return None
    return _keep("overdue", asdict(published), resources=resources, run_id=run_id, started=started)


def _keep(
    name: str, result: dict[str, Any], *, resources: Resources, run_id: int, started: float
) -> dict[str, Any]:
    """What follows a stage: the pages as JSON, its metrics, its line in the log."""
    if result.get("is_current"):
        result |= followers.follow(
            database=resources.database,
            store=resources.store,
            settings=resources.settings,
            topics=result["topics"],
        )
    result["seconds"] = round(monotonic() - started, 3)
    with resources.database.transaction() as connection:
        observe.record(connection, run_id=run_id, stage=name, values=result)
    shown = " ".join(f"{name}={value}" for name, value in result.items() if not isinstance(value, tuple))
    log.info("%s: %s", name, shown)
    return {**result, "run_id": run_id}


def _perform(stage: str, resources: Resources, run_id: int, shard: int | None) -> Any:
    settings, database, store = resources.settings, resources.database, resources.store
    if stage == "rerank":
        # No fence: shards score side by side, and the ledger takes each score once, whoever brings it.
        if shard is None:
            raise InputError("the rerank stage needs the number of a shard")
        run = _get(database, run_id)
        return rerank.rerank(database=database, store=store, settings=settings, run=run, shard=shard)
    if stage == "embed":
        # No fence: a vector depends on its text and the embedder alone, whoever brings it.
        return embed.embed(database=database, settings=settings, run=_get(database, run_id))
    if stage == "observe":
        return observe.observe(database=database, run=_get(database, run_id))
    with runs.attempt(database, run_id) as (run, fence):
        match stage:
            case "extract":
                return extract.extract(database=database, settings=settings, run=run, fence=fence)
            case "prepare":
                return prepare.prepare(database=database, settings=settings, run=run, fence=fence)
            case "recall":
                return recall.recall(database=database, store=store, settings=settings, run=run, fence=fence)
            case "degrade":
                return degrade.degrade(
                    database=database, store=store, settings=settings, run=run, fence=fence
                )
            case "publish":
                return publish.publish(
                    database=database, store=store, settings=settings, run=run, fence=fence
                )
    raise InputError(f"there is no stage {stage!r}; the stages are {', '.join(STAGES)}")


def raise_blocked(published: Mapping[str, Any], *, pipeline: str) -> None:
    """Raises BlockedError where the stage publish says that the gate has blocked the run; what it published is there."""
    if published["blocked"] is not None:
        raise BlockedError(
            gate.sentence(
                published["run_id"],
                pipeline,
                blocked=published["blocked"],
                distrusted=published["distrusted"],
                is_current=published["is_current"],
            )
        )


def approve(
    resources: Resources, *, run_id: int, reason: str, actor: str | None = None
) -> dict[str, Any] | None:
    """Approve a blocked run, and publish it with its scores as a new version of it.

    Returns what the stage publish returns; None where the run was approved and published before. The pointer goes to
    the new version only where no newer run is the page. Raises what gate.approve and the stage raise.
    """
    first = gate.approve(
        resources.database, run_id=run_id, pipeline=resources.settings.pipeline, reason=reason, actor=actor
    )
    if not first:
        with resources.database.transaction(read_only=True) as connection:
            latest = db.one(connection, "publish.latest", run_id=run_id)
        if latest is not None and latest["blocked"] is None:
            return None
    return run_stage("publish", resources=resources, run_id=run_id)


@dataclass(frozen=True)
class Plan:
    """What a run that began now would have to do."""

    articles: int  # revisions it would claim
    topics: int
    pairs: int  # it would score
    in_ledger: int  # candidates that have a score already
    left_out: int  # pairs over its budget
    tokens: int  # of the prompts, before any is taken from the prefix cache
    seconds: float | None  # at the scorer's latest speed; null: it has not scored here yet


def plan(
    resources: Resources, *, until: datetime | None = None, topics: tuple[str, ...] | None = None
) -> Plan:
    """Rehearse a run up to its pairs, in a transaction that is rolled back: nothing is claimed or scored.

    Other runs of the pipeline wait for its end before they claim, and those of other pipelines before they prepare
    the same texts.
    """
    with resources.database.rehearsal() as database, tempfile.TemporaryDirectory() as folder:
        stage = replace(resources, database=database, store=Store(Path(folder).as_uri()))
        run = open_run(stage, key=f"plan__{uuid4()}", until=until, topics=topics)
        claimed = _perform("extract", stage, run.run_id, None).claimed
        _perform("prepare", stage, run.run_id, None)
        recalled = _perform("recall", stage, run.run_id, None)
        work = rerank.workload(
            database=database, store=stage.store, settings=stage.settings, run=_get(database, run.run_id)
        )
        return Plan(
            articles=claimed,
            topics=recalled.topics,
            pairs=work.pairs,
            in_ledger=recalled.from_ledger,
            left_out=recalled.left_out,
            tokens=work.tokens,
            seconds=work.seconds,
        )


def get_run(resources: Resources, run_id: int) -> Run:
    """The run with this number. Raises InputError where there is none."""
    return _get(resources.database, run_id)


def _get(database: Database, run_id: int) -> Run:
    with database.transaction(read_only=True) as connection:
        return runs.get(connection, run_id)


def run_all(
    resources: Resources,
    *,
    key: str | None = None,
    until: datetime | None = None,
    topics: tuple[str, ...] | None = None,
    rescore: bool = False,
    on_stage: OnStage | None = None,
) -> Run:
    """Every stage in order, in this process; `on_stage(stage, result)` hears of each.

    A shard that fails gets the light order, and documents that could not be embedded are recalled by BM25, as in the
    DAG: the page is degraded, and never down. Raises BlockedError at the end where the gate has blocked the run.
    """
    run = open_run(resources, key=key, until=until, topics=topics, rescore=rescore)

    def perform(stage: str, shard: int | None = None, minutes: float | None = None) -> dict[str, Any]:
        within = resources if minutes is None else resources.with_settings(scoring_minutes=minutes)
        result = run_stage(stage, resources=within, run_id=run.run_id, shard=shard)
        if on_stage is not None:
            on_stage(stage, result)
        return result

    began = monotonic()
    perform("extract")
    perform("prepare")
    with _page_deadline(resources, run, began):
        try:
            perform("embed")
        except Exception as error:
            unforeseen = not isinstance(error, RerankError)
            log.error(
                "the embedding failed: %s; what has no vector is recalled by BM25",
                error,
                exc_info=unforeseen,
            )
        shards = perform("recall")["shards"]
        ends = monotonic() + resources.settings.scoring_minutes * 60
        # One after the other they share the time that tasks would have each.
        for done, shard in enumerate(shards):
            left = max(0.0, ends - monotonic()) / 60
            try:
                perform("rerank", shard["shard"], minutes=left / (len(shards) - done))
            except Exception as error:
                unforeseen = not isinstance(error, RerankError)
                log.error(
                    "shard %d failed: %s; its pairs get the light order",
                    shard["shard"],
                    error,
                    exc_info=unforeseen,
                )
        perform("degrade")
        published = perform("publish")
    perform("observe")
    raise_blocked(published, pipeline=run.pipeline)
    return _get(resources.database, run.run_id)


@contextmanager
def _page_deadline(resources: Resources, run: Run, began: float) -> Iterator[None]:
    """Publishes the run from a thread when its page is late; what the body publishes later is its next version."""

    def publish_late() -> None:
        try:
            publish_overdue(resources, run_id=run.run_id)
        except Exception:
            log.exception("run %d: its page is late, and could not be published", run.run_id)

    minutes = resources.settings.page_deadline_minutes
    if not minutes:
        yield
        return
    timer = Timer(max(0.0, began + minutes * 60 - monotonic()), publish_late)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
