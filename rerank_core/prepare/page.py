"""Page: a whole page of the web → the text of its article, a line a block.

Around its article a page has navigation, advertising and other news. Trafilatura tells them apart; here it gets a tree that
it reads well, and its answer is checked:

- Text that stands directly in a container, beside paragraphs, becomes a paragraph; else it would be lost.
- Lists in cells of tables become text; else they would be lost, too.
- Lists that are all links, other news beside the article, and comments of readers go (around.py).
- A short answer asks for second opinions, and the longest that is prose wins.
- An answer that is no prose, from a page that a script fills, is navigation: the page has no article.
- A page with too many tags, or too deep for the parser, is read as a fragment: slower ways would need minutes.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from rerank_core.prepare import fragment
from rerank_core.prepare.around import bounded_text, drop_around
from rerank_core.prepare.fragment import LINK_SHARE, MAX_CELL, letters
from rerank_core.prepare.tokens import HIDDEN

MAX_TAGS = 10_000  # the largest of 181 news pages has 3,229
SHORT = 400  # characters; a shorter answer asks for a second opinion
NAVIGATION = 0.6  # share of a page's letters that are links, if the page has navigation and no article
SAME = 0.9  # share of letters from which on two texts are the same text
MIN_LOOSE = 30  # characters of loose text that becomes a paragraph

_LOOSE_IN = frozenset(("div", "section", "article", "main", "body", "td", "center"))
_INLINE = frozenset("a abbr b bdi bdo big cite code em font i mark q s small span strong sub sup u".split())
_PARAGRAPHS = ("p", "div", "ul", "ol", "table", "blockquote", "h2", "h3", "section", "pre", "br")
_PROSE = re.compile(r"[.!?…\"”’»)][\"”’»)]*$|[。！？”」』）]$|[।။።؟۔]$")
# Joiners and marks of direction: the extractor drops them, so they travel as letters that no news uses.
_JOINERS = "\u200c\u200d\u200e\u200f"
_ASIDE = "\U00010080\U00010081\U00010082\U00010083"
_JOINER_ENTITY = re.compile(r"&(?:zwn?j|lrm|rlm|#820[4-7]|#x200[c-f]);", re.IGNORECASE)
_BODY = re.compile(r"<body(?=[\s>])", re.IGNORECASE)


@dataclass
class Page:
    """The text of a page."""

    text: str  # empty if the page has no article
    letters: int  # of its visible text
    has_article: bool = True  # False if its text is navigation alone, beside scripts


def read(markup: str) -> Page:
    """The article of a page. Raises whatever the parser raises."""
    import trafilatura

    has_joiners = any(joiner in markup for joiner in _JOINERS) or _JOINER_ENTITY.search(markup) is not None
    if has_joiners:
        markup = _JOINER_ENTITY.sub(lambda entity: html.unescape(entity[0].lower()), markup)
        markup = _exchanged(markup, _JOINERS, _ASIDE)
    tree = None if markup.count("<") > MAX_TAGS else trafilatura.load_html(markup)
    if tree is None or _is_too_deep():
        body = _BODY.search(markup)
        whole = fragment.read(markup[body.start() :] if body else markup)
        page = Page(whole.text, whole.letters)
    else:
        page = _from_tree(tree)
    if has_joiners:
        page.text = _exchanged(page.text, _ASIDE, _JOINERS)
    return page


def _exchanged(text: str, old: str, new: str) -> str:
    """The text with other characters for some; on a whole page much quicker than translate."""
    for one, other in zip(old, new, strict=True):
        text = text.replace(one, other)
    return text


def _is_too_deep() -> bool:
    """Whether the parser gave up the last page because its elements are nested too deeply."""
    from trafilatura.utils import HTML_PARSER

    return any("depth" in entry.message.lower() for entry in HTML_PARSER.error_log[-3:])


def _from_tree(tree: Any) -> Page:
    body = tree.find("body")
    # Kept, because lxml makes the object of an element anew for each walk that finds none.
    elements = list((tree if body is None else body).iter())
    visible = letters("".join(_visible(elements)))
    _wrap_loose_text(tree)
    _flatten_lists_in_cells(tree)
    drop_around(tree)
    has_scripts = next(tree.iter("script"), None) is not None
    lists = [element for element in tree.iter("ul", "ol") if _is_list_of_links(element)]
    text = _extracted(tree)
    is_navigation = has_scripts and not _is_prose(text) and _linked(tree) >= NAVIGATION * visible
    if "\n" in text:
        links = {
            " ".join(item.text_content().split()) for link_list in lists for item in link_list.iter("li")
        }
        text = "\n".join(line for line in text.split("\n") if line.removeprefix("- ").strip() not in links)
    elif lists:
        # If a page says little, the extractor returns all of its text as one line, including lists of links.
        text = _extracted(_pruned(tree, lists))
    if len(text) < SHORT:
        text = _second_opinion(_pruned(tree, lists), text)
    if is_navigation and not _is_prose(text):
        return Page("", visible, has_article=False)
    return Page(text, visible)


def _linked(tree: Any) -> int:
    return letters("".join(link.text_content() for link in tree.iter("a")))


def _visible(elements: list[Any]) -> Iterator[str]:
    for element in elements:
        if isinstance(element.tag, str) and element.tag not in HIDDEN and element.text:
            yield element.text
        if element.tail:
            yield element.tail


def _wrap_loose_text(tree: Any) -> None:
    """Make a paragraph of text that stands in a container beside paragraphs, with the inline elements that follow it."""
    for container in list(tree.iter(*_LOOSE_IN)):
        if not any(child.tag in _PARAGRAPHS for child in container):
            continue
        if _is_loose(container.text):
            paragraph, container.text = _paragraph(container.text), None
            container.insert(0, paragraph)
            _take_followers(paragraph)
        child = next(iter(container), None)
        while child is not None:
            if _is_loose(child.tail):
                paragraph, child.tail = _paragraph(child.tail), None
                child.addnext(paragraph)
                _take_followers(paragraph)
                child = paragraph
            child = child.getnext()


def _is_loose(text: str | None) -> bool:
    return text is not None and len(text.strip()) >= MIN_LOOSE


def _paragraph(text: str) -> Any:
    from lxml.html import Element

    paragraph = Element("p")
    paragraph.text = text
    return paragraph


def _take_followers(paragraph: Any) -> None:
    """Move the inline elements behind a paragraph, with their tails, into it: they belong to the same line of text."""
    while (follower := paragraph.getnext()) is not None and follower.tag in _INLINE:
        paragraph.append(follower)


def _flatten_lists_in_cells(tree: Any) -> None:
    """Write a list in a cell of a table of facts as text, because the extractor leaves it out."""
    for group in list(tree.iter("ul", "ol")):
        cell = group.getparent()
        if cell is None or cell.tag not in ("td", "th") or _is_list_of_links(group):
            continue
        if len(bounded_text(cell, MAX_CELL)) <= MAX_CELL:
            items = [" ".join(item.text_content().split()) for item in group]
            for item in list(group):
                group.remove(item)
            group.tag, group.text = "span", ", ".join(filter(None, items))


def _is_list_of_links(element: Any) -> bool:
    """Whether a list says almost nothing but two or more links: it then names other articles."""
    links = [link.text_content() for link in element.iter("a")]
    return len(links) > 1 and _ink("".join(links)) >= LINK_SHARE * _ink(element.text_content())


def _ink(text: str) -> int:
    return len("".join(text.split()))


def _pruned(tree: Any, elements: list[Any]) -> Any:
    for element in elements:
        if element.getparent() is not None:
            element.drop_tree()
    return tree


def _second_opinion(tree: Any, text: str) -> str:
    """The longest prose of several extractors, at least half as long again as this text; else this text."""
    best = text
    for opinion in (_extracted(tree, fast=False), _extracted(tree, recall=True)):
        if len(opinion) > 1.5 * len(best) and _is_prose(opinion):
            best = opinion
    return _without_links(tree, best if "\n" in best else _in_lines(tree, best))


def _in_lines(tree: Any, text: str) -> str:
    """A text that the extractor returned as one line, a line a block; the text itself if no element of the page holds it.

    The extractor returns one line if a page says little. The rules of boilerplate and readers need lines.
    """
    from lxml.html import tostring

    for element in tree.iter("article", "main", "body"):
        lines = fragment.read(tostring(element, encoding="unicode", with_tail=False)).text
        if SAME * letters(text) <= letters(lines) <= letters(text) / SAME:
            return lines
    return text


def _without_links(tree: Any, text: str) -> str:
    """The text without lines that are links in a block of nothing but links, if any line is left."""
    blocks = [block for block in tree.iter("div", "section", "aside") if _is_list_of_links(block)]
    links = {" ".join(link.text_content().split()) for block in blocks for link in block.iter("a")}
    return "\n".join(line for line in text.split("\n") if line not in links) or text


def _is_prose(text: str) -> bool:
    """Whether a fifth of a text at least stands in lines that end as a sentence does."""
    if not text:
        return False
    prose = sum(len(line) for line in text.split("\n") if _PROSE.search(line.rstrip()))
    return prose >= len(text) / 5


def _extracted(tree: Any, *, fast: bool = True, recall: bool = False) -> str:
    import trafilatura

    return trafilatura.extract(tree, options=_options(fast, recall)) or ""


@cache
def _options(fast: bool, recall: bool) -> Any:
    from trafilatura.settings import Extractor

    # `fast` asks no other libraries for a second opinion: quicker, and no worse on the pages that were measured.
    return Extractor(fast=fast, comments=False, recall=recall)
