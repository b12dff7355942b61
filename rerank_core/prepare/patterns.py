"""Patterns: how a rule of boilerplate describes a line. boilerplate.py says what the rules are for.

In a rule, a mark stands for a part of the line that differs from page to page (slots.py):

    *         any text, within one sentence
    #         a number
    <name>    names of people, agencies and brands
    <person>  names of people
    <date>    a date, with or without a time
    <time>    a date, a time or both
    <title>   text that begins with a capital letter, a digit or a sign
    <word>    one word: an address, a telephone number
    <phrase>  one to seven words, or to fourteen characters of Chinese, without a comma

A rule with `*` or `<title>` is open: it describes almost any ending. So an open rule never takes a line that ends as a
sentence, with one exception: the rule has words at both ends, and ends as a sentence itself (`we use * on this site.`).

Case, width, quotation marks, traditional or simplified characters, and punctuation and spaces at either end do not count.
No pattern is made of a rule: its words are searched one after another, in lines of bounded length (boilerplate.MAX_LINE).
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import regex

from rerank_core.prepare.slots import AGO, CJK, DATE, are_names, is_date, is_phrase, is_time
from rerank_core.prepare.terms import HAN, caseless, simplified

OPEN = ("*", "<title>")  # marks that describe almost any text
START = 2  # characters by which rules are found
MAX_FLOATING = 120  # characters of a sentence that a rule may take which begins with a mark
MIN_WORDS = 3  # of the title of a story
MIN_LETTERS = 8  # of a title in Chinese or Japanese

_WORDS = regex.compile(r"[\p{L}\p{M}\p{N}]+(?:['’-][\p{L}\p{M}\p{N}]+)*")
_HAS_CJK = regex.compile(f"[{CJK}]")
_QUOTES = "\"'“”‘’„«»‹›「」『』〝〞`"
_EDGE = re.compile(r"[^\w()\[\]【】©@]|_")
_BRACKETED = regex.compile(r"[(\[【]([^()\[\]【】]*)[)\]】]")
_SPACED_OUT = regex.compile(rf"(?:[{HAN}] ){{3}}")  # characters that are set wide: 版 权 所 有
_LABEL = regex.compile(rf"([{HAN}]{{2,4}}?) ?[|丨︱] ?(?=[{HAN}])")  # 编辑 | 王小明 is 编辑：王小明
_BETWEEN_HAN = regex.compile(rf"(?<=[{HAN},]) (?=[{HAN},])")
_RULE_EDGE = re.compile(r"[^\w()\[\]【】©@*#<>]|_")
_OPENS_BRACKET = regex.compile(r"\s*[(（\[【［]")
_MARKS = regex.compile("([*#]|<(?:date|name|person|phrase|time|title|word)>)")

_CLOSERS = "\"'“”‘’»›」』)）]】 "
_ENDS = frozenset("!?。！？｡…؟।۔")
# A full stop behind `Inc` or a single letter ends an abbreviation.
_ABBREVIATION = r"\b(?:inc|ltd|corp|co|llc|plc|jr|sr|bros|gmbh|st|no|vol|dr|mr|mrs|ms|prof|[a-z])"
_ABBREVIATED = regex.compile(rf"{_ABBREVIATION}\.$", regex.IGNORECASE)
_BETWEEN_SENTENCES = regex.compile(
    rf"(?:(?<!{_ABBREVIATION})\.|[!?])[{regex.escape(_CLOSERS.strip())}]*(?=\s)\K\s+|[。！？][”’」』）]*\K\s*",
    regex.IGNORECASE,
)


def is_sentence(line: str) -> bool:
    """Whether a line ends as a sentence does."""
    text = line[-20:].rstrip(_CLOSERS)
    return text[-1:] in _ENDS or (text.endswith(".") and _ABBREVIATED.search(text) is None)


def sentences(line: str) -> list[str]:
    """The sentences of a line."""
    return [sentence for sentence in _BETWEEN_SENTENCES.split(line) if sentence]


def folded(line: str) -> str:
    """The form in which lines and rules are compared, without case. A line that stands in brackets loses them."""
    return _bare(caseless(line))


def cased(line: str) -> str:
    """As `folded`, and as long, with capital letters."""
    text = unicodedata.normalize("NFKC", line)
    if len(text) != len(text.casefold()):
        text = "".join(letter if len(small := letter.casefold()) == 1 else small for letter in text)
    return _bare(text)


def _bare(text: str, edge: Any = _EDGE) -> str:
    text = _stripped(" ".join(text.translate(_characters()).split()), edge)
    if _SPACED_OUT.match(text):
        text = _BETWEEN_HAN.sub("", text)
    if text.endswith((")", "]", "】")) and (bracketed := _BRACKETED.fullmatch(text)):
        text = _stripped(bracketed.group(1), edge)
    if label := _LABEL.match(text):
        text = f"{label[1]}:{text[label.end() :]}"
    return text


def _stripped(text: str, edge: Any) -> str:
    start, end = 0, len(text)
    while start < end and edge.match(text[start]):
        start += 1
    while start < end and edge.match(text[end - 1]):
        end -= 1
    return text[start:end]


@cache
def _characters() -> dict[int, str]:
    """Quotation marks, which go, and traditional characters with their simplified ones, each by itself."""
    characters = "".join(map(chr, (*range(0x3400, 0x4DC0), *range(0x4E00, 0xA000))))
    pairs = zip(characters, simplified("\n".join(characters)).split("\n"), strict=True)
    return {ord(old): new for old, new in pairs if old != new and len(new) == 1} | dict.fromkeys(
        map(ord, _QUOTES), ""
    )


# ── Rules ───────────────────────────────────────────────────────────────────────────────────────────


class Line:
    """A line as rules read it."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def is_sentence(self) -> bool:
        return is_sentence(self.text)

    @cached_property
    def folded(self) -> str:
        return folded(self.text)

    @cached_property
    def pairs(self) -> set[str]:
        """All pairs of characters that follow one another in the folded line, and the empty text."""
        text = self.folded
        return {"", *(text[at : at + START] for at in range(len(text) - 1))}

    @cached_property
    def cased(self) -> str:
        return cased(self.text)

    @cached_property
    def start(self) -> str:
        """The first two characters of the folded line. Costs little, however long the line is."""
        head = self.text[:40]
        return (self.folded if _OPENS_BRACKET.match(head) else folded(head))[:START]


_NUMBER = regex.compile(r"\d+(?:[., ]\d+)*(?:万|亿|千|k|m|w)?\+?")
_NEXT_SENTENCE = regex.compile(r"[。！？]|[.!?](?=\s)")
_BEGINS_TITLE = regex.compile(r"[\p{Lu}\p{N}@#¿¡]")


def _is_within_sentence(text: str) -> bool:
    return _NEXT_SENTENCE.search(text) is None


# Mark → whether it stands for this text. Names and titles are asked with their capitals, all else folded.
_STANDS_FOR: dict[str, Callable[[str], bool]] = {
    "*": _is_within_sentence,
    "#": lambda text: _NUMBER.fullmatch(text) is not None,
    "<name>": are_names,
    "<person>": lambda text: are_names(text, persons=True),
    "<phrase>": is_phrase,
    "<date>": is_date,
    "<time>": is_time,
    "<title>": lambda text: _BEGINS_TITLE.match(text) is not None and _is_within_sentence(text),
    "<word>": lambda text: bool(text) and " " not in text,
}
_WITH_CAPITALS = frozenset(("<name>", "<person>", "<title>"))


class Rule:
    """A rule that has marks."""

    def __init__(self, text: str, *, ends_as_sentence: bool) -> None:
        parts = _MARKS.split(text)
        # Behind a name or a time, writers of Chinese set a space or none.
        self._words = [
            part[1:] if number and part.startswith(" ") and _HAS_CJK.match(part[1:]) else part
            for number, part in enumerate(parts[::2])
        ]
        self._marks = parts[1::2]
        self.start = self._words[0][:START]
        self.piece = max(self._words, key=len)
        is_open = any(mark in OPEN for mark in self._marks)
        has_ends = bool(self._words[0] and self._words[-1])
        self.takes_sentences = not is_open or (ends_as_sentence and has_ends)

    def match(self, line: Line) -> bool:
        """Whether the rule describes the whole line."""
        text = line.folded
        if line.is_sentence and not self.takes_sentences:
            return False
        first, last = self._words[0], self._words[-1]
        return text.startswith(first) and text.endswith(last) and self._follows(line, 0, len(first))

    def _follows(self, line: Line, number: int, at: int) -> bool:
        """Whether the rest of the line is what the rule says from this mark on."""
        text, words = line.folded, self._words[number + 1]
        if number == len(self._marks) - 1:
            end = len(text) - len(words)
            return end >= at and text.endswith(words) and self._stands_for(line, number, at, end)
        end = text.find(words, at)
        while end >= 0:
            if self._stands_for(line, number, at, end) and self._follows(line, number + 1, end + len(words)):
                return True
            end = text.find(words, end + 1)
        return False

    def _stands_for(self, line: Line, number: int, start: int, end: int) -> bool:
        mark = self._marks[number]
        return _STANDS_FOR[mark](
            (line.cased if mark in _WITH_CAPITALS else line.folded)[start:end].strip(" ")
        )


class Rules:
    """Rules of one kind. `match` says whether one of them describes a line."""

    def __init__(self, rules: Iterable[str]) -> None:
        self._plain: set[str] = set()
        # Speed: a rule is looked for by the pair of characters that it begins with; if it begins with a mark, by a
        # pair of its longest text.
        self._by_start: dict[str, list[Rule]] = {}
        self._by_pair: dict[str, list[Rule]] = {}
        for rule in sorted(set(rules)):
            text = _bare(caseless(rule), edge=_RULE_EDGE)
            if _MARKS.search(text):
                self._add(Rule(text, ends_as_sentence=is_sentence(rule)))
            else:
                self._plain.add(text)
        self._starts = {text[:START] for text in self._plain} | self._by_start.keys()

    def _add(self, rule: Rule) -> None:
        starts = len(rule.start) == START
        index, key = (self._by_start, rule.start) if starts else (self._by_pair, rule.piece[:START])
        index.setdefault(key if len(key) == START else "", []).append(rule)

    def __bool__(self) -> bool:
        return bool(self._plain or self._by_start or self._by_pair)

    def within(self, text: str) -> "Rules":
        """The rules that can describe a part of this folded text."""
        narrowed = Rules(())
        narrowed._plain = {rule for rule in self._plain if rule in text}
        for rules in (*self._by_start.values(), *self._by_pair.values()):
            for rule in rules:
                if rule.piece in text:
                    narrowed._add(rule)
        narrowed._starts = self._starts
        return narrowed

    def may_begin(self, line: Line) -> bool:
        """Whether a rule begins as the line does."""
        return line.start in self._starts

    def match(self, line: Line) -> bool:
        """Whether a rule describes the whole of a line."""
        if len(line.text) > MAX_FLOATING and line.is_sentence and not self.may_begin(line):
            return False
        text = line.folded
        if text in self._plain or _describes(self._by_start.get(text[:START], ()), line):
            return True
        return any(_describes(self._by_pair[pair], line) for pair in self._by_pair.keys() & line.pairs)


def _describes(rules: Iterable[Rule], line: Line) -> bool:
    text = line.folded
    for rule in rules:  # noqa: SIM110 - almost no rule comes as far as `match`
        if rule.piece in text and rule.match(line):
            return True
    return False


def is_bounded(rule: str) -> bool:
    """Whether a rule says enough: without words of its own it would take almost any line."""
    text = _bare(caseless(rule), edge=_RULE_EDGE)
    own = "".join("".join(_MARKS.split(text)[::2]).split())
    return (
        "<time>" in text
        or "<date>" in text
        or (bool(own) and (len(own) > 1 or "*" not in text or "©" in own))
    )


def is_idle(rule: str) -> bool:
    """Whether a rule ends as a sentence, and is open at an end: then it takes no sentence."""
    text = _bare(caseless(rule), edge=_RULE_EDGE)
    return is_sentence(rule) and text.startswith(OPEN) | text.endswith(OPEN)


# ── Lines of other news ─────────────────────────────────────────────────────────────────────────────


def is_title(text: str) -> bool:
    """Whether a text is long enough for the title of a story."""
    return _are_title(_WORDS.findall(text), MIN_WORDS)


def _are_title(words: list[str], enough: int) -> bool:
    return len(words) >= enough or (
        sum(map(len, words)) >= MIN_LETTERS and _HAS_CJK.search(" ".join(words)) is not None
    )


@dataclass(frozen=True)
class Told:
    """A line that says when something was."""

    words: list[str]  # of the line, without the time
    is_relative: bool  # three hours ago

    def has_title(self, without: int) -> bool:
        """Whether the words, less so many names of sections, are enough for the title of a story."""
        return _are_title(self.words, MIN_WORDS + without)


def told_when(text: str) -> Told | None:
    """The time that a folded line tells, and its other words; None if it tells none."""
    found = AGO.search(text) or DATE.search(text)
    if found is None:
        return None
    words = _WORDS.findall(f"{text[: found.start()]} {text[found.end() :]}")
    return Told(words, found.re is AGO) if words else None
