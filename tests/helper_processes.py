"""The helpers of prepare that run now."""

import os

import psutil


def running_helpers(owner: int | None = None) -> list[psutil.Process]:
    """Those that this process, or another one, has started by the library's own command and that have not ended."""
    found = []
    for child in psutil.Process(owner or os.getpid()).children():
        try:
            if "rerank_core.prepare.helper" in " ".join(child.cmdline()):
                found.append(child)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def has_ended(process: psutil.Process) -> bool:
    """Whether it runs no more; that nobody has asked how it ended does not matter."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
