"""Fragment: the title, summary or body that a feed sends → its text, a line a block.

A fragment is all content. So no class name and no position takes a word out of it: the names of elements alone decide
what is text (see HIDDEN), where a line begins (BLOCK in markup.py), and how a list or a row of a table looks. The one
exception is a list that says almost nothing but links: it names other articles.

The tags are read one after another, and no tree is built. So depth costs nothing, a tag that is never closed hides
nothing, and the order of the text stays as it was. At the end the letters are counted: if any is missing, the text is put
back block by block (`restored`).
"""

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from rerank_core.prepare.markup import BLOCK, ELEMENTS, RAW, TAG

LINK_SHARE = 0.95  # a list with at least this share of its letters in links leads to other articles
MAX_TOKENS = 400_000  # tags and texts; a story has some hundreds
MAX_CELL = 300  # characters; a table with a longer cell is a layout, and its cells are lines of their own

HIDDEN = frozenset(
    "annotation annotation-xml audio canvas datalist head iframe nav noembed noframes noscript rp rt rtc script select"
    " style svg template textarea title video".split()
)
ITEMS = frozenset(("li", "dt", "dd"))
LISTS = frozenset(("ul", "ol"))
CELLS = frozenset(("td", "th"))
KEEPS_LINES = frozenset(("pre", "listing", "xmp"))
RUBY = frozenset(("rb", "rp", "rt", "rtc"))  # each ends the one before it

_INVISIBLE = re.compile(r"\shidden(?=[\s=/]|\Z)|display\s*:\s*none", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\n\r\f]+")
_EMPTY_LINE = re.compile(r"\n[ \t\r\f]*\n\s*")
_SPACES = re.compile(r"[^\S\n]+")
_EDGES = re.compile(r"\s*\n\s*")
_NO_LETTER = re.compile(r"[\W_]+")
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


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a fragment: text (its entities resolved), the start of an element, or its end."""

    kind: Literal["text", "start", "end"]
    value: str  # the text, or the name of the element
    attributes: str = ""


def read(markup: str) -> Fragment:
    """The text of a fragment. Takes time in proportion to its length, whatever it holds."""
    found = list(islice(_tokens(_MARKS.sub("", markup)), MAX_TOKENS + 1))
    is_cut = len(found) > MAX_TOKENS
    tokens = list(_visible(found[:MAX_TOKENS]))
    keeps_empty_lines = not any(token.kind == "start" and token.value in BLOCK for token in tokens)
    writer = _Writer(keeps_empty_lines)
    for token in tokens:
        writer.take(token)
    text = lines(writer.finish())
    visible = letters("".join(token.value for token in tokens if token.kind == "text"))
    if letters(text) < visible - writer.dropped:
        return Fragment(lines(_plainly(tokens)), visible, True, is_cut)
    return Fragment(text, visible, False, is_cut)


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


def _tokens(markup: str) -> Iterator[Token]:
    """The pieces of a fragment, without comments, declarations and the contents of raw elements.

    What looks like a tag and is none is text: names that HTML does not know and that are never closed (`<SRD>`), and the
    start of a raw element or comment that never ends.
    """
    ends = _Ends(markup)
    at = start = 0  # `start` is where the text before `at` begins
    while (at := markup.find("<", at)) >= 0:
        tag = TAG.match(markup, at)
        token = None if tag is None else _token(tag, ends)
        end = tag.end() if tag is not None and token is not None else _end_of_other(markup, at, ends)
        if end is None:
            at += 1
            continue
        if start < at:
            yield Token("text", html.unescape(markup[start:at]))
        if token is not None:
            yield token
            if token.kind == "start" and token.value in RAW and not token.attributes.endswith("/"):
                # Without an end the element is a tag alone: see `_token`.
                end = ends.of_element(token.value, end) or end
        at = start = end
    if start < len(markup):
        yield Token("text", html.unescape(markup[start:]))


class _Ends:
    """Where raw elements and comments end. Remembers what the rest of the markup lacks, so that it is searched once."""

    def __init__(self, markup: str) -> None:
        self._markup = markup
        self._lowered: str | None = None
        self._lacking: set[str] = set()
        self._closed: set[str] | None = None

    def of(self, mark: str, start: int) -> int | None:
        """The position behind the next mark; None if there is none."""
        if mark in self._lacking:
            return None
        at = self._markup.find(mark, start)
        if at < 0:
            self._lacking.add(mark)
            return None
        return at + len(mark)

    def of_element(self, name: str, start: int) -> int | None:
        """The position before the next closing tag of an element; None if there is none."""
        if self._lowered is None:
            lowered = self._markup.lower()
            # Of some letters the small form is longer; then positions would not hold.
            self._lowered = lowered if len(lowered) == len(self._markup) else self._markup
        mark = f"</{name}"
        if mark in self._lacking:
            return None
        at = self._lowered.find(mark, start)
        if at < 0:
            self._lacking.add(mark)
            return None
        return at

    def closes(self, name: str) -> bool:
        """Whether the markup has a closing tag of this name."""
        if self._closed is None:
            self._closed = {found.lower() for found in re.findall(r"</([a-zA-Z][\w:.-]*+)", self._markup)}
        return name in self._closed


def _token(tag: re.Match[str], ends: _Ends) -> Token | None:
    """The start or end of an element; None if the tag is text."""
    name, attributes = tag["name"].lower(), tag["attributes"]
    if tag["close"]:
        return Token("end", name)
    if not attributes and name not in ELEMENTS and not ends.closes(name):
        return None
    if not attributes and name in RAW and ends.of_element(name, tag.end()) is None:
        return None
    return Token("start", name, attributes)


_OTHER = re.compile(
    r"<![a-zA-Z\[][^<>]*+>|<\?[^<>]*+>|<[a-zA-Z][\w:.-]*+\s[^<>=]*+=[^<>]*+\Z|</[a-zA-Z][^<>]*+>"
)


def _end_of_other(markup: str, at: int, ends: _Ends) -> int | None:
    """Where a comment, a declaration, or a tag that was cut ends; None if it is text."""
    if markup.startswith("<!--", at):
        return ends.of("-->", at + 4)
    other = _OTHER.match(markup, at)
    return None if other is None else other.end()


def _visible(tokens: list[Token]) -> Iterator[Token]:
    """The tokens without hidden elements. An element that is never closed hides nothing."""
    hiding = {
        token.value
        for token in tokens
        if token.kind == "start" and (token.value in HIDDEN or _is_invisible(token.attributes))
    }
    end_of = _hidden_spans(tokens, hiding) if hiding else {}
    at = 0
    while at < len(tokens):
        if at in end_of:
            at = end_of[at]
        else:
            yield tokens[at]
            at += 1


def _is_invisible(attributes: str) -> bool:
    return bool(attributes) and _INVISIBLE.search(attributes) is not None


def _hidden_spans(tokens: list[Token], names: set[str]) -> dict[int, int]:
    """Start of each hidden element → the token behind its end."""
    opened: dict[str, list[int]] = {name: [] for name in names}
    spans: dict[int, int] = {}

    def close(name: str, end: int) -> None:
        if opened.get(name):
            start = opened[name].pop()
            if name in HIDDEN or _is_invisible(tokens[start].attributes):
                spans[start] = end

    for at, token in enumerate(tokens):
        if token.kind == "text":
            continue
        if token.value == "ruby" or (token.value in RUBY and token.kind == "start"):
            for name in RUBY:
                close(name, at)
        if token.kind == "end":
            close(token.value, at + 1)
        elif token.attributes.endswith("/") and token.value in HIDDEN:
            spans[at] = at + 1
        elif token.value in opened:
            opened[token.value].append(at)
    return spans


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
        if self._script and text[0].isdigit() and self._last.isalnum():
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
