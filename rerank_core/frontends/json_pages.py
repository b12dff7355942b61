"""The page as JSON, for readers without SQL: a small topic file for each topic, and `latest.json`, which names them.

A topic's feeds, if the settings ask for them, are files beside its topic file, made from it and named by `latest.json`, too.

The pointer in Postgres decides what the page is; these files are hints that follow it. They carry as_of, run and version, and may
lag behind. `repair` brings them up to date: after each publication that moves the pointer, after a block or a rollback,
and by maintenance. Topic files are written once, into a folder of their own. `latest.json` comes last and is replaced in one
step, so that a reader sees the old page or the new page.

A writer that wakes up late must not put `latest.json` back to an older page. So it asks again, under a lock, what frontends see
before it replaces the file. It asks once more afterwards, because a process can be stopped between that question and
the replacement. If the file is outdated then, it is written again.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, RowMapping

from rerank_core.errors import DatabaseUnavailable, StoreUnavailable
from rerank_core.frontends import feeds
from rerank_core.frontends.json_text import to_json
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)

FORMAT = 1  # of latest.json and of a topic file; files of another format may lack what a reader expects
WRITERS = 8  # files written at once
ROUNDS = 5  # pages that may come while one repair writes
COUNTS = ("candidates", "from_ledger", "scored", "refused", "missing", "left_out", "source_limited")
ARTICLE = (
    *("rank", "article_id", "title", "url", "source", "lang", "published_at", "first_ingested_at"),
    *("ranked_by", "logit", "probability", "rank_score", "light_score", "truncated", "is_new", "copies"),
    *("flags", "revision_id", "began_at", "copy_sources", "scored_document_id", "scored_article_id"),
    *("moved_by", "moved", "pictures", "captions"),
)
CHANGE = ("change", "article_id", "title", "url", "rank_before", "rank_now")


@dataclass(frozen=True)
class Repaired:
    """What `repair` found and did."""

    publication_id: int | None  # that latest.json names now; null: the pipeline has no page
    written: int  # topic files written; 0: all was right already
    replaced: bool  # latest.json was replaced


@dataclass(frozen=True)
class TopicFile:
    """One topic of the page, as readers without SQL get it."""

    content: bytes  # JSON
    state: str
    ranks: Mapping[str, int]  # of each article, in order
    feeds: Mapping[feeds.Format, bytes]

    def files(self, folder: str, slug: str) -> dict[str, bytes]:
        """All that the store gets of the topic: path → content."""
        files = {f"{folder}{slug}{feeds.ENDINGS[form]}": content for form, content in self.feeds.items()}
        return {f"{folder}{slug}.json": self.content, **files}


# Page → its topic files by slug, with the feeds that the settings ask for; None if another page has come meanwhile.
Render = Callable[[RowMapping], dict[str, TopicFile] | None]


def repair(
    *,
    database: Database,
    store: Store,
    settings: Settings,
    rewrite: bool = False,
    render: Render | None = None,
) -> Repaired:
    """Bring latest.json, the topic files and the feeds to what frontends see now; does nothing if they are right.

    `rewrite` writes all of them in any case; `render` replaces `rendered`. Files of the page before stay for the grace that
    the settings give readers who have their paths. Safe beside any other repair and any publication. Raises StoreUnavailable,
    SettingsError or DatabaseUnavailable; latest.json then still names a whole page, though an older one.
    """
    pipeline = settings.pipeline
    written, replaced = 0, False
    for _ in range(ROUNDS):
        page = current(database, pipeline)
        latest = read_latest(store, pipeline)
        if page is None or (is_current(latest, page) and _has_feeds(latest, settings) and not rewrite):
            return Repaired(None if page is None else page["publication_id"], written, replaced)
        topics = render(page) if render else rendered(database, settings, page)
        if topics is None:
            continue
        folder = store.pages_folder(pipeline=pipeline, publication_id=page["publication_id"])
        _write(
            store,
            folder,
            {
                path: file
                for slug, topic in topics.items()
                for path, file in topic.files(folder, slug).items()
            },
        )
        written += len(topics)
        try:
            if _replace(database, store, settings, page, folder, topics):
                replaced, rewrite = True, False
        except DatabaseUnavailable as error:
            # The lock went with its session, and another writer may have come in between: ask again.
            log.warning("%s: %s", store.latest_path(pipeline), error)
    raise StoreUnavailable(
        f"{store.latest_path(pipeline)}: {ROUNDS} newer pages came while it was written; try again"
    )


def follow(
    *,
    database: Database,
    store: Store,
    settings: Settings,
    topics: int,
    render: Render | None = None,
) -> dict[str, int]:
    """`repair` after a publication of so many topics; a failure is logged and counted, and stops nothing.

    Returns `pages_written` and `pages_failed`, which count topic files.
    """
    try:
        done = repair(database=database, store=store, settings=settings, render=render)
    except Exception:
        log.exception("%s is not up to date; the next publication or clean-up repairs it", settings.pipeline)
        return {"pages_written": 0, "pages_failed": topics}
    return {"pages_written": done.written, "pages_failed": 0}


def read_latest(store: Store, pipeline: str) -> Mapping[str, Any] | None:
    """What latest.json says; None if there is no such file, or it is not ours. Raises StoreUnavailable."""
    content = store.read_json(store.latest_path(pipeline))
    if content is None:
        return None
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if _is_ours(found, pipeline) else None


def _is_ours(found: Any, pipeline: str) -> bool:
    """Whether this is a latest.json of ours: of this format, and its topic files are in the one folder that it names."""
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        return False
    folder, topics = found.get("pages"), found.get("topics")
    if not isinstance(folder, str) or not isinstance(topics, dict):
        return False
    if not all(isinstance(topic, dict) and "page" in topic for topic in topics.values()):
        return False
    pages = paths(found)
    names = [Store.parse(page) if isinstance(page, str) else None for page in (folder, *pages)]
    return folder.startswith(f"{pipeline}/") and all(
        name is not None and name.folder == folder for name in names
    )


def is_current(latest: Mapping[str, Any] | None, page: RowMapping) -> bool:
    """Whether latest.json shows what frontends see."""
    return (
        latest is not None
        and latest.get("publication_id") == page["publication_id"]
        and latest.get("content") == page["content"]
    )


def _has_feeds(latest: Mapping[str, Any] | None, settings: Settings) -> bool:
    """Whether latest.json names the wanted feeds of its topics, and no others."""
    topics = latest["topics"].values() if latest else ()
    return all(
        bool(topic.get(key)) == (form in settings.feeds)
        for topic in topics
        for form, key in feeds.KEYS.items()
    )


def is_up_to_date(database: Database, store: Store, pipeline: str) -> bool:
    """Whether latest.json shows what frontends see, or there is no page. Raises StoreUnavailable, DatabaseUnavailable."""
    page = current(database, pipeline)
    return page is None or is_current(read_latest(store, pipeline), page)


def current(database: Database, pipeline: str) -> RowMapping | None:
    """The publication that frontends see, with a digest of all that they see of it; None: there is no page."""
    with database.transaction(read_only=True) as connection:
        return db.one(connection, "json_pages.current", pipeline=pipeline)


def rendered(database: Database, settings: Settings, page: RowMapping) -> dict[str, TopicFile] | None:
    """The topic files of this page by slug, with their feeds; None if another page has come meanwhile."""
    pipeline = settings.pipeline
    with database.transaction(read_only=True) as connection:
        now = db.one(connection, "json_pages.current", pipeline=pipeline)
        topics = db.rows(connection, "json_pages.topics", pipeline=pipeline)
        ranked = _by_topic(connection, "json_pages.rows", ARTICLE, pipeline)
        changed = _by_topic(connection, "json_pages.changes", CHANGE, pipeline)
    if now is None or now["content"] != page["content"] or now["publication_id"] != page["publication_id"]:
        return None
    made = feeds.Renderer(pipeline, settings.feeds_address)
    files = {}
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
            "articles": articles,
            "changes": changed.get(slug, []),
        }
        ranks = {article["article_id"]: article["rank"] for article in articles}
        files[slug] = TopicFile(
            to_json(content),
            topic["state"],
            ranks,
            {form: made.feed(form, content) for form in settings.feeds},
        )
    return files


def _by_topic(
    connection: Connection, statement: str, names: Sequence[str], pipeline: str
) -> dict[str, list[dict[str, Any]]]:
    """Topic → its rows of a named statement, in order: of each row these columns, in this order."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    result = connection.execute(db.statement(statement), {"pipeline": pipeline})
    keys = list(result.keys())
    topic, chosen = keys.index("topic"), itemgetter(*map(keys.index, names))
    for row in result:
        found[row[topic]].append(dict(zip(names, chosen(row), strict=True)))
    return found


def identity(pipeline: str, page: RowMapping) -> dict[str, Any]:
    """What tells one page from another; in every file."""
    names = ("run_id", "version", "publication_id", "as_of", "published_at", "degraded", "blocked")
    return {"pipeline": pipeline, **{name: page[name] for name in (*names, "overdue_since")}}


def _write(store: Store, folder: str, files: Mapping[str, bytes]) -> None:
    """Write all topic files (path → content); the first failure ends it. Nobody finds them before all are written."""
    with store.flushing_once(folder), ThreadPoolExecutor(WRITERS) as pool:
        writing = [pool.submit(store.write_json, path, content) for path, content in files.items()]
        try:
            for number, file in enumerate(writing, start=1):
                file.result()
                if number % 200 == 0:
                    log.info("%d of %d topic files are written", number, len(writing))
        finally:
            for file in writing:
                file.cancel()


def _replace(
    database: Database,
    store: Store,
    settings: Settings,
    page: RowMapping,
    folder: str,
    topics: Mapping[str, TopicFile],
) -> bool:
    """Replace latest.json, unless the page has changed meanwhile; says whether it was replaced."""
    pipeline = settings.pipeline
    content = {
        "format": FORMAT,
        **identity(pipeline, page),
        "parquet_path": page["parquet_path"],
        "parquet_sha256": page["parquet_sha256"],
        "rows": page["row_count"],
        "content": page["content"],
        "pages": folder,
        "topics": {
            slug: {
                "state": topic.state,
                "ranked": len(topic.ranks),
                "page": f"{folder}{slug}.json",
                **{
                    key: f"{folder}{slug}{feeds.ENDINGS[form]}" if form in topic.feeds else None
                    for form, key in feeds.KEYS.items()
                },
            }
            for slug, topic in topics.items()
        },
    }
    with database.transaction() as connection:
        db.rows(connection, "json_pages.lock", pipeline=pipeline)
        now = db.one(connection, "json_pages.current", pipeline=pipeline)
        is_right = now is not None and is_current(content, now)
        before = read_latest(store, pipeline) if is_right else None
        unnamed = [folder]
        if is_right:
            store.write_json(store.latest_path(pipeline), to_json(content))
            unnamed = [before["pages"]] if before else []
        db.execute(
            connection,
            "removal.due",
            paths=unnamed,
            grace_seconds=settings.store_grace_hours * 3600,
            reason="pages: no longer named",
        )
    return is_right


def paths(latest: Mapping[str, Any]) -> Sequence[str]:
    """Paths of the topic files and feeds that latest.json names."""
    named = [topic.get(key) for topic in latest["topics"].values() for key in ("page", *feeds.KEYS.values())]
    return [path for path in named if path]
