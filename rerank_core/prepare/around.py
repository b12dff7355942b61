"""Around: what stands around the article in the tree of a page, and often within its container.

    comments    of readers: item after item begins with a name and a time
    other news  items of a list that link to a story and tell its date; the article may be an item of the same list

An extractor that weighs containers keeps them, because they stand with the article. So they go before it looks. Both tell
a time; so only what stands around a time is looked at.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rerank_core.prepare.fragment import letters
from rerank_core.prepare.slots import AGO, DATE
from rerank_core.prepare.terms import caseless
from rerank_core.prepare.tokens import HIDDEN

MAX_NAME = 60  # characters before the time of a comment
MAX_NEWS = 400  # characters of an item of other news, its teaser included
MAX_SECTION = 20  # letters of an item of other news beside its link and its date: its section
MIN_ROWS = 2  # items of other news that are a list
ARTICLE = 3  # an article is at least so many times as long as an item of other news
LEVELS = 6  # elements between a time and the container of its item
NEAR = 120  # characters of a text in which its time stands

_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_ITEMS = ("li", "div", "p", "article")
_COMMENTS_IN = ("ul", "ol", "dl", "div", "section")
_NEWS_IN = ("ul", "ol", "div", "section")
_NOW = r"刚刚|\bjust now\b|\byesterday\b"
_AGO = re.compile(f"{AGO.pattern}|{_NOW}")
_WHEN = re.compile(f"{AGO.pattern}|{DATE.pattern}|{_NOW}")
# What every time has, in small letters: a quick look at every text of the tree.
_MAY_TELL = re.compile(r"\d(?:\s?[-/.年月秒分小天周个時时日smhdwyj]|\d{3})")
_MAY_TELL_IN_WORDS = ("ago", "now", "yesterday", "刚")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?")
_OF_READERS = re.compile(
    r"comment|opinion|repl(?:y|ies)|discuss|disqus|feedback|reader|leser|kommentar|coment|评论|跟贴",
    re.IGNORECASE,
)

Items = dict[Any, dict[Any, None]]  # container → those of its children that tell a time, in order


def drop_around(tree: Any) -> None:
    """Drop comments of readers and other news."""
    dated = _dated(tree)
    for container, items in dated.items():
        if container.tag in _COMMENTS_IN and _are_comments(container, items):
            container.drop_tree()
    for container, items in dated.items():
        if container.tag in _NEWS_IN:
            _drop_other_news(container, items)


def _dated(tree: Any) -> Items:
    dated: Items = {}
    for element in tree.iter():
        text, tail = element.text, element.tail
        if text and _tells(text) and isinstance(element.tag, str) and element.tag not in HIDDEN:
            _note(dated, element)
        if tail and _tells(tail) and (parent := element.getparent()) is not None:
            _note(dated, parent)
    return dated


def _tells(text: str) -> bool:
    if text.isspace():
        return False
    near = text[:NEAR].lower()
    if not _MAY_TELL.search(near) and not any(word in near for word in _MAY_TELL_IN_WORDS):
        return False
    return _WHEN.search(caseless(" ".join(near.split()))) is not None


def _note(dated: Items, element: Any) -> None:
    for _ in range(LEVELS):
        container = element.getparent()
        if container is None or container.getparent() is None:
            return
        dated.setdefault(container, {})[element] = None
        element = container


# ── Comments ────────────────────────────────────────────────────────────────────────────────────────


def _are_comments(container: Any, items: dict[Any, None]) -> bool:
    """Whether most children of a container are comments.

    A comment begins with a name and then tells how long ago it was written. A date will do, and a single comment, if the
    container is named for comments.
    """
    is_named = _is_named_for_readers(container)
    comments = sum(_is_comment(item, is_named) for item in items)
    return comments >= (1 if is_named else 2) and 2 * comments > len(container)


def _is_named_for_readers(container: Any) -> bool:
    """Whether the container or its parent is named for comments."""
    parent = container.getparent()
    names = [element.get(name) or "" for element in (container, parent) for name in ("class", "id")]
    return _OF_READERS.search(" ".join(names)) is not None


def _is_comment(item: Any, may_be_dated: bool) -> bool:
    if len(item) and item[0].tag in _HEADINGS:
        return False  # an entry of a live blog
    beginning = caseless(" ".join(" ".join(islice(item.itertext(), 12)).split())[:100])
    told = (_WHEN if may_be_dated else _AGO).search(beginning)
    return told is not None and 0 < told.start() <= MAX_NAME


# ── Other news ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _News:
    """An item that links to a story and tells its date."""

    length: int  # characters
    has_section: (
        bool  # beside its link it tells how old it is, or its date and a few letters more, and nothing else
    )


def _drop_other_news(container: Any, items: dict[Any, None]) -> None:
    """Drop items of other news, if two or more stand together, or if their list has the article, too.

    What is left of a list with the article is no list any more.
    """
    found = {item: told for item in items if item.tag in _ITEMS and (told := _told(item)) is not None}
    if not found:
        return
    news = [item for item, told in found.items() if told.has_section]
    if container.tag in ("ul", "ol"):
        others = [child for child in container if child.tag == "li" and child not in found]
        longest = max(told.length for told in found.values())
        if any(_is_article(item, beside=longest) for item in others):
            for item in found:
                item.drop_tree()
            for element in (container, *others):
                element.tag = "div"
            return
    if len(news) >= MIN_ROWS:
        for item in news:
            item.drop_tree()


def _told(item: Any) -> _News | None:
    text = bounded_text(item, MAX_NEWS)
    if len(text) > MAX_NEWS:
        return None
    links = [" ".join(link.text_content().split()) for link in item.iter("a")]
    outside = caseless(text)
    for link in filter(None, links):
        outside = outside.replace(caseless(link), " ", 1)
    if not any(links) or not _WHEN.search(outside):
        return None
    rest = letters(_CLOCK.sub("", _WHEN.sub("", outside)))
    return _News(len(text), (0 if _AGO.search(outside) else 1) <= rest <= MAX_SECTION)


def _is_article(item: Any, *, beside: int) -> bool:
    """Whether an item is much longer than the items of other news beside it, and has paragraphs."""
    needed = ARTICLE * beside
    return next(item.iter("p", "br", "div"), None) is not None and len(bounded_text(item, needed)) >= needed


def bounded_text(element: Any, characters: int) -> str:
    """The text of an element, until it has more than so many characters: nested lists cost no more than flat lists."""
    pieces: list[str] = []
    length = 0
    for piece in _texts(element):
        pieces.append(piece)
        length += len(piece)
        if length > characters:
            break
    return " ".join(pieces)


def _texts(element: Any) -> Iterator[str]:
    for piece in element.itertext():
        if stripped := " ".join(piece.split()):
            yield stripped
