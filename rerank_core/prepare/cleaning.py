"""Cleaning: raw text of the web → clean text, in small steps. A setting can leave out each of them.

    decode      reads bytes of a wrong encoding again, if the parser would lose them; resolves entities of plain text
    extract     makes text of a page or fragment of HTML, a line a block; makes paragraphs of lines of a fixed width
    repair      repairs other faults of an encoding, by ftfy
    normalise   Unicode NFC, one kind of space; removes control characters, invisible characters, and characters that
                turn the reading direction
    boilerplate removes lines that advertise, count or link, by rules (boilerplate.py)

Each step takes a text and returns a text.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import ftfy

from rerank_core.prepare import boilerplate, fragment, markup, page

WRAPPED = 40  # text of a fixed width has at least this many characters in a third of its lines
MAX_WRAPPED = 100  # and at most this many in every line
MAX_RAW = 2_000_000  # characters of raw text that are read; one page in sixteen has over 500,000
READ_AHEAD = (
    3 * MAX_RAW
)  # characters that are looked through; inline images, scripts and styles are left out of MAX_RAW
MAX_CLEAN = 100_000  # characters of text that the later steps read; a document holds 20,000

# UTF-8 that was read as Latin-1, with a byte that HTML takes for a control character or a space.
_MISREAD = re.compile("[\u00c2-\u00f4][\u0080-\u00a0]")
# The end of a word in capitals, as in ĐÃ, and a space that does not break: correct, though it looks like a misread à.
_CAPITALS_END = re.compile("(?<=[A-Z\u00c0-\u00de\u0110\u01a0\u01af])([\u00c2-\u00d4])\u00a0")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ue000-\uf8ff\U000f0000-\U0010ffff"  # control, surrogate, private use
    "\u00ad\u200b\u2060\ufeff\U000e0000-\U000e007f"  # of no width
    "\u202a-\u202e\u2066-\u2069]"  # overrides of the reading direction
)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # Postgres and UTF-8 refuse them
_SEPARATORS = re.compile("[\x0b\x1c-\x1f]")  # ftfy drops them, and what they part would become one word
_SPACE = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r"\s*\n\s*")
_FIX = ftfy.TextFixerConfig(
    unescape_html=False,  # it takes one round for each escape; markup.resolved_again takes one for all
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
    lines_removed: int = 0  # by the rules of boilerplate
    raw_cut: int = 0  # fields of which the end was not read
    restored: int = 0  # fragments whose missing letters were put back
    pages_without_article: int = 0  # pages that a script fills, and whose text is navigation
    letters_in: int = 0  # letters and digits of the visible text
    letters_out: int = 0  # letters and digits of the clean text


def clean(
    raw: str | None,
    *,
    cleaning: Cleaning,
    tally: Tally,
    steps: Iterable[str] | None = None,
    characters: int = MAX_RAW,
) -> str:
    """The text of an HTML page, an HTML fragment or a plain text; `steps` are names of STEPS, None means all.

    Reads this many characters (markup.readable). Adds what the steps did to `tally`. Raises whatever a parser raises.
    """
    text, is_cut = markup.readable((raw or "")[:READ_AHEAD], min(characters, MAX_RAW))
    tally.raw_cut += is_cut or len(raw or "") > READ_AHEAD
    if not text:
        return ""
    for name in STEPS if steps is None else steps:
        if name in cleaning.without:
            continue
        if name not in ("decode", "extract"):
            text = text[:MAX_CLEAN]
        before, text = text, STEPS[name](text, cleaning, tally)
        if text != before:
            tally.changed.add(name)
    return _UNSTORABLE.sub("", text)


def _decode(text: str, cleaning: Cleaning, tally: Tally) -> str:
    if not text.isascii() and _MISREAD.search(text):
        text = ftfy.fix_encoding(_CAPITALS_END.sub(r"\1 ", text))
    text = markup.without_marks(text)
    if "&" in text and not markup.is_markup(text):
        text = markup.without_marks(markup.resolved(text))
    return text


def _extract(text: str, cleaning: Cleaning, tally: Tally) -> str:
    text = text.replace("\x00", "")
    if not markup.is_markup(text):
        tally.letters_in += fragment.letters(text)
        return _unwrapped(text if len(text) <= MAX_CLEAN else _one_space(text))
    if markup.is_page(text):
        found = page.read(text)
        tally.letters_in += found.letters
        tally.pages_without_article += not found.has_article
        if found.text or not found.has_article:
            return found.text
    read = fragment.read(text)
    tally.letters_in += read.letters
    tally.restored += read.restored
    tally.raw_cut += read.is_cut
    return read.text


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


def _repair(text: str, cleaning: Cleaning, tally: Tally) -> str:
    text = _SEPARATORS.sub(" ", markup.resolved_again(text))
    return ftfy.fix_text(_CAPITALS_END.sub(r"\1 ", text), _FIX)


def _normalise(text: str, cleaning: Cleaning, tally: Tally) -> str:
    return _one_space(_INVISIBLE.sub("", _SPACE.sub(" ", unicodedata.normalize("NFC", text)))).strip()


def _one_space(text: str) -> str:
    return _BLANK_LINES.sub("\n", _SPACE.sub(" ", text))


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
# A title or caption has no lines of boilerplate.
LINE_STEPS = tuple(name for name in STEPS if name != "boilerplate")
