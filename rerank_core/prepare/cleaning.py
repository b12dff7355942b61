"""Raw text of the web → clean text, in small steps that can be left out one by one.

    decode      bytes that were read in the wrong encoding, where the parser would lose them; entities of plain text
    extract     a page or a fragment of HTML becomes text, a line a block; lines of a fixed width become paragraphs
    repair      what else went wrong with an encoding, by ftfy
    normalise   NFC, one kind of space; no control characters, no invisible ones, none that turn the reading direction
    boilerplate lines that advertise, count or link are left out, by rules

Each step takes a text and gives a text; none fails on bad input, and the raw text is never altered in place.
"""

import html
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import ftfy

from rerank_core.prepare import boilerplate

LINK_SHARE = 0.95  # of a list's letters; such a list leads to other articles
WRAPPED = 40  # characters of many a line, where text was broken at a fixed width
MAX_WRAPPED = 100  # and of any
MAX_RAW = (
    2_000_000  # characters of raw text or HTML that are read: one page of sixteen has over half a million
)

_ELEMENTS = (
    "a abbr address article aside audio b blockquote body br button caption center cite code dd del details div dl"
    " dt em embed figcaption figure font footer form h1 h2 h3 h4 h5 h6 head header hr html i iframe img input ins kbd"
    " label li link main mark math meta nav noscript object ol option p picture pre q s samp script section select"
    " small source span strike strong style sub summary sup svg table tbody td template textarea tfoot th thead time"
    " title tr tt u ul var video"
).split()
# "<SRD>" and "<3" are text: only elements that HTML has make a markup of it.
_MARKUP = re.compile(
    rf"<(?:!--|!doctype\s|/?(?:{'|'.join(_ELEMENTS)})(?:\s[^<>=]*=[^<]*>|\s*/?>|\s+$))", re.IGNORECASE
)
_PAGE = re.compile(r"<(?:html|head|body)[\s>]", re.IGNORECASE)
_BLOCK = re.compile(
    r"<(?:p|div|h[1-6]|ul|ol|li|table|section|article|blockquote|pre|figure|dl)[\s>]", re.IGNORECASE
)
_MISREAD = re.compile(
    "[\u00c2-\u00f4][\u0080-\u00a0]"
)  # a byte that HTML takes for a control character or a space
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ue000-\uf8ff\U000f0000-\U0010ffff"  # control, surrogate, private use
    "\u00ad\u200b\u2060\ufeff\U000e0000-\U000e007f"  # of no width
    "\u202a-\u202e\u2066-\u2069]"  # overrides of the reading direction
)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # Postgres and UTF-8 refuse them
_SPACE = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r"\s*\n\s*")
_FIX = ftfy.TextFixerConfig(
    uncurl_quotes=False,
    fix_latin_ligatures=False,
    fix_character_width=False,
    normalization=None,
)


@dataclass(frozen=True)
class Cleaning:
    """Which steps are taken, and by which rules."""

    without: frozenset[str] = frozenset()  # steps that are left out
    rules: Path | None = None  # further rules of boilerplate


@dataclass
class Tally:
    """What the steps did to the texts of one article."""

    changed: set[str] = field(default_factory=set)  # steps that changed something
    lines_removed: int = 0


def clean(raw: str | None, *, cleaning: Cleaning, tally: Tally, steps: Iterable[str] | None = None) -> str:
    """HTML page, HTML fragment or plain text → text, by these of the steps. Raises what a parser raises."""
    text = (raw or "")[:MAX_RAW]
    if not text:
        return ""
    for name in STEPS if steps is None else steps:
        if name in cleaning.without:
            continue
        before, text = text, STEPS[name](text, cleaning, tally)
        if text != before:
            tally.changed.add(name)
    return _UNSTORABLE.sub("", text)


def _decode(text: str, cleaning: Cleaning, tally: Tally) -> str:
    if _MISREAD.search(text):
        text = ftfy.fix_encoding(text)
    if "&" in text and not _MARKUP.search(text):
        text = html.unescape(text)
    return text


def _extract(text: str, cleaning: Cleaning, tally: Tally) -> str:
    return _from_html(text.replace("\x00", "")) if _MARKUP.search(text) else _unwrapped(text)


def _unwrapped(text: str) -> str:
    """Plain text whose lines were broken at a fixed width, a line a paragraph; any other text as it is."""
    lines = text.split("\n")
    full = sum(len(line) >= WRAPPED for line in lines)
    if len(lines) < 4 or max(map(len, lines)) > MAX_WRAPPED or 3 * full < len(lines):
        return text
    made = lines[:1]
    for before, line in pairwise(lines):
        # An indented line begins a paragraph, as does one below a short line.
        if line[:1].isspace() or not line or len(before) < WRAPPED // 2:
            made.append(line)
        else:
            made[-1] += " " + line
    return "\n".join(made)


def _from_html(markup: str) -> str:
    return (_from_page(markup) if _PAGE.search(markup) else "") or _from_fragment(markup)


def _from_page(markup: str) -> str:
    import trafilatura

    tree = trafilatura.load_html(markup)
    if tree is None:
        return ""
    found = _extracted(tree)
    lists = _lists_of_links(tree)
    if "\n" in found:
        links = {" ".join(item.text_content().split()) for one in lists for item in one.iter("li")}
        return "\n".join(line for line in found.split("\n") if line.removeprefix("- ").strip() not in links)
    # Of a page that says little the extractor gives all text as one line, lists of links and all.
    return _extracted(_pruned(tree, lists)) if lists else found


def _from_fragment(markup: str) -> str:
    import trafilatura

    if not _BLOCK.search(markup):
        markup = f"<p>{markup}</p>"
    tree = trafilatura.load_html(f"<html><body><article>{markup}</article></body></html>")
    if tree is None:
        return ""
    tree = _pruned(tree, _lists_of_links(tree))
    # A fragment is all content: the extractor is told so, and to keep every block.
    found = _extracted(tree, is_fragment=True)
    if found:
        return found
    from lxml.etree import strip_elements

    strip_elements(tree, "script", "style", "template", "noscript", with_tail=False)
    return str(tree.text_content())


def _extracted(tree: Any, *, is_fragment: bool = False) -> str:
    import trafilatura

    return trafilatura.extract(tree, options=_options(is_fragment)) or ""


@cache
def _options(is_fragment: bool) -> Any:
    from trafilatura.settings import DEFAULT_CONFIG, Extractor, use_config

    config = DEFAULT_CONFIG
    if is_fragment:  # of which a short text is a text, and not a failure to find more
        config = use_config()
        for name in ("MIN_EXTRACTED_SIZE", "MIN_OUTPUT_SIZE"):
            config.set("DEFAULT", name, "1")
    # Without its second opinions from other libraries it is quicker, and no worse on the pages measured.
    return Extractor(fast=True, comments=False, recall=is_fragment, config=config)


def _lists_of_links(tree: Any) -> list[Any]:
    return [one for one in tree.iter("ul", "ol") if _is_list_of_links(one)]


def _pruned(tree: Any, elements: list[Any]) -> Any:
    for one in elements:
        if one.getparent() is not None:
            one.drop_tree()
    return tree


def _is_list_of_links(element: Any) -> bool:
    """Whether two or more links are all that a list says: related articles, not a part of this one."""
    links = [link.text_content() for link in element.iter("a")]
    said = sum(not one.isspace() for one in element.text_content())
    return len(links) > 1 and sum(not one.isspace() for link in links for one in link) >= LINK_SHARE * said


def _repair(text: str, cleaning: Cleaning, tally: Tally) -> str:
    return ftfy.fix_text(text, _FIX)


def _normalise(text: str, cleaning: Cleaning, tally: Tally) -> str:
    text = _SPACE.sub(" ", unicodedata.normalize("NFC", text))
    return _BLANK_LINES.sub("\n", _INVISIBLE.sub("", text)).strip()


def _boilerplate(text: str, cleaning: Cleaning, tally: Tally) -> str:
    text, removed = boilerplate.load(cleaning.rules).strip(text)
    tally.lines_removed += removed
    return text


Step = Callable[[str, Cleaning, Tally], str]
STEPS: dict[str, Step] = {
    "decode": _decode,
    "extract": _extract,
    "repair": _repair,
    "normalise": _normalise,
    "boilerplate": _boilerplate,
}
