"""`python -m faults`: the long fire, with a line for each fault and a table at the end.

Exit status 1 where the oracle found a violation in the library, or nothing in a broken control.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any

from faults import report
from faults.report import Row

# What brings each control to light.
CONTROL_KINDS = {
    "watermark": ("nothing", "kill", "topic edit"),
    "no fence": ("freeze in publish",),
    "in place": ("nothing", "overlapping run", "kill"),
}


class Long:
    """The long fire and what it has found so far."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rows: dict[tuple[str, str, str], Row] = {}
        self.failed = False
        self.facts: dict[str, Any] = {}
        self.fast_seconds: list[float] = []

    def row(self, tier: str, control: str, kind: str) -> Row:
        return self.rows.setdefault((tier, control, kind), Row(tier, control, kind))

    def fast(
        self, kinds: Sequence[str], number: int, controls: Mapping[str, Sequence[str]], each: int
    ) -> None:
        """The fast tier: `number` faults of these kinds, then `each` scenarios of each control."""
        from faults.world import Fire

        with Fire() as fire:
            self.facts["small_filesystem"] = fire.why_no_small or "a tmpfs"
            self._strike(fire, self._draw(kinds), number)
            for control, its_kinds in controls.items():
                found = [
                    self._one(fire, kind, seed, control) for kind, seed in islice(self._draw(its_kinds), each)
                ]
                if each and not any(found):
                    print(f"!! the control {control!r} was not caught")
                    self.failed = True
        if self.fast_seconds:
            self.facts["seconds_a_fast_fault"] = round(sum(self.fast_seconds) / len(self.fast_seconds), 2)

    def _strike(self, fire: Any, drawn: Iterator[tuple[str, int]], number: int) -> None:
        """Scenarios until `number` faults have struck; one that came too late struck nothing."""
        while sum(row.faults for row in self.rows.values()) < number:
            kind, seed = next(drawn)
            self.failed |= self._one(fire, kind, seed, "")

    def _draw(self, kinds: Sequence[str]) -> Iterator[tuple[str, int]]:
        for number, kind in enumerate(cycle(kinds)):
            yield kind, self.seed + number

    def _one(self, fire: Any, kind: str, seed: int, control: str) -> bool:
        """Play one scenario; returns whether the oracle found something."""
        from faults import scenario

        outcome = scenario.play(fire, kind, seed, control=control or None)
        self.row("fast", control, kind).add(outcome.verdict, faults=int(outcome.delivered))
        word = "ok" if outcome.good else "FOUND"
        if not outcome.delivered:
            word += ", not delivered"
        name = f"{control}: " if control else ""
        print(f"{outcome.seconds:5.1f} s  {name}{outcome.faults or kind}  {word}", flush=True)
        if not control:
            self.fast_seconds.append(outcome.seconds)
            if not outcome.good:
                print(
                    "  " + outcome.report(f"make faults N=1 REAL=0 ARGS=\"--kind '{kind}' --seed {seed}\""),
                    flush=True,
                )
        return not outcome.good

    def real(self, number: int) -> None:
        """The real tier: `number` faults, three to a dag run."""
        from faults import real

        began = time.monotonic()
        with real.RealFire(seed=self.seed, say=lambda text: print(text, flush=True)) as fire:
            self.facts["lowered"] = ", ".join(
                f"{name.split('__', 2)[2].lower()} = {value}" for name, value in real.LOWERED.items()
            )
            for kinds in real.bundles(Random(f"{self.seed}"), number):
                outcome = fire.play(fire.draw(kinds))
                self._told(outcome)
                for fault in outcome.faults:
                    self.row("real", "", fault.kind).faults += int(fault.delivered)
            outcome = fire.close()
            self._told(outcome)
            self.row("real", "", "all that was done").add(outcome.verdict, faults=0)
        if number:
            self.facts["seconds_a_real_fault"] = round((time.monotonic() - began) / number, 1)

    def _told(self, outcome: Any) -> None:
        told = "; ".join(map(str, outcome.faults)) or "no fault: the last run"
        late = [str(fault) for fault in outcome.faults if not fault.delivered]
        print(f"{outcome.seconds:5.1f} s  {told}  {'FOUND' if outcome.news else 'ok'}", flush=True)
        for line in [*outcome.news, *(f"not delivered: {one}" for one in late), *outcome.notes]:
            print(f"    {line}", flush=True)
        if outcome.news:
            self.failed = True
            print(f"    replay: make faults N=40 REAL=40 SEED={self.seed}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("-n", "--number", type=int, default=300, help="faults altogether (default 300)")
    parser.add_argument("--real", type=int, default=0, help="of these, in the real tier: Airflow and vLLM")
    parser.add_argument("--control", type=int, default=12, help="scenarios of each broken control")
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="the same seed draws the same faults"
    )
    parser.add_argument("--kind", help="one kind of fault of the fast tier alone, and no control")
    parser.add_argument("--only", choices=sorted(CONTROL_KINDS), help="one control alone, N scenarios of it")
    parser.add_argument("--out", type=Path, default=report.FOLDER, help="folder of faults.json and faults.md")
    asked = parser.parse_args()
    for name in [name for name in os.environ if name.startswith(("RERANK_", "AIRFLOW_"))]:
        del os.environ[name]
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # so that nothing is left behind
    print(f"seed {asked.seed}", flush=True)
    from faults.scenario import KINDS

    started = time.monotonic()
    fire = Long(asked.seed)
    if asked.only:
        fire.fast((), 0, {asked.only: CONTROL_KINDS[asked.only]}, asked.number)
    elif asked.kind:
        fire.fast((asked.kind,), asked.number, {}, 0)
    else:
        if asked.number > asked.real or asked.control:
            fire.fast(KINDS, asked.number - asked.real, CONTROL_KINDS, asked.control)
        if asked.real:
            fire.real(asked.real)
    fire.facts["minutes"] = round((time.monotonic() - started) / 60, 1)
    rows = list(fire.rows.values())
    for title, mine in report.groups(rows):
        print("", title, "", *report.table(mine), sep="\n")
    if not (asked.only or asked.kind):
        print(f"written to {report.save(rows, seed=asked.seed, facts=fire.facts, folder=asked.out)}")
    return int(fire.failed)


if __name__ == "__main__":
    sys.exit(main())
