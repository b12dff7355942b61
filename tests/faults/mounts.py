"""Filesystems that get full, and a store whose server is gone."""

import ctypes
import os
import subprocess
from contextlib import suppress
from pathlib import Path

MNT_DETACH = 2
MS_BIND, MS_REC, MS_PRIVATE = 1 << 12, 1 << 14, 1 << 18
CLONE_NEWNS = 0x20000
BALLAST = "ballast"


def keep_to_itself() -> None:
    """What this thread, and what it starts from now on, mounts is seen by nobody else, and is gone with the last of them.

    So a fire that is killed leaves no mount behind. Where that is not permitted, nothing can be mounted either.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if not libc.unshare(CLONE_NEWNS):
        libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)


class SmallFilesystem:
    """A tmpfs of so many bytes. `why_none` says why there is none."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self._size = size
        self.why_none = "it is not open"

    def open(self) -> None:
        self.folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={self._size}", "tmpfs", str(self.folder)]
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
        self.why_none = mounted.stderr.strip() if mounted.returncode else ""

    def close(self) -> None:
        if not self.why_none:
            subprocess.run(["umount", "-l", str(self.folder)], check=False)

    def fill(self) -> None:
        """Leave no byte."""
        with suppress(OSError), (self.folder / BALLAST).open("wb", buffering=0) as stream:
            while stream.write(bytes(64 << 10)):
                pass

    def empty(self) -> None:
        """Take away what `fill` has written."""
        (self.folder / BALLAST).unlink(missing_ok=True)


class RemoteStore:
    """A store behind a mount, whose server can be gone.

    While it is gone, a FUSE filesystem that nobody serves lies over the mount: whoever asks for a file hangs in the kernel, as on
    a network filesystem whose server is silent. When the connection is given up, everybody is refused (ENOTCONN).
    """

    def __init__(self, there: Path, mount: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._connection = -1
        self.mount = mount
        mount.mkdir()
        self._call("mount", str(there).encode(), str(mount).encode(), None, MS_BIND, None)

    def go(self) -> None:
        """The server is gone: everybody hangs."""
        self._connection = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._connection},rootmode=40000,user_id=0,group_id=0".encode()
        self._call("mount", b"fire", str(self.mount).encode(), b"fuse.fire", 0, options)

    def refuse(self) -> None:
        """The server is still gone: who hangs, and whoever comes, is refused."""
        os.close(self._connection)
        self._connection = -1

    def come_back(self) -> None:
        if self._connection >= 0:
            self.refuse()
        self._call("umount2", str(self.mount).encode(), MNT_DETACH)

    def close(self) -> None:
        self._call("umount2", str(self.mount).encode(), MNT_DETACH)

    def _call(self, name: str, *arguments: object) -> None:
        if getattr(self._libc, name)(*arguments):
            number = ctypes.get_errno()
            raise OSError(number, f"{name} {self.mount}: {os.strerror(number)}")


def why_no_remote_store(folder: Path) -> str:
    """Why a store cannot be gone on this machine; "" if it can."""
    there = folder / "probe"
    there.mkdir()
    try:
        store = RemoteStore(there, folder / "probe-mount")
        try:
            store.go()
            store.come_back()
        finally:
            store.close()
    except OSError as error:
        return f"FUSE is not permitted here: {error}"
    return ""
