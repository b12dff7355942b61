"""The faults of the fast tier: what strikes a try, where, and how it is taken back."""

import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random

from faults import attempt, traffic
from faults.conductor import Conductor
from faults.points import Order
from faults.stub import PAIRS_PER_CHUNK
from faults.world import TOPICS, Fire, Running, World
from rerank_core.storage import database, topics

STRIKES = ("kill", "terminate", "freeze", "cut off", "database crash", "disk full", "topic edit")
FENCED = ("extract", "prepare", "recall", "degrade", "publish")
QUARANTINED = "SELECT 1 FROM rerank.quarantine WHERE reason LIKE 'too_slow: %'"
SICK_ARTICLES = 12
# One article may take this long, in these scenarios, and a page is due so soon: preparing the sick ones takes longer.
SICK_SETTINGS = {"prepare_seconds": 0.4}
SICK_DEADLINE_SECONDS = 1.0
ARRIVAL_SECONDS = 30.0
MEETING_SECONDS = 2.0


@dataclass
class Fault:
    """One thing that goes wrong in one scenario."""

    kind: str
    point: str = ""  # where; "" where it comes by the clock
    stage: str = ""  # whose try it strikes, by the clock
    delay: float = 0.0  # seconds after that try began
    seconds: float = 0.0  # how long it lasts
    chunk: int = 0  # in which the engine fails
    for_good: bool = False  # the engine fails until the page is out
    delivered: bool = False

    def __str__(self) -> str:
        where = self.point or (f"{self.stage} after {self.delay:.2f} s" if self.stage else "")
        if self.chunk:
            where = f"chunk {self.chunk}" + (", until the page is out" if self.for_good else "")
        return f"{self.kind} at {where}" if where else self.kind


@dataclass
class Assault:
    """The faults of one scenario, being delivered while its runs are played."""

    world: World
    faults: Sequence[Fault]
    rivals: list[Conductor] = field(default_factory=list)
    frozen: list[Running] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def begin(self) -> None:
        """Place every order, and every article that is one, before the first try starts."""
        for fault in self.faults:
            if fault.kind == "pathological article":
                traffic.add(self.world.dsn, Random(0), SICK_ARTICLES, title=f"{traffic.SICK} ")
            order = Order.give(self.world.orders, fault.point) if fault.point else None
            thread = threading.Thread(target=self._deliver, args=(fault, order), daemon=True)
            self._threads.append(thread)
            thread.start()

    def end(self) -> None:
        """The struck run has come to its end: what was frozen goes on, what is broken is mended."""
        self.over.set()
        for thread in self._threads:
            thread.join(60)
        for running in self.frozen:
            with suppress(ProcessLookupError):
                os.kill(running.pid, signal.SIGCONT)
        for running in self.frozen:
            running.process.join(20)
        for order in self.world.orders.glob("engine.*.order"):
            order.unlink()

    def _deliver(self, fault: Fault, order: Order | None) -> None:
        if fault.kind == "engine failure":
            self._poison(fault)
        elif fault.kind == "pathological article":
            self.over.wait()
            fault.delivered = bool(self.world.query(QUARANTINED)) or self.world.control is not None
        elif fault.kind in ("duplicate attempt", "overlapping run"):
            self._rival(fault, order)
        elif order is not None:
            here = order.wait(seconds=ARRIVAL_SECONDS, unless=self.over.is_set)
            if here is not None and fault.kind == "frozen helper":
                os.kill(here["helper"], signal.SIGSTOP)
                fault.delivered = True
                order.let_go()
            elif here is not None:
                victim = next(one for one in self.world.tries if one.process.pid == here["pid"])
                fault.delivered = self._strike(fault, victim, order.let_go)
                order.let_go()
        else:
            victim_there = self._await_try(fault.stage)
            if victim_there is not None:
                time.sleep(fault.delay)
                fault.delivered = self._strike(fault, victim_there, lambda: None)

    def _await_try(self, stage: str) -> Running | None:
        deadline = time.monotonic() + ARRIVAL_SECONDS
        while time.monotonic() < deadline and not self.over.is_set():
            for one in self.world.tries:
                if one.asked.stage == stage and one.asked.key == "struck" and one.process.pid:
                    return one
            time.sleep(0.003)
        return None

    def _strike(self, fault: Fault, victim: Running, let_go: Callable[[], None]) -> bool:
        """Returns whether there was something to strike."""
        if victim.process.exitcode is not None and fault.kind in ("kill", "terminate", "freeze", "cut off"):
            return False
        match fault.kind:
            case "kill":
                os.kill(victim.pid, signal.SIGKILL)
            case "terminate":
                os.kill(victim.pid, signal.SIGTERM)
            case "freeze":
                os.kill(victim.pid, signal.SIGSTOP)
                self.frozen.append(victim)
                victim.ended = time.monotonic()
                victim.lost = True
            case "cut off":
                return self._cut_off()
            case "database crash":
                self.world.fire.postgres.crash()
                let_go()
                time.sleep(fault.seconds)
                self.world.fire.postgres.start()
            case "disk full":
                self._fill_disk(victim, let_go)
            case "topic edit":
                edit_topic(self.world)
        return True

    def _cut_off(self) -> bool:
        found = self.world.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'news-rerank'"
        )
        return bool(found)

    def _fill_disk(self, victim: Running, let_go: Callable[[], None]) -> None:
        if self.world.fire.why_no_small:
            resource.prlimit(victim.pid, resource.RLIMIT_FSIZE, (16, 16))
            let_go()
            victim.process.join(5)
            return
        ballast = self.world.fire.small / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as stream:
            while stream.write(bytes(64 << 10)):
                pass
        let_go()
        victim.process.join(5)
        time.sleep(0.15)  # one more try meets it
        ballast.unlink()

    def _poison(self, fault: Fault) -> None:
        order = self.world.orders / f"engine.{fault.chunk}.order"
        order.touch()
        while not self.over.is_set():
            failed = [one for one in self.world.tries if one.asked.stage == "rerank" and one.process.exitcode]
            if failed:
                fault.delivered = True
                if not fault.for_good:
                    break
            time.sleep(0.01)
        order.unlink(missing_ok=True)

    def _rival(self, fault: Fault, order: Order | None) -> None:
        """Another play of the same run, or another run, from the moment that the first one is at the point."""
        assert order is not None
        if order.wait(seconds=ARRIVAL_SECONDS, unless=self.over.is_set) is None:
            return
        key = "struck" if fault.kind == "duplicate attempt" else "overlapping"
        rival = Conductor(self.world, key=key)
        self.rivals.append(rival)
        begun = len(self.world.tries)
        player = threading.Thread(target=rival.play, daemon=True)
        player.start()
        # The first one waits until the other has come as far, if it can: they may hold what the other needs.
        stage, deadline = fault.point.split("/")[0], time.monotonic() + MEETING_SECONDS
        while player.is_alive() and time.monotonic() < deadline:
            if any(one.asked.stage == stage for one in self.world.tries[begun:]):
                break
            time.sleep(0.002)
        order.let_go()
        fault.delivered = True
        player.join(60)


def edit_topic(world: World) -> None:
    """An editor changes one topic's query and another one's length, while a run is under way."""
    store = database.Database(world.fire.postgres.url(world.name))
    changed = (
        replace(TOPICS[0], query="solar energy and storage"),
        replace(TOPICS[1], top_k=10, half_life_hours=6.0),
        *TOPICS[2:],
    )
    for _ in range(20):
        try:
            with store.transaction() as connection:
                topics.apply(connection, "news", changed)
            return
        except Exception:
            time.sleep(0.1)


def draw(rng: Random, fire: Fire, kind: str) -> list[Fault]:
    """The faults of a scenario of this kind; `several` draws two or three that bear each other."""
    if kind == "nothing":
        return []
    if kind == "several":
        chosen = rng.sample(
            ("kill", "terminate", "cut off", "topic edit", "database crash", "engine failure"), 2
        )
        if rng.random() < 0.5:
            chosen.append("overlapping run")
        return [fault for one in chosen for fault in draw(rng, fire, one)]
    if kind == "engine failure":
        return [Fault(kind, chunk=rng.randint(1, 6), for_good=rng.random() < 0.4)]
    if kind == "disk full":
        return [Fault(kind, point=_point(rng, fire, ("recall", "publish"), ("write",)))]
    if kind in ("duplicate attempt", "overlapping run"):
        return [Fault(kind, point=_point(rng, fire, ("extract", "prepare", "recall", "rerank", "publish")))]
    if kind == "pathological article":
        return [Fault(kind)]
    if kind == "frozen helper":  # its first article is asked second
        return [Fault(kind, point=f"prepare/ask/{rng.randint(2, 6)}")]
    if kind == "freeze in publish":  # its file is written, and its successor publishes first
        return [Fault("freeze", point=rng.choice(("publish/rename/1", "publish/written/1")))]
    if kind == "freeze in a copy":  # no timeout of Postgres ends its session
        return [Fault("freeze", point=rng.choice(("prepare/copy/1", "rerank/copy/1", "publish/copy/1")))]
    if kind == "freeze":
        stages = ("extract", "prepare", "recall", "rerank", "publish", "publish")
        return [Fault(kind, point=_point(rng, fire, stages))]
    if kind in ("kill", "terminate", "cut off") and rng.random() < 0.35:
        stage = rng.choice(("extract", "prepare", "recall", "rerank", "publish", "observe"))
        return [Fault(kind, stage=stage, delay=rng.uniform(0.0, 1.1 * fire.seconds[stage]))]
    anywhere = ("extract", "prepare", "recall", "rerank", "rerank", "publish", "publish", "observe")
    if kind == "cut off":
        return [Fault(kind, point=_point(rng, fire, anywhere, ("commit",)))]
    return [Fault(kind, point=_point(rng, fire, anywhere), seconds=rng.choice((0.0, 0.1, 0.4)))]


def _point(rng: Random, fire: Fire, stages: Sequence[str], kinds: Sequence[str] | None = None) -> str:
    """One of the points that a good run passes."""
    stage = rng.choice(stages)
    passed = [
        point
        for point in fire.points[stage]
        if (point.split("/")[1] in kinds if kinds else point.split("/")[1] != "copy")
    ]
    # A run that scores less than the first one passes fewer chunks.
    near = [point for point in passed if int(point.split("/")[2]) <= 6]
    return rng.choice(near)


def may_rescore(world: World) -> int:
    """Pairs that may have been scored again: a chunk for each try that was killed, failed or was frozen, and for each
    that scored beside another one.

    Two tries side by side each score a chunk that the other one has scored, at most: where they began, and where they
    meet at last. The second of them goes carefully at first: a single pair more.
    """
    tries = [one for one in world.tries if one.asked.stage == "rerank"]
    cut_short = sum(one.lost or one.process.exitcode not in (attempt.DONE, None) for one in tries)
    beside = sum(
        any(one is not other and one.began < other.ended and other.began < one.ended for other in tries)
        for one in tries
    )
    return PAIRS_PER_CHUNK * (cut_short + beside) + beside
