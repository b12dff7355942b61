"""The page as JSON, for readers without SQL: one small file a topic, and `latest.json`, which names them.

The pointer in Postgres decides what the page is; these files are hints that follow it. They carry as_of,
run and version, may lag behind, and are brought up to date by `repair`: after each publication that moves
the pointer, after a block or a rollback, and by maintenance. Topic files are written once, into a folder
of their own; `latest.json` comes last and is replaced in one step, so a reader sees one page or the next.

A writer that wakes up late must not put `latest.json` back to an older page. It looks again at what
frontends see, under a lock, before it replaces the file; and again afterwards, for a process can be
stopped between that look and the replacement: what it finds outdated then, it writes anew.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import RowMapping

from rerank_core.errors import DatabaseUnavailable, StoreUnavailable
from rerank_core.storage import database as db
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)

FORMAT = 1  # of latest.json and of a topic's file; another one may lack what a reader of this one expects
WRITERS = 8  # files written at once
ROUNDS = 5  # pages that may overtake one repair
COUNTS = ("candidates", "from_ledger", "scored", "refused", "missing", "left_out")
ARTICLE = (
    *("rank", "article_id", "title", "url", "source", "lang", "published_at", "first_ingested_at"),
    *("ranked_by", "logit", "probability", "rank_score", "light_score", "truncated", "is_new", "copies"),
    *("flags", "revision_id", "began_at", "copy_sources", "scored_document_id", "scored_article_id"),
)


@dataclass(frozen=True)
class Repaired:
    """What `repair` found and did."""

    publication_id: int | None  # that latest.json names now; null: the pipeline has no page
    written: int  # topic files written; 0: all was right already
    replaced: bool  # latest.json was


@dataclass(frozen=True)
class TopicPage:
    """One topic of the page, as readers without SQL get it."""

    content: bytes  # JSON
    state: str
    ranks: Mapping[str, int]  # of each article, in order


# What makes a page's topics of the database, the pipeline and the page.
Render = Callable[[Database, str, RowMapping], dict[str, TopicPage] | None]


def repair(
    *,
    database: Database,
    store: Store,
    pipeline: str,
    grace_hours: float = 24.0,
    anew: bool = False,
    render: Render | None = None,
) -> Repaired:
    """Bring latest.json and the topics' files to what frontends see now; does nothing where they are there.

    `anew` writes all of them in any case; `render` is another way to `rendered`. Files of the page before stay `grace_hours` for readers that have
    their paths. Safe beside any other repair and any publication. Raises StoreUnavailable, SettingsError or DatabaseUnavailable; latest.json
    then names a whole page still, if an older one.
    """
    written, replaced = 0, False
    for _ in range(ROUNDS):
        page = current(database, pipeline)
        latest = read_latest(store, pipeline)
        if page is None or (is_current(latest, page) and not anew):
            return Repaired(None if page is None else page["publication_id"], written, replaced)
        topics = (render or rendered)(database, pipeline, page)
        if topics is None:
            continue
        folder = store.pages_folder(pipeline=pipeline, publication_id=page["publication_id"])
        _write(store, {f"{folder}{slug}.json": topic.content for slug, topic in topics.items()})
        written += len(topics)
        try:
            if _replace(database, store, pipeline, page, folder, topics, grace_hours):
                replaced, anew = True, False
        except DatabaseUnavailable as error:
            # The lock went with its session, and another writer may have come in between: look again.
            log.warning("%s: %s", store.latest_path(pipeline), error)
    raise StoreUnavailable(
        f"{store.latest_path(pipeline)}: {ROUNDS} newer pages came while it was written; try again"
    )


def follow(
    *,
    database: Database,
    store: Store,
    pipeline: str,
    topics: int,
    grace_hours: float,
    render: Render | None = None,
) -> dict[str, int]:
    """`repair` after a publication of so many topics, which a failure neither fails nor stops.

    Returns `pages_written` and `pages_failed`, in topics.
    """
    try:
        done = repair(
            database=database, store=store, pipeline=pipeline, grace_hours=grace_hours, render=render
        )
    except Exception:
        log.exception("%s is not up to date; the next publication or clean-up repairs it", pipeline)
        return {"pages_written": 0, "pages_failed": topics}
    return {"pages_written": done.written, "pages_failed": 0}


def read_latest(store: Store, pipeline: str) -> Mapping[str, Any] | None:
    """What latest.json says; None where it is not there, or cannot be read. Raises StoreUnavailable."""
    content = store.read_json(store.latest_path(pipeline))
    if content is None:
        return None
    try:
        found = json.loads(content)
        is_ours = (
            isinstance(found, dict) and found.get("format") == FORMAT and {"pages", "topics"} <= set(found)
        )
        return found if is_ours else None
    except ValueError:
        return None


def is_current(latest: Mapping[str, Any] | None, page: RowMapping) -> bool:
    """Whether latest.json shows what frontends see."""
    return (
        latest is not None
        and latest.get("publication_id") == page["publication_id"]
        and latest.get("content") == page["content"]
    )


def stands(database: Database, store: Store, pipeline: str) -> bool:
    """Whether latest.json is right, or there is no page. Raises StoreUnavailable, DatabaseUnavailable."""
    page = current(database, pipeline)
    return page is None or is_current(read_latest(store, pipeline), page)


def current(database: Database, pipeline: str) -> RowMapping | None:
    """The publication that frontends see, with a digest of all that they see of it; None: there is no page."""
    with database.transaction(read_only=True) as connection:
        return db.one(connection, "json_pages.current", pipeline=pipeline)


def rendered(database: Database, pipeline: str, page: RowMapping) -> dict[str, TopicPage] | None:
    """Each topic of this page by its slug; None where another page has come meanwhile."""
    with database.transaction(read_only=True) as connection:
        now = db.one(connection, "json_pages.current", pipeline=pipeline)
        topics = db.rows(connection, "json_pages.topics", pipeline=pipeline)
        rows = db.rows(connection, "json_pages.rows", pipeline=pipeline)
    if now is None or now["content"] != page["content"] or now["publication_id"] != page["publication_id"]:
        return None
    ranked = {topic: list(found) for topic, found in groupby(rows, key=lambda row: row["topic"])}
    found = {}
    for topic in topics:
        slug = topic["topic"]
        articles = ranked.get(slug, [])
        content = {
            "format": FORMAT,
            **identity(pipeline, page),
            "topic": slug,
            "query": topic["query"],
            "state": topic["state"],
            "counts": {name: topic[name] for name in COUNTS},
            "articles": [{name: article[name] for name in ARTICLE} for article in articles],
        }
        ranks = {article["article_id"]: article["rank"] for article in articles}
        found[slug] = TopicPage(to_json(content), topic["state"], ranks)
    return found


def identity(pipeline: str, page: RowMapping) -> dict[str, Any]:
    """What tells one page from another; in every file."""
    names = ("run_id", "version", "publication_id", "as_of", "published_at", "degraded")
    return {"pipeline": pipeline, **{name: page[name] for name in names}}


def _write(store: Store, files: Mapping[str, bytes]) -> None:
    """Write all topics' files, given by path; the first failure ends it."""
    with ThreadPoolExecutor(WRITERS) as pool:
        writing = [pool.submit(store.write_json, path, content) for path, content in files.items()]
        try:
            for number, one in enumerate(writing, start=1):
                one.result()
                if number % 200 == 0:
                    log.info("%d of %d topic files are written", number, len(writing))
        finally:
            for one in writing:
                one.cancel()


def _replace(
    database: Database,
    store: Store,
    pipeline: str,
    page: RowMapping,
    folder: str,
    topics: Mapping[str, TopicPage],
    grace_hours: float,
) -> bool:
    """Replace latest.json, unless the page has changed meanwhile; says whether it did."""
    content = {
        "format": FORMAT,
        **identity(pipeline, page),
        "parquet_path": page["parquet_path"],
        "parquet_sha256": page["parquet_sha256"],
        "rows": page["row_count"],
        "content": page["content"],
        "pages": folder,
        "topics": {
            slug: {"state": topic.state, "ranked": len(topic.ranks), "page": f"{folder}{slug}.json"}
            for slug, topic in topics.items()
        },
    }
    with database.transaction() as connection:
        db.rows(connection, "json_pages.lock", pipeline=pipeline)
        now = db.one(connection, "json_pages.current", pipeline=pipeline)
        is_right = now is not None and is_current(content, now)
        before = read_latest(store, pipeline) if is_right else None
        left = [folder] if not is_right else [before["pages"]] if before else []
        if is_right:
            store.write_json(store.latest_path(pipeline), to_json(content))
        db.execute(
            connection,
            "removal.due",
            paths=left,
            grace_seconds=grace_hours * 3600,
            reason="pages: no longer named",
        )
    return is_right


def to_json(content: Mapping[str, Any]) -> bytes:
    """The content as JSON in UTF-8; times in ISO 8601, in UTC.

    Nothing in it can end a script element or a line of JavaScript. Raises ValueError for a number that
    JSON has no form for.
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode("utf-8")


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def paths(latest: Mapping[str, Any]) -> Sequence[str]:
    """The topics' files that latest.json names."""
    return [topic["page"] for topic in latest["topics"].values()]
