"""Named points inside a try of a stage, where the fire can hold it.

A point is a thing that the stage does, counted from 1: `publish/commit/2` is the moment before the second
commit of a publish try. At each the try looks for an order of that name in a folder; where there is one it
takes it (one try alone gets it), says who it is, and waits until it is let go. What happens to it meanwhile
is the fire's business. Points stand at the public doors of the library (a transaction, a written artifact, a
chunk of scores), so that a stage may be rewritten without moving them.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOLD_SECONDS = 90.0  # a try that nobody lets go goes on by itself


class Points:
    """The points of one try."""

    def __init__(self, folder: Path, stage: str) -> None:
        self.folder = folder
        self.stage = stage
        self.reached: list[str] = []
        self._counts: Counter[str] = Counter()

    def reach(self, kind: str, **told: Any) -> str:
        """Say that the try is here, and tell what the fire wants to know; returns what the order wants done ("": there is none)."""
        self._counts[kind] += 1
        name = f"{self.stage}/{kind}/{self._counts[kind]}"
        self.reached.append(name)
        order = self.folder / f"{name.replace('/', '.')}.order"
        taken = order.with_suffix(f".{os.getpid()}.taken")
        try:
            order.rename(taken)
        except FileNotFoundError:
            return ""
        wanted = json.loads(taken.read_text())
        if wanted["do"] == "hold":
            here = {"pid": os.getpid(), "parent": os.getppid(), "point": name, **told}
            draft = order.with_suffix(".draft")
            draft.write_text(json.dumps(here))
            draft.rename(order.with_suffix(".here"))
            deadline = time.monotonic() + HOLD_SECONDS
            while not order.with_suffix(".go").exists() and time.monotonic() < deadline:
                time.sleep(0.004)
        elif wanted["times"] > 1:
            draft = order.with_suffix(f".{os.getpid()}.draft")
            draft.write_text(json.dumps({**wanted, "times": wanted["times"] - 1}))
            draft.rename(order)
        return str(wanted["do"])


@dataclass(frozen=True)
class Order:
    """An order that a point is to take."""

    folder: Path
    point: str

    @classmethod
    def give(cls, folder: Path, point: str, *, do: str = "hold", times: int = 1) -> "Order":
        """Leave it for the next `times` tries that come to the point."""
        order = cls(folder, point)
        draft = order._file("new")
        draft.write_text(json.dumps({"do": do, "times": times}))
        draft.rename(order._file("order"))
        return order

    def _file(self, suffix: str) -> Path:
        return self.folder / f"{self.point.replace('/', '.')}.{suffix}"

    @property
    def taken(self) -> bool:
        """Whether a try has come to the point."""
        return any(self.folder.glob(f"{self.point.replace('/', '.')}.*.taken"))

    def wait(self, *, seconds: float, unless: Callable[[], bool] = lambda: False) -> dict[str, Any] | None:
        """Who stands at the point; None where nobody comes in time, or `unless` comes true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._file("here").exists():
                found: dict[str, Any] = json.loads(self._file("here").read_text())
                return found
            if unless():
                break
            time.sleep(0.004)
        self.withdraw()
        return None

    def let_go(self) -> None:
        """The try goes on, if it still can."""
        self._file("go").touch()

    def withdraw(self) -> None:
        """Nobody takes it any more."""
        self._file("order").unlink(missing_ok=True)


def install_in_tasks(folder: Path) -> None:
    """Put the points into the tasks of an Airflow whose DAG file calls this; `folder` has orders/ and engine.log."""
    from rerank_airflow.operators.stages import StageOperator

    run_stage = StageOperator.run_stage

    def pointed(self: StageOperator, context: Any, *, shard: int | None = None) -> dict[str, Any]:
        install(Points(folder / "orders", self.task_id), engine_log=folder / "engine.log")
        return run_stage(self, context, shard=shard)

    StageOperator.run_stage = pointed  # type: ignore[method-assign]


def install(points: Points, *, engine_log: Path | None = None) -> None:
    """Put the points into this process, for good; `engine_log` gets a line for each chunk that comes out of an engine."""
    from rerank_core.frontends import redis_server
    from rerank_core.models import scorers
    from rerank_core.prepare import watch
    from rerank_core.storage import copy
    from rerank_core.storage.database import Database
    from rerank_core.storage.store import Store

    transaction, write, replace, load = Database.transaction, Store.write, os.replace, scorers.load
    put, read, ask = Store._put, copy._Parts.read, watch.Watched.ask
    ask_redis = redis_server.Server.ask

    @contextmanager
    def pointed_transaction(self: Database, *, read_only: bool = False) -> Iterator[Any]:
        points.reach("begin")
        with transaction(self, read_only=read_only) as connection:
            yield connection
            if not read_only:
                points.reach("commit")
        if not read_only:
            points.reach("committed")

    def pointed_write(self: Store, *args: Any, **options: Any) -> Any:
        points.reach("write")
        written = write(self, *args, **options)
        points.reach("written")
        return written

    def pointed_put(self: Store, *args: Any, **options: Any) -> None:
        points.reach("put")  # every file of the store, Parquet or JSON
        put(self, *args, **options)

    def pointed_replace(*args: Any, **options: Any) -> None:
        points.reach("rename")
        replace(*args, **options)

    def pointed_read(self: Any, size: int) -> bytes:
        points.reach("copy")  # the server waits for rows, in the middle of a statement
        return read(self, size)

    def pointed_redis(self: Any, *args: Any, **options: Any) -> Any:
        points.reach("redis")
        return ask_redis(self, *args, **options)

    def pointed_ask(self: Any, messages: Sequence[bytes], **options: Any) -> Iterator[bytes]:
        answers = ask(self, messages, **options)
        for _ in messages:
            points.reach("ask", helper=self._process.pid)  # the first answer is to what a helper begins with
            yield next(answers)
        yield from answers

    def pointed_load(*args: Any, **options: Any) -> Any:
        scorer = load(*args, **options)
        score = scorer.score

        def pointed_score(pairs: Sequence[Any], **how: Any) -> Iterator[Any]:
            points.reach("chunk")
            for chunk in score(pairs, **how):
                if engine_log is not None:
                    note_pairs(engine_log, [score.pair for score in chunk.scores])
                points.reach("scored")
                yield chunk
                points.reach("chunk")

        scorer.score = pointed_score  # type: ignore[method-assign]
        return scorer

    Database.transaction = pointed_transaction  # type: ignore[method-assign]
    Store.write = pointed_write  # type: ignore[method-assign, assignment]
    Store._put = pointed_put  # type: ignore[method-assign]
    copy._Parts.read = pointed_read  # type: ignore[method-assign]
    watch.Watched.ask = pointed_ask  # type: ignore[method-assign]
    redis_server.Server.ask = pointed_redis  # type: ignore[method-assign]
    os.replace = pointed_replace  # type: ignore[assignment]
    scorers.load = pointed_load


def note_pairs(log: Path, pairs: Sequence[Any]) -> None:
    """One line of the engine's log, whole or not at all: process, then `query:document` of each pair."""
    line = " ".join([str(os.getpid()), *(f"{pair.query_id}:{pair.document_id}" for pair in pairs)])
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line.encode() + b"\n")
    finally:
        os.close(handle)
