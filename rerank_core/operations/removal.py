"""Take articles away: `block` hides one at once, `forget` removes its text everywhere and for good.

Forgetting is one transaction: a reader sees all of an article or nothing. Files of the store are never changed. So
the page that shows the article is published again without it, and every file that shows the article is due for
deletion when the grace period is over. A tombstone keeps the article away: no later claim brings it back, and no try
that still holds its text. What is outside of the database, the store's current files and the copy in Redis cannot be reached
from here; `unreached` says what that is.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from rerank_core.errors import InputError, RerankError
from rerank_core.frontends import followers, json_pages
from rerank_core.prepare import clusters
from rerank_core.publish import publications
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import source
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Blocked:
    """What is known of an article that was blocked or unblocked."""

    claimed: bool  # the pipeline knows the article
    topics: tuple[str, ...]  # their current rankings have the article


@dataclass(frozen=True)
class Forgotten:
    """What was removed of an article."""

    pipelines: tuple[str, ...]  # they had claimed the article, or will never claim it now
    known: bool  # false: no claim, no row of the default source and no earlier removal has this id
    revisions: int
    texts: int  # raw texts
    documents: int  # prepared texts that no other article has
    shared: int  # prepared texts that another article also has; they stay with that article
    scores: int  # of these documents, in the ledger
    source_rows: int  # of the default source
    rankings: int  # rows of publications that showed its title
    reissued: tuple[str, ...]  # files of the pages that were published again without the article
    due: tuple[str, ...]  # files that show the article, due for deletion
    due_at: datetime  # when these files are removed
    pictures: tuple[
        str, ...
    ]  # that no other article has; the clean-up removes them, at that time at the latest
    folders: Mapping[
        str, datetime
    ]  # topic files of earlier pages, which may show the article → when they are removed
    scorers: tuple[
        int, ...
    ]  # scorer_ids of tuned models that learned from its text, which cannot be taken out of them
    shown_in: tuple[str, ...]  # pipelines whose topic files could not be replaced, and still show it


def block(*, database: Database, store: Store, settings: Settings, article_id: str, reason: str) -> Blocked:
    """Hide an article from the views at once, and from every later page. Raises InputError if `reason` is empty."""
    _check(article_id, reason)
    pipeline = settings.pipeline
    with database.transaction() as connection:
        db.execute(connection, "removal.block", pipeline=pipeline, article_id=article_id, reason=reason)
        found = _blocked(connection, pipeline, article_id)
    followers.follow(database=database, store=store, settings=settings)
    return found


def unblock(*, database: Database, store: Store, settings: Settings, article_id: str) -> Blocked:
    """End a block. Raises InputError if the article is not hidden."""
    pipeline = settings.pipeline
    with database.transaction() as connection:
        if not db.execute(connection, "removal.unblock", pipeline=pipeline, article_id=article_id):
            raise InputError(
                f"article {article_id!r} is not hidden in pipeline {pipeline}, so no block of it can end"
            )
        found = _blocked(connection, pipeline, article_id)
    followers.follow(database=database, store=store, settings=settings)
    return found


def _blocked(connection: Connection, pipeline: str, article_id: str) -> Blocked:
    row = db.the(connection, "removal.known", pipeline=pipeline, article_id=article_id)
    return Blocked(claimed=row["claimed"], topics=tuple(row["topics"]))


def forget(
    *, database: Database, store: Store, settings: Settings, article_id: str, reason: str
) -> Forgotten:
    """Remove an article's text in this pipeline, and in every other pipeline that has claimed the same row of the source.

    May be repeated, and then finds nothing left. Raises InputError if `reason` is empty, CorruptError if the page that
    shows the article is past retention, SettingsError if the settings of one of these pipelines are wrong; nothing is
    removed then.
    """
    _check(article_id, reason)
    forgotten = None
    while forgotten is None:
        with database.transaction() as connection:
            claimers = db.rows(
                connection, "removal.pipelines", pipeline=settings.pipeline, article_id=article_id
            )
            pipelines = [row["pipeline"] for row in claimers]
            pipeline_settings = [settings.of(pipeline) for pipeline in pipelines]
            if _hold(connection, pipelines):
                forgotten = _forget(connection, store, settings, pipelines, article_id, reason)
    for own_settings in pipeline_settings:
        followers.follow(database=database, store=store, settings=own_settings)
    with database.transaction(read_only=True) as connection:
        folders = db.rows(connection, "removal.folders", pipelines=list(forgotten.pipelines))
    return replace(
        forgotten,
        folders={row["path"]: row["due_at"] for row in folders},
        shown_in=tuple(name for name in forgotten.pipelines if not _is_replaced(database, store, name)),
    )


def _is_replaced(database: Database, store: Store, pipeline: str) -> bool:
    """Whether the topic files show what frontends see."""
    try:
        return json_pages.is_up_to_date(database, store, pipeline)
    except RerankError as error:
        log.warning("whether the topic files of pipeline %s are up to date is not known: %s", pipeline, error)
        return False


def unreached(settings: Settings, *, is_local: bool) -> tuple[str, ...]:
    """Where copies of a forgotten article may be that this library cannot reach; a sentence for each place."""
    places = ["backups and replicas of the database keep its text until they expire"]
    if is_local:
        places.append("backups and snapshots of the store's folder keep its files")
    else:
        places.append(
            "the bucket keeps earlier versions of deleted files if versioning is on, and so do its replicas and backups: delete"
            " the versions of the paths above"
        )
    places.append(
        "caches between the store and readers may show its topic files for an hour, and readers keep what they have copied"
    )
    if settings.redis_url is not None:
        places.append("snapshots of Redis keep the page as it was when they were made")
    if settings.milvus_url is not None:
        places.append(
            "Milvus keeps the vector of its text until the next clean-up, and its own backups for longer"
        )
    if not source.is_default(settings):
        places.append(f"the source {settings.source_view} was not changed: delete the article there, too")
    places.append("the tombstone keeps its id and the reason that you gave, so that nothing brings it back")
    return tuple(places)


def _hold(connection: Connection, pipelines: Sequence[str]) -> bool:
    """Make claims and publications of these pipelines wait, and clean-ups; False if a page moved before they waited."""
    db.rows(connection, "maintain.lock")  # first, as clean-ups do
    held = db.rows(connection, "removal.hold_runs", pipelines=list(pipelines))
    for pipeline in pipelines:
        db.rows(connection, "runs.lock_claims", pipeline=pipeline)
    for pipeline in pipelines:
        publications.lock(connection, pipeline)
    pages = [db.one(connection, "publications.standing", pipeline=pipeline) for pipeline in pipelines]
    return {page["run_id"] for page in pages if page is not None} <= {row["run_id"] for row in held}


def _forget(
    connection: Connection,
    store: Store,
    settings: Settings,
    pipelines: Sequence[str],
    article_id: str,
    reason: str,
) -> Forgotten:
    """Remove the article within one transaction; `_hold` has made everybody else wait."""
    of_article: dict[str, Any] = {"pipelines": list(pipelines), "article_id": article_id}
    new_tombstones = [
        db.execute(connection, "removal.tombstone", pipeline=pipeline, article_id=article_id, reason=reason)
        for pipeline in pipelines
    ]
    publications_with_it = db.rows(connection, "removal.publications", **of_article)
    reissued = [
        _reissue(connection, store, page["pipeline"], page["publication_id"], reason)
        for page in publications_with_it
        if page["is_current"]
    ]
    publication_ids = [page["publication_id"] for page in publications_with_it]
    paths = [page["parquet_path"] for page in publications_with_it]
    grace_seconds = settings.store_grace_hours * 3600
    db.execute(connection, "removal.withdraw", publication_ids=publication_ids)
    rankings = db.execute(connection, "removal.rows", publication_ids=publication_ids, article_id=article_id)
    db.execute(
        connection,
        "removal.due",
        paths=paths,
        grace_seconds=grace_seconds,
        reason=f"shows article {article_id!r}, which was forgotten",
    )
    due_at = db.the(connection, "removal.due_at", grace_seconds=grace_seconds)
    texts = db.execute(connection, "removal.texts", **of_article)
    pictures = [row["path"] for row in db.rows(connection, "removal.media", **of_article)]
    db.execute(connection, "desk.forget", **of_article)
    db.execute(connection, "removal.lock_documents")
    revisions = db.rows(connection, "removal.revisions", **of_article)
    document_ids = sorted({row["document_id"] for row in revisions if row["document_id"] is not None})
    clusters.promote(connection, document_ids)
    removed = db.the(connection, "removal.documents", document_ids=document_ids)
    lessons = db.rows(connection, "removal.lessons", **of_article)
    is_ours = source.is_default(settings)
    source_rows = db.execute(connection, "removal.source", article_id=article_id) if is_ours else 0
    return Forgotten(
        pipelines=tuple(pipelines),
        known=bool(revisions or source_rows or not all(new_tombstones)),
        revisions=len(revisions),
        texts=texts,
        documents=removed["documents"],
        shared=len(document_ids) - removed["documents"],
        scores=removed["scores"],
        source_rows=source_rows,
        rankings=rankings,
        reissued=tuple(reissued),
        due=tuple(paths),
        due_at=due_at["due_at"],
        scorers=tuple(row["scorer_id"] for row in lessons),
        pictures=tuple(pictures),
        folders={},  # known when the files have followed
        shown_in=(),
    )


def _reissue(connection: Connection, store: Store, pipeline: str, publication_id: int, reason: str) -> str:
    """Publish the page again and move the pointer to it; returns the path of its file."""
    again = publications.reissue(connection, store=store, publication_id=publication_id)
    db.rows(
        connection,
        "removal.replace",
        pipeline=pipeline,
        publication_id=again.publication_id,
        from_publication_id=publication_id,
        reason=f"forget: {reason}",
    )
    return again.parquet_path


def _check(article_id: str, reason: str) -> None:
    if not article_id or any(ord(character) == 0 for character in article_id):
        raise InputError(f"{article_id!r} is the id of no article; give the id that the source has")
    if not reason.strip():
        raise InputError("removing an article needs a reason that others can read later; give --reason")
