"""Show how one article was prepared.

A helper takes the steps again on the raw text, with the current settings. Nothing is stored. `Preparation.is_stored` says
whether the steps still make the document that the article has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import RowMapping

from rerank_core.errors import InputError
from rerank_core.prepare import boilerplate, helpers
from rerank_core.prepare.answers import NoAnswer
from rerank_core.prepare.captions import Told
from rerank_core.prepare.documents import digest_with
from rerank_core.prepare.prepare import cleaning_of, limits_of
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.database import Database


@dataclass(frozen=True)
class Preparation:
    """How an article became a document."""

    number: int  # of the latest revision
    claimed_by: int  # id of the run that claimed the revision
    raw: tuple[tuple[str, str], ...]  # (field, text) as claimed; empty if the raw text is past retention
    # Step → what it did, a line each; empty if the raw text is past retention.
    steps: Mapping[str, Sequence[str]]
    document_id: int | None  # None if the revision is in quarantine, or not prepared yet
    text: str | None  # of the document
    is_stored: bool  # the steps make the text that is stored


def show(*, database: Database, settings: Settings, article_id: str) -> Preparation:
    """How the latest revision of an article was prepared. Raises InputError if no run has claimed the article."""
    with database.transaction(read_only=True) as connection:
        row = db.one(connection, "show.steps", pipeline=settings.pipeline, article_id=article_id)
        told = None
        if row is not None and "captions" in settings.media:
            captions = db.rows(connection, "show.captions", revision_id=row["revision_id"])
            told = [(caption["kind"], caption["said"]) for caption in captions]
    if row is None:
        raise InputError(
            f"article {article_id!r} was never claimed in pipeline {settings.pipeline!r}; check the id, or wait for the"
            " next run, which claims new articles"
        )
    raw = tuple((name, row[name]) for name in ("title", "summary", "body") if row[name])
    steps, digest = _trace(settings, row, told)
    if digest is not None and row["pictures"]:
        digest = digest_with(bytes.fromhex(digest), tuple(row["pictures"])).hex()
    return Preparation(
        number=row["number"],
        claimed_by=row["run_id"],
        raw=raw,
        steps=steps,
        document_id=row["document_id"],
        text=row["text"],
        is_stored=row["document_id"] is not None and bytes(row["digest"]).hex() == digest,
    )


def _trace(
    settings: Settings, row: RowMapping, told: Sequence[Told] | None
) -> tuple[Mapping[str, Sequence[str]], str | None]:
    """What each step does to a revision, and the digest of the document; None if it goes to quarantine.

    No steps if the raw text is past retention. A helper that has no answer is one step more: `quarantine`.
    """
    if not row["has_raw"]:
        return {}, None
    cleaning = cleaning_of(settings)
    boilerplate.load(cleaning.rules)  # a fault in the rules is no fault of the article
    limits = limits_of(settings)
    limits = replace(limits, seconds=3 * limits.seconds)  # each step is taken alone, then all of them at once
    article = {name: row[name] for name in ("title", "summary", "body", "lang")}
    try:
        told_only = {} if told is None else {"told": told}
        traced = helpers.trace(cleaning=cleaning, limits=limits, **article, **told_only)
    except NoAnswer as reason:
        return {"quarantine": [str(reason)]}, None
    return traced.steps, traced.digest
