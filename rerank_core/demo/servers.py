"""A server of the demo: one command under a supervisor, which ends the command with its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

SUPERVISOR = Path(__file__).with_name("_supervise.py")


class Server:
    """One running command. It stops with `stop()`, and also when this process ends in any way at all."""

    def __init__(
        self,
        *,
        name: str,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace_seconds: float = 10.0,
        user: tuple[int, int] | None = None,
    ) -> None:
        """Start `command` and append its output to `log`; `user` is the (uid, gid) to run it as."""
        self.name = name
        self.log = log
        self._grace_seconds = grace_seconds
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._supervisor = subprocess.Popen(
                [
                    sys.executable,
                    "-IS",
                    str(SUPERVISOR),
                    f"--parent={os.getpid()}",
                    f"--signal={stop_signal.value}",
                    f"--grace={grace_seconds}",
                    *([f"--uid={user[0]}", f"--gid={user[1]}"] if user else []),
                    "--",
                    *command,
                ],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if environment is None else dict(environment),
                # Ctrl-C in the terminal goes to the demo alone, which then stops its servers in order.
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        return self._supervisor.poll() is None

    @property
    def pid(self) -> int:
        """Pid of the supervisor; the server is its only child."""
        return self._supervisor.pid

    def ask_to_stop(self) -> None:
        """Begin to stop, without waiting, so that several servers can stop at the same time."""
        if self._supervisor.stdin and not self._supervisor.stdin.closed:
            self._supervisor.stdin.close()

    def stop(self) -> None:
        """Stop, and return when nothing of it is left."""
        self.ask_to_stop()
        self._supervisor.wait(timeout=self._grace_seconds + 20)

    def last_lines(self) -> str:
        """The end of its log, for an error message."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])
