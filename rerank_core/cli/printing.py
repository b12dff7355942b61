"""How commands write: tables whose columns line up in a terminal and in a file, whatever a title contains.

In a file or pipe nothing is cut and no control code is written. In a terminal tables fit its width. Texts of articles
cannot move the cursor, change colours or turn the reading direction.
"""

import json
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import IO, Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

UNCUT = 100_000  # columns of a file
GAP = 3  # between two columns of a table
NARROWEST = 12  # that a shortened column gets
SHORT = 100  # characters of a query in a heading or a cell
JOINERS = "\u200c\u200d"  # belong to the spelling of several scripts


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let the error through: `main` ends the command quietly if nobody reads on, as in `rerank show | head`."""
        raise


def console(stream: IO[str] | None = None) -> Console:
    """A console for standard output, or for `stream`."""
    target = stream or sys.stdout
    terminal = target.isatty()
    return _Console(
        file=target,
        force_terminal=terminal,
        width=None if terminal else UNCUT,
        color_system="auto" if terminal else None,
        highlight=False,
        markup=False,
        emoji=False,
    )


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    shorten: str | None = None,
    styles: Sequence[str] = (),
) -> None:
    """Print rows under their columns.

    Columns in `right` are aligned to the right. The column `shorten` is cut if a terminal is too narrow. `styles` are
    the styles of the rows, in order.
    """
    screen = console()
    cells = [[clean(cell) for cell in row] for row in rows]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    widths = [max(cell_len(cell) for cell in column) for column in zip(columns, *cells, strict=True)]
    for name, width in zip(columns, widths, strict=True):
        if name == shorten:
            others = sum(widths) - width + GAP * (len(widths) - 1)
            left = max(NARROWEST, screen.width - others)
            table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=left)
        else:
            right_side = name in right
            table.add_column(
                name, justify="right" if right_side else "left", no_wrap=right_side, overflow="fold"
            )
    for number, row in enumerate(cells):
        table.add_row(*map(Text, row), style=styles[number] if number < len(styles) else "")
    screen.print(table)


def print_counts(what: str, counts: Mapping[str, int]) -> None:
    """Print numbers under their names; `what` is the head of the names."""
    rows = [(name.replace("_", " "), f"{int(count):,}") for name, count in counts.items()]
    print_table((what, "number"), rows, right=("number",))


def print_json(value: Any) -> None:
    """Print a value for a program: times in ISO 8601, spans in seconds, and nothing but ASCII."""
    print(json.dumps(value, indent=2, default=_to_json))


def _to_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def say(text: str = "", *, style: str = "") -> None:
    """Print a line."""
    console().print(Text(clean(text)), style=style, soft_wrap=True)


def shortened(text: str) -> str:
    """A text of people in one line of at most SHORT characters; a longer one ends with an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= SHORT else f"{line[: SHORT - 1]}…"


def print_bad_line(screen: Console, name: str, number: int, reason: str) -> None:
    """Report a line of a file that was left out."""
    screen.print(f"{name}, line {number:,}: {clean(reason)}", style="yellow", soft_wrap=True)


def clean(text: str, *, lines: bool = False) -> str:
    """Text without what a terminal obeys: controls, escapes, marks of direction. `lines` keeps line ends."""
    return "".join(_clean_character(character, lines) for character in text)


def _clean_character(character: str, lines: bool) -> str:
    category = unicodedata.category(character)
    if category not in {"Cc", "Cf", "Cs", "Zl", "Zp"} or (character == "\n" and lines):
        return character
    if category == "Cf":
        return character if character in JOINERS else ""
    return " " if character.isspace() else "\ufffd"


def show_age(age: timedelta) -> str:
    """An age in its largest whole unit: 12 min, 5 h, 3 d."""
    minutes = max(0, int(age.total_seconds() // 60))
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 72 * 60 else f"{minutes // 1440:,} d"
