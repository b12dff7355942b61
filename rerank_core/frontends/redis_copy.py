"""The hot copy of the page in Redis, for frontends that answer within a millisecond.

The pointer in Postgres decides what the page is; the copy follows it, and may lag or be lost. `sync` makes it again: after each
publication that moves the pointer, after a block or a rollback, and by maintenance.

    rerank:{news}:page               JSON: identity of the page, and of each topic its state and how many rows are ranked
    rerank:{news}:topic:ai-policy    JSON, byte for byte the topic file in the store
    rerank:{news}:ranked:ai-policy   sorted set: article ids, their ranks as scores; no key if nothing is ranked

New keys are written beside these, under other names. One transaction renames them over the old keys and deletes the keys of
topics that left. So a reader sees the whole of the old page or of the new page. The braces put a pipeline's keys into one
slot of a cluster: without them there is no such transaction.

A writer that wakes up late must not put the copy back to an older page. So the transaction compares the page key with what the
key was before Postgres was asked. If another writer came in between, or Redis lost what was written, nothing is renamed
and the writer asks again. It also asks again after a swap.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import RowMapping

from rerank_core.errors import RedisUnavailable, RerankError
from rerank_core.frontends import json_pages, json_text
from rerank_core.frontends.redis_server import Server
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.database import Database

log = logging.getLogger(__name__)

ROUNDS = 5  # pages that may come while one writer writes
BATCH_BYTES = 1 << 20  # of JSON sent at once
DRAFT_SECONDS = 600  # until the keys that a killed writer left expire


@dataclass(frozen=True)
class Synced:
    """What `sync` found and did."""

    publication_id: int | None  # that the copy shows now; null: the pipeline has no page
    written: int  # topics; 0: all was right already


@dataclass(frozen=True)
class Comparison:
    """The copy beside the page."""

    address: str  # of the server, without credentials
    publication_id: int | None  # that the copy shows; null: there is none
    page: int | None  # publication that frontends see; null: the pipeline has no page
    right: bool  # the copy shows what frontends see
    lost: int  # keys that the copy should have and does not have


@dataclass(frozen=True)
class Keys:
    """The names of a pipeline's keys."""

    pipeline: str

    @property
    def page(self) -> str:
        return f"rerank:{{{self.pipeline}}}:page"

    def topic(self, slug: str) -> str:
        """A topic's JSON."""
        return f"rerank:{{{self.pipeline}}}:topic:{slug}"

    def ranked(self, slug: str) -> str:
        """A topic's sorted set."""
        return f"rerank:{{{self.pipeline}}}:ranked:{slug}"

    def draft(self, version: str, key: str) -> str:
        """Where a key is written before it is renamed."""
        prefix = f"rerank:{{{self.pipeline}}}:"
        return f"{prefix}draft:{version}:{key.removeprefix(prefix)}"


def follow(
    *,
    database: Database,
    settings: Settings,
    topics: int,
    render: json_pages.Render | None = None,
) -> dict[str, int]:
    """`sync` after a publication of so many topics; a failure is logged and counted, stops nothing and delays little.

    Returns `redis_written` and `redis_failed`, which count topics; nothing if the settings name no Redis.
    """
    if settings.redis_url is None:
        return {}
    try:
        done = sync(database=database, settings=settings, render=render)
    except RerankError as error:
        log.warning("the hot copy of %s is not up to date: %s", settings.pipeline, error)
    except Exception:
        log.exception("the hot copy of %s is not up to date", settings.pipeline)
    else:
        return {"redis_written": done.written, "redis_failed": 0}
    return {"redis_written": 0, "redis_failed": max(topics, 1)}


def sync(
    *,
    database: Database,
    settings: Settings,
    rewrite: bool = False,
    seconds: float | None = None,
    render: json_pages.Render | None = None,
) -> Synced:
    """Bring the copy to what frontends see now; if it is right, only the time to live of its keys begins again.

    `rewrite` writes all of it in any case; `render` replaces `json_pages.rendered`. Waits for Redis at most `seconds` (None: as long as the settings say). Safe beside
    any other writer and any publication. Raises RedisUnavailable, SettingsError or DatabaseUnavailable; the copy then
    still shows a whole page, though an older one.
    """
    keys, written = Keys(settings.pipeline), 0
    with Server.open(settings, keys.page, seconds or settings.redis_timeout_seconds) as server:
        expiry = max(1, int(settings.redis_ttl_hours * 3_600_000))
        for _ in range(ROUNDS):
            (before,) = server.ask(("GET", keys.page))
            page = json_pages.current(database, settings.pipeline)
            if page is None:
                return Synced(None, written)
            copy = read_copy(before)
            if (
                not rewrite
                and json_pages.is_current(copy, page)
                and (written or _prolong(server, keys, copy, expiry))
            ):
                return Synced(page["publication_id"], written)
            topics = render(page) if render else json_pages.rendered(database, settings, page)
            if topics is None:
                continue
            if _replace(server, database, keys, before, page, topics, expiry):
                written, rewrite = written + len(topics), False
    raise RedisUnavailable(f"{server.address}: {ROUNDS} newer pages came while it was written; try again")


def examine(*, database: Database, settings: Settings) -> Comparison:
    """Compare the copy with the page. Raises RedisUnavailable, SettingsError or DatabaseUnavailable."""
    keys = Keys(settings.pipeline)
    with Server.open(settings, keys.page, settings.redis_timeout_seconds) as server:
        (found,) = server.ask(("GET", keys.page))
        copy = read_copy(found)
        expected = _keys_of(keys, copy)
        existing = server.ask(("EXISTS", *expected))[0] if expected else 0
    page = json_pages.current(database, settings.pipeline)
    return Comparison(
        address=server.address,
        publication_id=None if copy is None else copy["publication_id"],
        page=None if page is None else page["publication_id"],
        right=page is None or json_pages.is_current(copy, page),
        lost=len(expected) - existing,
    )


def read_copy(content: bytes | None) -> Mapping[str, Any] | None:
    """What the page key says; None if there is no such key, or it is not of this format."""
    try:
        found = json.loads(content or b"null")
    except (ValueError, RecursionError):
        return None
    return found if _is_ours(found) else None


def _is_ours(found: Any) -> bool:
    if not isinstance(found, dict) or found.get("format") != json_pages.FORMAT:
        return False
    topics = found.get("topics")
    return (
        "publication_id" in found
        and isinstance(topics, dict)
        and all(isinstance(topic, dict) and "ranked" in topic for topic in topics.values())
    )


def _keys_of(keys: Keys, copy: Mapping[str, Any] | None) -> list[str]:
    """All keys that a copy has."""
    if copy is None:
        return []
    topics = copy["topics"]
    ranked = [keys.ranked(slug) for slug, topic in topics.items() if topic["ranked"]]
    return [keys.page, *map(keys.topic, topics), *ranked]


def _prolong(server: Server, keys: Keys, copy: Mapping[str, Any] | None, expiry: int) -> bool:
    """Begin the time to live of all keys again; False if some keys are gone."""
    return all(server.ask(*(("PEXPIRE", key, expiry) for key in _keys_of(keys, copy)), at_once=True))


def _replace(
    server: Server,
    database: Database,
    keys: Keys,
    before: bytes | None,
    page: RowMapping,
    topics: Mapping[str, json_pages.TopicFile],
    expiry: int,
) -> bool:
    """Write a page and swap it in, unless another writer came in between; says whether the page was swapped in."""
    content = {
        "format": json_pages.FORMAT,
        **json_pages.identity(keys.pipeline, page),
        "rows": page["row_count"],
        "content": page["content"],
        "copy": uuid4().hex,  # so that no two copies have the same page key
        "topics": {
            slug: {"state": topic.state, "ranked": len(topic.ranks)} for slug, topic in topics.items()
        },
    }
    strings = {keys.topic(slug): topic.content for slug, topic in topics.items()}
    strings[keys.page] = json_text.to_json(content)
    ranks = {keys.ranked(slug): topic.ranks for slug, topic in topics.items() if topic.ranks}
    version = f"{page['publication_id']}-{content['copy'][:12]}"
    drafts = {keys.draft(version, key): key for key in (*strings, *ranks)}
    with database.transaction(read_only=True) as connection:
        known = [row["slug"] for row in db.rows(connection, "redis_copy.topics", pipeline=keys.pipeline)]
    of_all_topics = {name(slug) for slug in known for name in (keys.topic, keys.ranked)}
    outdated = of_all_topics - set(strings) - set(ranks)
    swapped = False
    try:
        _write(server, keys, version, strings, ranks)
        swapped = server.swap(keys.page, before, drafts, sorted(outdated), expiry)
    finally:
        if not swapped:
            server.drop(list(drafts))
    return swapped


def _write(
    server: Server,
    keys: Keys,
    version: str,
    strings: Mapping[str, bytes],
    ranks: Mapping[str, Mapping[str, int]],
) -> None:
    """Write the new keys under their draft names, a batch at a time."""
    batch: list[tuple[Any, ...]] = []
    size = 0
    for key, content in strings.items():
        batch.append(("SET", keys.draft(version, key), content, "EX", DRAFT_SECONDS))
        size += len(content)
        if size >= BATCH_BYTES:
            server.ask(*batch, at_once=True)
            batch, size = [], 0
    for key, articles in ranks.items():
        draft = keys.draft(version, key)
        members = [part for article_id, rank in articles.items() for part in (rank, article_id)]
        batch += [("ZADD", draft, *members), ("EXPIRE", draft, DRAFT_SECONDS)]
    server.ask(*batch, at_once=True)  # in one transaction: a draft without its expiry would stay for ever
