"""Raw article → document: HTML to clean text, language, BM25 terms; equal texts become one document.

The raw text is never altered. An article without text goes to quarantine with a reason, alone: no
article can take the others of its batch with it.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
from sqlalchemy import Connection, RowMapping

from rerank_core import database as db
from rerank_core import runs
from rerank_core.database import Database
from rerank_core.errors import CorruptError
from rerank_core.records import Document, Run
from rerank_core.text import MAX_HTML, language, plain_text, terms

log = logging.getLogger(__name__)

BATCH = 200  # revisions that one transaction prepares
MAX_CHARACTERS = 20_000  # of a document's text; far beyond what the model reads


class Unpreparable(Exception):
    """The article has no text that could be ranked; its message is the reason."""


@dataclass(frozen=True)
class Prepared:
    """Where each revision of the run went."""

    revisions: int
    documents: int  # distinct texts among them
    copies: int  # revisions whose text another one already had
    quarantined: int


def prepare(*, database: Database, run: Run, fence: int) -> Prepared:
    """Prepare what the run, or an earlier one that was never published, has claimed; a batch a transaction.

    Raises FencedError where a newer try has begun.
    """
    month = run.window.until.date().replace(day=1)
    after = 0
    while True:
        with database.transaction(read_only=True) as connection:
            found = _pending(connection, run, after)
        # Parsed outside of any transaction: a batch of large pages takes longer than one may idle.
        documents: dict[int, Document] = {}
        refused: dict[int, str] = {}
        for row in found:
            try:
                documents[row["revision_id"]] = to_document(
                    title=row["title"], summary=row["summary"], body=row["body"], lang=row["lang"]
                )
            except Unpreparable as reason:
                refused[row["revision_id"]] = str(reason)
            except Exception as error:
                # Whatever a parser does with it, one article must not stop all later ones.
                log.exception("revision %d could not be prepared", row["revision_id"])
                refused[row["revision_id"]] = f"unreadable: {type(error).__name__} in its preparation"
        with database.transaction() as connection:
            runs.hold_fence(connection, run.run_id, fence)
            if found:
                _save(connection, documents, refused, month)
                after = found[-1]["revision_id"]
                log.info("prepared up to %d: %d documents, %d refused", after, len(documents), len(refused))
                continue
            # No claim is under way while the run says that it has prepared all that was claimed. Claims go
            # one at a time, so what came since has higher numbers.
            db.rows(connection, "extract_lock", pipeline=run.pipeline)
            if _pending(connection, run, after):
                continue
            counts = db.one(connection, "prepare_count", run_id=run.run_id)
            assert counts is not None
            result = Prepared(**counts)
            if result.revisions != result.documents + result.copies + result.quarantined:
                raise CorruptError(f"run {run.run_id}: prepared revisions do not add up: {result}")
            db.execute(connection, "prepare_done", run_id=run.run_id)
            return result


def _pending(connection: Connection, run: Run, after: int) -> Sequence[RowMapping]:
    return db.rows(
        connection,
        "prepare_pending",
        pipeline=run.pipeline,
        run_id=run.run_id,
        until=run.window.until,
        after=after,
        batch=BATCH,
        characters=MAX_HTML,
    )


def _save(
    connection: Connection, documents: dict[int, Document], refused: dict[int, str], month: date
) -> None:
    if documents:
        distinct = sorted({document.digest: document for document in documents.values()}.items())
        connection.exec_driver_sql(
            "CREATE TEMP TABLE IF NOT EXISTS new_document"
            " (digest bytea, month date, lang text, length integer, text text, terms text) ON COMMIT DROP"
        )
        db.copy_in(
            connection,
            "pg_temp.new_document",
            pa.table(
                {
                    "digest": pa.array([digest for digest, _ in distinct], pa.binary()),
                    "month": pa.array([month] * len(distinct), pa.date32()),
                    "lang": pa.array([document.lang for _, document in distinct], pa.string()),
                    "length": pa.array([len(document.text) for _, document in distinct], pa.int32()),
                    "text": pa.array([document.text for _, document in distinct], pa.string()),
                    "terms": pa.array([document.terms for _, document in distinct], pa.string()),
                }
            ),
        )
        db.execute(connection, "prepare_documents")
        db.execute(
            connection,
            "prepare_revisions",
            revision_ids=list(documents),
            digests=[document.digest for document in documents.values()],
            titles=[document.title for document in documents.values()],
        )
    if refused:
        db.execute(
            connection, "prepare_quarantine", revision_ids=list(refused), reasons=list(refused.values())
        )


def to_document(*, title: str | None, summary: str | None, body: str | None, lang: str | None) -> Document:
    """The document that the model and BM25 read: title, summary and body, one empty line between.

    A summary that the body begins with is not repeated. Raises Unpreparable where no text is left.
    """
    clean_title = plain_text(title).replace("\n", " ")
    clean_summary = plain_text(summary)
    clean_body = plain_text(body)
    if clean_summary and clean_body.startswith(clean_summary):
        clean_summary = ""
    if clean_title and clean_body.startswith(clean_title + "\n"):
        clean_body = clean_body[len(clean_title) :].lstrip("\n")
    text = "\n\n".join(part for part in (clean_title, clean_summary, clean_body) if part)[:MAX_CHARACTERS]
    if not any(character.isalnum() for character in text):
        raise Unpreparable("empty: no letter or digit in title, summary and body")
    found = language(text, claimed=lang)
    return Document(
        digest=hashlib.sha256(text.encode("utf-8")).digest(),
        title=clean_title or text.split("\n", 1)[0][:200],
        text=text,
        lang=found,
        terms=" ".join(terms(text, lang=found)),
    )
