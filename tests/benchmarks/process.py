"""An engine in a process of its own, kept alive between rounds and asked over a pipe.

vLLM keeps process-wide state, and a process's peak memory is one contender's only when no other shares it. Only the
process that was asked computes: the others wait on their pipe.
"""

import multiprocessing
import os
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.contenders import ENGINES, Options, Result
from rerank_core.records import Pair

ENGINE = "engine"  # the first word of the name of an engine's process


def kill_all() -> None:
    """Kill every engine of this process, also one that is starting: who waits for its answer gets EngineFailed."""
    for process in multiprocessing.active_children():
        if process.name.startswith(ENGINE):
            process.kill()


class EngineFailed(Exception):
    """The process could not do what it was asked."""


@dataclass(frozen=True)
class Started:
    """What the start of an engine took."""

    seconds: float  # from the first import to the first score
    peak_bytes: int
    threads: int


class Engine:
    """One engine's process; a context manager."""

    def __init__(self, kind: str, options: Options, first: Sequence[Pair], call: str) -> None:
        """Start it, and score `first` by `call`. Raises EngineFailed."""
        self.kind = kind
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        # OpenMP reads these when it is loaded.
        os.environ.update(OMP_NUM_THREADS=str(options.threads), MKL_NUM_THREADS=str(options.threads))
        if options.threads != len(os.sched_getaffinity(0)):
            os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"  # else vLLM takes every core
        self._process = context.Process(
            target=_serve, args=(other, kind, options, tuple(first), call), name=f"{ENGINE} {kind}"
        )
        self._process.start()
        other.close()
        try:
            self.started: Started = self._answer()
        except BaseException:
            self.close()
            raise

    def run(self, call: str, pairs: Sequence[Pair]) -> Result:
        """Time one call."""
        self._pipe.send((call, tuple(pairs)))
        result: Result = self._answer()
        return result

    def memory(self, *, reset: bool = False) -> int:
        """Peak bytes of the process since its start, or since the last reset."""
        self._pipe.send(("memory", reset))
        return int(self._answer())

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self) -> Any:
        try:
            answer = self._pipe.recv()
        except EOFError:
            raise EngineFailed(f"{self.kind}: the process ended by itself (out of memory?)") from None
        if isinstance(answer, str):
            raise EngineFailed(f"{self.kind}: {answer}")
        return answer


def _serve(pipe: Connection, kind: str, options: Options, first: tuple[Pair, ...], call: str) -> None:
    try:
        began = time.perf_counter()
        engine = ENGINES[kind](options)
        getattr(engine, call)(first)
        seconds = time.perf_counter() - began
        import torch

        pipe.send(Started(seconds, _peak(), torch.get_num_threads()))
        while True:
            asked, given = pipe.recv()
            if asked == "memory":
                pipe.send(_peak())
                if given:
                    _reset_peak()
            else:
                began = time.process_time()
                result: Result = getattr(engine, asked)(given)
                result.cpu_seconds = time.process_time() - began
                pipe.send(result)
    except EOFError:
        os._exit(0)  # an engine's own clean-up can hang, and nothing of it is kept
    except BaseException:
        pipe.send(traceback.format_exc(limit=-3))
        os._exit(1)


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")
