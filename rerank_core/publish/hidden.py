"""Which articles of a page's window must not be shown, and why: hidden by hand, forgotten, or deleted by their source.

Prevents two failures: a page that goes on showing what its source has taken back, and a page that a
broken source view empties. A source in another database may not answer: that stops no page. What an
earlier publication found gone then stays hidden, and the next publication looks again.
"""

import logging
from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection

from rerank_core.errors import DatabaseUnavailable, SourceError
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.database import Database
from rerank_core.storage.source import Source

log = logging.getLogger(__name__)

WHYS = ("deleted", "blocked", "forgotten")  # if several apply, the last one is given; blocked: by hand


def deleted_articles(
    database: Database, settings: Settings, article_ids: Collection[str]
) -> frozenset[str] | None:
    """Which of the window's articles the source does not have any more; none if the settings ignore deletes.

    None: the source did not answer. Raises SourceError if its view cannot be read, or if so many articles are gone at
    once that the source must be at fault.
    """
    if settings.source_deletes == "ignore" or not article_ids:
        return frozenset()
    source = Source.of(settings, database)
    try:
        absence = source.absent(article_ids)
    except DatabaseUnavailable as error:
        if not source.is_elsewhere:
            raise
        log.warning("deleted articles are not looked for: %s", error)
        return None
    gone = frozenset(absence.article_ids)
    if gone:
        _refuse_many(database, settings, article_ids, gone, has_any=not absence.is_empty)
    return gone


def _refuse_many(
    database: Database,
    settings: Settings,
    article_ids: Collection[str],
    gone: Collection[str],
    *,
    has_any: bool,
) -> None:
    """Raise SourceError if too many articles are gone that no earlier publication found gone.

    A few articles are never too many, unless the source has no article left: nobody deletes everything on purpose.
    """
    with database.transaction(read_only=True) as connection:
        known = {article_id for article_id, _ in _hidden(connection, settings.pipeline, article_ids)}
    window = len(article_ids) - len(known)
    at_once = len(set(gone) - known)
    is_many = at_once >= settings.deletes_stop_articles or not has_any
    if is_many and at_once > settings.deletes_stop_share * window:
        raise SourceError(
            f"source view {settings.source_view} lacks {at_once} of the window's {window} articles, all gone at once:"
            " the page stays as it is; repair the view; if they were deleted on purpose,"
            " publish with RERANK_DELETES_STOP_SHARE=1"
        )


def hidden_articles(
    connection: Connection, pipeline: str, article_ids: Collection[str], deleted: Collection[str] | None
) -> dict[str, str]:
    """Article → why it must not be shown, for those of these articles that must not.

    `deleted` is what `deleted_articles` found; None: what an earlier publication found counts.
    """
    pairs = _hidden(connection, pipeline, article_ids)
    if deleted is not None:
        pairs = [pair for pair in pairs if pair[1] != "deleted"]
        pairs += [(article_id, "deleted") for article_id in deleted]
    return dict(sorted(pairs, key=lambda pair: (pair[0], WHYS.index(pair[1]))))


def note_deleted(
    connection: Connection,
    *,
    pipeline: str,
    article_ids: Collection[str],
    deleted: Collection[str],
    fresh_since: datetime,
) -> None:
    """Keep which of the window's articles the source has lost; the next window takes another article of the same text."""
    known = {article_id for article_id, why in _hidden(connection, pipeline, article_ids) if why == "deleted"}
    back = sorted(known - set(deleted))
    db.execute(connection, "hidden.set_back", pipeline=pipeline, article_ids=back, fresh_since=fresh_since)
    db.execute(connection, "hidden.set_deleted", pipeline=pipeline, article_ids=sorted(deleted))


def forgotten_since(
    connection: Connection, pipeline: str, article_ids: Collection[str], hidden: Mapping[str, str]
) -> bool:
    """Whether one of these articles, not hidden yet, has been forgotten meanwhile."""
    found = _hidden(connection, pipeline, article_ids)
    return any(why == "forgotten" and hidden.get(article_id) != why for article_id, why in found)


def _hidden(connection: Connection, pipeline: str, article_ids: Collection[str]) -> list[tuple[str, str]]:
    """(article, why) of those of these articles that are hidden; an article may be hidden for several reasons."""
    window = frozenset(article_ids)  # not copied if it is one
    found = db.rows(connection, "hidden.hidden", pipeline=pipeline)
    return [(row["article_id"], row["why"]) for row in found if row["article_id"] in window]
