"""The contract of the JSON files and of Redis: every key, described by the column that it holds. See contract.py."""

from dataclasses import replace

from rerank_core.frontends import json_pages
from rerank_core.frontends.columns import Column
from rerank_core.frontends.contract import CHANGE, RANKING, TOPIC, columns

_FORMAT = Column("format", "integer", "1. Another number means another contract: stop, and say so.")
_DEGRADED = replace(next(column for column in TOPIC if column.name == "page_degraded"), name="degraded")
_BLOCKED = Column(
    "blocked",
    "boolean",
    "The gate holds back the scores that the page's run has made: the page is `degraded`, and shows what is left without them.",
)
_IDENTITY = (
    *columns(TOPIC, ("pipeline", "run_id", "version", "publication_id", "as_of", "published_at")),
    _DEGRADED,
    _BLOCKED,
    *columns(TOPIC, ("overdue_since",)),
)


LATEST = (
    _FORMAT,
    *_IDENTITY,
    *columns(TOPIC, ("parquet_path", "parquet_sha256")),
    Column("rows", "integer", "Rows of the page as it was published.", unit="rows"),
    Column("topics", "object", "Each topic of the page, by its slug: see below."),
    Column(
        "content",
        "text",
        "A digest of what the topic files show. If it changes and `publication_id` does not, an article was hidden or shown again.",
        promise="open",
    ),
    Column("pages", "text", "The folder of the topic files.", promise="open"),
)
LATEST_TOPIC = (
    *columns(TOPIC, ("state",)),
    Column("ranked", "integer", "Articles in the topic file, or in the key.", unit="rows"),
    Column("page", "text", "The topic file, below the store's URL or folder."),
    Column(
        "json_feed", "text", "The topic's JSON Feed, likewise.", null="`RERANK_FEEDS` does not ask for it"
    ),
    Column("atom", "text", "The topic's Atom feed, likewise.", null="`RERANK_FEEDS` does not ask for it"),
)
TOPIC_FILE = (
    _FORMAT,
    *_IDENTITY,
    *columns(TOPIC, ("topic", "query", "state")),
    Column("counts", "object", "The topic's pairs: see below."),
    Column("articles", "list of objects", "The topic's ranking, by `rank`: see below."),
    Column(
        "changes",
        "list of objects",
        "What the move behind the page changed in the topic: see [News of a topic](#news-of-a-topic).",
    ),
)
# The key rerank:{pipeline}:page in Redis, and each of its topics.
REDIS_PAGE = (
    _FORMAT,
    *_IDENTITY,
    *columns(LATEST, ("rows",)),
    *columns(LATEST, ("topics", "content")),
    Column("copy", "text", "A new value after each change of the copy.", promise="open"),
)
REDIS_TOPIC = columns(LATEST_TOPIC, ("state", "ranked"))
JSON_CHANGE = columns(CHANGE, json_pages.CHANGE)
JSON_COUNTS = columns(TOPIC, json_pages.COUNTS)
JSON_ARTICLE = columns(RANKING, json_pages.ARTICLE)
