"""Helpers of prepare that start at once: forked from a process that has loaded everything.

A helper that the library starts loads its libraries for a second or two. Most tests are about something else. So
`Nursery.start` takes the place of `rerank_core.prepare.watch.start`: it gives a process with the same three pipes and the same
body. `python tests/nursery.py SOCKET [MODULE]` is the process that forks; it calls the module's `install` before that.
"""

import gc
import importlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

TESTS = Path(__file__).parent


class ForkedHelper:
    """What the library uses of a subprocess.Popen."""

    def __init__(self, address: Path) -> None:
        (given, self._given), (self._answers, answers), (self._says, says) = os.pipe(), os.pipe(), os.pipe()
        self._nurse = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._nurse.connect(str(address))
        socket.send_fds(self._nurse, [b"fork"], [given, answers, says])
        for descriptor in (given, answers, says):
            os.close(descriptor)
        self.pid = int(self._nurse.recv(64))
        self.stdin, self.stdout, self.stderr = (
            os.fdopen(self._given, "wb", 0),
            os.fdopen(self._answers, "rb", 0),
            os.fdopen(self._says, "rb", 0),
        )
        self.returncode: int | None = None
        self._waiting = Lock()

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        with self._waiting:
            if self.returncode is None:
                if not select.select([self._nurse], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired("a forked helper", timeout or 0)
                self.returncode = int(self._nurse.recv(64) or -signal.SIGKILL)
                self._nurse.close()
            return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


class Nursery:
    """The process that forks helpers; it starts with the first one."""

    def __init__(self, module: str = "") -> None:
        self._module = module
        self._folder = tempfile.TemporaryDirectory(prefix="rerank-nursery-")
        self.address = Path(self._folder.name) / "socket"
        self._process: subprocess.Popen[bytes] | None = None
        self._opening = Lock()
        self.helpers: list[ForkedHelper] = []  # all that it has started

    def open(self) -> None:
        """Start the process, and wait until it has loaded everything."""
        paths = [str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(self.address), self._module],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"open\n"

    def start(self) -> Any:
        """A helper, in the place of `rerank_core.prepare.watch.start`."""
        with self._opening:
            if self._process is None:
                self.open()
        self.helpers.append(ForkedHelper(self.address))
        return self.helpers[-1]

    def running(self) -> list[ForkedHelper]:
        """The helpers that have not ended."""
        return [helper for helper in self.helpers if helper.poll() is None]

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._folder.cleanup()


def serve(address: str, module: str) -> None:
    """Fork a helper, and a nurse for it, for each connection; ends with whoever has started this process."""
    from rerank_core.prepare import helper

    if module:
        importlib.import_module(module).install()
    helper.Helper(without=[], rules=None, mib=1 << 20)._load("chinese")  # all that an article needs
    gc.freeze()  # so that forks share it
    owner = os.getppid()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen(64)
    listener.settimeout(0.5)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nurses need no burial
    print("open", flush=True)
    while os.getppid() == owner:
        try:
            owner_of_helper, _ = listener.accept()
        except TimeoutError:
            continue
        if os.fork() == 0:
            listener.close()
            nurse(owner_of_helper)
            os._exit(0)
        owner_of_helper.close()


def nurse(owner: socket.socket) -> None:
    """Fork a helper, tell its pid, and how it ended; end it if its owner is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, descriptors, _, _ = socket.recv_fds(owner, 64, 3)
    pid = os.fork()
    if pid == 0:
        owner.close()
        os.setpgid(0, 0)
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        from rerank_core.prepare import helper

        helper.main()
        os._exit(0)
    for descriptor in descriptors:
        os.close(descriptor)
    owner.send(str(pid).encode())
    if owner in select.select([owner, os.pidfd_open(pid)], [], [])[0]:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):
        owner.send(str(os.waitstatus_to_exitcode(status)).encode())


if __name__ == "__main__":
    serve(*sys.argv[1:])
