"""Machines of a deployment on this one: each has its own network, host name, processes, servers of Debian and folder /srv.

They are namespaces. A machine's /etc/postgresql, /etc/redis, /srv and the like are folders of its own, so that commands for a real machine can
be given there word for word, `service postgresql restart` as well. Whoever is in the network of a machine reaches its ports.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from faults.network import Network, enter

from rerank_core.demo.servers import Server

# What a Debian machine has for itself here: its path, and the user that owns it.
PLACES = {
    "/etc/postgresql": "postgres",
    "/var/lib/postgresql": "postgres",
    "/var/log/postgresql": "postgres",
    "/etc/redis": "redis",
    "/var/lib/redis": "redis",
    "/var/log/redis": "redis",
    "/srv": "root",
}
WIRE = "database"


@contextmanager
def inside(network: Network) -> Iterator[None]:
    """Within the block, this thread and what it starts are in the network; its addresses `here` are then of that network."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        enter(network.namespace)
        yield
    finally:
        enter(Path(f"/proc/self/fd/{before}"))
        os.close(before)


class Machine:
    """A machine on which commands are given, and servers run until `close`."""

    def __init__(
        self,
        name: str,
        folder: Path,
        network: Network,
        *,
        environment: Mapping[str, str],
        hosts: Mapping[str, str],
    ) -> None:
        """`hosts` is its /etc/hosts: name → address."""
        self.name, self.folder, self._network = name, folder, network
        self._environment = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), **environment}
        self._hosts = hosts
        self._servers: list[Server] = []

    def open(self, *, shared: Mapping[Path, Path]) -> None:
        """Make it; `shared`: place → what is there."""
        for part in ("home", "tmp"):
            (self.folder / part).mkdir(parents=True)
        lines = [
            f"hostname {self.name}",
            "ip link set lo up",
            "mount -t tmpfs tmpfs /run",
            "mkdir -m 1777 /run/lock",
        ]
        for place, owner in PLACES.items():
            own = self.folder / place.strip("/").replace("/", "-")
            own.mkdir()
            if place == "/etc/redis":  # as the package has left it
                shutil.copytree(place, own, dirs_exist_ok=True)
            lines += [f"chown -R {owner}: {own}", f"mount --bind {own} {place}"]
        (self.folder / "hosts").write_text(
            "".join(f"{address} {name}\n" for name, address in self._hosts.items())
        )
        lines += [f"mount --bind {self.folder}/hosts /etc/hosts"]
        for place, there in shared.items():
            make = "touch" if there.is_file() else "mkdir -p"
            lines += [
                f"mkdir -p {place.parent}",
                f"test -e {place} || {make} {place}",
                f"mount --bind {there} {place}",
            ]
        hold = f"setpriv --pdeathsig KILL nsenter --net={self._network.namespace} unshare --uts --mount --propagation private"
        hold += " --pid --fork --kill-child=KILL --mount-proc sh -ec"
        self._holder = subprocess.Popen(
            [*hold.split(), "\n".join([*lines, "echo open", "exec sleep infinity"])],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "open\n"
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        self._first = children.read_text().split()[0]

    def _there(self, script: str) -> list[str]:
        spaces = ("--mount", "--uts", "--net", "--pid")
        return ["nsenter", "--target", self._first, *spaces, "bash", "-euo", "pipefail", "-c", script]

    def give(self, script: str, *, folder: Path, seconds: float = 600) -> str:
        """Give commands in a folder, and return what they print. A command that fails is an error."""
        done = subprocess.run(
            self._there(f"cd {folder}\n{script}"),
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, f"{self.name}: {script}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def serve(self, script: str, *, folder: Path) -> None:
        """Start what runs until `close`."""
        self._servers.append(
            Server(
                name=script.splitlines()[-1],
                command=self._there(f"cd {folder}\n{script}"),
                environment=self._environment,
                log=self.folder / f"server-{len(self._servers)}.log",
            )
        )

    def check(self) -> None:
        """Every server runs."""
        for server in self._servers:
            assert server.running, f"{self.name}: {server.name}\n{server.last_lines()}"

    def close(self) -> None:
        """All its processes end at once."""
        if hasattr(self, "_holder"):
            self._holder.send_signal(signal.SIGKILL)
            self._holder.wait()
            for server in self._servers:
                server.stop()


def wait_for(machine: Machine, script: str, *, folder: Path, seconds: float = 600) -> str:
    """What a command prints, as soon as it prints something."""
    deadline = time.monotonic() + seconds
    while not (said := machine.give(script, folder=folder).strip()):
        machine.check()
        assert time.monotonic() < deadline, f"{machine.name}: {script} prints nothing"
        time.sleep(1)
    return said
