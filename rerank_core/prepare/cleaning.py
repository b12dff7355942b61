"""Cleaning: raw text of the web → clean text, in small steps. A setting can leave out each of them.

    decode      reads bytes of a wrong encoding again, if the parser would lose them; resolves entities of plain text
    extract     makes text of a page or fragment of HTML, a line a block; makes paragraphs of lines of a fixed width
    repair      repairs other faults of an encoding, by ftfy
    normalise   Unicode NFC, one kind of space; removes control characters, invisible characters, and characters that
                turn the reading direction
    boilerplate removes lines that advertise, count or link, by rules (boilerplate.py)

Each step takes a text and returns a text.
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

LINK_SHARE = 0.95  # a list with at least this share of its letters in links leads to other articles
WRAPPED = 40  # text of a fixed width has at least this many characters in a third of its lines
MAX_WRAPPED = 100  # and at most this many in every line
MAX_RAW = 2_000_000  # characters of raw text that are read; one page in sixteen has over 500,000

_ELEMENTS = (
    "a abbr address article aside audio b blockquote body br button caption center cite code dd del details div dl"
    " dt em embed figcaption figure font footer form h1 h2 h3 h4 h5 h6 head header hr html i iframe img input ins kbd"
    " label li link main mark math meta nav noscript object ol option p picture pre q s samp script section select"
    " small source span strike strong style sub summary sup svg table tbody td template textarea tfoot th thead time"
    " title tr tt u ul var video"
).split()
# "<SRD>" and "<3" are text: only the elements of HTML are markup.
_MARKUP = re.compile(
    rf"<(?:!--|!doctype\s|/?(?:{'|'.join(_ELEMENTS)})(?:\s[^<>=]*=[^<]*>|\s*/?>|\s+$))", re.IGNORECASE
)
_PAGE = re.compile(r"<(?:html|head|body)[\s>]", re.IGNORECASE)
_BLOCK = re.compile(
    r"<(?:p|div|h[1-6]|ul|ol|li|table|section|article|blockquote|pre|figure|dl)[\s>]", re.IGNORECASE
)
# UTF-8 that was read as Latin-1, with a byte that HTML takes for a control character or a space.
_MISREAD = re.compile("[\u00c2-\u00f4][\u0080-\u00a0]")
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
    """Which steps prepare takes, and by which rules."""

    without: frozenset[str] = frozenset()  # steps that are left out, as in the setting prepare_without
    rules: Path | None = None  # more rules of boilerplate: a file, or a folder of *.txt files


@dataclass
class Tally:
    """What the steps did to the texts of one article."""

    changed: set[str] = field(default_factory=set)  # steps that changed something
    lines_removed: int = 0


def clean(raw: str | None, *, cleaning: Cleaning, tally: Tally, steps: Iterable[str] | None = None) -> str:
    """The text of an HTML page, an HTML fragment or a plain text; `steps` are names of STEPS, None means all.

    Reads the first MAX_RAW characters. Adds what the steps did to `tally`. Raises whatever a parser raises.
    """
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
    """Plain text that was broken at a fixed width, with a line a paragraph; any other text unchanged."""
    lines = text.split("\n")
    full = sum(len(line) >= WRAPPED for line in lines)
    if len(lines) < 4 or max(map(len, lines)) > MAX_WRAPPED or 3 * full < len(lines):
        return text
    paragraphs = lines[:1]
    for before, line in pairwise(lines):
        # An indented line begins a paragraph, as does one below a short line.
        if line[:1].isspace() or not line or len(before) < WRAPPED // 2:
            paragraphs.append(line)
        else:
            paragraphs[-1] += " " + line
    return "\n".join(paragraphs)


def _from_html(markup: str) -> str:
    return (_from_page(markup) if _PAGE.search(markup) else "") or _from_fragment(markup)


def _from_page(markup: str) -> str:
    import trafilatura

    tree = trafilatura.load_html(markup)
    if tree is None:
        return ""
    extracted = _extracted(tree)
    lists = _lists_of_links(tree)
    if "\n" in extracted:
        links = {
            " ".join(item.text_content().split()) for link_list in lists for item in link_list.iter("li")
        }
        return "\n".join(
            line for line in extracted.split("\n") if line.removeprefix("- ").strip() not in links
        )
    # If a page says little, the extractor returns all of its text as one line, including lists of links.
    return _extracted(_pruned(tree, lists)) if lists else extracted


def _from_fragment(markup: str) -> str:
    import trafilatura

    if not _BLOCK.search(markup):
        markup = f"<p>{markup}</p>"
    tree = trafilatura.load_html(f"<html><body><article>{markup}</article></body></html>")
    if tree is None:
        return ""
    tree = _pruned(tree, _lists_of_links(tree))
    # A fragment is all content, so the extractor keeps every block.
    extracted = _extracted(tree, is_fragment=True)
    if extracted:
        return extracted
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
    if is_fragment:  # a short text is then not a failure to find more
        config = use_config()
        for name in ("MIN_EXTRACTED_SIZE", "MIN_OUTPUT_SIZE"):
            config.set("DEFAULT", name, "1")
    # `fast` asks no other libraries for a second opinion: quicker, and no worse on the pages that were measured.
    return Extractor(fast=True, comments=False, recall=is_fragment, config=config)


def _lists_of_links(tree: Any) -> list[Any]:
    return [element for element in tree.iter("ul", "ol") if _is_list_of_links(element)]


def _pruned(tree: Any, elements: list[Any]) -> Any:
    for element in elements:
        if element.getparent() is not None:
            element.drop_tree()
    return tree


def _is_list_of_links(element: Any) -> bool:
    """Whether a list says almost nothing but two or more links: it then names related articles."""
    links = [link.text_content() for link in element.iter("a")]
    return len(links) > 1 and _letters("".join(links)) >= LINK_SHARE * _letters(element.text_content())


def _letters(text: str) -> int:
    return sum(not character.isspace() for character in text)


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
