"""Hosts for Celery's workers on this machine, and a scorer that sleeps in the place of an engine.

A host has its own network, host name, processes, home folder, temporary folder and locks. Its store and its checkpoint are
mounts, so that a host can have wrong ones. It reaches this machine by one wire, which can be cut (faults/network.py).
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from platform import node
from typing import Any

from faults.network import Network

from rerank_core.models.base import FakeScorer, ScoredChunk
from rerank_core.records import Pair

WIRE = "database"
LOG = "SLEEPING_SCORER_LOG"  # variable: the file of what was scored
SECONDS = "SLEEPING_SCORER_SECONDS"  # variable: for each pair
UNEXAMINED = (
    "HOSTS_UNEXAMINED"  # variable: not empty, and hosts score without a look at them: the broken control
)
PAIRS_PER_CHUNK = 4
# Airflow reads only files in which it finds the words airflow and dag.
DAG_FILE = '''"""One of the project's DAG files for airflow, with a scorer that sleeps."""

from pathlib import Path

from celery_hosts import install

install()
exec(compile(Path({file!r}).read_text(), {file!r}, "exec"))
'''


class SleepingScorer(FakeScorer):
    """A device that is simulated: it takes its time for each pair, and no processor. Logs what it scores, before the work."""

    def score(
        self, pairs: Sequence[Pair], *, flush_seconds: float, deadline: float | None = None
    ) -> Iterator[ScoredChunk]:
        """See Scorer.score."""
        for start in range(0, len(pairs), PAIRS_PER_CHUNK):
            chunk = pairs[start : start + PAIRS_PER_CHUNK]
            named = [f"{pair.query_id}:{pair.document_id}" for pair in chunk]
            with Path(os.environ[LOG]).open("a", encoding="utf-8") as log:
                log.write(" ".join([node(), *named]) + "\n")
            yield from super().score(chunk, flush_seconds=flush_seconds, deadline=deadline)


def load(*_: Any, **__: Any) -> SleepingScorer:
    """Stands in for scorers.load."""
    return SleepingScorer(pairs_per_chunk=PAIRS_PER_CHUNK, seconds_per_pair=float(os.environ[SECONDS]))


def install() -> None:
    """From now on this process scores by sleeping."""
    from rerank_core.models import scorers
    from rerank_core.rerank import hosts

    scorers.load = load
    if os.environ.get(UNEXAMINED):
        hosts.preflight = lambda **_: None


class Host:
    """One host, with at most one worker on it."""

    def __init__(self, name: str, folder: Path, network: Network) -> None:
        self.name, self.folder, self.network = name, folder, network
        self._worker: subprocess.Popen[bytes] | None = None
        for part in ("home", "tmp", "empty"):
            (folder / part).mkdir(parents=True)
        network._ip("there", "link", "set", "lo", "up")

    @property
    def address(self) -> str:
        """This machine, as the host sees it."""
        return self.network.address(WIRE)

    def start(
        self, environment: Mapping[str, str], *, mounts: Mapping[Path, Path], options: Sequence[str]
    ) -> None:
        """Start a worker. `mounts`: place → what is there on this host."""
        lines = [f"hostname {self.name}", "mount -t tmpfs tmpfs /run/lock"]
        lines += [f"mount --bind {there} {place}" for place, there in mounts.items()]
        worker = " ".join([sys.executable, "-m", "airflow", "celery", "worker", *options])
        own = {"HOME": str(self.folder / "home"), "TMPDIR": str(self.folder / "tmp"), "C_FORCE_ROOT": "1"}
        with (self.folder / "worker.log").open("ab") as log:
            self._worker = subprocess.Popen(
                [
                    *("nsenter", f"--net={self.network.namespace}", "unshare", "--uts", "--mount"),
                    *("--propagation", "private", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"),
                    *("sh", "-ec", "\n".join([*lines, f"exec {worker}"])),
                ],
                env={**environment, **own},
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """All processes of the worker end at once, as when the host loses its power."""
        if self._worker is not None:
            self._worker.send_signal(signal.SIGKILL)
            self._worker.wait()
            self._worker = None

    def freeze(self) -> None:
        """All processes of the worker stand still, as when the host is suspended."""
        for _ in range(3):  # some may be forking
            self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """They go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to every process of the host's process namespace."""
        assert self._worker is not None
        own = Path(f"/proc/{self._worker.pid}/task/{self._worker.pid}/children").read_text().split()
        if not own:  # it is only starting
            return
        space = (Path("/proc") / own[0] / "ns" / "pid").stat().st_ino
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended
                if (process / "ns" / "pid").stat().st_ino == space:
                    os.kill(int(process.name), number)

    @property
    def is_up(self) -> bool:
        return self._worker is not None and self._worker.poll() is None
