"""`python -m faults`: the long fire, with a line for each fault and a table that grows with each.

A fire may be played in parts: `--minutes 10` ends one in time, `--continue` goes on with it, up to the number
that is asked for then. Exit status 1 where the oracle found a violation in the library, or nothing in a broken
control.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from faults import report
from faults.controls import CONTROLS
from faults.report import Results, Told

TIERS = ("fast", "real", "celery")


class Long:
    """The long fire."""

    def __init__(self, results: Results, *, minutes: float) -> None:
        self.results = results
        self.seed = results.read().seed
        self.deadline = time.monotonic() + 60 * minutes
        self.failed = False

    def over(self, *, ahead: float = 0.0) -> bool:
        """Whether the time of this part is up in so many seconds."""
        return time.monotonic() + ahead > self.deadline

    def fast(self, kinds: Sequence[str], number: int, controls: Sequence[str], each: int) -> None:
        """The fast tier: until `number` faults of these kinds were struck, and `each` scenarios of each control."""
        from faults.world import Fire

        with Fire() as fire:
            with self.results.change() as told:
                told.facts["small filesystem"] = fire.small.why_none or "a tmpfs"
            kinds, left_out = self._possible(fire, kinds)
            with self.results.change() as told:
                told.facts["left out"] = left_out
            while kinds and not self.over() and self.results.read().count("faults", "fast") < number:
                self._one(fire, kinds, "")
            for control in controls:
                possible, _ = self._possible(fire, CONTROLS[control].kinds)
                while (
                    possible
                    and not self.over()
                    and self.results.read().count("scenarios", "fast", control) < each
                ):
                    self._one(fire, possible, control)
        told = self.results.read()
        for control in controls:
            if (
                told.count("scenarios", "fast", control)
                >= each
                > 0
                == told.count("scenarios_caught", "fast", control)
            ):
                print(f"!! the control {control!r} was not caught")
                self.failed = True

    def _possible(self, fire: Any, kinds: Sequence[str]) -> tuple[list[str], str]:
        """The kinds that can be played on this machine, and why the others cannot."""
        from faults.kinds import KINDS

        reasons = {kind: fire.why_not(KINDS[kind].needs) for kind in kinds}
        left_out = [f"{kind} ({reason})" for kind, reason in reasons.items() if reason]
        return [kind for kind, reason in reasons.items() if not reason], "; ".join(left_out)

    def _one(self, fire: Any, kinds: Sequence[str], control: str) -> None:
        """Play the next scenario."""
        from faults import scenario

        with self.results.change() as told:
            number = told.count("begun", "fast", control)
            kind = kinds[number % len(kinds)]
            seed = number + (CONTROLS[control].first_seed if control else self.seed)
            told.row("fast", control, kind).begun += 1
        outcome = scenario.play(fire, kind, seed, control=control or None)
        with self.results.change(faults=0 if control else int(outcome.delivered)) as told:
            told.row("fast", control, kind).add(
                outcome.verdict, faults=int(outcome.delivered), seconds=outcome.seconds
            )
            if not control and not outcome.good:
                self._violated(told, "fast", kind, seed, outcome.faults, outcome.verdict.violations)
        word = "ok" if outcome.good else "FOUND"
        if not outcome.delivered:
            word += ", not delivered"
        name = f"{control}: " if control else ""
        print(f"{outcome.seconds:5.1f} s  {name}{outcome.faults or kind}  {word}", flush=True)
        if not control and not outcome.good:
            print(
                "  " + outcome.report(f"make faults N=1 REAL=0 ARGS=\"--kind '{kind}' --seed {seed}\""),
                flush=True,
            )

    def _violated(
        self, told: Told, tier: str, kind: str, seed: int, faults: str, violations: Sequence[str]
    ) -> None:
        self.failed = True
        told.violations.append(
            {
                "tier": tier,
                "kind": kind,
                "seed": seed,
                "faults": faults,
                "code": self.results.code,
                "violations": list(violations),
            }
        )

    def real(self, number: int, kinds: Sequence[str] = ()) -> None:
        """The real tier: until `number` faults were struck, one at each of a dag run's stages."""
        from faults import real, real_strikes

        with self.results.change() as told:
            if told.count("faults", "real") >= number or self.over():
                return
            part = told.parts
            told.parts += 1
            told.facts["lowered in Airflow"] = ", ".join(
                f"{name.split('__', 2)[2].lower()} = {value}" for name, value in real.LOWERED.items()
            )
            before = told.row("real", "", report.TOGETHER)
        longest = 0.0
        with real.RealFire(seed=self.seed + part, say=lambda text: print(text, flush=True)) as fire:
            # Of the kinds that were struck least first, so that parts that end early strike all of them.
            while (missing := number - (told := self.results.read()).count("faults", "real")) > 0:
                # A dag run takes as long as the longest one so far, and a last one without faults follows.
                if self.over(ahead=1.6 * longest):
                    break
                drawn = self._next(told, fire.rng, kinds or real_strikes.KINDS)
                outcome = fire.play(fire.draw(drawn[: min(len(real.STAGES), missing)]))
                longest = max(longest, outcome.seconds)
                self._told("real", outcome, before, part)
            self._told("real", fire.close(), before, part)

    def celery(self, number: int, kinds: Sequence[str] = (), each: int = 0) -> None:
        """The Celery tier: until `number` faults were struck, several in a dag run, and its control in `each` at most."""
        from faults import celery_fire

        self._celery(number, kinds or celery_fire.KINDS)
        control = celery_fire.UNEXAMINED

        def done(name: str) -> int:
            return self.results.read().count(name, "celery", control)

        if number and not done("scenarios_caught") and done("scenarios") < each and not self.over():
            with celery_fire.CeleryFire(seed=self.seed, control=control, say=print) as fire:
                while not done("scenarios_caught") and done("scenarios") < each:
                    outcome = fire.play(fire.draw([celery_fire.FOREIGN]))
                    with self.results.change() as told:
                        row = told.row("celery", control, celery_fire.FOREIGN)
                        row.add(outcome.verdict, faults=1, seconds=outcome.seconds)
                    print(f"{outcome.seconds:5.1f} s  {control}: {outcome.news or 'not caught'}", flush=True)
        if done("scenarios") and not done("scenarios_caught"):
            print(f"!! the control {control!r} was not caught")
            self.failed = True

    def _celery(self, number: int, kinds: Sequence[str]) -> None:
        from faults import celery_fire

        with self.results.change() as told:
            if told.count("faults", "celery") >= number or self.over():
                return
            part = told.parts
            told.parts += 1
            before = told.row("celery", "", report.TOGETHER)
        longest = 0.0
        with celery_fire.CeleryFire(seed=self.seed + part, say=lambda text: print(text, flush=True)) as fire:
            while number > (told := self.results.read()).count("faults", "celery"):
                if self.over(ahead=longest):
                    break
                drawn = self._next(told, fire.rng, kinds, tier="celery")
                outcome = fire.play(fire.draw(drawn))
                longest = max(longest, outcome.seconds)
                self._told("celery", outcome, before, part)
            self._told("celery", fire.close(), before, part)

    def _next(self, told: Told, rng: Random, kinds: Sequence[str], *, tier: str = "real") -> list[str]:
        """The kinds, those first that were struck least."""
        struck = {row.kind: row.faults for row in told.of(tier)}
        return sorted(kinds, key=lambda kind: (struck.get(kind, 0), rng.random()))

    def _told(self, tier: str, outcome: Any, before: report.Row, part: int) -> None:
        delivered = [fault for fault in outcome.faults if fault.delivered]
        faults = "; ".join(map(str, outcome.faults)) or "no fault: at last"
        with self.results.change(faults=len(delivered)) as told:
            for fault in delivered:
                told.row(tier, "", fault.kind).faults += 1
            together = told.row(tier, "", report.TOGETHER)
            together.set(before, outcome.verdict)
            together.scenarios += 1
            together.scenarios_caught += bool(outcome.news)
            if outcome.news:
                self._violated(told, tier, tier, self.seed + part, faults, outcome.news)
        late = [str(fault) for fault in outcome.faults if not fault.delivered]
        print(f"{outcome.seconds:5.1f} s  {faults}  {'FOUND' if outcome.news else 'ok'}", flush=True)
        for line in [*outcome.news, *(f"not delivered: {one}" for one in late), *outcome.notes]:
            print(f"    {line}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("-n", "--number", type=int, default=300, help="faults altogether (default 300)")
    parser.add_argument("--real", type=int, default=0, help="of these, in the real tier: Airflow and vLLM")
    parser.add_argument("--celery", type=int, default=0, help="of these, on hosts of Celery")
    parser.add_argument("--control", type=int, default=12, help="scenarios of each broken control")
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="the same seed draws the same faults"
    )
    parser.add_argument("--continue", dest="go_on", action="store_true", help="go on with the fire in --out")
    parser.add_argument("--minutes", type=float, default=1e6, help="end this part of the fire after so long")
    parser.add_argument("--tier", choices=TIERS, help="this tier alone in this part")
    parser.add_argument("--kind", help="kinds of one tier alone, with commas between them, and no control")
    parser.add_argument("--only", choices=sorted(CONTROLS), help="one control alone, N scenarios of it")
    parser.add_argument("--out", type=Path, default=report.FOLDER, help="folder of faults.json and faults.md")
    asked = parser.parse_args()
    for name in [name for name in os.environ if name.startswith(("RERANK_", "AIRFLOW_"))]:
        del os.environ[name]
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # so that nothing is left behind
    from tempfile import TemporaryDirectory

    from faults.scenario import KINDS

    with TemporaryDirectory() as apart:
        partial = asked.only or asked.kind
        results = Results(Path(apart) if partial else asked.out, seed=None if asked.go_on else asked.seed)
        fire = Long(results, minutes=asked.minutes)
        print(f"seed {fire.seed}", flush=True)
        if asked.only:
            fire.fast((), 0, (asked.only,), asked.number)
        elif asked.kind and asked.tier == "real":
            fire.real(asked.number, asked.kind.split(","))
        elif asked.kind and asked.tier == "celery":
            fire.celery(asked.number, asked.kind.split(","))
        elif asked.kind:
            fire.fast(asked.kind.split(","), asked.number, (), 0)
        else:
            if asked.tier in (None, "fast"):
                number = asked.number - asked.real - asked.celery
                fire.fast(KINDS, number, tuple(CONTROLS), asked.control)
            if asked.tier in (None, "real"):
                fire.real(asked.real)
            if asked.tier in (None, "celery"):
                fire.celery(asked.celery or (asked.number if asked.tier else 0), each=min(asked.control, 3))
        for title, mine in report.groups(results.read()):
            print("", title, "", *report.table(mine), sep="\n")
        if not partial:
            print(f"written to {results.page}")
    return int(fire.failed)


if __name__ == "__main__":
    sys.exit(main())
