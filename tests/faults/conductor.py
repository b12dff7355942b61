"""Plays the scheduler for one run: each stage in order, tried again while that can help.

The rules are the DAG's: a permanent error ends the run, a killed or failed try is followed by another one,
scoring that fails for good leaves its pairs to the light order.
"""

import json
import os
import signal
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

from faults import attempt, controls
from faults.world import Running, World
from rerank_core.pipeline import STAGES

TRIES = 12  # of a stage, before the run has failed
PAUSE_SECONDS = 0.1  # between two tries
HUNG_SECONDS = 90.0  # and twice as long as an ordinary run takes here
LOOK_SECONDS = 0.3  # between two tries of a late page that cannot come out yet
LATE_SECONDS = 40.0  # a late page that does not come out is given up
SAMPLE_SECONDS = 0.2  # between two looks at how long a try has waited for a processor
LIGHT_WITHOUT = ("embed",)  # stages whose failure leaves a page all the same, as that of scoring does


class Conductor:
    """One dag run."""

    def __init__(
        self,
        world: World,
        *,
        key: str,
        tries: int = TRIES,
        hung_seconds: float | None = None,
        late_seconds: float = LATE_SECONDS,
    ) -> None:
        self.world = world
        self.key = key
        self.tries = tries
        self.hung_seconds = HUNG_SECONDS + world.deadline_seconds if hung_seconds is None else hung_seconds
        self.late_seconds = late_seconds
        self.said: list[str] = []  # errors, in order
        self.unexpected: list[str] = []  # errors that are of no class of the library
        self.points: dict[str, list[str]] = {}  # that the last good try of a stage passed
        self.seconds: dict[str, float] = defaultdict(float)  # of that try
        self.fenced = 0
        self.state = "running"
        self._shards: list[int] = []
        self._over = Event()
        self._late = Thread(target=self._publish_late, daemon=True)

    def play(self) -> str:
        """Every stage, and the late page if the run's page is due meanwhile; "success" or "failed"."""
        self.world.note_deadline(self.key)
        if self.world.control not in (controls.DEADLINE_AFTER_PREPARE, controls.NO_LATE_PAGE):
            self._late.start()
        done = all(self._stage(stage) for stage in STAGES)
        self.state = "success" if done else "failed"
        if done:  # the late page of a run that has failed comes out all the same
            self._over.set()
        if self._late.ident is not None:
            self._late.join()
        return self.state

    def _publish_late(self) -> None:
        """What the overdue DAG does: nothing before the deadline; then the late page, as soon as it can come out."""
        wait: float | None = self.world.deadline_seconds
        give_up = time.monotonic() + self.world.deadline_seconds + self.late_seconds
        while wait is not None and not self._over.wait(wait) and time.monotonic() < give_up:
            if self.world.is_out(self.key):
                return
            status = self._wait(running := self.world.begin(attempt.OVERDUE, key=self.key))
            said = "" if status in (attempt.DONE, None) else _error(running.asked.result)
            if status == attempt.BUG:
                self.unexpected.append(f"{attempt.OVERDUE}: {said}")
            again = said.startswith(("OverdueError", "SettingsError")) or status == attempt.RETRYABLE
            wait = LOOK_SECONDS if again else None

    def _stage(self, stage: str) -> bool:
        if stage == "embed" and self.world.control == controls.DEADLINE_AFTER_PREPARE:
            self._late.start()
        if stage == "rerank":
            for shard in self._shards:
                self._tried(stage, shard)
            return True
        return self._tried(stage, None) or stage in LIGHT_WITHOUT

    def _tried(self, stage: str, shard: int | None) -> bool:
        for number in range(self.tries):
            if number:
                time.sleep(PAUSE_SECONDS)
            started = time.monotonic()
            running = self.world.begin(stage, key=self.key, shard=shard)
            status = self._wait(running)
            if status is None:  # given up: its successor follows at once
                continue
            if status == attempt.DONE:
                told = json.loads(running.asked.result.read_text())
                if stage == "recall":
                    self._shards = [one["shard"] for one in told["result"]["shards"]]
                self.points[stage] = told["points"]
                self.seconds[stage] = time.monotonic() - started
                return True
            if status > 0:
                error = _error(running.asked.result)
                self.said.append(f"{stage}: {error}")
                if error.startswith(controls.Misfit.__name__):
                    raise controls.Misfit(error)
                if status == attempt.BUG:
                    self.unexpected.append(f"{stage}: {error}")
                if status == attempt.PERMANENT:
                    self.fenced += error.startswith("FencedError")
                    return False
        return False

    def _where(self, running: Running) -> str:
        """Where the process is: the ends of its threads' stacks."""
        log = self.world.folder / "tries.log"
        before = log.stat().st_size
        with suppress(ProcessLookupError):
            os.kill(running.pid, signal.SIGUSR1)
        time.sleep(0.5)
        with log.open("rb") as stream:
            stream.seek(before)
            told = stream.read().decode(errors="replace")
        return " < ".join(line.strip() for line in told.splitlines() if "File" in line)[:900]

    def _wait(self, running: Running) -> int | None:
        """How the try ended; None where it is given up."""
        deadline = time.monotonic() + self.hung_seconds
        waited, look = 0.0, time.monotonic() + SAMPLE_SECONDS
        while (status := running.process.exitcode) is None:
            if running.lost:
                return None
            if time.monotonic() > look:
                waited, before = max(waited, seconds_without_processor(running.pid)), waited
                self.world.note_wait(self.key, waited - before)
                look = time.monotonic() + SAMPLE_SECONDS
            if time.monotonic() > deadline:
                self.unexpected.append(f"{running.asked.stage}: a try hangs")
                self.said.append(f"{running.asked.stage}: it hangs at {self._where(running)}")
                running.process.kill()
                running.process.join()
            time.sleep(0.003)
        running.ended = time.monotonic()
        return int(status)


def seconds_without_processor(pid: int) -> float:
    """How long the threads of a process have stood in the kernel's run queue: ready, and without a processor.

    Second number of /proc/PID/task/TID/schedstat, in nanoseconds (Documentation/scheduler/sched-stats.rst). 0 if the
    process has ended.
    """
    total = 0
    with suppress(OSError):  # the process has ended
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError, IndexError):  # the thread has
                total += int((thread / "schedstat").read_text().split()[1])
    return total / 1e9


def _error(result: Path) -> str:
    """What a try said that did not end well; told to stop in its last moment, it said nothing or something else."""
    told = json.loads(result.read_text()) if result.exists() else {}
    return str(told.get("error", "it ended before it could say how")).split("\n", 1)[0]
