"""What a fire came to: one row for each kind of fault, as JSON and as a table.

The files are written again after each scenario, so that a fire that is broken off, or that is played in parts,
leaves the table of what was done. Several processes may play parts of one fire: each change is made to the file
as it stands, under a lock.
"""

import fcntl
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
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
    "late",
    "excused",
    "broken",
    "rescored",
    "allowed",
    "engine_pairs",
)
HEADINGS = {
    "torn": "torn reads",
    "stale": "stale publications",
    "late": "late pages",
    "excused": "late, all down",
    "broken": "other violations",
    "rescored": "pairs rescored",
    "allowed": "of at most",
    "engine_pairs": "pairs scored",
}
TOGETHER = "all, on one Airflow"  # the row of a tier with Airflow, for what cannot be told apart by kind


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
    late: int = 0
    excused: int = 0
    broken: int = 0
    rescored: int = 0
    allowed: int = 0
    engine_pairs: int = 0
    scenarios_caught: int = 0  # in which the oracle found something
    scenarios: int = 0
    begun: int = 0  # scenarios, also those that were broken off
    seconds: float = 0.0

    def add(self, verdict: Verdict, *, faults: int, seconds: float = 0.0) -> None:
        """Count one scenario."""
        self.faults += faults
        self.scenarios += 1
        self.seconds += seconds
        self.scenarios_caught += bool(verdict.violations)
        for name in COLUMNS[4:]:
            setattr(self, name, getattr(self, name) + getattr(verdict, name))

    def set(self, before: "Row", verdict: Verdict) -> None:
        """What stood before a part began, and what that part has come to so far."""
        for name in COLUMNS[4:]:
            setattr(self, name, getattr(before, name) + getattr(verdict, name))


@dataclass
class Told:
    """Everything that is kept of a fire."""

    seed: int
    rows: dict[tuple[str, str, str], Row] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    code: dict[str, int] = field(default_factory=dict)  # commit → faults against it
    violations: list[dict[str, Any]] = field(default_factory=list)  # of the library
    parts: int = 0  # of the real tier: each with an Airflow of its own

    def row(self, tier: str, control: str, kind: str) -> Row:
        """The row, made where there is none."""
        return self.rows.setdefault((tier, control, kind), Row(tier, control, kind))

    def of(self, tier: str, control: str = "") -> list[Row]:
        """The rows of a tier and control."""
        return [row for row in self.rows.values() if (row.tier, row.control) == (tier, control)]

    def count(self, name: str, tier: str, control: str = "") -> int:
        """A column's sum over the rows of a tier and control."""
        return sum(getattr(row, name) for row in self.of(tier, control))

    @property
    def delivered(self) -> int:
        """Faults of all tiers against the library."""
        return sum(self.count("faults", tier) for tier in ("fast", "real", "celery"))


class Results:
    """The files of one fire."""

    def __init__(self, folder: Path, *, seed: int | None = None) -> None:
        """A new fire with this seed; without one, what the folder has is gone on with."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if seed is not None:
            self._write(Told(seed))
        elif not self._json.exists():
            raise SystemExit(f"{folder} has no fire to go on with; leave --continue out")
        self.code = _commit()

    @property
    def _json(self) -> Path:
        return self.folder / "faults.json"

    @property
    def page(self) -> Path:
        """The table."""
        return self.folder / "faults.md"

    def read(self) -> Told:
        """What was found so far."""
        kept = json.loads(self._json.read_text(encoding="utf-8"))
        rows = [Row(**row) for row in kept.pop("rows")]
        return Told(**kept, rows={(row.tier, row.control, row.kind): row for row in rows})

    @contextmanager
    def change(self, *, faults: int = 0) -> Iterator[Told]:
        """Alter what is kept; `faults` of these were struck against the code as it stands here."""
        with (self.folder / ".faults.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            told = self.read()
            yield told
            if faults:
                told.code[self.code] = told.code.get(self.code, 0) + faults
            self._write(told)

    def _write(self, told: Told) -> None:
        told.facts |= {
            "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        }
        kept = {**vars(told), "rows": [asdict(row) for row in told.rows.values()]}
        for path, text in ((self._json, json.dumps(kept, indent=1) + "\n"), (self.page, page(told))):
            draft = path.with_suffix(".draft")
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)


def _commit() -> str:
    """The latest commit of the code that is struck; "changed" where the checkout has more."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here)]
    struck = [str(here.parents[1] / name) for name in ("rerank_core", "plugins", "dags", "sql")]
    found = subprocess.run(
        [*git, "log", "-1", "--format=%h", "--abbrev=10", "--", *struck],
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode:
        return "no checkout"
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--", *struck],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() + (", changed" if changed.stdout.strip() else "")


def total(rows: Iterable[Row]) -> Row:
    """The sum of rows of one tier and control."""
    rows = list(rows)
    summed = Row(rows[0].tier, rows[0].control, "all")
    for row in rows:
        for name in (*COLUMNS[3:], "scenarios", "scenarios_caught", "begun", "seconds"):
            setattr(summed, name, getattr(summed, name) + getattr(row, name))
    return summed


def page(told: Told) -> str:
    """The fire as a page."""
    facts = {
        **told.facts,
        "seed": told.seed,
        "faults": f"{told.delivered}, of them {told.count('faults', 'real')} in the real tier"
        f" and {told.count('faults', 'celery')} on hosts of Celery",
        "code": ", ".join(f"{name} ({number} faults)" for name, number in told.code.items()),
    }
    broken_off = sum(row.begun - row.scenarios for row in told.rows.values() if row.tier == "fast")
    if broken_off:
        facts["fast scenarios under way or broken off"] = broken_off
    fast = told.of("fast")
    if scenarios := sum(row.scenarios for row in fast):
        facts["seconds a fast scenario"] = round(sum(row.seconds for row in fast) / scenarios, 1)
    if told.parts:
        facts["real and Celery tier"] = (
            f"{told.parts} parts, each with an Airflow and a news database of its own"
        )
    lines = ["# Faults", ""]
    lines += [f"- {name.replace('_', ' ')}: {value}" for name, value in facts.items() if value != ""]
    for title, mine in groups(told):
        lines += ["", f"## {title}", "", *table(mine)]
    lines += ["", "## Violations", ""]
    for one in told.violations:
        lines += [f"- {one['tier']}, {one['kind']} (seed {one['seed']}, {one['code']}): {one['faults']}"]
        lines += [f"  - {sentence}" for sentence in one["violations"]]
    lines += [] if told.violations else ["None."]
    lines += [
        "",
        "lost: versions that a claim saw, or final ones, that no run has · doubled: revisions that two runs have ·",
        "late pages: not out at their deadline and a minute more, and nobody was told · late, all down: the database or the store was down",
        "meanwhile, so that none could come out · torn reads: of a mix, of half a page, of an unexplained empty one · stale publications: commits of a try",
        "that a newer one had overtaken · pairs rescored: of at most a chunk for each try that was killed, frozen or",
        "failed while it scored, and for each that scored beside another one.",
        "",
    ]
    return "\n".join(lines)


def groups(told: Told) -> list[tuple[str, list[Row]]]:
    """The rows of each tier and control under a title, with their sum."""
    apart: dict[tuple[str, str], list[Row]] = {}
    for row in told.rows.values():
        apart.setdefault((row.tier, row.control), []).append(row)
    found = []
    for (tier, control), mine in sorted(
        apart.items(), key=lambda item: (item[0][1] != "", item[0][0] != "fast")
    ):
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
        apart = row.scenarios or row.kind in (TOGETHER, "all")
        values = [str(getattr(row, name)) if apart or name in names[:2] else "" for name in names]
        caught = f"{row.scenarios_caught} of {row.scenarios}" if row.scenarios else ""
        lines.append("| " + " | ".join(values) + f" | {caught} |")
    return lines
