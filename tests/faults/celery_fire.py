"""The Celery tier: Airflow with CeleryExecutor, Redis, and scoring hosts that are killed, frozen and cut off.

Two right hosts score. A third host is wrong all the time: it has no checkpoint, or a store of its own, and it is hungry, since it
gives each task back at once. Faults strike while the right hosts score; the page has to come out full. Devices are simulated by a
scorer that sleeps, and heartbeats, retries and times are Airflow's and the settings' own.
"""

import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Timer
from typing import Any

from celery_clusters import Cluster
from celery_hosts import PAIRS_PER_CHUNK, WIRE

from faults import oracle, traffic
from faults.network import Network
from faults.notes import Notes
from faults.oracle import Verdict
from faults.world import AUDIT
from rerank_core.storage import migrations

RIGHT = ("gpu1", "gpu2")
WRONG = "gpu3"
BROKER = "redis"
FAULTS = 5  # in a dag run: each that strikes a right host or the broker, and one wrong host
ARTICLES = 60  # a run: 240 pairs
PAGE_SECONDS = 420.0  # that a full page may take: then it is told of
MEETINGS = 2  # chunks that two tasks of one run may score again: where they begin and where they meet


@dataclass
class HostFault:
    """One thing that goes wrong while a run is scored."""

    kind: str
    host: str
    seconds: float  # since the fault before, or since both hosts score
    lasts: float  # of what passes by itself
    delivered: bool = False

    def __str__(self) -> str:
        return f"{self.kind} ({self.host}, {self.lasts:.0f} s)"


@dataclass
class CeleryOutcome:
    """What a dag run with its faults came to."""

    faults: list[HostFault]
    verdict: Verdict
    news: list[str]  # violations that were not there before it
    seconds: float
    notes: list[str] = field(default_factory=list)


def kill(fire: "CeleryFire", fault: HostFault) -> None:
    """The host loses its power, and starts again at once."""
    fire.cluster.hosts[fault.host].kill()
    fire.cluster.start_worker(fault.host)


def freeze(fire: "CeleryFire", fault: HostFault) -> None:
    """The host stands still for a while."""
    host = fire.cluster.hosts[fault.host]
    host.freeze()
    fire.later(fault.lasts, host.thaw)


def cut(fire: "CeleryFire", fault: HostFault) -> None:
    """The host loses the network for a while, in silence."""
    network = fire.cluster.hosts[fault.host].network
    network.cut(WIRE)
    fire.later(fault.lasts, lambda: network.mend(WIRE))


def crash_broker(fire: "CeleryFire", fault: HostFault) -> None:
    """Redis is gone for a while; its append-only file stays."""
    fire.cluster.redis.kill()
    fire.later(fault.lasts, fire.cluster.redis.start)


def start_wrong(fire: "CeleryFire", fault: HostFault) -> None:
    """The third host starts, with something wrong."""
    fire.cluster.hosts[WRONG].kill()
    with fire.cluster.news.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM rerank.scoring_host WHERE host = %s", (WRONG,))
    fire.cluster.start_worker(WRONG, **{fault.kind.split()[-1]: "empty"})


STRIKES: dict[str, Callable[["CeleryFire", HostFault], None]] = {
    "host killed": kill,
    "host frozen": freeze,
    "network cut": cut,
    "broker killed": crash_broker,
}
WRONGS = ("host without a model", "host with its own store")
KINDS = (*STRIKES, *WRONGS)
UNEXAMINED = "hosts unexamined"  # the broken control: a host scores without a look at it
FOREIGN = WRONGS[1]


class CeleryFire(Notes):
    """One Airflow with its hosts, and what is done to them."""

    def __init__(
        self, *, seed: int, control: str = "", say: Callable[[str], None] = lambda text: None
    ) -> None:
        self.control = control
        self.folder = Path(tempfile.mkdtemp(prefix="rerank-celery-fire-"))
        self.folder.chmod(0o755)
        self.rng = Random(f"celery/{seed}")
        self.say = say
        self.cluster: Cluster
        self._pending: list[Timer] = []
        self._known: set[str] = set()
        self._allowed = 0  # chunks that may go into an engine again
        self._readers: list[Any] = []
        self._open = ExitStack()

    def __enter__(self) -> "CeleryFire":
        try:
            self._start()
        except BaseException:
            self._open.close()
            raise
        return self

    def _start(self) -> None:
        self._open.callback(shutil.rmtree, self.folder, ignore_errors=True)
        networks = [Network() for _ in range(4)]
        for network in networks:
            network.open()
            self._open.callback(network.close)
            if network.why_none:
                raise SystemExit(network.why_none)
        self.cluster = Cluster(self.folder, networks, shards=3, examined=self.control != UNEXAMINED)
        self._open.callback(self.cluster.stop)
        self.cluster.start()
        with self.cluster.news.transaction() as connection:
            migrations.run_script(connection, AUDIT)
        for name in RIGHT:
            self.cluster.start_worker(name)
        self.say("Airflow and its hosts are up")

    def __exit__(self, *_: object) -> None:
        self._settle()
        (self.folder / "closed").touch()
        for process in self._readers:
            process.join(10)
            if process.is_alive():
                process.kill()
        self._open.close()

    def _start_readers(self) -> None:
        os.environ["PYTHONPATH"] = os.pathsep.join(
            [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        ).rstrip(os.pathsep)
        processes = multiprocessing.get_context("spawn")
        dsn, store = self.cluster.postgres.dsn("news"), self.cluster.shared["store"]
        bodies: list[tuple[Callable[..., None], tuple[Any, ...]]] = [
            (traffic.read_views, (dsn, self.folder)),
            (traffic.read_files, (dsn, store, self.folder)),
        ]
        for body, arguments in bodies:
            process = processes.Process(target=body, args=arguments)
            process.start()
            self._readers.append(process)

    def later(self, seconds: float, what: Callable[[], Any]) -> None:
        """Do something after so many seconds, before the next dag run."""
        timer = Timer(seconds, what)
        timer.start()
        self._pending.append(timer)

    def _settle(self) -> None:
        """Wait until every fault has passed."""
        for timer in self._pending:
            timer.join()
        self._pending.clear()

    def draw(self, kinds: Sequence[str]) -> list[HostFault]:
        """The first FAULTS of these kinds, in this order; one of them at most is about the wrong host."""
        wrong = [kind for kind in kinds if kind in WRONGS][:1]
        chosen = [kind for kind in kinds if kind in STRIKES][: FAULTS - len(wrong)]
        found = []
        for kind in wrong + chosen:
            host = WRONG if wrong == [kind] else BROKER if kind == "broker killed" else self.rng.choice(RIGHT)
            found.append(HostFault(kind, host, self.rng.uniform(0.0, 5.0), self.rng.uniform(4.0, 20.0)))
        return found

    def play(self, faults: Sequence[HostFault]) -> CeleryOutcome:
        """One dag run with these faults, brought to its full page, and what the oracle says then."""
        started = time.monotonic()
        for fault in faults:
            if fault.kind in WRONGS:
                self.say(f"  {fault}")
                start_wrong(self, fault)
        run = self.cluster.trigger(articles=ARTICLES)
        self._allowed += MEETINGS + len(faults)
        self.cluster.await_hosts(*RIGHT, pairs=2 * PAIRS_PER_CHUNK)
        for fault in faults:
            if fault.kind not in WRONGS:
                time.sleep(fault.seconds)
                fault.delivered = not self.cluster.pages(run)
                self.say(f"  {fault}")
                STRIKES[fault.kind](self, fault)
        struck = time.time()
        page = self._await_page(run)
        self._settle()
        for fault in faults:
            if fault.kind in WRONGS:
                fault.delivered = bool(self.control or self.cluster.faults().get(WRONG))
        verdict = self.examine()
        if page is None or page.degraded:
            verdict.add("broken", iter([f"{run} had no full page within {PAGE_SECONDS:.0f} s"]))
        if not self._readers:
            self._start_readers()
        seconds = page.published_at.timestamp() - struck if page else PAGE_SECONDS
        notes = [
            f"scored by {', '.join(sorted(self.cluster.hosts_of(run)))}",
            f"page {seconds:.0f} s after the last fault",
        ]
        return CeleryOutcome(list(faults), verdict, self._news(verdict), time.monotonic() - started, notes)

    def _news(self, verdict: Verdict) -> list[str]:
        found = [one for one in verdict.violations if one not in self._known]
        self._known |= set(verdict.violations)
        return found

    def _await_page(self, run: str) -> Any:
        """The first page of a run, full or not; None if it comes too late."""
        deadline = time.monotonic() + PAGE_SECONDS
        while time.monotonic() < deadline:
            if pages := self.cluster.pages(run):
                return pages[0]
            time.sleep(0.5)
        return None

    def examine(self, *, at_rest: bool = False) -> Verdict:
        """The oracle's word on everything so far."""
        return oracle.examine(
            self.cluster.postgres.dsn("news"),
            store=self.cluster.shared["store"],
            folder=self.folder,
            may_rescore=PAIRS_PER_CHUNK * self._allowed,
            at_rest=at_rest,
        )

    def close(self) -> CeleryOutcome:
        """Nothing strikes any more, and the latest page is out: it has to be whole."""
        verdict = self.examine(at_rest=True)
        return CeleryOutcome([], verdict, self._news(verdict), 0.0)
