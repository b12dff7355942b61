"""Two clocks that can jump: that of the database's host, and that of the workers' host.

libfaketime stands between Postgres and its wall clock, and adds what a file says at that moment. The clock that measures spans
(CLOCK_MONOTONIC) goes on evenly, as it does on a real host whose time is set. libfaketime and Python do not bear each other (a
sleep ends in EINVAL), so a try of a stage has a shim instead: its `time.time`, and `datetime.now` in the library's modules.
"""

import datetime
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HOSTS = ("database", "workers")


class Clocks:
    """The clocks of one fire. `why_none` says why they cannot jump."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._library = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)
        self.why_none = (
            "" if self._library else "libfaketime is not installed here (apt-get install libfaketime)"
        )
        for host in HOSTS:
            self.set(host, 0)

    def set(self, host: str, seconds: float) -> None:
        """Let the clock of a host be so many seconds ahead, or behind for a negative number."""
        draft = self._folder / f".{host}.clock"
        draft.write_text(f"{seconds:+.3f}\n")
        draft.rename(self.file(host))

    def file(self, host: str) -> Path:
        """Where it stands how far a clock is ahead."""
        return self._folder / f"{host}.clock"

    @contextmanager
    def of_database(self) -> Iterator[None]:
        """A Postgres that is started within this has the clock of the database's host."""
        wanted = {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file("database")),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        os.environ.update(wanted)  # none of these is set otherwise
        try:
            yield
        finally:
            for name in wanted:
                del os.environ[name]


def follow(file: Path) -> None:
    """Let this process have the clock of a host, from now on."""
    true_time, true_datetime = time.time, datetime.datetime

    def ahead() -> float:
        return float(file.read_text())

    class SameInstances(type):
        def __instancecheck__(cls, one: Any) -> bool:
            return isinstance(one, true_datetime)

    class JumpingDatetime(true_datetime, metaclass=SameInstances):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return true_datetime.fromtimestamp(true_time() + ahead(), tz)

    time.time = lambda: true_time() + ahead()
    datetime.datetime = JumpingDatetime  # type: ignore[misc]
    for name, module in list(sys.modules.items()):
        if name.startswith("rerank_core") and vars(module).get("datetime") is true_datetime:
            module.datetime = JumpingDatetime  # type: ignore[attr-defined]
