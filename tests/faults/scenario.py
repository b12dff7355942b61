"""One scenario: a run that is struck while others write and read, then everything mended, then the oracle."""

import time
from dataclasses import dataclass, field
from random import Random
from typing import Any

from faults import kinds, oracle, traffic
from faults.assault import Assault
from faults.attempt import MINUTE
from faults.conductor import Conductor
from faults.controls import CONTROLS
from faults.oracle import Verdict
from faults.world import Fire, World

NEW_ARTICLES = 12  # in the source when the run begins; writers add more
CALM = kinds.CALM
KINDS = tuple(kind for kind in kinds.KINDS if kind != CALM)


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
    asked = kinds.KINDS[kind]
    rng = Random(f"{kind}/{seed}")
    faults = kinds.draw(rng, fire, kind)
    settings: dict[str, Any] = {"shards": rng.choice((1, 1, 2)), **asked.settings}
    patience: dict[str, Any] = {}
    if not asked.may_hang:
        patience["hung_seconds"] = 2 * fire.deadline_seconds + 4 * MINUTE
    if control is not None:
        patience |= CONTROLS[control].patience
    with fire.world(
        needs=asked.needs, control=control, deadline_seconds=asked.deadline_seconds, **settings
    ) as world:
        traffic.add(world.dsn, rng, NEW_ARTICLES)
        world.start_traffic(seed)
        time.sleep(rng.uniform(0.1, 0.4))
        struck = Conductor(world, key="struck", **patience)
        assault = Assault(world, faults)
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
        is_past = _await_time(world)
        played.append(last := Conductor(world, key="last", **patience))
        last.play()
        time.sleep(0.05)
        world.close()
        verdict = oracle.examine(
            world.dsn,
            store=world.store,
            folder=world.folder,
            may_rescore=kinds.may_rescore(world),
            redis_url=fire.redis.url if "redis" in asked.needs else None,
        )
        verdict.add("broken", (f"a try ended with {error}" for one in played for error in one.unexpected))
        verdict.add("broken", iter(assault.unexpected))
        if not is_past:
            verdict.add("broken", iter(["a run ends at a time that has not come"]))
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


def _await_time(world: World) -> bool:
    """Wait until no run is of the future: one was opened while the database's clock was a little ahead. False: one is."""
    give_up = time.monotonic() + 2 * kinds.AHEAD_SECONDS
    while world.query("SELECT 1 FROM rerank.run WHERE until >= now()"):
        if time.monotonic() > give_up:
            return False
        time.sleep(0.05)
    return True
