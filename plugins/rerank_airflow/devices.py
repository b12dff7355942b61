"""One scoring process for each device of a host.

An engine takes most of a GPU's memory when it starts. Pools count tasks over all hosts and do not know
devices, so two shards on one host would start two engines on the same GPU and one would die. A lock
file for each device in the host's temp folder prevents that: the kernel frees it when its holder ends,
however it ends.
"""

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

WAIT_SECONDS = 1.0


def devices() -> tuple[str, ...]:
    """Names of this host's devices as CUDA_VISIBLE_DEVICES writes them; ("cpu",) where there is none.

    Nothing of CUDA is loaded: the variable must be set before torch is imported.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(name for name in map(str.strip, visible.split(",")) if name not in {"", "-1"}) or (
            "cpu",
        )
    nodes = sum(1 for node in Path("/dev").glob("nvidia[0-9]*") if node.name[6:].isdigit())
    return tuple(str(number) for number in range(nodes)) or ("cpu",)


@contextmanager
def device() -> Iterator[str]:
    """Hold one device of this host, waiting for the first that is free; it is the only one CUDA then shows."""
    names = devices()
    handle, name = _take(names)
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    try:
        if name != "cpu":
            os.environ["CUDA_VISIBLE_DEVICES"] = name
        yield name
    finally:
        if before is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
        elif name != "cpu":
            del os.environ["CUDA_VISIBLE_DEVICES"]
        os.close(handle)


def _take(names: tuple[str, ...]) -> tuple[int, str]:
    """An open, locked handle and the device it stands for. Sleeps in Python, so that signals get through."""
    waited = False
    while True:
        for name in names:
            handle = _open(lock_path(name))
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
            log.info("every device of this host is taken (%s): waiting", ", ".join(names))
            waited = True
        time.sleep(WAIT_SECONDS)


def lock_path(name: str) -> Path:
    """The lock file of a device, the same for every process of this host."""
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
    return Path(tempfile.gettempdir()) / f"news-rerank-device-{safe}.lock"


def _open(path: Path) -> int:
    """Open for locking only, also where another user made the file (no write access is needed)."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        return os.open(path, flags | os.O_CREAT, 0o644)
