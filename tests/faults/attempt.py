"""One try of one stage in a process of its own, as an executor starts it: killed, frozen or let be.

The process says how it ended by its exit status, and by a file: the stage's result, or the error.
"""

import faulthandler
import json
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from faults import clocks, network

DONE, RETRYABLE, PERMANENT, BUG, TOLD_TO_STOP = 0, 10, 11, 12, 13
# The times of this tier are a twentieth of the library's own; an idle transaction is ended sooner still.
TIMES = 20
MINUTE = 60 / TIMES  # seconds
LOCK_TIMEOUT, IDLE_TIMEOUT = f"{MINUTE:g}s", "1500ms"  # the library's own are 60 s and 120 s
CONNECT_SECONDS = 2  # of 10: libpq knows no shorter time
OVERDUE = "overdue"  # no stage: the late page of a run


@dataclass(frozen=True)
class Try:
    """What a try is to do."""

    number: int  # over the whole scenario, from 1
    stage: str
    shard: int | None
    key: str
    settings: dict[str, Any]
    folder: Path  # of the scenario
    control: str | None
    nursery: Path  # where helpers of prepare are forked
    namespace: Path | None = None  # the network that it is in; None: this machine's
    clock: Path | None = None  # how far its host's clock is ahead; None: it is right

    @property
    def result(self) -> Path:
        return self.folder / "tries" / f"{self.number}.json"


class ToldToStop(BaseException):
    """SIGTERM, as the operators raise it."""


def perform(asked: Try) -> None:
    """The body of the process; ends it with one of the statuses above."""
    signal.signal(signal.SIGTERM, _stop)
    log = os.open(asked.folder / "tries.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    faulthandler.register(signal.SIGUSR1)  # a try that hangs says where
    try:
        if asked.namespace is not None:
            network.enter(asked.namespace)
        if asked.clock is not None:
            clocks.follow(asked.clock)
        told = _perform(asked)
        status = DONE
    except ToldToStop:
        told, status = {"error": "told to stop"}, TOLD_TO_STOP
    except Exception as error:
        from rerank_core.errors import PermanentError, RetryableError

        kinds = ((RetryableError, RETRYABLE), (PermanentError, PERMANENT))
        status = next((code for kind, code in kinds if isinstance(error, kind)), BUG)
        told = {"error": f"{type(error).__name__}: {error}"}
        if status == BUG:
            traceback.print_exc()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is left is to say how it ended
    draft = asked.result.with_suffix(".draft")
    draft.write_text(json.dumps(told))
    draft.rename(asked.result)
    sys.stdout.flush()
    os._exit(status)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise ToldToStop


def _perform(asked: Try) -> dict[str, Any]:
    from nursery import ForkedHelper

    from faults import controls, points, stub
    from rerank_core import pipeline
    from rerank_core.models import scorers
    from rerank_core.prepare import watch
    from rerank_core.settings import Settings

    _hasten()
    watch.start = lambda: ForkedHelper(asked.nursery)
    orders = asked.folder / "orders"
    scorers.identity = lambda settings, **_: stub.LoggedScorer(asked.folder / "engine.log", orders).identity
    scorers.load = lambda settings, **_: stub.LoggedScorer(asked.folder / "engine.log", orders)
    if asked.control is not None:
        controls.install(asked.control)
    here = points.Points(orders, asked.stage)
    points.install(here)
    resources = pipeline.Resources.of(Settings.load(**asked.settings))
    run = pipeline.open_run(resources, key=asked.key)
    if asked.stage == OVERDUE:
        result = pipeline.publish_overdue(resources, run_id=run.run_id) or {}
    else:
        result = pipeline.run_stage(asked.stage, resources=resources, run_id=run.run_id, shard=asked.shard)
    return {"result": json.loads(json.dumps(result, default=str)), "points": here.reached}


def _hasten() -> None:
    """Let this process have the times of this tier."""
    from rerank_core import pipeline
    from rerank_core.prepare import helpers
    from rerank_core.storage import database

    database.LOCK_TIMEOUT, database.IDLE_TIMEOUT = LOCK_TIMEOUT, IDLE_TIMEOUT
    database.CONNECT_SECONDS = CONNECT_SECONDS
    for module, name in (
        (database, "SILENCE_SECONDS"),
        (database, "COPY_LOOK_SECONDS"),
        (helpers, "SAVE_SECONDS"),
        (pipeline, "LOOK_SECONDS"),
        (pipeline, "PATIENCE_SECONDS"),
    ):
        setattr(module, name, getattr(module, name) / TIMES)


def upgrade(url: str, control: str | None, folder: Path) -> None:
    """The body of a process that does what `rerank db upgrade` does; ends it with DONE or BUG."""
    log = os.open(folder / "tries.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        from faults import controls
        from rerank_core.frontends import contract
        from rerank_core.storage import migrations

        if control is not None:
            controls.install(control)
        before, after = migrations.upgrade(url, comments=contract.comments())
        assert before == after
        os._exit(DONE)
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(BUG)
