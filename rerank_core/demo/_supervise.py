"""Run one command so that it cannot outlive whoever asked for it.

Started as a script of its own (standard library only), between the demo and each server it needs:

    demo ── pipe ──> this ── the server ── the server's forks

Promise: when the demo closes the pipe, ends, crashes or is killed with SIGKILL, the server is asked to stop, and after a
grace everything below it is killed, also what forked itself into a process group of its own (Airflow does so
for each task). Without it a killed demo leaves a scheduler and a Postgres running that hold the ports
and the data folder of the next one.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parent", type=int, required=True, help="pid of the process that must stay alive")
    parser.add_argument("--signal", type=int, default=signal.SIGTERM, help="how the server is asked to stop")
    parser.add_argument("--grace", type=float, default=10.0, help="seconds before everything left is killed")
    parser.add_argument("--uid", type=int, help="user to run the command as")
    parser.add_argument("--gid", type=int)
    parser.add_argument("command", nargs="+")
    asked = parser.parse_args()

    # Orphans below come to this process instead of to init, so that none is out of reach.
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    stops: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: stops.append(received))
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def die_with_supervisor() -> None:
        LIBC.prctl(PR_SET_PDEATHSIG, asked.signal, 0, 0, 0)

    server = subprocess.Popen(
        asked.command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_supervisor,
        user=asked.uid,
        group=asked.gid,
        extra_groups=None if asked.uid is None else [],
    )
    while server.poll() is None and not stops and os.getppid() == asked.parent:
        readable, _, _ = select.select([sys.stdin, wake_read], [], [], 1.0)
        if wake_read in readable:
            os.read(wake_read, 512)
        if sys.stdin in readable and not os.read(sys.stdin.fileno(), 512):
            break
    stop(server, how=asked.signal, grace_seconds=asked.grace)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def stop(server: subprocess.Popen[bytes], *, how: int, grace_seconds: float) -> None:
    """End the server and all its descendants, reaping them. Returns when none is left."""
    deadline = time.monotonic() + grace_seconds
    if server.poll() is None:
        server.send_signal(how)
    while time.monotonic() < deadline:
        reap(server)
        if server.returncode is not None:
            break
        time.sleep(0.02)
    asked: set[int] = set()
    while left := descendants(os.getpid()):
        late = time.monotonic() >= deadline
        for pid in left if late else left - asked:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        asked |= left
        reap(server)
        time.sleep(0.02)
    reap(server)


def reap(server: subprocess.Popen[bytes]) -> None:
    server.poll()
    for pid in descendants(os.getpid(), direct=True):
        if pid != server.pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def descendants(root: int, *, direct: bool = False) -> set[int]:
    """The pids below `root`, read from /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                # "pid (command) state ppid …": the command may hold spaces and brackets.
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    if direct:
        return set(children.get(root, ()))
    found: set[int] = set()
    todo = [root]
    while todo:
        below = children.get(todo.pop(), [])
        found.update(below)
        todo.extend(below)
    return found


if __name__ == "__main__":
    sys.exit(main())
