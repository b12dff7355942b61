"""The order of the stages, stated once; the DAG and the command line follow it.

    extract → prepare → embed → recall → rerank (one task a shard) → degrade → publish → observe

A stage never starts another stage. Each reads what the stage before left in Postgres and the store, so any of
them can be run again by itself. `run_stage` gives a try its fence, times it and keeps its counts.

A page that is late is published by another process than the one that should score: `publish_overdue`.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any, NoReturn, Self

from sqlalchemy import Connection, RowMapping

from rerank_core.errors import BlockedError, FencedError, InputError, Locked, OverdueError, RerankError
from rerank_core.extract import extract
from rerank_core.frontends import followers
from rerank_core.observe import observe
from rerank_core.prepare import prepare
from rerank_core.publish import gate, publish
from rerank_core.recall import embed, recall
from rerank_core.records import Run
from rerank_core.rerank import degrade, hosts, rerank
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import runs
from rerank_core.storage import topics as stored_topics
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)

STAGES = ("extract", "prepare", "embed", "recall", "rerank", "degrade", "publish", "observe")
PATIENCE_SECONDS = 20.0  # a late page waits so long for a try of the run's own that is at work, or locks it
LOOK_SECONDS = 2.0  # between two looks at a run that is at work by itself, and of a wait for its lock
LATE_LOOK_SECONDS = 10.0  # between two looks at a late run of which nothing is prepared

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
    as_claimed_now: bool = False,
    since: datetime | None = None,
) -> Run:
    """The run with this key, made if there is none yet; see runs.open_run.

    Also raises InputError if a run would be made for a topic that is not active.
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
            as_claimed_now=as_claimed_now,
            since=since,
        )


def check_topics(
    connection: Connection, pipeline: str, *, key: str | None, topics: tuple[str, ...] | None
) -> None:
    """Raise InputError if a run would be made for a topic that is not active; a run that exists keeps its topics."""
    if topics is not None and db.one(connection, "runs.by_key", pipeline=pipeline, key=key) is None:
        stored_topics.check_active(connection, pipeline, topics)


def run_stage(stage: str, *, resources: Resources, run_id: int, shard: int | None = None) -> dict[str, Any]:
    """One try of a stage. Returns its counts, ids and paths, ready for JSON; `seconds` is its wall time.

    Raises InputError for a stage that does not exist, and what the stage raises.
    """
    started = monotonic()
    result = asdict(perform(stage, resources, run_id, shard))
    name = stage if shard is None else f"{stage}[{shard}]"
    return _keep(name, result, resources=resources, run_id=run_id, started=started)


def check_host(stage: str, resources: Resources, *, run_id: int) -> None:
    """Raises HostFault if this host cannot do the stage rerank or embed of the run; see hosts.preflight."""
    database, store, run = resources.database, resources.store, get_run(resources, run_id)
    hosts.preflight(database=database, store=store, settings=resources.settings, run=run, stage=stage)


def publish_overdue(resources: Resources, *, run_id: int, complete: bool = False) -> dict[str, Any] | None:
    """Publish a run whose page is late, with what is prepared and scored of it; None if its page is out, or a newer one.

    A page is not late yet if the run is `complete`, and a task that does not end holds it back. Then no try of its own is overtaken.

    The page may be late because a task of the run never starts, waits, hangs or is slow. So this asks nothing of that task:

    - A run that is prepared is published with the scores that the ledger has. A try of a stage of its own that is at work is
      waited for, but not for long: it is overtaken then.
    - A run that is still being prepared is published with what is prepared; its own try goes on.
    - If nothing of it is prepared, the page before stays, and says that a newer page is overdue. Ask again later.

    If a try of the run's own takes the fence meanwhile, that try wins. When the rest comes after all, the run publishes its next
    version by itself.

    Returns what `run_stage` returns for publish; the numbers are kept as those of the stage `overdue`. Raises OverdueError
    if there is nothing to publish, InputError if there is no such run, and what recall, degrade and publish raise.
    """
    started = monotonic()
    while (late := _take_overdue_fence(resources, run_id, patient=complete)) is not None:
        fence, prepared = late
        try:
            # The run's own try of prepare has the same fence, and stays busy.
            with runs.busy(resources.database, run_id, fence) if prepared else nullcontext():
                published = _publish_unscored(resources, run_id, fence)
        except FencedError:
            log.info("run %d goes on by itself", run_id)
        else:
            return _keep("overdue", asdict(published), resources=resources, run_id=run_id, started=started)
    return None


def _take_overdue_fence(resources: Resources, run_id: int, *, patient: bool) -> tuple[int, bool] | None:
    """A fence for a late run, and whether the run is prepared; None if the run is published.

    A try of the run's own is waited for, if it is at work on what is prepared, or holds the run's lock. After PATIENCE_SECONDS it is
    overtaken, unless we are `patient`: it may stand still, or be dead. Raises OverdueError if nothing is prepared.
    """
    began = monotonic()
    while True:
        overtake = not patient and monotonic() - began >= PATIENCE_SECONDS
        try:
            row = _ask_for_fence(resources.database, run_id, overtake=overtake)
        except Locked:
            log.info("run %d is locked by a try of its own: waiting", run_id)
            continue
        if row is None:
            raise InputError(f"run {run_id} does not exist; `rerank runs` lists those that do")
        if row["published"]:
            return None
        if not row["prepared"] and not row["begun"]:
            _keep_page(resources, run_id)
        if row["fence"] is not None:
            return int(row["fence"]), bool(row["prepared"])
        log.info("run %d is at work on a stage by itself: waiting", run_id)
        sleep(LOOK_SECONDS)


def _ask_for_fence(database: Database, run_id: int, *, overtake: bool) -> RowMapping | None:
    """One look at a late run; with `overtake`, a try that is at work loses the run's lock and fence. Raises Locked."""
    if overtake:
        with database.transaction() as connection:
            ended = db.rows(
                connection, "pipeline.end_holder", run_id=run_id, patience_seconds=PATIENCE_SECONDS
            )
        if ended:
            log.warning("run %d was locked by a try that stands still; its session is ended now", run_id)
    with database.transaction() as connection:
        db.execute(connection, "pipeline.wait_shortly", lock=f"{int(LOOK_SECONDS * 1000)}ms")
        db.one(connection, "runs.hold_fence", run_id=run_id)
        return db.one(connection, "pipeline.take_overdue_fence", run_id=run_id, overtake=overtake)


def _keep_page(resources: Resources, run_id: int) -> NoReturn:
    """Have the page before say that a newer page is overdue. Raises OverdueError."""
    settings, database = resources.settings, resources.database
    with database.transaction() as connection:
        is_first = db.execute(connection, "pipeline.note_overdue", run_id=run_id)
    if is_first:
        followers.follow(database=database, store=resources.store, settings=settings)
    raise OverdueError(
        f"the page of run {run_id} is due, and none of its articles is prepared: readers keep the page that they have, and"
        " overdue_since tells them so; see what holds up extract and prepare"
    )


def _publish_unscored(resources: Resources, run_id: int, fence: int) -> publish.Published:
    """Publish with what is prepared, and the scores that the ledger has; a run whose recall waits is frozen as it is."""
    run = get_run(resources, run_id)
    if not run.prepared:
        prepare.place_prepared(database=resources.database, settings=resources.settings, run=run, fence=fence)
    if not run.frozen:
        perform_fenced("recall", resources, get_run(resources, run_id), fence)
    missing = perform_fenced("degrade", resources, get_run(resources, run_id), fence).missing
    rest = "" if run.prepared else ", and without the articles that are not prepared"
    log.warning("run %d is late: it is published without %d scores%s", run_id, missing, rest)
    published: publish.Published = perform_fenced("publish", resources, get_run(resources, run_id), fence)
    return published


def _keep(
    name: str, result: dict[str, Any], *, resources: Resources, run_id: int, started: float
) -> dict[str, Any]:
    """What follows a stage: the JSON files and the copy in Redis, its metrics, its line in the log."""
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


def perform(stage: str, resources: Resources, run_id: int, shard: int | None = None) -> Any:
    """One try of a stage under a fence of its own, without what follows a stage; returns the stage's record of counts.

    Raises InputError for a stage that does not exist, and what the stage raises.
    """
    settings, database, store = resources.settings, resources.database, resources.store
    if stage == "rerank":
        # No fence: shards score side by side, and the ledger takes each score once, whoever brings it.
        if shard is None:
            raise InputError("the rerank stage needs the number of a shard")
        run = get_run(resources, run_id)
        return rerank.rerank(database=database, store=store, settings=settings, run=run, shard=shard)
    if stage == "embed":
        # No fence: a vector depends on its text and the embedder alone, whoever brings it.
        return embed.embed(database=database, settings=settings, run=get_run(resources, run_id))
    if stage == "observe":
        return observe.observe(database=database, settings=settings, run=get_run(resources, run_id))
    with runs.attempt(database, run_id) as (run, fence):
        return perform_fenced(stage, resources, run, fence)


def perform_fenced(stage: str, resources: Resources, run: Run, fence: int) -> Any:
    """One try of a stage that commits under a fence, which the caller has taken."""
    settings, database, store = resources.settings, resources.database, resources.store
    match stage:
        case "extract":
            return extract.extract(database=database, settings=settings, run=run, fence=fence)
        case "prepare":
            return prepare.prepare(database=database, store=store, settings=settings, run=run, fence=fence)
        case "recall":
            return recall.recall(database=database, store=store, settings=settings, run=run, fence=fence)
        case "degrade":
            return degrade.degrade(database=database, store=store, settings=settings, run=run, fence=fence)
        case "publish":
            return publish.publish(database=database, store=store, settings=settings, run=run, fence=fence)
    raise InputError(f"there is no stage {stage!r}; the stages are {', '.join(STAGES)}")


def raise_blocked(published: Mapping[str, Any], *, pipeline: str) -> None:
    """Raise BlockedError if the stage publish says that the gate has blocked the run; what it published is there."""
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
    resources: Resources, *, run_id: int, reason: str, on_behalf_of: str | None = None
) -> dict[str, Any] | None:
    """Approve a blocked run, and publish it with its scores as a new version of it.

    Returns what the stage publish returns; None if the run was approved and published before. The pointer goes to
    the new version only if no newer run is the page. `on_behalf_of`: see gate.decide. Raises what gate.approve and the stage raise.
    """
    first = gate.approve(
        resources.database,
        run_id=run_id,
        pipeline=resources.settings.pipeline,
        reason=reason,
        on_behalf_of=on_behalf_of,
    )
    if not first:
        with resources.database.transaction(read_only=True) as connection:
            latest = db.one(connection, "publish.latest", run_id=run_id)
        if latest is not None and latest["blocked"] is None:
            return None
    return run_stage("publish", resources=resources, run_id=run_id)


def get_run(resources: Resources, run_id: int) -> Run:
    """The run with this number. Raises InputError if there is none."""
    with resources.database.transaction(read_only=True) as connection:
        return runs.get(connection, run_id)


def run_all(
    resources: Resources,
    *,
    key: str | None = None,
    until: datetime | None = None,
    topics: tuple[str, ...] | None = None,
    rescore: bool = False,
    as_claimed_now: bool = False,
    on_stage: OnStage | None = None,
) -> Run:
    """Run every stage in order, in this process; `on_stage(stage, result)` hears of each.

    As in the DAG, the page may be degraded but is never down: a shard that fails gets the light order, and documents that
    could not be embedded are recalled by BM25. Raises BlockedError at the end if the gate has blocked the run.
    """
    run = open_run(
        resources, key=key, until=until, topics=topics, rescore=rescore, as_claimed_now=as_claimed_now
    )

    def run_next(stage: str, shard: int | None = None, minutes: float | None = None) -> dict[str, Any]:
        within = resources if minutes is None else resources.with_settings(scoring_minutes=minutes)
        result = run_stage(stage, resources=within, run_id=run.run_id, shard=shard)
        if on_stage is not None:
            on_stage(stage, result)
        return result

    with _page_deadline(resources, run):
        run_next("extract")
        run_next("prepare")
        try:
            run_next("embed")
        except Exception as error:
            _log_failure(error, "the embedding failed: %s; what has no vector is recalled by BM25")
        shards = run_next("recall")["shards"]
        ends = monotonic() + resources.settings.scoring_minutes * 60
        # One after the other they share the time that tasks would have each.
        for done, shard in enumerate(shards):
            left = max(0.0, ends - monotonic()) / 60
            try:
                run_next("rerank", shard["shard"], minutes=left / (len(shards) - done))
            except Exception as error:
                _log_failure(error, f"shard {shard['shard']} failed: %s; its pairs get the light order")
        run_next("degrade")
        published = run_next("publish")
    run_next("observe")
    raise_blocked(published, pipeline=run.pipeline)
    return get_run(resources, run.run_id)


def _log_failure(error: Exception, message: str) -> None:
    """Log an error that stops no page; with its traceback if the library does not raise it on purpose."""
    log.error(message, error, exc_info=not isinstance(error, RerankError))


@contextmanager
def _page_deadline(resources: Resources, run: Run) -> Iterator[None]:
    """Publish the run from a thread if its page is late; what the body publishes later is the run's next version."""
    over = Event()

    def publish_late() -> None:
        wait = resources.settings.page_deadline_minutes * 60
        while not over.wait(wait):
            try:
                publish_overdue(resources, run_id=run.run_id)
                return
            except OverdueError as error:
                log.warning("%s", error)
                wait = LATE_LOOK_SECONDS
            except Exception as error:
                _log_failure(error, f"run {run.run_id}: its page is late, and could not be published: %s")
                return

    if not resources.settings.page_deadline_minutes:
        yield
        return
    thread = Thread(target=publish_late, name="page deadline", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
