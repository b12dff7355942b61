"""A topic as a feed, for readers that subscribe: JSON Feed 1.1 (jsonfeed.org/version/1.1) and Atom (RFC 4287).

A feed is made from its topic file, so both show the same rows of one publication, in the order of the ranking. An
article keeps its id in every feed and on every page, so that a subscriber sees it once. What only we know is in an extension:
`_rerank` in JSON, elements of the namespace NAMESPACE in Atom.

Titles and links come from strangers. Here they lose what XML or an address must not hold; a source may send anything.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import quote
from uuid import UUID, uuid5
from xml.sax.saxutils import escape, quoteattr

Format = Literal["json", "atom"]

NAMESPACE = "urn:news-rerank:feed:1"
# What ids are made under: never change it, or every subscriber sees every article again.
_IDS = UUID("5b1c3f0e-8f0d-5c55-9a3e-6f1d0c2b7a41")
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2
_NO_URL = re.compile(r"[\s\x00-\x20\x7f-\xa0\"<>\\^`{|}\ud800-\udfff\ufffe\uffff]|%(?![0-9A-Fa-f]{2})")
ITEM = ("article_id", "rank", "ranked_by", "logit", "is_new", "copies")
PAGE = (
    "pipeline",
    "topic",
    "state",
    "degraded",
    "overdue_since",
    "as_of",
    "run_id",
    "version",
    "publication_id",
)


@lru_cache(maxsize=1 << 15)
def id_of(pipeline: str, *parts: str) -> str:
    """The id of an article, or of a topic's feed, in this pipeline: a URN that never changes."""
    return uuid5(_IDS, "\0".join((pipeline, *map(clean, parts)))).urn


def clean(text: str) -> str:
    """The text with U+FFFD for each character that XML has no form for."""
    return (
        text if text.isprintable() else _NO_XML.sub("\ufffd", text)
    )  # private characters pass the second look


def link(url: str | None) -> str | None:
    """The address, with what an address must not hold percent-encoded; None if there is none, or it is not http."""
    if url is None or url[:8].lower().partition("://")[0] not in {"http", "https"} or "://" not in url[:8]:
        return None
    return _NO_URL.sub(lambda found: quote(found[0], safe="", errors="replace"), url)


def address(base: str, topic: str, format_: Format) -> str:
    """Where subscribers find a topic's feed, below the public address of all feeds."""
    return f"{base.rstrip('/')}/{topic}{ENDINGS[format_]}"


def json_feed(content: Mapping[str, Any], base: str | None = None) -> dict[str, Any]:
    """The topic file `content` as a JSON Feed; `base`: the public address of all feeds, if it is known."""
    pipeline, topic = content["pipeline"], content["topic"]
    feed: dict[str, Any] = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": clean(content["query"]),
        "description": f"{pipeline}: {topic}",
        **({"feed_url": address(base, topic, "json")} if base else {}),
        "_rerank": {name: content[name] for name in PAGE},
        "items": [],
    }
    for article in content["articles"]:
        url, source = link(article["url"]), article["source"]
        item: dict[str, Any] = {
            "id": id_of(pipeline, "article", article["article_id"]),
            "title": (title := clean(article["title"])),
            "content_text": title,
            "date_published": _published(article),
            "_rerank": {name: article[name] for name in ITEM},
        }
        if url:
            item["url"] = url
        if source:
            item["authors"] = [{"name": clean(source)}]
        if article["lang"] != "und":
            item["language"] = article["lang"]
        feed["items"].append(item)
    return feed


def atom(content: Mapping[str, Any], base: str | None = None) -> bytes:
    """The topic file `content` as an Atom feed in UTF-8; `base`: the public address of all feeds, if it is known."""
    pipeline, topic = content["pipeline"], content["topic"]
    own = f'<link rel="self" href={quoteattr(address(base, topic, "atom"))}/>' if base else ""
    entries = "".join(_entry(pipeline, article) for article in content["articles"])
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<feed xmlns="http://www.w3.org/2005/Atom" xmlns:rerank="{NAMESPACE}">'
        f"<id>{id_of(pipeline, 'topic', topic)}</id>{own}"
        f"<title>{_text(content['query'])}</title><subtitle>{_text(f'{pipeline}: {topic}')}</subtitle>"
        f"<updated>{_time(content['published_at'])}</updated><author><name>{_text(pipeline)}</name></author>"
        f"{_extension(PAGE, content)}{entries}</feed>\n"
    ).encode()


def _entry(pipeline: str, article: Mapping[str, Any]) -> str:
    title, url, source = _text(article["title"]), link(article["url"]), article["source"]
    language = f' xml:lang="{_text(article["lang"])}"' if article["lang"] != "und" else ""
    # An entry without a link must have a content (4.1.1.1). No address holds a quotation mark any more.
    body = f'<link rel="alternate" href="{escape(url)}"/>' if url else f"<content>{title}</content>"
    author = f"<author><name>{_text(source)}</name></author>" if source else ""
    logit = "" if article["logit"] is None else f"<rerank:logit>{article['logit']}</rerank:logit>"
    return (
        f"\n<entry{language}><id>{id_of(pipeline, 'article', article['article_id'])}</id><title>{title}</title>{body}"
        f"<published>{_published(article)}</published><updated>{article['first_ingested_at'].isoformat()}</updated>{author}"
        f"<rerank:article_id>{_text(article['article_id'])}</rerank:article_id><rerank:rank>{article['rank']}</rerank:rank>"
        f"<rerank:ranked_by>{article['ranked_by']}</rerank:ranked_by>{logit}"
        f"<rerank:is_new>{_shown(article['is_new'])}</rerank:is_new><rerank:copies>{article['copies']}</rerank:copies></entry>"
    )


def _extension(names: tuple[str, ...], values: Mapping[str, Any]) -> str:
    """An element for each value; none for null."""
    return "".join(
        f"<rerank:{name}>{_text(_shown(values[name]))}</rerank:{name}>"
        for name in names
        if values[name] is not None
    )


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return _time(value) if isinstance(value, datetime) else str(value)


def _text(text: str) -> str:
    return escape(clean(text), {'"': "&quot;"})


def _time(value: datetime) -> str:
    return value.isoformat()


def _published(article: Mapping[str, Any]) -> str:
    """When the source says that the article was published; else when it came."""
    moment: datetime = article["published_at"] or article["first_ingested_at"]
    return moment.isoformat()


# Format → ending of its files, and key of latest.json that names the file.
ENDINGS: dict[Format, str] = {"json": ".feed.json", "atom": ".atom.xml"}
KEYS: dict[Format, str] = {"json": "json_feed", "atom": "atom"}
RENDER: dict[Format, Callable[[Mapping[str, Any], str | None], Any]] = {"json": json_feed, "atom": atom}
