"""A host of its own for workers, with two wires to this machine: one to the database, one to Redis.

The host is a network namespace, and each wire a pair of virtual Ethernet devices. A wire that is cut drops every packet in both
directions and in silence: each end believes that its neighbour has a hardware address that nobody has. So no connection is reset,
and no host is said to be unreachable. The namespace ends with the process that holds it, and so do the devices.
"""

import ctypes
import os
import shutil
import subprocess
import time
from pathlib import Path

WIRES = ("database", "redis")
NOBODY = "02:00:00:00:00:01"  # no device has this hardware address
FIRST = (198 << 24) + (18 << 16)  # 198.18.0.0/15 is set apart for tests of networks
CLONE_NEWNET = 0x40000000


class Network:
    """The workers' host. `why_none` says why there is none; then nothing else may be called."""

    def __init__(self) -> None:
        self._holder: subprocess.Popen[bytes] | None = None
        self._cut: set[str] = set()
        self.why_none = ""

    def open(self) -> None:
        """Make the host and its wires, if that is permitted here."""
        missing = [name for name in ("ip", "unshare", "nsenter", "setpriv") if shutil.which(name) is None]
        if missing:
            self.why_none = f"not installed here: {', '.join(missing)} (apt-get install iproute2 util-linux)"
            return
        hold = ["setpriv", "--pdeathsig", "KILL", "unshare", "-n", "sleep", "infinity"]
        self._holder = subprocess.Popen(hold, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._await_namespace()
            for wire in WIRES:
                self._lay(wire)
        except (OSError, subprocess.CalledProcessError) as error:
            self.why_none = f"network namespaces are not permitted here: {error}"
            self.close()

    def close(self) -> None:
        if self._holder is not None:
            self._holder.kill()
            self._holder.wait()
            self._holder = None

    @property
    def namespace(self) -> Path:
        """The file that a process enters the host by."""
        assert self._holder is not None
        return Path(f"/proc/{self._holder.pid}/ns/net")

    @property
    def whole(self) -> bool:
        """Whether no wire is cut."""
        return not self._cut

    def address(self, wire: str, *, of_worker: bool = False) -> str:
        """The address of this machine, or of the workers' host, on a wire."""
        assert self._holder is not None
        number = FIRST + 8 * (self._holder.pid % 16384) + 4 * WIRES.index(wire) + 1 + of_worker
        return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))

    def cut(self, wire: str) -> None:
        """From now on nothing comes through, and nobody is told."""
        self._cut.add(wire)
        for place in ("here", "there"):
            device, neighbour = self._end(wire, place)
            self._ip(
                place, "neigh", "replace", neighbour, "lladdr", NOBODY, "dev", device, "nud", "permanent"
            )

    def mend(self, wire: str) -> None:
        for place in ("here", "there"):
            device, neighbour = self._end(wire, place)
            self._ip(place, "neigh", "del", neighbour, "dev", device)
        self._cut.discard(wire)

    def _await_namespace(self) -> None:
        assert self._holder is not None
        own, deadline = Path("/proc/self/ns/net").stat().st_ino, time.monotonic() + 5
        while time.monotonic() < deadline:
            if self._holder.poll() is not None:
                raise OSError(f"unshare -n ended with status {self._holder.returncode}")
            if self.namespace.stat().st_ino != own:
                return
            time.sleep(0.005)
        raise OSError("unshare -n made no namespace within 5 s")

    def _lay(self, wire: str) -> None:
        assert self._holder is not None
        (here, _), (there, _) = self._end(wire, "here"), self._end(wire, "there")
        self._ip(
            "here",
            *("link", "add", here, "type", "veth", "peer", "name", there, "netns", str(self._holder.pid)),
        )
        for place, device, of_worker in (("here", here, False), ("there", there, True)):
            address = self.address(wire, of_worker=of_worker)
            self._ip(place, "addr", "add", f"{address}/30", "dev", device)
            self._ip(place, "link", "set", device, "up")

    def _end(self, wire: str, place: str) -> tuple[str, str]:
        """The device at an end of a wire, and the address of its neighbour."""
        assert self._holder is not None
        is_here = place == "here"
        name = f"fire{self._holder.pid}{wire[0]}{'h' if is_here else 'w'}"
        return name, self.address(wire, of_worker=is_here)

    def _ip(self, place: str, *arguments: str) -> None:
        assert self._holder is not None
        before = [] if place == "here" else ["nsenter", "-t", str(self._holder.pid), "-n"]
        subprocess.run([*before, "ip", *arguments], check=True, capture_output=True)


def enter(namespace: Path) -> None:
    """Move this thread, and those that it starts, to the workers' host."""
    handle = os.open(namespace, os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(handle, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {namespace}")
    finally:
        os.close(handle)
