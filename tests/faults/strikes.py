"""How a fault strikes, and how it is taken back. STRIKES and RIVALS have every kind of fault by name."""

import os
import resource
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from faults import attempt
from faults.conductor import Conductor
from faults.mounts import RemoteStore, SmallFilesystem
from faults.points import Order
from faults.world import TOPICS, Running, World
from rerank_core.storage import database, topics

if TYPE_CHECKING:
    from faults.assault import Assault

QUARANTINED = "SELECT 1 FROM rerank.quarantine WHERE reason LIKE 'too_slow: %'"
ARRIVAL_SECONDS = 30.0  # and twice as long as an ordinary run takes here
MEETING_SECONDS = 2.0
FULL_SECONDS = 2.5  # a disk is full for so long, or until some try has met it
# The folders of the store that a stage's first files go to; later ones are topic files, in FILES_OF_TOPICS.
FOLDERS = {
    "recall": ("runs", "runs"),
    "degrade": ("runs",),
    "publish": ("rankings",),
    "overdue": ("runs", "rankings"),
}
FILES_OF_TOPICS = "pages"


@dataclass
class Fault:
    """One thing that goes wrong in one scenario."""

    kind: str
    point: str = ""  # where; "" where it comes by the clock
    stage: str = ""  # whose try it strikes, by the clock
    delay: float = 0.0  # seconds after that try began
    seconds: float = 0.0  # how long it lasts; how far a clock jumps
    chunk: int = 0  # in which the engine fails
    what: str = ""  # which wire is cut, whose clock jumps, how a store is gone
    for_good: bool = False  # until the page is out
    delivered: bool = False

    def __str__(self) -> str:
        where = self.point or (f"{self.stage} after {self.delay:.2f} s" if self.stage else "")
        if self.chunk:
            where = f"chunk {self.chunk}" + (", until the page is out" if self.for_good else "")
        said = f"{self.kind} at {where}" if where else self.kind
        return said + (f" ({self.what}, {self.seconds:g} s)" if self.what else "")


LetGo = Callable[[], None]
Strike = Callable[["Assault", Fault, Running, LetGo], bool]  # returns whether there was something to strike


# ── Strikes at a try ────────────────────────────────────────────────────────────────────────────


def kill(assault: "Assault", fault: Fault, victim: Running, let_go: LetGo) -> bool:
    return _signal(victim, signal.SIGKILL)


def terminate(assault: "Assault", fault: Fault, victim: Running, let_go: LetGo) -> bool:
    return _signal(victim, signal.SIGTERM)


def freeze(assault: "Assault", fault: Fault, victim: Running, let_go: LetGo) -> bool:
    """The scheduler gives it up at once; it goes on when its run has ended."""
    if not _signal(victim, signal.SIGSTOP):
        return False
    assault.frozen.append(victim)
    victim.ended = time.monotonic()
    victim.lost = True
    return True


def stall(assault: "Assault", fault: Fault, victim: Running, let_go: LetGo) -> bool:
    """It stands still and nobody notices, until the late page is out."""
    if not _signal(victim, signal.SIGSTOP):
        return False
    let_go()
    assault.await_page()
    victim.stalled = True
    return _signal(victim, signal.SIGCONT)


def _signal(victim: Running, number: signal.Signals) -> bool:
    if victim.process.exitcode is not None:
        return False
    os.kill(victim.pid, number)
    return True


def cut_off(assault: "Assault", fault: Fault, victim: Running, let_go: LetGo) -> bool:
    if victim.process.exitcode is not None:
        return False
    found = assault.world.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'news-rerank'"
    )
    return bool(found)


def crash_database(assault: "Assault", fault: Fault, victim: Running, let_go: LetGo) -> bool:
    postgres = assault.world.fire.postgres
    with assault.world.outage():
        postgres.crash()
        let_go()
        time.sleep(fault.seconds)
        postgres.start()
    return True


def fill_disk(assault: "Assault", fault: Fault, victim: Running, let_go: LetGo) -> bool:
    """The disk of the store; where no filesystem can be mounted, no file of the try may grow."""
    small = assault.world.fire.small
    if not small.why_none:
        return _fill(assault, small, victim, let_go)
    resource.prlimit(victim.pid, resource.RLIMIT_FSIZE, (16, 16))
    let_go()
    victim.process.join(5)
    return True


def fill_database(assault: "Assault", fault: Fault, victim: Running, let_go: LetGo) -> bool:
    """The disk of the database's tables."""
    _fill(assault, assault.world.fire.tables, victim, let_go)
    return any(one.process.exitcode == attempt.RETRYABLE for one in assault.world.tries)


def _fill(assault: "Assault", small: SmallFilesystem, victim: Running, let_go: LetGo) -> bool:
    with assault.world.outage():
        small.fill()
        let_go()
        assault.await_error(FULL_SECONDS)
        victim.process.join(5)
        time.sleep(0.15)  # one more try meets it
        small.empty()
    return True


def lose_store(assault: "Assault", fault: Fault, victim: Running, let_go: LetGo) -> bool:
    """The store's server is gone: who asks hangs, and then is refused; or everybody is refused at once."""
    store = assault.world.remote_store
    assert isinstance(store, RemoteStore)
    with assault.world.outage():
        store.go()
        if fault.what == "refuses":
            store.refuse()
        let_go()
        time.sleep(fault.seconds)
        store.come_back()
    return True


def cut_wire(assault: "Assault", fault: Fault, victim: Running, let_go: LetGo) -> bool:
    """No packet comes through between the workers' host and the server; tries that begin meanwhile are on another host."""
    network = assault.world.fire.network
    network.cut(fault.what)
    try:
        let_go()
        if fault.for_good:
            assault.await_page()
        else:
            time.sleep(fault.seconds)
    finally:
        network.mend(fault.what)
    return True


def jump(assault: "Assault", fault: Fault, victim: Running, let_go: LetGo) -> bool:
    """Somebody sets the clock of a host wrong, and right again when the run has ended."""
    clocks = assault.world.fire.clocks
    clocks.set(fault.what, fault.seconds)
    let_go()
    assault.over.wait()
    clocks.set(fault.what, 0)
    return True


def upgrade(assault: "Assault", fault: Fault, victim: Running, let_go: LetGo) -> bool:
    """`rerank db upgrade` in the middle of the run, with something to do."""
    world = assault.world
    world.query("COMMENT ON COLUMN rerank.current_ranking.rank IS 'as an older version said it'")
    process = world.fire.processes.Process(
        target=attempt.upgrade, args=(world.fire.postgres.url(world.name), world.control, world.folder)
    )
    process.start()
    time.sleep(fault.seconds)  # it waits for the locks of a try that is held within a transaction
    let_go()
    process.join(30)
    if process.exitcode != attempt.DONE:
        assault.unexpected.append(f"an upgrade in mid-run ended with status {process.exitcode}")
    return True


def edit_topics(assault: "Assault", fault: Fault, victim: Running, let_go: LetGo) -> bool:
    edit_topic(assault.world)
    return True


def link_out(assault: "Assault", fault: Fault, victim: Running, let_go: LetGo) -> bool:
    """A link to a folder outside, with the same files, takes the place of a folder of the store; what is written there is a stray."""
    world = assault.world
    stage, _, number = fault.point.split("/")
    inside = world.store / "news" / dict(enumerate(FOLDERS[stage], start=1)).get(int(number), FILES_OF_TOPICS)
    outside, aside = world.folder / "outside", world.folder / "aside"
    shutil.copytree(inside, outside, ignore=shutil.ignore_patterns(".*.tmp"))  # another try may be writing
    inside.rename(aside)
    before = set(outside.rglob("*"))
    while not inside.is_symlink():
        try:
            inside.symlink_to(outside)
        except FileExistsError:  # another try has made the folder again
            again = inside.rename(world.folder / "again")
            shutil.copytree(again, aside, dirs_exist_ok=True)
            shutil.rmtree(again)
    with world.outage():
        let_go()
        victim.process.join(10)
        inside.unlink()
        strays = sorted(str(path) for path in set(outside.rglob("*")) - before)
        aside.rename(inside)
    (world.folder / "strays.log").write_text("".join(f'{{"path": "{path}"}}\n' for path in strays))
    return True


STRIKES: dict[str, Strike] = {
    "kill": kill,
    "terminate": terminate,
    "freeze": freeze,
    "stalled task": stall,
    "cut off": cut_off,
    "database crash": crash_database,
    "disk full": fill_disk,
    "database's disk full": fill_database,
    "store unreachable": lose_store,
    "partition": cut_wire,
    "clock jump": jump,
    "upgrade": upgrade,
    "topic edit": edit_topics,
    "link in the store": link_out,
}


# ── What strikes otherwise ──────────────────────────────────────────────────────────────────────


def poison(assault: "Assault", fault: Fault, order: Order | None) -> None:
    """The engine fails in a chunk: once, or each time until the page is out."""
    world = assault.world
    told = world.orders / f"engine.{fault.chunk}.order"
    told.touch()
    while not assault.over.is_set():
        failed = [one for one in world.tries if one.asked.stage == "rerank" and one.process.exitcode]
        if failed:
            fault.delivered = True
            if not fault.for_good:
                break
        time.sleep(0.01)
    told.unlink(missing_ok=True)


def be_pathological(assault: "Assault", fault: Fault, order: Order | None) -> None:
    assault.over.wait()
    fault.delivered = bool(assault.world.query(QUARANTINED)) or assault.world.control is not None


def freeze_helper(assault: "Assault", fault: Fault, order: Order | None) -> None:
    assert order is not None
    here = order.wait(seconds=ARRIVAL_SECONDS + assault.world.deadline_seconds, unless=assault.over.is_set)
    if here is not None:
        os.kill(here["helper"], signal.SIGSTOP)
        fault.delivered = True
        order.let_go()


def rival(assault: "Assault", fault: Fault, order: Order | None) -> None:
    """Another play of the same run, or another run, from the moment that the first one is at the point."""
    assert order is not None
    world = assault.world
    if order.wait(seconds=ARRIVAL_SECONDS + world.deadline_seconds, unless=assault.over.is_set) is None:
        return
    key = "struck" if fault.kind == "duplicate attempt" else "overlapping"
    other = Conductor(world, key=key)
    assault.rivals.append(other)
    begun = len(world.tries)
    player = threading.Thread(target=other.play, daemon=True)
    player.start()
    # The first one waits until the other has come as far, if it can: they may hold what the other needs.
    stage, deadline = fault.point.split("/")[0], time.monotonic() + MEETING_SECONDS
    while player.is_alive() and time.monotonic() < deadline:
        if any(one.asked.stage == stage for one in world.tries[begun:]):
            break
        time.sleep(0.002)
    order.let_go()
    fault.delivered = True
    player.join(60)


OTHERS: dict[str, Callable[["Assault", Fault, Order | None], None]] = {
    "engine failure": poison,
    "pathological article": be_pathological,
    "frozen helper": freeze_helper,
    "duplicate attempt": rival,
    "overlapping run": rival,
}


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
