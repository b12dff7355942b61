"""A feed is valid, keeps its ids, and holds nothing that a stranger has put there to break it."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from rerank_core.frontends import feeds

feedparser = pytest.importorskip("feedparser", reason="feedparser of the dev extra is not installed")

ATOM = "{http://www.w3.org/2005/Atom}"
OURS = f"{{{feeds.NAMESPACE}}}"
NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
BASE = "https://news.example/feeds/"
HOSTILE = (
    "]]></title><script>hit()</script>",
    "<b>&amp; \"quotes' & more",
    "null \x00 bell \x07 escape \x1b[31m",
    "lone \ud800 surrogate, \ufffe and \uffff",
    "太阳能 خطة 🌞\u2028next\u0085line",
    "%3Cscript%3E &#0; &#xFFFE;",
)
# What jsonfeed.org/version/1.1 asks of a feed: what must be there, and of which type what is there may be.
SCHEMA = {
    "type": "object",
    "required": ["version", "title", "items"],
    "additionalProperties": False,
    "patternProperties": {"^_": {"type": "object"}},
    "properties": {
        "version": {"const": "https://jsonfeed.org/version/1.1"},
        "title": {"type": "string"},
        "description": {"type": "string"},
        "feed_url": {"type": "string", "format": "uri"},
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id"],
                "anyOf": [{"required": ["content_text"]}, {"required": ["content_html"]}],
                "additionalProperties": False,
                "patternProperties": {"^_": {"type": "object"}},
                "properties": {
                    "id": {"type": "string", "minLength": 1},
                    "url": {"type": "string", "pattern": r"^https?://[!-~\u00a1-\U0010ffff]+$"},
                    "title": {"type": "string"},
                    "content_text": {"type": "string"},
                    "date_published": {
                        "type": "string",
                        "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d$",
                    },
                    "language": {"type": "string", "pattern": "^[a-z]{2,3}$"},
                    "authors": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "anyOf": [{"required": [name]} for name in ("name", "url", "avatar")],
                            "properties": {"name": {"type": "string"}},
                        },
                    },
                },
            },
        },
    },
}


def make_article(rank: int = 1, **overrides: Any) -> dict[str, Any]:
    values = {
        "article_id": f"a{rank}",
        "revision_id": 100 + rank,
        "rank": rank,
        "title": f"solar {rank}",
        "url": f"https://x.example/{rank}",
        "source": "desk",
        "lang": "en",
        "published_at": NOON - timedelta(hours=rank),
        "first_ingested_at": NOON - timedelta(minutes=rank),
        "ranked_by": "model",
        "logit": 1.5,
        "is_new": True,
        "copies": 1,
    }
    return {**values, **overrides}


def make_content(*articles: dict[str, Any], **overrides: Any) -> dict[str, Any]:
    values = {
        "pipeline": "news",
        "topic": "solar",
        "query": "solar power",
        "state": "full",
        "degraded": False,
        "blocked": False,
        "overdue_since": None,
        "as_of": NOON,
        "published_at": NOON + timedelta(seconds=9),
        "run_id": 7,
        "version": 1,
        "publication_id": 9,
        "articles": list(articles),
    }
    return {**values, **overrides}


def read_json(content: dict[str, Any], base: str | None = None) -> Any:
    """The JSON Feed as a subscriber reads it, when it is found valid."""
    found = json.loads(feeds.Renderer(content["pipeline"], base).json_feed(content))
    jsonschema.validate(found, SCHEMA)
    return found


def read_atom(content: dict[str, Any], base: str | None = None) -> Any:
    """The Atom feed as feedparser reads it, when it is found well-formed and what RFC 4287 asks for is there."""
    made = feeds.Renderer(content["pipeline"], base).atom(content)
    root = ElementTree.fromstring(made)
    for element in (root, *root.findall(f"{ATOM}entry")):
        for name in ("id", "title", "updated"):
            assert len(element.findall(f"{ATOM}{name}")) == 1, name
    assert root.find(f"{ATOM}author/{ATOM}name") is not None
    for entry in root.findall(f"{ATOM}entry"):
        links = [link.get("rel") for link in entry.findall(f"{ATOM}link")]
        assert links == ["alternate"] or entry.find(f"{ATOM}content") is not None
    found = feedparser.parse(made)
    assert not found.bozo, found.get("bozo_exception")
    assert found.version == "atom10"
    return found


def test_both_feeds_say_what_the_topic_file_says() -> None:
    content = make_content(make_article(1), make_article(2, lang="zh", logit=None, ranked_by="bm25"))
    in_json, in_atom = read_json(content), read_atom(content)
    assert in_json["title"] == in_atom.feed.title == "solar power"
    assert [item["title"] for item in in_json["items"]] == ["solar 1", "solar 2"]
    for item, entry, article in zip(in_json["items"], in_atom.entries, content["articles"], strict=True):
        assert item["id"] == entry.id
        assert item["title"] == entry.title == article["title"]
        assert item["url"] == entry.link == article["url"]
        assert item["authors"][0]["name"] == entry.author == "desk"
        assert datetime.fromisoformat(item["date_published"]) == article["published_at"]
        assert datetime.fromisoformat(entry.published) == article["published_at"]
        assert datetime.fromisoformat(entry.updated) == article["first_ingested_at"]
        assert item["_rerank"] == {name: article[name] for name in feeds.ITEM}
        assert (entry.rerank_rank, entry.rerank_ranked_by) == (str(article["rank"]), article["ranked_by"])
        assert entry.get("rerank_logit") == (None if article["logit"] is None else "1.5")
    assert in_atom.entries[1].title_detail.language == in_json["items"][1]["language"] == "zh"
    assert in_json["_rerank"]["publication_id"] == int(in_atom.feed.rerank_publication_id) == 9
    assert in_atom.feed.rerank_degraded == "false"
    assert datetime.fromisoformat(in_json["_rerank"]["as_of"]) == datetime.fromisoformat(
        in_atom.feed.rerank_as_of
    )


def test_an_article_keeps_its_id_on_every_page_and_in_every_topic() -> None:
    first = make_content(make_article(1))
    later = make_content(
        make_article(9, article_id="a1", title="edited", url=None), topic="wind", publication_id=10
    )
    other = make_content(make_article(1), pipeline="shadow")
    ids = [read_json(content)["items"][0]["id"] for content in (first, later, other)]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0] == "urn:uuid:" + ids[0].removeprefix("urn:uuid:")
    assert ids[0] == feeds.id_of("news", "article", "a1") != feeds.id_of("news", "topic", "a1")
    assert feeds.id_of("news", "article", "a1") == "urn:uuid:bdd7be87-d4ca-5de7-8030-82b8f994d12b"  # for ever
    assert read_atom(first).feed.id == feeds.id_of("news", "topic", "solar")


@pytest.mark.parametrize("format_", feeds.ENDINGS)
def test_a_page_s_renderer_gives_what_a_new_renderer_gives_for_each_topic(format_: feeds.Format) -> None:
    one, edited = make_article(1), make_article(1, title="edited", revision_id=11)  # a page may have both
    contents = [make_content(one), make_content(edited, topic="wind"), make_content(one, topic="grid")]
    renderer = feeds.Renderer("news")
    made = [renderer.feed(format_, content) for content in contents]
    assert made == [feeds.Renderer("news").feed(format_, content) for content in contents]
    assert b"edited" in made[1]
    assert b"edited" not in made[2]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_a_stranger_breaks_a_feed(text: str) -> None:
    known = text.replace("\ud800", "")  # no id of a database has a lone surrogate
    article = make_article(title=text, source=text, article_id=known, url=f"https://x.example/{text}")
    content = make_content(article, query=text)
    item, entry = read_json(content)["items"][0], read_atom(content).entries[0]
    shown = re.sub("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
    assert item["title"] == shown
    title = ElementTree.fromstring(feeds.Renderer("news").atom(content)).findtext(f"{ATOM}entry/{ATOM}title")
    assert title == shown
    assert entry.link == item["url"]
    assert not re.search(r"[\s<>\"\x00-\x1f]", item["url"])
    assert "<" not in feeds.Renderer("news").json_feed(content).decode()


def test_control_a_feed_that_is_not_cleaned_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "clean", lambda text: text)
    with pytest.raises(ElementTree.ParseError):
        read_atom(make_content(make_article(title=HOSTILE[2])))
    monkeypatch.setattr(feeds, "escape", lambda text, *_: text)
    with pytest.raises(ElementTree.ParseError):
        read_atom(make_content(make_article(title=HOSTILE[0])))


@pytest.mark.parametrize("url", [None, "javascript:hit()", "ftp://x.example/", "", " https://x.example/"])
def test_an_article_without_a_link_is_whole(url: str | None) -> None:
    content = make_content(make_article(url=url))
    item, entry = read_json(content)["items"][0], read_atom(content).entries[0]
    assert "url" not in item
    assert "links" not in entry or not entry.links
    assert item["content_text"] == entry.content[0].value == "solar 1"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://x.example/a?b=%20c&d=ü#e", "https://x.example/a?b=%20c&d=ü#e"),
        ("HTTP://x.example/100% sure", "HTTP://x.example/100%25%20sure"),
        ('https://x.example/"<>', "https://x.example/%22%3C%3E"),
        ("http://[::1]/[a]", "http://[::1]/[a]"),
    ],
)
def test_a_link_becomes_an_address_and_one_that_is_one_stays(url: str, shown: str) -> None:
    assert feeds.link(url) == shown


def test_what_is_not_known_is_left_out() -> None:
    article = make_article(source=None, lang="und", published_at=None, logit=None)
    content = make_content(article)
    item, entry = read_json(content)["items"][0], read_atom(content).entries[0]
    assert not {"authors", "language"} & set(item)
    assert datetime.fromisoformat(item["date_published"]) == article["first_ingested_at"]
    assert "rerank_logit" not in entry
    assert "author" not in entry or entry.author == "news"  # the feed's own


def test_an_empty_topic_is_a_feed_without_entries() -> None:
    content = make_content(state="abstained")
    assert read_json(content)["items"] == []
    assert read_atom(content).entries == []
    assert read_atom(content).feed.rerank_state == "abstained"


def test_a_degraded_blocked_and_overdue_page_says_so() -> None:
    content = make_content(
        make_article(ranked_by="bm25", logit=None),
        degraded=True,
        blocked=True,
        state="degraded",
        overdue_since=NOON,
    )
    page = read_json(content)["_rerank"]
    assert (page["degraded"], page["blocked"], page["state"]) == (True, True, "degraded")
    assert page["overdue_since"] == NOON.isoformat()
    feed = read_atom(content).feed
    assert (feed.rerank_degraded, feed.rerank_blocked) == ("true", "true")
    assert feed.rerank_overdue_since == NOON.isoformat()


def test_a_feed_names_the_address_that_subscribers_know_if_it_is_known() -> None:
    content = make_content()
    assert read_json(content, BASE)["feed_url"] == f"{BASE}solar.feed.json"
    (own,) = read_atom(content, BASE).feed.links
    assert (own.rel, own.href) == ("self", f"{BASE}solar.atom.xml")
    assert "feed_url" not in read_json(content)
