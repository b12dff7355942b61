"""News of the topics: what a move of the page brought in, took away, and put higher or lower.

The rows of `rerank.change` are written in the transaction that moves the page, by a trigger: whoever moves it. What is hidden
now is told to nobody.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from rerank_core.errors import InputError
from rerank_core.storage import database as db
from rerank_core.storage.database import Database

KINDS = ("entered", "left", "rose", "fell")
FIRST = 20  # articles that News names


@dataclass(frozen=True)
class News:
    """A move of the page in short, as an event tells it: ids and counts, no text."""

    cause: str  # published, rollback, release or forget
    from_publication_id: int | None  # the page before; null: there was none
    changes: Mapping[str, int]  # how many rows of each kind
    entered_first: list[dict[str, Any]]  # topic, article_id and rank of the best that entered, FIRST at most


@dataclass(frozen=True)
class Change:
    """A row of the news."""

    topic: str
    change: str  # one of KINDS
    article_id: str
    title: str | None  # null: it left, and the page before is past retention
    rank_before: int | None
    rank_now: int | None


@dataclass(frozen=True)
class PageNews:
    """What the move behind the page changed."""

    run_id: int
    version: int
    moved_at: datetime
    cause: str
    from_publication_id: int | None
    counts: Mapping[str, int]
    rows: list[Change]  # of each topic what entered, rose, left and fell, by place


def of_move(connection: Connection, *, pipeline: str, pointer_move_id: int) -> News:
    """A move in short."""
    move = db.the(connection, "changes.move", pointer_move_id=pointer_move_id)
    counted = db.rows(connection, "changes.counts", pipeline=pipeline, pointer_move_id=pointer_move_id)
    found = {row["what"]: int(row["changes"]) for row in counted}
    entered = db.rows(
        connection, "changes.entered", pipeline=pipeline, pointer_move_id=pointer_move_id, limit=FIRST
    )
    return News(
        cause=move["cause"],
        from_publication_id=move["from_publication_id"],
        changes={kind: found.get(kind, 0) for kind in KINDS},
        entered_first=[dict(row) for row in entered],
    )


def of_page(database: Database, *, pipeline: str, topic: str | None = None) -> PageNews:
    """The news of the page, or of one topic. Raises InputError if there is no page, or it does not have the topic."""
    with database.transaction(read_only=True) as connection:
        page = db.one(connection, "changes.page", pipeline=pipeline)
        if page is None:
            raise InputError(f"pipeline {pipeline} has no page yet; `rerank run` publishes one")
        known = [row["slug"] for row in db.rows(connection, "changes.topics", **_ends(page))]
        if topic is not None and topic not in known:
            raise InputError(
                f"topic {topic!r} is neither on the page of pipeline {pipeline} nor on the page before; `rerank show`"
                " lists the topics"
            )
        rows = db.rows(connection, "changes.rows", pipeline=pipeline, topic=topic)
    counts = Counter(row["change"] for row in rows)
    return PageNews(
        run_id=page["run_id"],
        version=page["version"],
        moved_at=page["moved_at"],
        cause=page["cause"],
        from_publication_id=page["from_publication_id"],
        counts={kind: counts[kind] for kind in KINDS},
        rows=[Change(**row) for row in rows],
    )


def _ends(page: Mapping[Any, Any]) -> dict[str, Any]:
    return {name: page[name] for name in ("publication_id", "from_publication_id")}
