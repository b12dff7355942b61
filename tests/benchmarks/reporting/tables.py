"""Markdown tables."""

from collections.abc import Mapping, Sequence
from typing import Any

Cell = str | int | float | None


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    """A Markdown table; the first column is text, the others stand right."""
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    return lines + [f"| {' | '.join(map(shown, row))} |" for row in rows]


def shown(value: Cell) -> str:
    """A cell: four figures of a float, "–" for nothing."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if value < 1 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else value


def percent(share: float | None) -> str | None:
    """A share in percent."""
    return None if share is None else f"{100 * share:.0f} %"


def table_of_figures(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Rows of figures as a Markdown table; a row's name comes first."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = ["| | " + " | ".join(name.replace("_", " ") for name in names) + " |"]
    lines.append("|---|" + "---|" * len(names))
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(_listed(row.get(column, "")) for column in names) + " |")
    return "\n".join(lines)


def _listed(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {count}" for name, count in value.items()) or "–"
    return str(value)
