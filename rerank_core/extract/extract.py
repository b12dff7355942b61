"""Claim what is new: each source row whose version differs from its latest claimed one.

There is no watermark: the next run claims rows that commit late or out of order, and those of hours in which nothing
ran. Rows from before the lookback are counted; a run that is opened with an earlier `since` takes them. Claim and raw
text go into one transaction under a lock of the pipeline, so that no revision is lost, claimed twice, or claimed without
its text. Every source row lands in exactly one bucket; if the sum is wrong, nothing is committed.

If the settings use media, the claim keeps them too, and an article whose media changed counts as new.

What a claim keeps of a row is as the source has it, but for white space around the link, and dates that mean none.
"""

import unicodedata
from dataclasses import asdict, dataclass

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, ProgrammingError

from rerank_core.errors import SourceError
from rerank_core.extract.dates import ZEROS, ZONES, longest_age
from rerank_core.records import Run
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import media_source, runs
from rerank_core.storage.database import Database
from rerank_core.storage.source import Relations, Source, check_contract, copy_snapshot

# What is taken off the ends of a link: white space, controls, and marks that nobody sees.
BLANKS = "".join(
    sign
    for sign in (*map(chr, range(1, 0x3001)), "\ufeff")
    if sign.isspace() or unicodedata.category(sign) in {"Cc", "Cf"}
)


@dataclass(frozen=True)
class Extracted:
    """The number of source rows in each bucket."""

    sighted: int  # rows of the view
    claimed: int  # revisions that this run owns
    unchanged: int  # claimed before, at this version
    too_late: int  # new, but ingested before the lookback
    later: int  # ingested at or after the run's `until`
    forgotten: int  # their articles were forgotten, and stay so
    invalid: int  # article_id, version or ingested_at is null
    dates_ignored: (
        int  # of the claimed: published_at means none or is long before; the age counts from ingestion
    )


def extract(*, database: Database, settings: Settings, run: Run, fence: int) -> Extracted:
    """Claim the run's articles. A run that has claimed before claims nothing more, and returns the counts of that claim.

    Raises SourceError if the view is missing or breaks its contract, FencedError if a newer try has begun.
    """
    if run.claimed:
        with database.transaction(read_only=True) as connection:
            return Extracted(**db.the(connection, "extract.counts", run_id=run.run_id))
    source = Source.of(settings, database)
    with database.transaction() as connection:
        if source.is_elsewhere:
            # Lock before the snapshot: a claim from an older snapshot that follows a claim from a newer one would take an
            # article back to an older version.
            _hold(connection, run, fence)
            relations = copy_snapshot(source, connection, settings, run)
            # Exactly the snapshot's rows are claimed. The source's transaction has ended: it does not wait for the claim.
        else:
            check_contract(connection, source.view)
            relations = Relations(keys=source.view, rows=source.view)
            if settings.media:
                _hold(connection, run, fence)  # a print that another claim has just written is compared, too
                media_source.note_changes(connection, connection, settings, run)
        extracted = _claim(connection, run, fence, source.view, relations)
        if settings.media:
            copied = media_source.COPIED if source.is_elsewhere else settings.media_view
            media_source.keep(connection, settings, run, copied)
        return extracted


def _hold(connection: Connection, run: Run, fence: int) -> None:
    """Keep newer tries of the run, and other claims of the pipeline, waiting until the transaction ends."""
    runs.hold_fence(connection, run.run_id, fence)
    db.rows(connection, "runs.lock_claims", pipeline=run.pipeline)


def _claim(connection: Connection, run: Run, fence: int, view: str, read: Relations) -> Extracted:
    _hold(connection, run, fence)
    relations = (("keys", read.keys), ("rows", read.rows))
    try:
        with connection.begin_nested():
            counts = db.the(
                connection,
                "extract.claim",
                relations,
                pipeline=run.pipeline,
                run_id=run.run_id,
                since=run.window.since,
                until=run.window.until,
                zeros=list(ZEROS),
                zones=ZONES,
                longest_age=longest_age(run.window),
                blanks=BLANKS,
            )
    except (IntegrityError, ProgrammingError) as error:
        _refuse_duplicates(connection, view, relations, run, error)
        raise
    result = Extracted(**counts)
    if result.claimed:
        _refuse_duplicates(connection, view, relations, run, None)
    buckets = [count for name, count in asdict(result).items() if name not in {"sighted", "dates_ignored"}]
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
    """Raise SourceError if the view shows an article twice: its two rows would be claimed by turns for ever."""
    if cause is None:
        twice = db.rows(connection, "extract.duplicates_claimed", relations, run_id=run.run_id)
    else:
        twice = db.rows(connection, "extract.duplicates", relations)
    if twice:
        shown = ", ".join(f"{row['article_id']!r} ({row['rows']} rows)" for row in twice)
        raise SourceError(
            f"source view {view} shows articles more than once: {shown}; make article_id unique"
        ) from cause
