"""Where a scoring task runs: its pool, its queue, its executor settings, and one device of its host.

Tasks of a pool that does not exist are never scheduled, and no task can find that out, because the Task SDK shows no
pools. So the scheduler creates a missing pool when it starts, and leaves an existing pool as it is. (The triggerer and
the DAG processor create it too: Airflow tells a job's type only after this hook.)

An engine takes most of a GPU's memory when it starts. Pools count tasks over all hosts and do not know devices. So two
shards on one host would start two engines on one GPU, and one engine would die. One lock file for each device prevents
that: the kernel frees the lock when its holder ends, however it ends.

Whoever can open a lock file can hold it for ever, and so stop all scoring. So the files are in a folder that only this user
can enter. Two users whose tasks share a host do not see each other's folders: give both RERANK_AIRFLOW_LOCK_FOLDER, a folder
of a group that has no other members. A folder that everybody can write is refused.

The plugin loads this module in every component, so the settings are imported inside the functions.
"""

import fcntl
import logging
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.listeners import hookimpl

log = logging.getLogger(__name__)

LEARNING_HOURS = 24.0  # of tries
WAIT_SECONDS = 1.0  # between two looks for a free device
POOL_DESCRIPTION = "Scoring tasks of news-rerank: as many slots as there are GPUs"


def scoring_args(pipeline: str) -> dict[str, Any]:
    """Arguments of a scoring task: pool, queue, executor settings, and the time after which it counts as hung."""
    from rerank_airflow.settings import AirflowSettings, public_settings_of

    settings = public_settings_of(pipeline)
    args: dict[str, Any] = {
        "pool": settings.gpu_pool,
        "executor_config": AirflowSettings.load().executor_config,
        "execution_timeout": _hung_after(pipeline),
    }
    if settings.gpu_queue is not None:
        args["queue"] = settings.gpu_queue
    return args


def embedding_args(pipeline: str) -> dict[str, Any]:
    """As `scoring_args` if the embedder needs a device. An embedder on the CPU waits for none, and can hang too."""
    from rerank_airflow.settings import public_settings_of

    settings = public_settings_of(pipeline)
    if settings.embedding_needs_device:
        return scoring_args(pipeline)
    return {"execution_timeout": _hung_after(pipeline)} if settings.recall_needs_vectors else {}


def learning_args(pipeline: str) -> dict[str, Any]:
    """As `scoring_args`, behind every scoring task; tried again for as long as a training may take."""
    from rerank_airflow.settings import public_settings_of

    minutes = public_settings_of(pipeline).learning_minutes
    return {
        **scoring_args(pipeline),
        "priority_weight": 1,
        "weight_rule": "absolute",
        "retries": max(3, int(LEARNING_HOURS * 60 / minutes)),
        "retry_delay": timedelta(seconds=60),
        "retry_exponential_backoff": 0,
        "on_retry_callback": None,
        "execution_timeout": timedelta(minutes=2 * minutes + 60),
    }


def _hung_after(pipeline: str) -> timedelta:
    """The time after which a task that stops at the deadline of scoring counts as hung."""
    from rerank_airflow.settings import AirflowSettings, public_settings_of

    minutes = 2 * public_settings_of(pipeline).scoring_minutes + AirflowSettings.load().scoring_grace_minutes
    return timedelta(minutes=minutes)


@hookimpl
def on_starting(component: Any) -> None:
    """Create the pools that are missing. Airflow calls this in each component and each task; a task has no database."""
    if type(component).__name__ == "Job":
        from rerank_airflow.settings import AirflowSettings, pipelines, public_settings_of

        for name in sorted({public_settings_of(pipeline).gpu_pool for pipeline in pipelines()}):
            create_missing(name, slots=AirflowSettings.load().pool_slots)


def create_missing(name: str, *, slots: int) -> bool:
    """Create the pool unless it exists; returns whether it was created. Safe beside a second scheduler."""
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session
    from sqlalchemy.exc import IntegrityError

    try:
        with create_session() as session:
            if Pool.get_pool(name, session=session) is not None:
                return False
            session.add(Pool(pool=name, slots=slots, description=POOL_DESCRIPTION, include_deferred=False))
    except IntegrityError:
        return False
    log.info("created the pool %s with %d slots", name, slots)
    return True


def devices() -> tuple[str, ...]:
    """Names of this host's devices as CUDA_VISIBLE_DEVICES writes them; ("cpu",) if there is no GPU.

    Nothing of CUDA is loaded, because the variable must be set before torch is imported.
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
    """Wait for a free device of this host and hold it. Meanwhile CUDA shows this device only."""
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
    """An open, locked handle and the name of its device. Sleeps in Python, so that signals get through."""
    waited, paths = False, {name: lock_path(name) for name in names}
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
            log.info("every device of this host is taken (%s): waiting", ", ".join(names))
            waited = True
        time.sleep(WAIT_SECONDS)


def lock_path(name: str) -> Path:
    """The lock file of a device, the same for every process of this host that excludes the others.

    Raises SettingsError if strangers could hold it.
    """
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
    return _lock_folder() / f"device-{safe}.lock"


def _lock_folder() -> Path:
    """The folder of the lock files; made if it is this user's own."""
    from rerank_airflow.settings import AirflowSettings
    from rerank_core.errors import SettingsError

    shared = AirflowSettings.load().lock_folder
    folder = shared or Path(tempfile.gettempdir()) / f"news-rerank-{os.getuid()}"
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
