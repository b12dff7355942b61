"""The stage prepare: raw articles → documents, batch by batch; then the new texts are placed in clusters.

1. Read a batch of revisions that wait (`_batches`): so many that their texts take a bounded memory.
2. Have helpers clean and describe their texts (helpers.py): no text of a stranger is parsed in this process.
3. Save documents, refusals and counts, a batch or a part of one in a transaction (`_save`). Equal texts become one document.
   What became of articles' media is saved with them, if the settings use media (media.py).
4. Place the new texts among their near-copies (clusters.py), check that the counts add up, and close the stage.

The raw text is never altered. An article without readable text goes to quarantine with a reason, alone, and so does an article
that takes more time or memory than it may. It cannot take the other articles of its batch with it, and no later run takes it up.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain, islice

import pyarrow as pa
from sqlalchemy import Connection

from rerank_core.errors import CorruptError
from rerank_core.prepare import boilerplate, clusters, helpers, media
from rerank_core.prepare.cleaning import READ_AHEAD, Cleaning
from rerank_core.prepare.helpers import MAX_HELPERS, Limits, Outcome, Raw
from rerank_core.prepare.near_copies import Joined
from rerank_core.records import Document, Run
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import runs
from rerank_core.storage.copy import copy_in
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)

BATCH = 100  # revisions that one transaction prepares, at most
BATCH_BYTES = 8 << 20  # of their raw texts; a larger article is a batch by itself
MANY = 4  # batches; more helpers than one are worth their start if more than this many wait


@dataclass(frozen=True)
class Prepared:
    """Where each revision of the run went. revisions = documents + copies + quarantined."""

    revisions: int
    documents: int  # distinct texts of the revisions
    copies: int  # revisions whose text is exactly that of another revision of the run
    quarantined: int  # revisions that cannot be prepared
    near_copies: int = 0  # documents that belong to another text's cluster
    vetoed: int = (
        0  # texts placed by this try that lead because they tell another story than a similar leader
    )
    corrections: int = 0  # texts placed by this try that say that they correct another text


def cleaning_of(settings: Settings) -> Cleaning:
    """The steps and the rules of boilerplate that the settings name."""
    return Cleaning(without=frozenset(settings.prepare_without), rules=settings.boilerplate_rules)


def limits_of(settings: Settings) -> Limits:
    """What one article may take, by the settings."""
    return Limits(seconds=settings.prepare_seconds, mib=settings.prepare_mib)


def prepare(*, database: Database, store: Store, settings: Settings, run: Run, fence: int) -> Prepared:
    """Prepare what this run, and earlier runs that were never published, have claimed.

    Raises FencedError if a newer try of the run has begun, SettingsError if the rules of boilerplate cannot be read,
    CorruptError if the counts do not add up, StoreUnavailable if media are used and the store does not answer.
    """
    cleaning = cleaning_of(settings)
    desk = media.Desk(database, store, settings) if settings.media else None
    boilerplate.load(cleaning.rules)  # first, so that a fault in the rules does not refuse every article
    after, result = 0, None
    while result is None:
        after = _prepare_pending(database, store, settings, run, fence, cleaning, desk, after)
        result = _finish(database, settings, run, fence, after)
    return result


def _prepare_pending(
    database: Database,
    store: Store,
    settings: Settings,
    run: Run,
    fence: int,
    cleaning: Cleaning,
    desk: media.Desk | None,
    after: int,
) -> int:
    """Prepare and save the revisions that wait after this revision. Returns the last revision."""
    month = run.window.until.date().replace(day=1)
    # Outside of any transaction: a batch of large pages takes longer than a transaction may idle.
    batches = _batches(database, run, after, desk)
    first = list(islice(batches, MANY + 1))
    workers = settings.prepare_workers or min(helpers.usable_cores(), MAX_HELPERS)
    prepared = helpers.outcomes(
        chain(first, batches),
        cleaning=cleaning,
        limits=limits_of(settings),
        number=workers if len(first) > MANY else 1,
        desk=desk,
    )
    with closing(prepared):
        for made in prepared:
            with database.transaction() as connection:
                runs.hold_fence(connection, run.run_id, fence)
                kept = _without_forgotten(connection, made)
                media.save(connection, store, kept.media)
                _save(connection, kept, run.run_id, month)
            after = max(after, made.last)
            log.info(
                "prepared up to revision %d: %d documents, %d refused",
                after,
                len(made.documents),
                len(made.refused),
            )
    return after


def place_prepared(*, database: Database, settings: Settings, run: Run, fence: int) -> None:
    """Place what is prepared so far in clusters, for a page that waits no longer. The stage goes on, and places the rest.

    Raises FencedError if a newer try of the run has begun.
    """
    placed = "syndication" in settings.prepare_without
    while not placed:
        unplaced, places = _find_places(database, settings, run)
        with database.transaction() as connection:
            runs.hold_fence(connection, run.run_id, fence)
            db.rows(connection, "runs.lock_claims", pipeline=run.pipeline)
            placed = _keep_places(connection, run, unplaced, places)


def _find_places(
    database: Database, settings: Settings, run: Run
) -> tuple[clusters.Unplaced | None, Joined | None]:
    """The texts that have no place in a cluster yet, and their places; None if all have one."""
    with database.transaction(read_only=True) as connection:
        unplaced = clusters.find_unplaced(connection, settings=settings, run=run)
    return unplaced, None if unplaced is None else clusters.place(unplaced, settings=settings)


def _keep_places(
    connection: Connection, run: Run, unplaced: clusters.Unplaced | None, places: Joined | None
) -> bool:
    """Write the places; False if the clusters have changed meanwhile. The caller makes claims wait."""
    if unplaced is None or places is None:
        return True
    db.execute(connection, "prepare.hold")
    return clusters.keep(connection, pipeline=run.pipeline, unplaced=unplaced, joined=places)


def _finish(database: Database, settings: Settings, run: Run, fence: int, after: int) -> Prepared | None:
    """Place the prepared texts in clusters, and close the stage; None if there is more to prepare first."""
    unplaced = places = None
    has_clusters = "syndication" not in settings.prepare_without
    if has_clusters:
        unplaced, places = _find_places(database, settings, run)
    with database.transaction() as connection:
        runs.hold_fence(connection, run.run_id, fence)
        # With this lock no claim is under way while the run says that it has prepared everything claimed. Claims go
        # one at a time, so newer claims have higher revision numbers.
        db.rows(connection, "runs.lock_claims", pipeline=run.pipeline)
        if _pending(connection, run, after):
            return None
        if not _keep_places(connection, run, unplaced, places):
            return None
        vetoed = 0 if places is None else int(places.vetoed.sum())
        corrections = 0 if unplaced is None else int(unplaced.is_correction().sum())
        if has_clusters:
            clusters.begin_again(connection, settings=settings, run=run)
        counts = db.the(connection, "prepare.count", run_id=run.run_id)
        result = Prepared(**counts, vetoed=vetoed, corrections=corrections)
        accounted = result.documents + result.copies + result.quarantined
        if result.revisions != accounted:
            raise CorruptError(
                f"run {run.run_id}: prepared revisions do not add up: expected {result.revisions} ="
                f" documents + copies + quarantined, found {accounted}: {result}; start a new run, and report it"
            )
        db.execute(connection, "prepare.done", run_id=run.run_id)
        return result


def _batches(
    database: Database, run: Run, after: int, desk: media.Desk | None = None
) -> Iterator[Sequence[Raw]]:
    while True:
        with database.transaction(read_only=True) as connection:
            batch = _pending(connection, run, after)
            if desk is not None:
                listed = desk.listed(connection, [raw.revision_id for raw in batch])
                of_each = [listed.get(raw.revision_id, ()) for raw in batch]
                batch = [
                    replace(raw, media=own, told=desk.told(own))
                    for raw, own in zip(batch, of_each, strict=True)
                ]
        if not batch:
            return
        yield batch
        after = batch[-1].revision_id


def _pending(connection: Connection, run: Run, after: int) -> Sequence[Raw]:
    rows = db.rows(
        connection,
        "prepare.pending",
        pipeline=run.pipeline,
        run_id=run.run_id,
        until=run.window.until,
        after=after,
        batch=BATCH,
        bytes=BATCH_BYTES,
        characters=READ_AHEAD + 1,  # one more says that there was more
    )
    return [Raw(**row) for row in rows]


def _without_forgotten(connection: Connection, made: Outcome) -> Outcome:
    """The outcome without the revisions whose article was forgotten while it was prepared."""
    db.execute(connection, "prepare.hold")
    rows = db.rows(connection, "prepare.remaining", revision_ids=[*made.documents, *made.refused])
    remaining = {row["revision_id"] for row in rows}
    return replace(
        made,
        documents={
            revision: document for revision, document in made.documents.items() if revision in remaining
        },
        refused={revision: reason for revision, reason in made.refused.items() if revision in remaining},
        media={revision: seen for revision, seen in made.media.items() if revision in remaining},
    )


def _save(connection: Connection, made: Outcome, run_id: int, month: date) -> None:
    if made.documents:
        _save_documents(connection, made.documents, month)
    if made.refused:
        db.execute(
            connection,
            "prepare.quarantine",
            revision_ids=list(made.refused),
            reasons=list(made.refused.values()),
        )
    counts = sorted(+made.counts)
    if counts:
        db.execute(
            connection,
            "prepare.tally",
            run_id=run_id,
            names=counts,
            values=[made.counts[name] for name in counts],
        )


def _save_documents(connection: Connection, documents: dict[int, Document], month: date) -> None:
    by_digest = {document.digest: document for document in documents.values()}
    distinct = [by_digest[digest] for digest in sorted(by_digest)]
    db.execute(connection, "prepare.new_document_table")
    columns = {
        "digest": pa.array([document.digest for document in distinct], pa.binary()),
        "month": pa.array([month] * len(distinct), pa.date32()),
        "lang": pa.array([document.lang for document in distinct], pa.string()),
        "lang_confidence": pa.array([document.lang_confidence for document in distinct], pa.float32()),
        "flags": pa.array([" ".join(document.flags) for document in distinct], pa.string()),
        "length": pa.array([len(document.text) for document in distinct], pa.int32()),
        "text": pa.array([document.text for document in distinct], pa.string()),
        "terms": pa.array([document.terms for document in distinct], pa.string()),
        "signature": pa.array([document.signature for document in distinct], pa.binary()),
    }
    if any(document.pictures for document in distinct):
        pictures = [list(document.pictures) for document in distinct]
        columns["pictures"] = pa.array(pictures, pa.list_(pa.string()))
    copy_in(connection, "pg_temp.new_document", pa.table(columns))
    db.execute(connection, "prepare.documents")
    db.execute(
        connection,
        "prepare.revisions",
        revision_ids=list(documents),
        digests=[document.digest for document in documents.values()],
        titles=[document.title for document in documents.values()],
        letters_in=[document.letters_in for document in documents.values()],
        letters_out=[document.letters_out for document in documents.values()],
    )
