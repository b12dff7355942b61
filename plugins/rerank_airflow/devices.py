"""One device of this host for each scoring task.

An engine takes most of a GPU's memory when it starts. Pools count tasks over all hosts and do not know devices. So two
shards on one host would start two engines on one GPU, and one engine would die. One lock file for each device prevents
that: the kernel frees the lock when its holder ends, however it ends.

A device is known by the UUID that `nvidia-smi -L` lists: a GPU, or each MIG slice of a GPU that is cut. Two containers that
see different GPUs under the number 0 do not wait for each other, although they share the folder of the locks. Without a GPU
the host is one device. A task that waits for it finds its pairs scored: its predecessor goes on with the rest of the run.

Whoever can open a lock file can hold it for ever, and so stop all scoring. So the files are in a folder that only this user
can enter. It is below a folder of the host that no variable moves, because two workers with two TMPDIRs share the devices.
Two users whose tasks share a host do not see each other's folders: give both RERANK_AIRFLOW_LOCK_FOLDER, a folder of a group
that has no other members. A folder that everybody can write is refused.
"""

import fcntl
import logging
import os
import re
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

WAIT_SECONDS = 1.0  # between two looks for a free device
HOST_FOLDERS = (
    "/run/lock",
    "/tmp",
)  # the first that this user can write; the same for every worker of a host
LIST = ("nvidia-smi", "-L")
LIST_SECONDS = 20  # a driver that hangs stops no task
_GPU = re.compile(r"GPU (\d+): .*\(UUID: (GPU-[\w-]+)\)")
_SLICE = re.compile(r"\s+MIG .*\(UUID: (MIG-[\w/-]+)\)")


@dataclass(frozen=True)
class Device:
    """A device as CUDA_VISIBLE_DEVICES names it, and the name that every process of the host has for it."""

    name: str
    uuid: str


CPU = Device("cpu", "cpu")


def devices() -> tuple[Device, ...]:
    """This host's devices; (CPU,) if there is no GPU, or CUDA_VISIBLE_DEVICES shows none. Numbers in it are those of nvidia-smi.

    Nothing of CUDA is loaded, because the variable must be set before torch is imported.
    """
    visible, listed = os.environ.get("CUDA_VISIBLE_DEVICES"), _listed()
    if visible is None:
        nodes = sum(1 for node in Path("/dev").glob("nvidia[0-9]*") if node.name[6:].isdigit())
        numbered = (Device(str(number), str(number)) for number in range(nodes))
        return tuple(device for found in listed.values() for device in found) or tuple(numbered) or (CPU,)
    found: list[Device] = []
    for name in filter(None, map(str.strip, visible.split(","))):
        if name == "-1":
            break  # CUDA sees nothing from here on
        found += listed.get(name) or (Device(name, _completed(name, listed)),)
    return tuple(found) or (CPU,)


def _listed() -> dict[str, tuple[Device, ...]]:
    """Number of a GPU → the GPU, or its MIG slices, as `nvidia-smi -L` lists them; {} without nvidia-smi."""
    try:
        said = subprocess.run(LIST, capture_output=True, text=True, timeout=LIST_SECONDS, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found: dict[str, list[Device]] = {}
    whole: dict[str, Device] = {}
    number = ""
    for line in said.splitlines():
        if gpu := _GPU.match(line):
            number = gpu[1]
            whole[number], found[number] = Device(gpu[2], gpu[2]), []
        elif (piece := _SLICE.match(line)) and number:
            found[number].append(Device(piece[1], piece[1]))
    return {number: tuple(found[number]) or (whole[number],) for number in whole}


def _completed(name: str, listed: dict[str, tuple[Device, ...]]) -> str:
    """The whole UUID of an unambiguous beginning, as CUDA takes it; the name itself if none is listed."""
    known = [device.uuid for found in listed.values() for device in found if device.uuid.startswith(name)]
    return known[0] if len(known) == 1 else name


@contextmanager
def device() -> Iterator[str]:
    """Wait for a free device of this host and hold it. Meanwhile CUDA shows this device only."""
    handle, name = _take(devices())
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    try:
        if name != CPU.name:
            os.environ["CUDA_VISIBLE_DEVICES"] = name
        yield name
    finally:
        if before is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
        elif name != CPU.name:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        os.close(handle)


def _take(names: tuple[Device, ...]) -> tuple[int, str]:
    """An open, locked handle and the name of its device. Sleeps in Python, so that signals get through."""
    waited, paths = False, {found.name: lock_path(found.uuid) for found in names}
    while True:
        for name, path in paths.items():
            handle = _open(path)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
            except BaseException:
                os.close(handle)
                raise
            else:
                return handle, name
        if not waited:
            log.info("every device of this host is taken (%s): waiting", ", ".join(paths))
            waited = True
        time.sleep(WAIT_SECONDS)


def lock_path(uuid: str) -> Path:
    """The lock file of a device, the same for every process of this host that excludes the others.

    Raises SettingsError if strangers could hold it.
    """
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in uuid)
    return _lock_folder() / f"device-{safe}.lock"


def _lock_folder() -> Path:
    """The folder of the lock files; made if it is this user's own."""
    from rerank_airflow.settings import AirflowSettings
    from rerank_core.errors import SettingsError

    shared = AirflowSettings.load().lock_folder
    folder = shared or _host_folder() / f"news-rerank-{os.getuid()}"
    if shared is None:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
    try:
        found = folder.lstat()
    except OSError as error:
        raise SettingsError(
            f"RERANK_AIRFLOW_LOCK_FOLDER = {str(folder)!r}: {error.strerror}; make it, with mode 2770 and the group of the"
            " users that share it"
        ) from None
    if shared is None:
        is_safe = found.st_uid == os.getuid() and not found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    else:
        is_safe = not found.st_mode & stat.S_IWOTH
    if not stat.S_ISDIR(found.st_mode) or not is_safe:
        raise SettingsError(
            f"{folder} is no folder of this user's own, or others can enter it: they could hold every device; remove it, or set"
            " RERANK_AIRFLOW_LOCK_FOLDER to a folder that no stranger can write"
        )
    return folder


def _host_folder() -> Path:
    """A folder of the host in which this user can make a folder; a user has always the same."""
    return next(
        (Path(folder) for folder in HOST_FOLDERS if os.access(folder, os.W_OK | os.X_OK)),
        Path(HOST_FOLDERS[-1]),
    )


def _open(path: Path) -> int:
    """Open for locking only; this needs no write access, so another user of the folder may have made the file."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        handle = os.open(path, flags | os.O_CREAT, 0o640)
        with suppress(PermissionError):  # another user has just made it
            os.fchmod(handle, 0o640)  # whatever the umask: the group may lock it
        return handle
