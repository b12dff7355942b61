"""Claim what is new: each source row whose version differs from its latest claimed one.

No watermark: rows that commit late or out of order, and hours in which nothing ran, are claimed by
the next run; rows from before the lookback are counted, and taken by a run that is opened with an
earlier `since`. Claim and raw text go into one transaction under a lock of the pipeline, so that no
revision is lost, claimed twice, or claimed without its text. Every source row that is looked at
lands in exactly one bucket; where the sum does not come out, nothing is committed.
"""

from dataclasses import asdict, dataclass

import pyarrow as pa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, ProgrammingError

from rerank_core.errors import SourceError
from rerank_core.records import Run
from rerank_core.settings import DEFAULT_SOURCE, Settings
from rerank_core.storage import database as db
from rerank_core.storage import runs, schemas
from rerank_core.storage.copy import copy_in, copy_out
from rerank_core.storage.database import Database

# Columns of the source view and the Postgres types they may have. The first three are required.
CONTRACT: dict[str, tuple[str, ...]] = {
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
class Extracted:
    """Where each row of the source view went."""

    sighted: int  # rows of the view
    claimed: int  # revisions that this run owns
    unchanged: int  # claimed before, at this version
    too_late: int  # new, but ingested before the lookback
    later: int  # ingested at or after the run's `until`
    forgotten: int  # their articles were forgotten, and stay so
    invalid: int  # article_id, version or ingested_at is null


def extract(*, database: Database, settings: Settings, run: Run, fence: int) -> Extracted:
    """Claim the run's articles. A run that has claimed before claims nothing more, and says what it found then.

    Raises SourceError where the view is missing or breaks its contract, FencedError where a newer
    try has begun.
    """
    if run.claimed:
        with database.transaction(read_only=True) as connection:
            counts = db.one(connection, "extract.counts", run_id=run.run_id)
        assert counts is not None
        return Extracted(**counts)
    if settings.source_url is None:
        with database.transaction() as connection:
            check_contract(connection, settings.source_view)
            view = settings.source_view
            return _claim(connection, run, fence, view=view, keys=view, rows=view)
    with database.transaction() as connection:
        # Before the snapshot is taken: a claim from an older snapshot, after one from a newer, would take an article
        # back to an older version.
        _hold(connection, run, fence)
        with Database(settings.source_url).transaction(read_only=True) as source:
            check_contract(source, settings.source_view)
            _copy_source(source, connection, settings.source_view, run)
        # Exactly the snapshot's rows are claimed, however long that takes: the source is not waited with.
        return _claim(
            connection,
            run,
            fence,
            view=settings.source_view,
            keys="pg_temp.source_key",
            rows="pg_temp.source_row",
        )


def check_contract(connection: Connection, view: str) -> None:
    """Raises SourceError that says which column of the view is missing or of a wrong type."""
    found = {row["name"]: row["type"] for row in db.rows(connection, "extract.columns", view=view)}
    if not found:
        upgrade = "run `rerank db upgrade`, which makes it in the database of RERANK_DATABASE_URL"
        advice = upgrade if view == DEFAULT_SOURCE else "create it, or set RERANK_SOURCE_VIEW"
        raise SourceError(f"source view {view} does not exist; {advice}")
    problems = []
    for name, types in CONTRACT.items():
        if name not in found:
            problems.append(
                f"column {name} is missing"
                + ("" if name in REQUIRED else f" (select NULL::{types[0]} AS {name} where you have none)")
            )
        elif found[name] == "timestamp without time zone":
            problems.append(f"{name} has no time zone; write {name} AT TIME ZONE 'UTC' AS {name}")
        elif found[name] not in types:
            problems.append(f"{name} is {found[name]}; write CAST({name} AS {types[0]}) AS {name}")
    if problems:
        raise SourceError(f"source view {view}: " + "; ".join(problems))


def _hold(connection: Connection, run: Run, fence: int) -> None:
    """Keep newer tries of the run, and other claims of the pipeline, waiting until the transaction ends."""
    runs.hold_fence(connection, run.run_id, fence)
    db.rows(connection, "runs.lock_claims", pipeline=run.pipeline)


def _claim(connection: Connection, run: Run, fence: int, *, view: str, keys: str, rows: str) -> Extracted:
    _hold(connection, run, fence)
    relations = (("keys", keys), ("rows", rows))
    try:
        with connection.begin_nested():
            counts = db.one(
                connection,
                "extract.claim",
                relations,
                pipeline=run.pipeline,
                run_id=run.run_id,
                since=run.window.since,
                until=run.window.until,
            )
    except (IntegrityError, ProgrammingError) as error:
        _refuse_duplicates(connection, view, relations, run, error)
        raise
    assert counts is not None
    result = Extracted(**counts)
    if result.claimed:
        _refuse_duplicates(connection, view, relations, run, None)
    buckets = [count for name, count in asdict(result).items() if name != "sighted"]
    if result.sighted != sum(buckets):
        raise SourceError(f"source view {view}: the rows do not add up: {result}; is article_id unique?")
    db.execute(connection, "extract.claimed", run_id=run.run_id, **asdict(result))
    return result


def _refuse_duplicates(
    connection: Connection,
    view: str,
    relations: tuple[tuple[str, str], ...],
    run: Run,
    cause: Exception | None,
) -> None:
    """Raises SourceError where an article stands in the view twice: its two rows would be claimed by turns for ever."""
    if cause is None:
        twice = db.rows(connection, "extract.duplicates_claimed", relations, run_id=run.run_id)
    else:
        twice = db.rows(connection, "extract.duplicates", relations)
    if twice:
        shown = ", ".join(f"{row['article_id']!r} ({row['rows']} rows)" for row in twice)
        raise SourceError(
            f"source view {view} shows articles more than once: {shown}; make article_id unique"
        ) from cause


def _copy_source(source: Connection, connection: Connection, view: str, run: Run) -> None:
    connection.exec_driver_sql(
        "CREATE TEMP TABLE source_key (article_id text, version text, ingested_at timestamptz) ON COMMIT DROP"
    )
    connection.exec_driver_sql(
        "CREATE TEMP TABLE source_row (article_id text, version text, ingested_at timestamptz, url text, title text,"
        " summary text, body text, lang text, source text, published_at timestamptz) ON COMMIT DROP"
    )
    view_name = (("view", view),)
    copy_in(connection, "pg_temp.source_key", copy_out(source, "extract.source_keys", KEYS, view_name))
    connection.exec_driver_sql("ANALYZE pg_temp.source_key")
    changed = [
        row["article_id"]
        for row in db.rows(
            connection,
            "extract.changed",
            (("keys", "pg_temp.source_key"),),
            pipeline=run.pipeline,
            since=run.window.since,
            until=run.window.until,
        )
    ]
    for start in range(0, len(changed), FETCH_ROWS):
        wanted = changed[start : start + FETCH_ROWS]
        found = copy_out(source, "extract.source_rows", ROWS, view_name, article_ids=wanted)
        copy_in(connection, "pg_temp.source_row", found)
