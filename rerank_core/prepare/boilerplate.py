"""Advertising and boilerplate: which lines of a text are no part of the article, by rules in readable files.

A file of rules holds one rule a line; empty lines and lines that begin with "//" say nothing. A rule is a
text in which `*` stands for any text (in Chinese within one sentence) and `#` for a number, and is compared with whole lines: case, width,
quotation marks and the punctuation and spaces at either end do not matter. Three kinds, each under its mark:

    [lines]      a line that is left out
    [ends]       what is left out at the end of a line that says something else before
    [headings]   a heading over a list of links: left out with the short lines that follow it

Rules come from rerank_core/rules, a file a language; those of all languages hold for every text.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rerank_core.errors import SettingsError
from rerank_core.prepare.terms import caseless

RULES = Path(__file__).parent / "rules"
KINDS = ("lines", "ends", "headings")
MAX_LINE = 240  # characters; a longer line is prose, whatever it begins with
MAX_LINK = 120  # characters of a line in a list of links

_QUOTES = re.compile("[\"'“”‘’„«»「」『』〝〞`]")
_EDGE = re.compile(r"[^\w()\[\]【】©]|_")
_RULE_EDGE = re.compile(r"[^\w()\[\]【】©*#]")
_BRACKETED = re.compile(r"[(\[【]([^()\[\]【】]*)[)\]】]")
_PIECES = re.compile(r"\s+[|·•▪]\s+|\s*[|｜]\s*")
_BRACKET = re.compile(r"\s*[(（\[【]([^()（）\[\]【】]{2,120})[)）\]】]\s*$")
_END_OF_SENTENCE = re.compile(r"[.。…][\"'”’」』)）]*$")
_SPACES = re.compile(r"\s+")
_NUMBER = r"\d+(?:[., ]\d+)*(?:万|萬|亿|億|千|k|m)?\+?"


def folded(line: str) -> str:
    """The form in which lines and rules are compared: NFKC, no case, no quotation marks, nothing around it."""
    return _bare(line, _EDGE)


def _bare(line: str, edge: re.Pattern[str]) -> str:
    text = _SPACES.sub(" ", _QUOTES.sub("", caseless(line)))
    text = _stripped(text, edge)
    bracketed = _BRACKETED.fullmatch(text)
    return _stripped(bracketed.group(1), edge) if bracketed else text


def _stripped(text: str, edge: re.Pattern[str]) -> str:
    start, end = 0, len(text)
    while start < end and edge.match(text[start]):
        start += 1
    while start < end and edge.match(text[end - 1]):
        end -= 1
    return text[start:end]


class Rules:
    """Rules of one kind. `match` says whether a folded text, as a whole, is what one of them describes."""

    def __init__(self, rules: Iterable[str]) -> None:
        wanted = {_bare(rule, _RULE_EDGE) for rule in rules}
        self._plain = frozenset(rule for rule in wanted if not re.search(r"[*#]", rule))
        # A rule's longest piece of text is looked for first: almost no text has it, and that is told at once.
        self._patterns = [
            (max(re.split(r"[*#]", rule), key=len), re.compile(_pattern(rule)))
            for rule in sorted(wanted - self._plain)
        ]
        # And before that its first character: most rules are in another language.
        self._by_first: dict[str, list[tuple[str, re.Pattern[str] | None]]] = {}
        for piece, pattern in (*((rule, None) for rule in self._plain), *self._patterns):
            self._by_first.setdefault(piece[:1], []).append((piece, pattern))

    def within(self, text: str) -> "Rules":
        """Those of the rules that can match a part of this folded text."""
        narrowed = Rules(())
        firsts = self._by_first.keys() & {*text, ""}
        possible = [rule for first in firsts for rule in self._by_first[first] if rule[0] in text]
        narrowed._plain = frozenset(piece for piece, pattern in possible if pattern is None)
        narrowed._patterns = [(piece, pattern) for piece, pattern in possible if pattern is not None]
        return narrowed

    def __bool__(self) -> bool:
        return bool(self._plain or self._patterns)

    def match(self, text: str) -> bool:
        """Whether a rule describes the whole of this folded text."""
        return text in self._plain or any(
            piece in text and pattern.fullmatch(text) is not None for piece, pattern in self._patterns
        )


def _pattern(rule: str) -> str:
    return re.escape(rule).replace(r"\*", "[^。！？]*").replace(r"\#", _NUMBER)


@dataclass(frozen=True)
class Boilerplate:
    """All rules that are in force."""

    lines: Rules
    ends: Rules
    headings: Rules

    def strip(self, text: str) -> tuple[str, int]:
        """The text without advertising and boilerplate, and how many of its lines were left out or cut."""
        whole = folded(text)
        possible = Boilerplate(*(rules.within(whole) for rules in (self.lines, self.ends, self.headings)))
        kept: list[str] = []
        removed = 0
        in_links = False
        for line in text.split("\n"):
            if in_links and _is_link(line):
                removed += 1
                continue
            bare = folded(line) if len(line) <= MAX_LINE else None
            in_links = bare is not None and possible.headings.match(bare)
            rest = "" if in_links else possible._cut(line, bare)
            removed += rest != line
            if rest:
                kept.append(rest)
        return "\n".join(kept), removed

    def _cut(self, line: str, bare: str | None) -> str:
        """What is left of a line; `bare` is its folded form, None for one too long to be anything but prose."""
        if bare is not None:
            if not bare or self.lines.match(bare):
                return ""
            # A row of a table is no list of pieces.
            pieces = [] if line.startswith("|") else _PIECES.split(line)
            if len(pieces) > 1:
                kept = [piece.strip() for piece in pieces if not self.lines.match(folded(piece))]
                if len(kept) < len(pieces):
                    return " | ".join(piece for piece in kept if folded(piece))
        found = _BRACKET.search(line)
        return line[: found.start()] if found and self.ends.match(folded(found.group(1))) else line


def _is_link(line: str) -> bool:
    """Whether a line below a heading of links is one of them: short, and no statement."""
    return len(line) <= MAX_LINK and not _END_OF_SENTENCE.search(line.rstrip())


@cache
def load(extra: Path | None = None) -> Boilerplate:
    """The rules of this library, and those of `extra`: a file, or a folder of *.txt files.

    Raises SettingsError where it cannot be read, or a line of it is no rule.
    """
    files = sorted(RULES.glob("lines_*.txt"))
    if extra is not None:
        files += _files(extra)
    rules: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for file in files:
        for kind, rule in read(file):
            rules[kind].append(rule)
    return Boilerplate(**{kind: Rules(found) for kind, found in rules.items()})


def _files(extra: Path) -> list[Path]:
    if extra.is_file():
        return [extra]
    found = sorted(extra.glob("*.txt"))
    if not found:
        raise SettingsError(
            f"RERANK_BOILERPLATE_RULES = {str(extra)!r}: there is no such file, and no folder with *.txt files in it;"
            " name one that every worker sees"
        )
    return found


def read(file: Path, *, kinds: tuple[str, ...] = KINDS) -> Iterator[tuple[str, str]]:
    """(kind, rule) of each rule in a file. Raises SettingsError that names the line at fault."""
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"rules {file} cannot be read as UTF-8 text: {error}") from error
    kind = None
    for number, line in enumerate(lines, 1):
        rule = line.strip()
        if not rule or rule.startswith("//"):
            continue
        if rule.startswith("[") and rule.endswith("]"):
            kind = rule[1:-1]
            if kind not in kinds:
                raise SettingsError(
                    f"{file}, line {number}: {rule} is none of {', '.join(f'[{k}]' for k in kinds)}"
                )
        elif kind is None:
            raise SettingsError(f"{file}, line {number}: a rule needs a mark such as [{kinds[0]}] above it")
        elif len(re.sub(r"[*#\s]", "", folded(rule))) < (2 if "*" in rule and "©" not in rule else 1):
            raise SettingsError(f"{file}, line {number}: rule {rule!r} would take almost any line; say more")
        else:
            yield kind, rule
