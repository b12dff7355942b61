"""One scenario: a run that is struck while others write and read, then everything mended, then the oracle."""

import time
from dataclasses import dataclass, field
from random import Random
from typing import Any

from faults import kinds, oracle, traffic
from faults.conductor import Conductor
from faults.controls import NO_TIME_LIMIT
from faults.oracle import Verdict
from faults.world import Fire

NEW_ARTICLES = 12  # in the source when the run begins; writers add more
CALM = "nothing"  # no fault at all: what the oracle says of an ordinary day
KINDS = (
    "kill",
    "terminate",
    "freeze",
    "freeze in publish",
    "freeze in a copy",
    "cut off",
    "database crash",
    "disk full",
    "engine failure",
    "duplicate attempt",
    "overlapping run",
    "topic edit",
    "pathological article",
    "frozen helper",
    "several",
)


@dataclass
class Outcome:
    """What a scenario came to."""

    kind: str
    seed: int
    faults: str
    delivered: bool
    verdict: Verdict
    seconds: float
    notes: list[str] = field(default_factory=list)  # errors that tries ended with

    @property
    def good(self) -> bool:
        return not self.verdict.violations

    def report(self, replay: str) -> str:
        """What was violated, and how to see it again."""
        told = [f"{self.kind} (seed {self.seed}): {self.faults}", *self.verdict.violations]
        return "\n  ".join([*told, *(f"note: {note}" for note in self.notes[-6:]), f"replay: {replay}"])


def play(fire: Fire, kind: str, seed: int, *, control: str | None = None) -> Outcome:
    """Play one scenario. The same seed draws the same faults; their timing is the machine's."""
    started = time.monotonic()
    rng = Random(f"{kind}/{seed}")
    faults = kinds.draw(rng, fire, kind)
    small = any(fault.kind == "disk full" for fault in faults)
    settings: dict[str, Any] = {"shards": rng.choice((1, 1, 2))}
    if kind in ("pathological article", "frozen helper"):
        settings |= kinds.SICK_SETTINGS
    due = kinds.SICK_DEADLINE_SECONDS if kind == "pathological article" else None
    # A try that hangs is killed soon: without a limit it would hang for ever.
    patience: dict[str, Any] = {"tries": 1, "hung_seconds": 4.0} if control == NO_TIME_LIMIT else {}
    with fire.world(small=small, control=control, deadline_seconds=due, **settings) as world:
        traffic.add(world.dsn, rng, NEW_ARTICLES)
        world.start_traffic(seed)
        time.sleep(rng.uniform(0.1, 0.4))
        struck = Conductor(world, key="struck", **patience)
        assault = kinds.Assault(world, faults)
        assault.begin()
        struck.play()
        assault.end()
        played = [struck, *assault.rivals]
        for conductor in [one for one in played if one.state != "success"]:
            played.append(again := Conductor(world, key=conductor.key, **patience))
            again.play()
        if rng.random() < 0.3:  # clear the run: it is published once more
            played.append(cleared := Conductor(world, key="struck", **patience))
            cleared.play()
        world.quiet()
        played.append(last := Conductor(world, key="last", **patience))
        last.play()
        time.sleep(0.05)
        world.close()
        verdict = oracle.examine(
            world.dsn,
            store=world.store,
            folder=world.folder,
            may_rescore=kinds.may_rescore(world),
        )
        verdict.add("broken", (f"a try ended with {error}" for one in played for error in one.unexpected))
        if last.state != "success":
            verdict.add("broken", iter([f"the last run failed: {last.said[-1:]}"]))
        notes = [said for one in played for said in one.said]
    return Outcome(
        kind=kind,
        seed=seed,
        faults="; ".join(map(str, faults)),
        delivered=all(fault.delivered for fault in faults),
        verdict=verdict,
        seconds=time.monotonic() - started,
        notes=notes,
    )
