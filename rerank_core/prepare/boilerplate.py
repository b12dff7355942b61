"""Boilerplate: the lines of a text that are no part of the article, such as advertising. Rules in readable files name them.

A file of rules holds one rule a line; empty lines and lines that begin with "//" are ignored. In a rule, `*` stands for
any text (within one sentence of Chinese), and `#` for a number. A rule describes a whole line. Case, width, quotation
marks, and punctuation and spaces at either end do not matter. There are three kinds, each under its mark:

    [lines]      a line that is removed
    [ends]       text in brackets at the end of a line that is removed
    [headings]   a heading over a list of links; it is removed with the short lines that follow it

Rules come from rerank_core/prepare/rules, a file for each language. The rules of all languages hold for every text.
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
MAX_LINE = 240  # characters; a longer line is prose, and only its end can be removed
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
    """The form in which lines and rules are compared.

    It is caseless (terms.py) and has neither quotation marks nor punctuation and spaces at either end. A line that
    stands in brackets loses them.
    """
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
    """Rules of one kind. `match` says whether one of them describes a folded text."""

    def __init__(self, rules: Iterable[str]) -> None:
        bare_rules = {_bare(rule, _RULE_EDGE) for rule in rules}
        self._plain = frozenset(rule for rule in bare_rules if not re.search(r"[*#]", rule))
        # Speed: almost no text has a rule's longest piece of text, so the piece is searched before the pattern.
        self._patterns = [
            (max(re.split(r"[*#]", rule), key=len), re.compile(_pattern(rule)))
            for rule in sorted(bare_rules - self._plain)
        ]
        # Before the piece, its first character is searched: most rules are in another language.
        self._by_first: dict[str, list[tuple[str, re.Pattern[str] | None]]] = {}
        for piece, pattern in (*((rule, None) for rule in self._plain), *self._patterns):
            self._by_first.setdefault(piece[:1], []).append((piece, pattern))

    def within(self, text: str) -> "Rules":
        """The rules that can match a part of this folded text."""
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
    """All rules in force."""

    lines: Rules
    ends: Rules
    headings: Rules

    def strip(self, text: str) -> tuple[str, int]:
        """The text without boilerplate, and the number of its lines that were removed or cut."""
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
        """What is left of a line. `bare` is its folded form; None if the line is longer than MAX_LINE."""
        if bare is not None:
            if not bare or self.lines.match(bare):
                return ""
            # A row of a table is not a list of pieces.
            pieces = [] if line.startswith("|") else _PIECES.split(line)
            if len(pieces) > 1:
                kept = [piece.strip() for piece in pieces if not self.lines.match(folded(piece))]
                if len(kept) < len(pieces):
                    return " | ".join(piece for piece in kept if folded(piece))
        bracket = _BRACKET.search(line)
        return line[: bracket.start()] if bracket and self.ends.match(folded(bracket.group(1))) else line


def _is_link(line: str) -> bool:
    """Whether a line below a heading of links is a link: short, and without the end of a sentence."""
    return len(line) <= MAX_LINK and not _END_OF_SENTENCE.search(line.rstrip())


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
        elif len(re.sub(r"[*#\s]", "", folded(rule))) < (2 if "*" in rule and "©" not in rule else 1):
            raise SettingsError(
                f"{file}, line {number}: rule {rule!r} would remove almost any line; add letters to it"
            )
        else:
            yield kind, rule
