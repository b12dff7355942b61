"""Two clocks that can jump: that of the database's host, and that of the workers' host.

libfaketime stands between a process and its wall clock, and adds what a file says at that moment. The clock that measures spans
(CLOCK_MONOTONIC) goes on evenly, as it does on a real host whose time is set. Postgres starts under the one clock, and the process
that tries are forked from under the other.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOSTS = ("database", "workers")


class Clocks:
    """The clocks of one fire. `why_none` says why they cannot jump."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._library = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
        self.why_none = (
            "" if self._library else "libfaketime is not installed here (apt-get install libfaketime)"
        )
        for host in HOSTS:
            self.set(host, 0)

    def set(self, host: str, seconds: float) -> None:
        """Let the clock of a host be so many seconds ahead, or behind for a negative number."""
        draft = self._folder / f".{host}.clock"
        draft.write_text(f"{seconds:+.3f}\n")
        draft.rename(self._file(host))

    def _file(self, host: str) -> Path:
        return self._folder / f"{host}.clock"

    @contextmanager
    def of(self, host: str) -> Iterator[None]:
        """Processes that are started within this have the clock of the host."""
        if self._library is None:
            yield
            return
        wanted = {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file(host)),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
