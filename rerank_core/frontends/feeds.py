"""A topic as a feed, for readers that subscribe: JSON Feed 1.1 (jsonfeed.org/version/1.1) and Atom (RFC 4287).

A feed is made from its topic file, so both show the same rows of one publication, in the order of the ranking. An
article keeps its id in every feed and on every page, so that a subscriber sees it once. What only we know is in an extension:
`_rerank` in JSON, elements of the namespace NAMESPACE in Atom.

Titles and links come from strangers. Here they lose what XML or an address must not hold; a source may send anything.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import quote
from uuid import UUID, uuid5
from xml.sax.saxutils import escape, quoteattr

from rerank_core.frontends.json_text import to_text

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
    "blocked",
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


class Renderer:
    """Renders the feeds of one page. What it says of a revision, whatever the topic, is made once."""

    def __init__(self, pipeline: str, base: str | None = None) -> None:
        """`base`: the public address of all feeds, if it is known."""
        self._pipeline = pipeline
        self._base = base
        self._items: dict[int, str] = {}
        self._entries: dict[int, str] = {}

    def feed(self, format_: Format, content: Mapping[str, Any]) -> bytes:
        """The topic file `content` as a feed in UTF-8."""
        return self.json_feed(content) if format_ == "json" else self.atom(content)

    def json_feed(self, content: Mapping[str, Any]) -> bytes:
        """The topic file `content` as a JSON Feed."""
        topic = content["topic"]
        head = {
            "version": "https://jsonfeed.org/version/1.1",
            "title": clean(content["query"]),
            "description": f"{self._pipeline}: {topic}",
            **({"feed_url": address(self._base, topic, "json")} if self._base else {}),
            "_rerank": {name: content[name] for name in PAGE},
        }
        items = ",".join(f"{self._item(one)}{_ranked_in_json(one)}" for one in content["articles"])
        return f'{to_text(head)[:-1]},"items":[{items}]}}'.encode()

    def _item(self, article: Mapping[str, Any]) -> str:
        """An item of a JSON Feed without what the topic says of it, and without its closing braces."""
        revision_id: int = article["revision_id"]
        if revision_id not in self._items:
            url, source, title = link(article["url"]), article["source"], clean(article["title"])
            item = {
                "id": id_of(self._pipeline, "article", article["article_id"]),
                "title": title,
                "content_text": title,
                "date_published": _published(article),
                **({"url": url} if url else {}),
                **({"authors": [{"name": clean(source)}]} if source else {}),
                **({"language": article["lang"]} if article["lang"] != "und" else {}),
                "_rerank": {"article_id": article["article_id"]},
            }
            self._items[revision_id] = to_text(item)[:-2]
        return self._items[revision_id]

    def atom(self, content: Mapping[str, Any]) -> bytes:
        """The topic file `content` as an Atom feed."""
        pipeline, topic = self._pipeline, content["topic"]
        own = f'<link rel="self" href={quoteattr(address(self._base, topic, "atom"))}/>' if self._base else ""
        entries = "".join(f"{self._entry(one)}{_ranked_in_atom(one)}</entry>" for one in content["articles"])
        return (
            '<?xml version="1.0" encoding="utf-8"?>\n'
            f'<feed xmlns="http://www.w3.org/2005/Atom" xmlns:rerank="{NAMESPACE}">'
            f"<id>{id_of(pipeline, 'topic', topic)}</id>{own}"
            f"<title>{_text(content['query'])}</title><subtitle>{_text(f'{pipeline}: {topic}')}</subtitle>"
            f"<updated>{_time(content['published_at'])}</updated><author><name>{_text(pipeline)}</name></author>"
            f"{_extension(PAGE, content)}{entries}</feed>\n"
        ).encode()

    def _entry(self, article: Mapping[str, Any]) -> str:
        """An entry of an Atom feed without what the topic says of it, and without its closing tag."""
        revision_id: int = article["revision_id"]
        if revision_id not in self._entries:
            title, url, source = _text(article["title"]), link(article["url"]), article["source"]
            language = f' xml:lang="{_text(article["lang"])}"' if article["lang"] != "und" else ""
            # An entry without a link must have a content (4.1.1.1). No address holds a quotation mark any more.
            body = f'<link rel="alternate" href="{escape(url)}"/>' if url else f"<content>{title}</content>"
            author = f"<author><name>{_text(source)}</name></author>" if source else ""
            self._entries[revision_id] = (
                f"\n<entry{language}><id>{id_of(self._pipeline, 'article', article['article_id'])}</id>"
                f"<title>{title}</title>{body}<published>{_published(article)}</published>"
                f"<updated>{_time(article['first_ingested_at'])}</updated>{author}"
                f"<rerank:article_id>{_text(article['article_id'])}</rerank:article_id>"
            )
        return self._entries[revision_id]


def _ranked_in_json(article: Mapping[str, Any]) -> str:
    """The end of an item of a JSON Feed: what the topic says of it. Its numbers are those of the topic file, which has no NaN."""
    logit = "null" if article["logit"] is None else repr(article["logit"])
    return (
        f',"rank":{article["rank"]},"ranked_by":"{article["ranked_by"]}","logit":{logit}'
        f',"is_new":{_shown(article["is_new"])},"copies":{article["copies"]}}}}}'
    )


def _ranked_in_atom(article: Mapping[str, Any]) -> str:
    """What an Atom entry says of an article in its topic."""
    logit = "" if article["logit"] is None else f"<rerank:logit>{article['logit']}</rerank:logit>"
    return (
        f"<rerank:rank>{article['rank']}</rerank:rank><rerank:ranked_by>{article['ranked_by']}</rerank:ranked_by>{logit}"
        f"<rerank:is_new>{_shown(article['is_new'])}</rerank:is_new><rerank:copies>{article['copies']}</rerank:copies>"
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
