"""The hand of an editor: pin, boost or demote an article in a topic, for a time; list what stands, and undo it.

An act counts from the next page on. It is never changed: who made it, for whom, when and why stays, and also who undid it. In
a topic one article has one act, and one place has one pin. Indexes of the database see to that, so that of two
editors who act at once the second gets an error, which says who was first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from rerank_core.errors import InputError
from rerank_core.publish.editorial import to_act, told
from rerank_core.records import Act, ActKind, Topic
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import topics
from rerank_core.storage.database import Database
from rerank_core.storage.source import Source

MOST_PLACES = 1_000  # of a boost or demotion
DAYS = 366  # an act lasts no longer

# shown       the current page follows the act
# next        the act was made after the current page: the next one follows it
# not ranked  the page follows the act, but has no row of the article: it is not ranked there, or stands for a near-copy
# hidden      somebody has hidden the article, or its source has lost it: no page shows it
# outside     the article has left the freshness window: no page to come shows it
# unclaimed   no run has claimed the article yet
Effect = Literal["shown", "next", "not ranked", "hidden", "outside", "unclaimed"]


@dataclass(frozen=True)
class Standing:
    """An act that stands now, and what comes of it."""

    act: Act
    title: str | None  # null: no run has claimed the article
    effect: Effect
    rank: int | None  # on the current page
    moved: int | None  # places up (+) or down (−) there


def make(
    *,
    database: Database,
    settings: Settings,
    kind: ActKind,
    article_id: str,
    slug: str,
    amount: int,
    ends_at: datetime,
    reason: str,
) -> Standing:
    """Make an act; it counts from the next page on. `amount` is the place of a pin, else a number of places.

    Raises InputError if the topic or the article is unknown, the article is hidden or too old for the page, the time is
    over or far away, the reason is empty, or another act is in the way: the error says whose.
    """
    pipeline = settings.pipeline
    with database.transaction(read_only=True) as connection:
        topics.check_active(connection, pipeline, [slug])
        (topic,) = (known for known in topics.current_topics(connection, pipeline) if known.slug == slug)
        known = db.the(
            connection,
            "desk.article",
            pipeline=pipeline,
            article_id=article_id,
            fresh_seconds=settings.freshness_hours * 3600,
        )
    _check_wish(kind, amount, topic, ends_at, known["now"], reason)
    _check_article(Source.of(settings, database), article_id, known, settings.freshness_hours)
    values: dict[str, Any] = {
        "pipeline": pipeline,
        "slug": slug,
        "article_id": article_id,
        "kind": kind,
        "amount": amount,
        "ends_at": ends_at,
        "reason": reason.strip(),
    }
    try:
        with database.transaction() as connection:
            db.execute(connection, "desk.end", pipeline=pipeline, slug=slug)
            made = db.the(connection, "desk.add", **values)
    except IntegrityError as error:
        with database.transaction(read_only=True) as connection:
            first = _who_was_first(connection, pipeline, slug, article_id, kind, amount)
        raise InputError(first) from error
    with database.transaction(read_only=True) as connection:
        return next(
            standing for standing in _standing(connection, settings) if standing.act.act_id == made["act_id"]
        )


def _check_wish(
    kind: ActKind, amount: int, topic: Topic, ends_at: datetime, now: datetime, reason: str
) -> None:
    if kind == "pin" and not 1 <= amount <= topic.top_k:
        raise InputError(
            f"place {amount} is not in 1..{topic.top_k}: topic {topic.slug!r} shows {topic.top_k} rows; choose a place of the page"
        )
    if not 1 <= amount <= MOST_PLACES:
        raise InputError(
            f"{amount} places are not in 1..{MOST_PLACES:,}; to bring an article to a place, pin it"
        )
    if not now < ends_at <= now + timedelta(days=DAYS):
        raise InputError(
            f"--until {ends_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC is not between now, {now.astimezone(UTC):%Y-%m-%d %H:%M}"
            f" UTC, and {DAYS} days from now; give the time when the act ends"
        )
    if not reason.strip():
        raise InputError("moving an article needs a reason that others can read later; give --reason")


def _check_article(source: Source, article_id: str, known: RowMapping, freshness_hours: float) -> None:
    """Raise InputError if no page to come can show the article."""
    ingested_at = known["first_ingested_at"]
    if known["why"] is not None:
        raise InputError(
            f"article {article_id!r} is hidden ({known['why']}): no page shows it; `rerank unblock` ends a block"
        )
    if ingested_at is None:
        sighting = source.look_up(article_id)
        ingested_at = None if sighting is None else sighting.ingested_at
        if ingested_at is None:
            raise InputError(
                f"no run has claimed an article {article_id!r}, and the source {source.view} has none; check the id"
            )
    if known["quarantined"]:
        raise InputError(f"article {article_id!r} is in quarantine: it has no text that a page could show")
    if ingested_at < known["fresh_since"]:
        raise InputError(
            f"article {article_id!r} was first ingested at {ingested_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC, more than"
            f" {freshness_hours:g} hours ago: it has left the window of every page to come"
        )


def _who_was_first(
    connection: Connection, pipeline: str, slug: str, article_id: str, kind: ActKind, amount: int
) -> str:
    """What to tell the editor who comes second."""
    row = db.one(
        connection,
        "desk.in_the_way",
        pipeline=pipeline,
        slug=slug,
        article_id=article_id,
        place=amount,
        kind=kind,
    )
    if row is None:
        return f"another act on topic {slug!r} was made and undone at the same moment; try again"
    act = to_act(row)
    if act.article_id == article_id:
        return (
            f"article {article_id!r} is moved already in topic {slug!r}: {told(act)}. First undo that:"
            f" `rerank undo {article_id} --topic {slug}`"
        )
    return (
        f"place {amount} of topic {slug!r} is taken by article {act.article_id!r}: {told(act)}. Take another place, or"
        f" undo that: `rerank undo {act.article_id} --topic {slug}`"
    )


def undo(*, database: Database, settings: Settings, article_id: str, slug: str) -> Act:
    """End the act on an article in a topic; the next page is without it. Raises InputError if there is none."""
    with database.transaction() as connection:
        row = db.one(
            connection,
            "desk.undo",
            pipeline=settings.pipeline,
            slug=slug,
            article_id=article_id,
        )
    if row is None:
        raise InputError(
            f"article {article_id!r} is neither pinned nor boosted nor demoted in topic {slug!r} of pipeline"
            f" {settings.pipeline}; `rerank editorial` lists the acts that stand"
        )
    return to_act(row)


def list_standing(database: Database, settings: Settings, *, slug: str | None = None) -> Sequence[Standing]:
    """The acts that stand now, by topic, pins first."""
    with database.transaction(read_only=True) as connection:
        found = _standing(connection, settings)
    return [standing for standing in found if slug is None or standing.act.slug == slug]


def _standing(connection: Connection, settings: Settings) -> list[Standing]:
    rows = db.rows(
        connection,
        "desk.standing",
        pipeline=settings.pipeline,
        fresh_seconds=settings.freshness_hours * 3600,
    )
    return [Standing(to_act(row), row["title"], row["effect"], row["rank"], row["moved"]) for row in rows]
