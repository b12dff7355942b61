"""Boilerplate: the lines of a text that are no part of the article, such as advertising. Rules in readable files name them.

A file of rules holds one rule a line; empty lines and lines that begin with "//" are ignored. patterns.py says what a
rule may hold. There are five kinds, each under its mark:

    [lines]      a line that is removed
    [beside]     a line that is removed only in company: beside a removed line, or as one of three or more such lines;
                 words such as "Help" are buttons there, and a heading of the story elsewhere
    [ends]       text in brackets at the end of a line that is removed
    [headings]   a heading over a list of links; it is removed with the short lines that follow it, unless they are a list
                 of items too short for titles of stories
    [sections]   names of a paper's sections; two lines or more, each with the title of a story, its date and its
                 section, are a list of other news

A line of several sentences goes if each of them does. Of a list (lines that begin with "- ") all items stay if most stay,
or if the list follows a line that ends with a colon and stays: the list is content then.

Rules come from rerank_core/prepare/rules, a file for each language. The rules of all languages hold for every text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Literal

from rerank_core.errors import SettingsError
from rerank_core.prepare.patterns import (
    Line,
    Rules,
    folded,
    is_bounded,
    is_idle,
    is_title,
    sentences,
    told_when,
)

RULES = Path(__file__).parent / "rules"
KINDS = ("lines", "beside", "ends", "headings", "sections")
MAX_LINE = 240  # characters; a longer sentence is prose, and only its end can be removed
MAX_NOTICE = 1_000  # characters of a line of several sentences that can be removed
MAX_BRACKET = 130  # characters of the end of a line in which a bracket is looked for
MAX_LINK = 120  # characters of a line in a list of links
MANY = 3  # lines of [beside] that are company for one another
BULLET = "- "

_PIECES = re.compile(r"\s+[|·•▪]\s+|\s*[|｜]\s*")
_BRACKET = re.compile(r"\s*[(（\[【]([^()（）\[\]【】]{2,120})[)）\]】]\s*$")
_END_OF_SENTENCE = re.compile(r"[.。…][\"'”’」』)）]*$")
_LETTER = re.compile(r"[^\W_]")
_SPEECH = re.compile(r"\s*[\"“„«「『].*[\"”“»」』]\s*")


Mark = Literal["text", "gone", "empty", "beside", "heading", "news"]


@dataclass(frozen=True)
class Boilerplate:
    """All rules in force."""

    lines: Rules
    beside: Rules
    ends: Rules
    headings: Rules
    sections: Rules

    def strip(self, text: str) -> tuple[str, int]:
        """The text without boilerplate, and the number of its lines that were removed or cut."""
        lines = text.split("\n")
        marks = [self._mark(line) for line in lines]
        _mark_links(lines, marks)
        _mark_company(marks)
        _keep_content_lists(lines, marks)
        rests = [
            "" if mark in ("gone", "empty") else self._cut(line)
            for line, mark in zip(lines, marks, strict=True)
        ]
        removed = sum(rest != line for line, rest in zip(lines, rests, strict=True))
        return "\n".join(filter(None, rests)), removed

    def _mark(self, text: str) -> Mark:
        """What a line is by itself."""
        if not _LETTER.search(text):
            return "empty"
        if len(text) > MAX_NOTICE or text.startswith("|"):
            return "text"  # prose, or a row of a table
        line = Line(text)
        if line.is_sentence and _SPEECH.fullmatch(text):
            return "text"
        if self._is_notice(line):
            return "gone"
        if len(text) > MAX_LINE:
            return "text"
        if self.headings.match(line):
            return "heading"
        if line.is_sentence:
            return "text"
        if self.beside.match(line):
            return "beside"
        if len(text) <= MAX_LINK:
            if self._is_row_of_buttons(text):
                return "gone"
            if self._is_other_news(line):
                return "news"
        return "text"

    def _is_notice(self, line: Line) -> bool:
        """Whether rules describe the line, or each sentence of it."""
        if len(line.text) <= MAX_LINE and self.lines.match(line):
            return True
        if not self.lines.may_begin(line):
            return False
        parts = sentences(line.text)
        return len(parts) > 1 and all(
            len(part) <= MAX_LINE and self.lines.match(Line(part)) for part in parts
        )

    def _is_row_of_buttons(self, text: str) -> bool:
        """Whether each word of a line goes by itself, as in "Facebook Twitter Copy"."""
        words = text.split()
        sure = 0
        for word in map(Line, words):
            if self.lines.match(word):
                sure += 1
            elif not self.beside.match(word):
                return False
        return len(words) > 1 and (sure > 0 or len(words) >= MANY)

    def _is_other_news(self, line: Line) -> bool:
        """Whether a line has a title, and how long ago the story was; or its date and its section."""
        told = told_when(line.folded)
        if told is None:
            return False
        names = [name for name in (told.words[0], told.words[-1]) if self.sections.match(Line(name))]
        return (told.is_relative or bool(names)) and told.has_title(without=len(names))

    def _cut(self, line: str) -> str:
        """What is left of a line that stays."""
        # A row of a table is not a list of pieces.
        if len(line) <= MAX_LINE and not line.startswith("|") and len(pieces := _PIECES.split(line)) > 1:
            kept = [piece.strip() for piece in pieces if not self.lines.match(Line(piece))]
            if len(kept) < len(pieces):
                return " | ".join(piece for piece in kept if folded(piece))
        bracket = _BRACKET.search(line[-MAX_BRACKET:])
        if bracket and self.ends.match(Line(bracket.group(1))):
            return line[: len(line) - len(bracket[0])]
        return line


def _mark_links(lines: list[str], marks: list[Mark]) -> None:
    """A heading of links goes, and so do the short lines below it. A list goes if most of its items are titles."""
    in_links, in_items = False, False
    for at, line in enumerate(lines):
        if marks[at] == "heading":
            end = at + 1
            while end < len(lines) and _is_item(lines[end]):
                end += 1
            in_items = end > at + 1
            in_links = 2 * sum(map(is_title, lines[at + 1 : end])) >= end - at - 1
            marks[at] = "gone" if in_links else "text"
        elif in_links:
            in_links = _is_link(line) and _is_item(line) >= in_items
            if in_links:
                marks[at] = "gone"


def _is_item(line: str) -> bool:
    return line.startswith(BULLET)


def _is_link(line: str) -> bool:
    """Whether a line below a heading of links is a link: short, and without the end of a sentence."""
    return len(line) <= MAX_LINK and not _END_OF_SENTENCE.search(line.rstrip())


def _mark_company(marks: list[Mark]) -> None:
    """Lines of [beside] and lines of other news go in company, and stay alone."""
    at = 0
    for mark, run in groupby(list(marks)):
        end = at + len(list(run))
        if mark in ("beside", "news"):
            enough = MANY if mark == "beside" else 2
            around = {*marks[max(0, at - 1) : at], *marks[end : end + 1]}
            is_company = end - at >= enough or "gone" in around
            marks[at:end] = ["gone" if is_company else "text"] * (end - at)
        at = end


def _keep_content_lists(lines: list[str], marks: list[Mark]) -> None:
    """All items of a list stay if most of them stay, or if the line that announces the list stays."""
    at = 0
    for is_item, run in groupby(lines, _is_item):
        end = at + len(list(run))
        if is_item and "gone" in marks[at:end]:
            is_announced = at > 0 and marks[at - 1] != "gone" and lines[at - 1].rstrip().endswith((":", "："))
            if is_announced or 2 * marks[at:end].count("gone") < end - at:
                marks[at:end] = ["text"] * (end - at)
        at = end


@cache
def load(extra: Path | None = None) -> Boilerplate:
    """The rules of this library and of `extra`, which is a file or a folder of *.txt files.

    Raises SettingsError if `extra` cannot be read, or if a line of it is not a rule.
    """
    files = sorted(RULES.glob("lines_*.txt"))
    if extra is not None:
        files += _files(extra)
    rules: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for file in files:
        for kind, rule in read(file):
            rules[kind].append(rule)
    return Boilerplate(**{kind: Rules(texts) for kind, texts in rules.items()})


def _files(extra: Path) -> list[Path]:
    if extra.is_file():
        return [extra]
    files = sorted(extra.glob("*.txt"))
    if not files:
        raise SettingsError(
            f"RERANK_BOILERPLATE_RULES = {str(extra)!r} is neither a file nor a folder with *.txt files;"
            " name a path that every worker sees"
        )
    return files


def read(file: Path, *, kinds: tuple[str, ...] = KINDS) -> Iterator[tuple[str, str]]:
    """(kind, rule) of each rule in a file. Raises SettingsError, which names the file and line at fault."""
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"rules {file} cannot be read as UTF-8 text: {error}; save the file as UTF-8, readable by every worker"
        ) from error
    kind = None
    for number, line in enumerate(lines, 1):
        rule = line.strip()
        if not rule or rule.startswith("//"):
            continue
        if rule.startswith("[") and rule.endswith("]"):
            kind = rule[1:-1]
            if kind not in kinds:
                raise SettingsError(
                    f"{file}, line {number}: expected one of {', '.join(f'[{name}]' for name in kinds)}, found {rule}"
                )
        elif kind is None:
            raise SettingsError(
                f"{file}, line {number}: rule {rule!r} has no kind; put a mark such as [{kinds[0]}] above it"
            )
        elif is_idle(rule):
            raise SettingsError(
                f"{file}, line {number}: rule {rule!r} ends as a sentence, and takes none, because it is open at an end;"
                " write its words there, or leave out the full stop"
            )
        elif not is_bounded(rule):
            raise SettingsError(
                f"{file}, line {number}: rule {rule!r} would remove almost any line; add letters to it"
            )
        else:
            yield kind, rule
