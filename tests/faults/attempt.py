"""One try of one stage in a process of its own, as an executor starts it: killed, frozen or let be.

The process says how it ended by its exit status, and by a file: the stage's result, or the error.
"""

import json
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

DONE, RETRYABLE, PERMANENT, BUG, TOLD_TO_STOP = 0, 10, 11, 12, 13
LOCK_TIMEOUT, IDLE_TIMEOUT = "3s", "1500ms"  # the library's own are 60 s and 120 s
SAVE_SECONDS = 0.3  # the library's own are 5 s
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
    try:
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
    from rerank_core.prepare import helpers, watch
    from rerank_core.settings import Settings
    from rerank_core.storage import database

    database.LOCK_TIMEOUT, database.IDLE_TIMEOUT = LOCK_TIMEOUT, IDLE_TIMEOUT
    helpers.SAVE_SECONDS = SAVE_SECONDS
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
