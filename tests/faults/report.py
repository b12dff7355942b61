"""What a fire came to: one row for each kind of fault, as JSON and as a table."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from faults.oracle import Verdict

FOLDER = Path(__file__).parents[1] / "benchmarks" / "results"
COLUMNS = (
    "tier",
    "control",
    "kind",
    "faults",
    "revisions",
    "runs",
    "publications",
    "readings",
    "lost",
    "doubled",
    "torn",
    "stale",
    "broken",
    "rescored",
    "allowed",
    "engine_pairs",
)
HEADINGS = {
    "torn": "torn reads",
    "stale": "stale publications",
    "broken": "other violations",
    "rescored": "pairs rescored",
    "allowed": "of at most",
    "engine_pairs": "pairs scored",
}
CAUGHT = ("lost", "doubled", "torn", "stale", "broken")


@dataclass
class Row:
    """Faults of one kind, of one tier, against the library or a control."""

    tier: str
    control: str
    kind: str
    faults: int = 0
    revisions: int = 0
    runs: int = 0
    publications: int = 0
    readings: int = 0
    lost: int = 0
    doubled: int = 0
    torn: int = 0
    stale: int = 0
    broken: int = 0
    rescored: int = 0
    allowed: int = 0
    engine_pairs: int = 0
    scenarios_caught: int = 0  # in which the oracle found something
    scenarios: int = 0

    def add(self, verdict: Verdict, *, faults: int) -> None:
        """Count one scenario."""
        self.faults += faults
        self.scenarios += 1
        self.scenarios_caught += bool(verdict.violations)
        for name in COLUMNS[4:]:
            setattr(self, name, getattr(self, name) + getattr(verdict, name))


def total(rows: Iterable[Row]) -> Row:
    """The sum of rows of one tier and control."""
    rows = list(rows)
    summed = Row(rows[0].tier, rows[0].control, "all")
    for row in rows:
        for name in (*COLUMNS[3:], "scenarios", "scenarios_caught"):
            setattr(summed, name, getattr(summed, name) + getattr(row, name))
    return summed


def save(rows: Sequence[Row], *, seed: int, facts: dict[str, Any], folder: Path = FOLDER) -> Path:
    """Write faults.json and faults.md; returns the latter's path."""
    facts = {
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "seed": seed,
        **facts,
    }
    told = {"facts": facts, "rows": [asdict(row) for row in rows]}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "faults.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    path = folder / "faults.md"
    path.write_text(_page(rows, facts), encoding="utf-8")
    return path


def _page(rows: Sequence[Row], facts: dict[str, Any]) -> str:
    lines = ["# Faults", ""]
    lines += [f"- {name.replace('_', ' ')}: {value}" for name, value in facts.items()]
    for title, mine in groups(rows):
        lines += ["", f"## {title}", "", *table(mine)]
    lines += [
        "",
        "lost: versions that a claim saw, or final ones, that no run has · doubled: revisions that two runs have ·",
        "torn reads: of a mix, of half a page, of an unexplained empty one · stale publications: commits of a try",
        "that a newer one had overtaken · pairs rescored: of at most a chunk for each kill and overlapping run.",
        "",
    ]
    return "\n".join(lines)


def groups(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """The rows of each tier and control under a title, with their sum."""
    apart: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        apart.setdefault((row.tier, row.control), []).append(row)
    found = []
    for (tier, control), mine in apart.items():
        title = f"Broken control: {control}" if control else f"The {tier} tier"
        found.append((title, [*mine, total(mine)] if len(mine) > 1 else mine))
    return found


def table(rows: Sequence[Row]) -> list[str]:
    """A table of these rows in Markdown."""
    names = COLUMNS[2:]
    lines = [
        "| " + " | ".join(HEADINGS.get(name, name) for name in names) + " | caught |",
        "|---" * (len(names) + 1) + "|",
    ]
    for row in rows:
        values = [str(getattr(row, name)) for name in names]
        lines.append("| " + " | ".join(values) + f" | {row.scenarios_caught} of {row.scenarios} |")
    return lines
