"""Raw articles → documents, batch by batch: each is cleaned and described, equal texts become one document. At the end
the new texts are placed among their near-copies (clusters.py).

The raw text is never altered. An article without readable text goes to quarantine with a reason, alone: no
article can take the others of its batch with it. What the steps did is counted with the batch that they did it to.
Where there are many batches, helpers on the host's other cores prepare them (batches.py); they are saved here, in their order.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date

import pyarrow as pa
from sqlalchemy import Connection

from rerank_core.errors import CorruptError
from rerank_core.prepare import boilerplate, clusters, helpers
from rerank_core.prepare.cleaning import MAX_RAW, Cleaning
from rerank_core.prepare.helpers import Outcome, Raw
from rerank_core.records import Document, Run
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import runs
from rerank_core.storage.copy import copy_in
from rerank_core.storage.database import Database

log = logging.getLogger(__name__)

BATCH = 100  # revisions that one transaction prepares


@dataclass(frozen=True)
class Prepared:
    """Where each revision of the run went."""

    revisions: int
    documents: int  # distinct texts among them
    copies: int  # revisions whose text another one already had
    quarantined: int
    near_copies: int = 0  # of the documents, those that belong to another text's cluster
    vetoed: int = 0  # texts placed now that were like a leader, and whose marks contradicted its own


def cleaning_of(settings: Settings) -> Cleaning:
    """The steps and the rules that the settings name."""
    return Cleaning(without=frozenset(settings.prepare_without), rules=settings.boilerplate_rules)


def prepare(*, database: Database, settings: Settings, run: Run, fence: int) -> Prepared:
    """Prepare what the run, or an earlier one that was never published, has claimed; a batch a transaction.

    Raises FencedError where a newer try has begun, SettingsError for rules that cannot be read.
    """
    cleaning = cleaning_of(settings)
    boilerplate.load(cleaning.rules)  # a fault in the rules is one of the settings, not of every article
    after, result = 0, None
    while result is None:
        after = _prepare_pending(database, settings, run, fence, cleaning, after)
        result = _finish(database, settings, run, fence, cleaning, after)
    return result


def _prepare_pending(
    database: Database, settings: Settings, run: Run, fence: int, cleaning: Cleaning, after: int
) -> int:
    """Prepare and save what waits behind this revision. Returns the last one."""
    month = run.window.until.date().replace(day=1)
    # Prepared outside of any transaction: a batch of large pages takes longer than one may idle.
    pending = helpers.outcomes(
        _batches(database, run, after), cleaning=cleaning, workers=settings.prepare_workers
    )
    with closing(pending):
        for batch, made in pending:
            with database.transaction() as connection:
                runs.hold_fence(connection, run.run_id, fence)
                _save(connection, _still_there(connection, made), run.run_id, month)
            after = batch[-1].revision_id
            for revision, failure in made.failures.items():
                log.error("revision %d could not be prepared\n%s", revision, failure)
            log.info(
                "prepared up to %d: %d documents, %d refused", after, len(made.documents), len(made.refused)
            )
    return after


def _finish(
    database: Database, settings: Settings, run: Run, fence: int, cleaning: Cleaning, after: int
) -> Prepared | None:
    """Place what is prepared among its near-copies, and close the stage; None where there is more to prepare first."""
    unplaced = None
    vetoed = 0
    if "syndication" not in cleaning.without:
        with database.transaction(read_only=True) as connection:
            unplaced = clusters.find(connection, settings=settings, run=run)
    places = None if unplaced is None else clusters.place(unplaced, settings=settings)
    with database.transaction() as connection:
        runs.hold_fence(connection, run.run_id, fence)
        # No claim is under way while the run says that it has prepared all that was claimed. Claims go
        # one at a time, so what came since has higher numbers.
        db.rows(connection, "runs.lock_claims", pipeline=run.pipeline)
        if _pending(connection, run, after):
            return None
        if unplaced is not None and places is not None:
            db.execute(connection, "prepare.hold")
            if not clusters.keep(connection, pipeline=run.pipeline, found=unplaced, joined=places):
                return None
            vetoed = int(places.vetoed.sum())
        if "syndication" not in cleaning.without:
            clusters.begin_anew(connection, settings=settings, run=run)
        counts = db.one(connection, "prepare.count", run_id=run.run_id)
        assert counts is not None
        result = Prepared(**counts, vetoed=vetoed)
        if result.revisions != result.documents + result.copies + result.quarantined:
            raise CorruptError(f"run {run.run_id}: prepared revisions do not add up: {result}")
        db.execute(connection, "prepare.done", run_id=run.run_id)
        return result


def _batches(database: Database, run: Run, after: int) -> Iterator[Sequence[Raw]]:
    while True:
        with database.transaction(read_only=True) as connection:
            found = _pending(connection, run, after)
        if not found:
            return
        yield found
        after = found[-1].revision_id


def _pending(connection: Connection, run: Run, after: int) -> Sequence[Raw]:
    rows = db.rows(
        connection,
        "prepare.pending",
        pipeline=run.pipeline,
        run_id=run.run_id,
        until=run.window.until,
        after=after,
        batch=BATCH,
        characters=MAX_RAW,
    )
    return [Raw(**row) for row in rows]


def _still_there(connection: Connection, made: Outcome) -> Outcome:
    """What was made, without what was forgotten while it was prepared."""
    db.execute(connection, "prepare.hold")
    found = db.rows(connection, "prepare.there", revision_ids=[*made.documents, *made.refused])
    there = {row["revision_id"] for row in found}
    return replace(
        made,
        documents={revision: one for revision, one in made.documents.items() if revision in there},
        refused={revision: reason for revision, reason in made.refused.items() if revision in there},
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
    distinct = [document for _, document in sorted({one.digest: one for one in documents.values()}.items())]
    connection.exec_driver_sql(
        "CREATE TEMP TABLE IF NOT EXISTS new_document"
        " (digest bytea, month date, lang text, lang_confidence real, flags text, length integer, text text,"
        " terms text, signature bytea, marks text) ON COMMIT DROP"
    )
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
        "marks": pa.array([document.marks for document in distinct], pa.string()),
    }
    copy_in(connection, "pg_temp.new_document", pa.table(columns))
    db.execute(connection, "prepare.documents")
    db.execute(
        connection,
        "prepare.revisions",
        revision_ids=list(documents),
        digests=[document.digest for document in documents.values()],
        titles=[document.title for document in documents.values()],
    )
