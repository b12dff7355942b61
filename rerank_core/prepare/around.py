"""Around: what stands around the article in the tree of a page, and often within its container.

    comments    of readers: item after item begins with a name and a time
    other news  items of a list that link to a story and tell its date; the article may be an item of the same list

An extractor that weighs containers keeps them, because they stand with the article. So they go before it looks.
"""

import re
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rerank_core.prepare.fragment import letters
from rerank_core.prepare.slots import AGO, DATE
from rerank_core.prepare.terms import caseless

MAX_NAME = 60  # characters before the time of a comment
MAX_NEWS = 400  # characters of an item of other news, its teaser included
MAX_SECTION = 20  # letters of an item of other news beside its link and its date: its section
ARTICLE = 3  # an article is at least so many times as long as an item of other news

_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_CONTAINERS = ("ul", "ol", "dl", "div", "section")
_NOW = r"刚刚|\bjust now\b|\byesterday\b"
_AGO = re.compile(f"{AGO.pattern}|{_NOW}")
_WHEN = re.compile(f"{AGO.pattern}|{DATE.pattern}|{_NOW}")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?")
_OF_READERS = re.compile(
    r"comment|opinion|repl(?:y|ies)|discuss|disqus|feedback|reader|leser|kommentar|coment|评论|跟贴",
    re.IGNORECASE,
)


def drop_comments(tree: Any) -> None:
    """Drop containers in which most children are comments.

    A comment begins with a name and then tells how long ago it was written. A date will do, and a single comment, if the
    container is named for comments.
    """
    for container in list(tree.iter(*_CONTAINERS)):
        if container.getparent() is None:
            continue
        children = [child for child in container if isinstance(child.tag, str)]
        if children and _are_comments(children, is_named=_is_named_for_readers(container)):
            container.drop_tree()


def _is_named_for_readers(container: Any) -> bool:
    """Whether the container or its parent is named for comments."""
    parent = container.getparent()
    names = [element.get(name) or "" for element in (container, parent) for name in ("class", "id")]
    return _OF_READERS.search(" ".join(names)) is not None


def _are_comments(children: list[Any], *, is_named: bool) -> bool:
    comments = sum(_is_comment(child, is_named) for child in children)
    return comments >= (1 if is_named else 2) and 2 * comments > len(children)


def _is_comment(item: Any, may_be_dated: bool) -> bool:
    if len(item) and item[0].tag in _HEADINGS:
        return False  # an entry of a live blog
    beginning = caseless(" ".join(" ".join(islice(item.itertext(), 12)).split())[:100])
    told = (_WHEN if may_be_dated else _AGO).search(beginning)
    return told is not None and 0 < told.start() <= MAX_NAME


def drop_other_news(tree: Any) -> None:
    """Drop items of other news from the list that has the article, and lists of nothing else.

    What is left of a list with the article is no list any more.
    """
    for group in list(tree.iter("ul", "ol")):
        items = [child for child in group if child.tag == "li"]
        news = {item: told for item in items if (told := _told(item)) is not None}
        if not news:
            continue
        others = [item for item in items if item not in news]
        if not others:
            if len(items) > 1 and all(told.has_section for told in news.values()):
                group.drop_tree()
        elif any(_is_article(item, beside=max(told.length for told in news.values())) for item in others):
            for item in news:
                item.drop_tree()
            for element in (group, *others):
                element.tag = "div"


@dataclass(frozen=True)
class _News:
    """An item of a list that links to a story and tells its date."""

    length: int  # characters
    has_section: (
        bool  # beside its link it tells how old it is, or its date and a few letters more, and nothing else
    )


def _told(item: Any) -> _News | None:
    text = _bounded_text(item, MAX_NEWS)
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
    return next(item.iter("p", "br", "div"), None) is not None and len(_bounded_text(item, needed)) >= needed


def _bounded_text(element: Any, characters: int) -> str:
    """The text of an element, until it has more than so many characters: nested lists cost no more than flat lists."""
    pieces: list[str] = []
    length = 0
    for piece in element.itertext():
        pieces.append(piece)
        length += len(piece.strip())
        if length > characters:
            break
    return " ".join(" ".join(pieces).split())
