"""Fragment: the title, summary or body that a feed sends → its text, a line a block.

A fragment is all content. So no class name and no position takes a word out of it: the names of elements alone decide
what is text (see HIDDEN in tokens.py), where a line begins (BLOCK in markup.py), and how a list or a row of a table looks. The one
exception is a list that says almost nothing but links: it names other articles.

The tags are read one after another, and no tree is built. So depth costs nothing, a tag that is never closed hides
nothing, and the order of the text stays as it was. At the end the letters are counted: if any is missing, the text is put
back block by block (`restored`).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from rerank_core.prepare.markup import BLOCK
from rerank_core.prepare.tokens import Token, tokens, visible

LINK_SHARE = 0.95  # a list with at least this share of its letters in links leads to other articles
MAX_TOKENS = 400_000  # tags and texts; a story has some hundreds
MAX_CELL = 300  # characters; a table with a longer cell is a layout, and its cells are lines of their own

ITEMS = frozenset(("li", "dt", "dd"))
LISTS = frozenset(("ul", "ol"))
CELLS = frozenset(("td", "th"))
KEEPS_LINES = frozenset(("pre", "listing", "xmp"))

_SPACE = re.compile(r"[ \t\n\r\f]+")
_EMPTY_LINE = re.compile(r"\n[ \t\r\f]*\n\s*")
_SPACES = re.compile(r"[^\S\n]+")
_EDGES = re.compile(r"\s*\n\s*")
_NO_LETTER = re.compile(r"[\W_]+")
_NUMBER = re.compile(r"\s*[-−+]?\d")
_BULLET, _END_OF_ITEM = "\x01", "\x02"
_START_OF_ITEM = re.compile("\x01[\\s\x01]*+(\x02|\\Z)?")
_MARKS = re.compile("[\x00-\x02]")


@dataclass
class Fragment:
    """The text of a fragment."""

    text: str
    letters: int  # of its visible text, lists of links included
    restored: bool  # letters were missing, and were put back
    is_cut: bool  # what is behind MAX_TOKENS was not read


def read(markup: str) -> Fragment:
    """The text of a fragment. Takes time in proportion to its length, whatever it holds."""
    found = list(islice(tokens(_MARKS.sub("", markup)), MAX_TOKENS + 1))
    is_cut = len(found) > MAX_TOKENS
    shown = list(visible(found[:MAX_TOKENS]))
    keeps_empty_lines = not any(token.kind == "start" and token.value in BLOCK for token in shown)
    writer = _Writer(keeps_empty_lines)
    for token in shown:
        writer.take(token)
    text = lines(writer.finish())
    there = letters("".join(token.value for token in shown if token.kind == "text"))
    if letters(text) < there - writer.dropped:
        return Fragment(lines(_plainly(shown)), there, True, is_cut)
    return Fragment(text, there, False, is_cut)


def letters(text: str) -> int:
    """The number of letters and digits in a text."""
    return len(_NO_LETTER.sub("", text))


def lines(pieces: Iterable[str]) -> str:
    """Pieces of text and line breaks as lines: none is empty, and none has spaces at its ends."""
    text = _START_OF_ITEM.sub(lambda found: "\n" if found[1] is not None else "\n- ", "".join(pieces))
    text = text.replace(_END_OF_ITEM, "\n")
    return _EDGES.sub("\n", _SPACES.sub(" ", text)).strip()


def _plainly(tokens: Iterable[Token]) -> Iterator[str]:
    """All text, each block on a line of its own."""
    for token in tokens:
        if token.kind == "text":
            yield token.value
        elif token.value in BLOCK:
            yield "\n"


@dataclass(slots=True)
class _List:
    """A list, or the whole fragment: its pieces so far."""

    pieces: list["str | _List | _Table"] = field(default_factory=list)
    total: int = 0  # letters
    linked: int = 0  # letters within links
    links: int = 0

    @property
    def is_all_links(self) -> bool:
        return self.links > 1 and self.linked >= LINK_SHARE * self.total


@dataclass(slots=True)
class _Table:
    """A table: its rows of cells so far, and what stands outside of its cells."""

    before: _List = field(default_factory=_List)
    rows: list[list[_List]] = field(default_factory=list)
    is_layout: bool = False
    latest: _List = field(init=False)  # where text goes: the latest cell, also behind its end

    def __post_init__(self) -> None:
        self.latest = self.before


class _Writer:
    """Writes tokens as pieces of text; lists and tables are decided when they end."""

    def __init__(self, keeps_empty_lines: bool) -> None:
        self._keeps_empty_lines = keeps_empty_lines
        self._root = _List()
        self._open: list[_List | _Table] = [self._root]
        self._tables = 0
        self._verbatim = 0
        self._link: int | None = None  # letters of the open link
        self._script: str | None = None  # sup or sub
        self._last = ""  # the last character that was written
        self.dropped = 0  # letters of lists that are all links

    def take(self, token: Token) -> None:
        name = token.value
        if token.kind == "text":
            self._write(name)
            return
        starts = token.kind == "start"
        if name in BLOCK:
            self._break()
        if name in LISTS:
            self._start_list() if starts else self._end_list()
        elif name in ITEMS:
            self._put(_BULLET if starts else _END_OF_ITEM)
        elif name == "table":
            self._start_table() if starts else self._end_table()
        elif name == "tr" or name in CELLS:
            if starts:
                self._start_cell(name)
        elif name == "a":
            self._mark_link(starts)
        elif name == "q":
            self._put('"')
        elif name in ("sup", "sub"):
            self._script = name if starts else None
        elif name in KEEPS_LINES:
            self._verbatim = max(0, self._verbatim + (1 if starts else -1))

    def finish(self) -> Iterator[str]:
        """All pieces, in order. What is still open was never closed."""
        while len(self._open) > 1:
            self._close()
        return _flat(self._root)

    # ── Text ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _pieces(self) -> _List:
        top = self._open[-1]
        return top.latest if isinstance(top, _Table) else top

    def _put(self, piece: str) -> None:
        self._pieces.pieces.append(piece)

    def _break(self) -> None:
        self._put("\n")
        self._last = "\n"

    def _write(self, text: str) -> None:
        if self._keeps_empty_lines:
            text = _EMPTY_LINE.sub("\0", text)
        if not self._verbatim:
            text = _SPACE.sub(" ", text)
        text = text.replace("\0", "\n")
        if not text:
            return
        # 10 to the power of 6 is not 106, and a footnote is no part of a word.
        if self._script and self._last.isalnum() and _NUMBER.match(text):
            text = text.lstrip()
            if self._script == "sup":
                self._put("^")
            elif self._last.isdigit():
                self._put("_")
        self._script = None
        self._put(text)
        self._last = text[-1]
        if len(self._open) > 1:
            count = letters(text)
            self._pieces.total += count
            if self._link is not None:
                self._link += count

    def _mark_link(self, starts: bool) -> None:
        if not starts and self._link is not None:
            self._pieces.linked += self._link
            self._pieces.links += 1
        self._link = 0 if starts else None

    # ── Lists and tables ────────────────────────────────────────────────────────────────────────────

    def _start_list(self) -> None:
        self._open.append(_List())

    def _end_list(self) -> None:
        if len(self._open) > 1 and isinstance(self._open[-1], _List):
            self._close()

    def _start_table(self) -> None:
        self._open.append(_Table())
        self._tables += 1

    def _end_table(self) -> None:
        if self._tables:
            self._close_lists()
            self._close()

    def _start_cell(self, name: str) -> None:
        if not self._tables:
            return
        self._close_lists()
        table = self._open[-1]
        assert isinstance(table, _Table)
        if name == "tr" or not table.rows:
            table.rows.append([])
        if name != "tr":
            table.latest = _List()
            table.rows[-1].append(table.latest)
        self._last = "\n"

    def _close_lists(self) -> None:
        """Close the lists that a cell or a table leaves open."""
        while isinstance(self._open[-1], _List):
            self._close()

    def _close(self) -> None:
        """Close the innermost list or table."""
        closed = self._open.pop()
        if isinstance(closed, _Table):
            self._tables -= 1
            parts = [closed.before, *(cell for row in closed.rows for cell in row)]
            total = sum(part.total for part in parts)
            linked, links = sum(part.linked for part in parts), sum(part.links for part in parts)
            if self._tables:
                table = next(frame for frame in reversed(self._open) if isinstance(frame, _Table))
                table.is_layout = True
        else:
            total, linked, links = closed.total, closed.linked, closed.links
            if closed.is_all_links:
                self.dropped += sum(letters(piece) for piece in _flat(closed))
                closed.pieces.clear()
        around = self._pieces
        around.total += total
        around.linked += linked
        around.links += links
        around.pieces += ["\n", closed, _END_OF_ITEM, "\n"]


def _flat(root: "_List | _Table") -> Iterator[str]:
    """The pieces of a list or table in order, of lists and tables within it, too."""
    waiting: list[str | _List | _Table] = [root]
    while waiting:
        piece = waiting.pop()
        if isinstance(piece, str):
            yield piece
        elif isinstance(piece, _List):
            waiting += reversed(piece.pieces)
        else:
            waiting += reversed(_written(piece))


def _written(table: _Table) -> list["str | _List | _Table"]:
    """A table as pieces: rows with "|" if it is a table of facts, else the contents of its cells in order."""
    if table.is_layout or not any(len(row) > 1 for row in table.rows):
        return [table.before, *(piece for row in table.rows for cell in row for piece in ("\n", cell))]
    rows: list[str] = []
    for row in table.rows:
        texts = [lines(_flat(cell)) for cell in row]
        if any(len(text) > MAX_CELL for text in texts):
            return [table.before, *(piece for row in table.rows for cell in row for piece in ("\n", cell))]
        texts = [text.replace("\n", " ") for text in texts]
        if any(texts):
            rows.append("| " + " | ".join(texts) + " |" if len(texts) > 1 else texts[0])
    return [table.before, "\n", "\n".join(rows), "\n"]
