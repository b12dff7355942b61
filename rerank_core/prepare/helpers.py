"""Helpers: processes that prepare batches beside this process, if there are many batches.

A helper is a Python process that reads batches from its standard input and writes their outcomes to its standard output.
It knows no database, no setting and no secret. It ends when its input ends, even in the middle of a batch, however this
process ended.

- Outcomes come in the order of the batches, and are what this process would have made of them.
- If a helper dies (out of memory, for example), this process prepares its batch, and a new helper gets the next batch.
"""

import contextlib
import logging
import os
import pickle
import re
import subprocess
import sys
import traceback
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import IO, Any, cast

from rerank_core.prepare.cleaning import Cleaning
from rerank_core.prepare.documents import Unpreparable, to_document
from rerank_core.records import Document

log = logging.getLogger(__name__)

MANY = 5  # batches; helpers are worth their start if there are at least as many
MAX_HELPERS = 4  # unless a setting says how many
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
GIVE_UP = 3  # after so many deaths in a row, a helper is not started again

# The environment variables that a helper gets: enough to run Python, and nothing that can be secret.
_PASSED_ON = re.compile(r"PATH|HOME|TMPDIR|TEMP|TMP|TZ|LANG|LC_\w+|LD_LIBRARY_PATH|VIRTUAL_ENV|PYTHON\w*")

# Not multiprocessing: it imports the owner's main module again, which Airflow's main module forbids, as it forbids daemons.
_COMMAND = [sys.executable, "-P", "-c", "from rerank_core.prepare.helpers import help_owner; help_owner()"]


@dataclass(frozen=True)
class Raw:
    """What prepare reads of a revision."""

    revision_id: int
    title: str | None
    summary: str | None
    body: str | None
    lang: str | None  # as the source claims it


@dataclass(frozen=True)
class Outcome:
    """What became of a batch. Each revision is in `documents` or in `refused`."""

    documents: dict[int, Document] = field(default_factory=dict)  # revision → document
    refused: dict[int, str] = field(default_factory=dict)  # revision → reason
    counts: Counter[str] = field(default_factory=Counter)  # what the steps did
    failures: dict[int, str] = field(default_factory=dict)  # revision that broke a parser → traceback


Answer = tuple[Sequence[Raw], Outcome]


def outcome(batch: Sequence[Raw], cleaning: Cleaning) -> Outcome:
    """The outcome of a batch. An article that breaks a parser does not stop the other articles."""
    made = Outcome()
    for raw in batch:
        try:
            made.documents[raw.revision_id] = to_document(
                title=raw.title,
                summary=raw.summary,
                body=raw.body,
                lang=raw.lang,
                cleaning=cleaning,
                counts=made.counts,
            )
        except Unpreparable as reason:
            made.refused[raw.revision_id] = str(reason)
        except Exception as error:
            made.refused[raw.revision_id] = f"unreadable: {type(error).__name__} in its preparation"
            made.failures[raw.revision_id] = traceback.format_exc()
    return made


def outcomes(
    batches: Iterator[Sequence[Raw]], *, cleaning: Cleaning, workers: int | None = None
) -> Generator[Answer]:
    """Each batch with its outcome, in the order of the batches.

    `workers` is the number of helpers; None means one for each core that this process may use, at most MAX_HELPERS.
    With n helpers, at most n + 1 batches are read ahead. A caller that stops before the end must close the iterator,
    which ends the helpers.
    """
    first = deque(islice(batches, MANY))
    helpers = 1 if len(first) < MANY else workers or min(_cores(), MAX_HELPERS)
    # `popleft` lets go of a batch as soon as it is used.
    given = chain((first.popleft() for _ in range(len(first))), batches)
    if helpers == 1:
        for batch in given:
            yield batch, outcome(batch, cleaning)
        return
    ahead: deque[tuple[Sequence[Raw], Future[Outcome | None]]] = deque()
    with _Helpers(helpers, cleaning) as ready:
        for batch in given:
            ahead.append((batch, ready.prepare(batch)))
            if len(ahead) > helpers:
                yield _answered(*ahead.popleft(), cleaning)
        while ahead:
            yield _answered(*ahead.popleft(), cleaning)


def _cores() -> int:
    """The number of cores that this process may use, by its affinity and by the quota of its container."""
    cores = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):  # there is no cgroup of version 2, or no quota
        quota, period = CPU_QUOTA.read_text(encoding="ascii").split()
        cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def _answered(batch: Sequence[Raw], asked: Future[Outcome | None], cleaning: Cleaning) -> Answer:
    answer = asked.result()
    if answer is None:
        log.warning("a helper died; this process prepares its %d revisions", len(batch))
        answer = outcome(batch, cleaning)
    return batch, answer


class _Helpers:
    """A number of helpers. Each batch goes to the next idle helper."""

    def __init__(self, number: int, cleaning: Cleaning) -> None:
        self._every = [_Helper(cleaning) for _ in range(number)]
        self._idle: SimpleQueue[_Helper] = SimpleQueue()
        self._threads = ThreadPoolExecutor(number, thread_name_prefix="helper")
        for helper in self._every:
            self._idle.put(helper)

    def __enter__(self) -> "_Helpers":
        return self

    def __exit__(self, *raised: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for helper in self._every:
            helper.kill()
        self._threads.shutdown()
        for helper in self._every:
            helper.end()

    def prepare(self, batch: Sequence[Raw]) -> Future[Outcome | None]:
        return self._threads.submit(self._prepare, batch)

    def _prepare(self, batch: Sequence[Raw]) -> Outcome | None:
        helper = self._idle.get()
        try:
            return helper.prepare(batch)
        finally:
            self._idle.put(helper)


class _Helper:
    """A helper's process. It starts with the first batch; after a death, it starts again with the next batch."""

    def __init__(self, cleaning: Cleaning) -> None:
        self._cleaning = cleaning
        self._process: subprocess.Popen[bytes] | None = None
        self._deaths = 0  # in a row
        self._over = False  # no process may live any more

    def prepare(self, batch: Sequence[Raw]) -> Outcome | None:
        """The outcome of a batch; None if the helper died or is given up."""
        if self._deaths >= GIVE_UP:
            return None
        try:
            if self._process is None:
                self._process = subprocess.Popen(
                    _COMMAND,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=_environment(),
                    process_group=0,  # a terminal's Ctrl-C reaches its owner alone, which ends the helper
                )
                if self._over:  # `kill` was called before there was a process
                    self._process.kill()
                _send(self._cleaning, self._process.stdin)
            _send(batch, self._process.stdin)
            made = cast(Outcome, pickle.load(cast(IO[bytes], self._process.stdout)))
        except Exception:  # unpickling a broken answer can raise anything
            self.end()
            self._deaths += 1
            return None
        self._deaths = 0
        return made

    def kill(self) -> None:
        """Kill the process at once, and any process that starts after this call."""
        self._over = True
        if (process := self._process) is not None:
            process.kill()

    def end(self) -> None:
        """Kill the process and let go of it. Only for a helper that no thread is using."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None


def _environment() -> dict[str, str]:
    """The environment of a helper, which reads the texts of strangers and must know no secret."""
    return {name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)}


def _send(message: object, to: IO[bytes] | None) -> None:
    pickle.dump(message, cast(IO[bytes], to), protocol=pickle.HIGHEST_PROTOCOL)
    cast(IO[bytes], to).flush()


def help_owner() -> None:
    """The main function of a helper's process; it returns when the owner is gone."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints goes to standard error, so it is not read as an answer
    questions: SimpleQueue[Any] = SimpleQueue()
    Thread(target=_read_until_the_owner_is_gone, args=(sys.stdin.buffer, questions), daemon=True).start()
    cleaning: Cleaning = questions.get()
    with contextlib.suppress(OSError):  # the owner is gone
        while True:
            _send(outcome(questions.get(), cleaning), answers)


def _read_until_the_owner_is_gone(stream: IO[bytes], questions: SimpleQueue[Any]) -> None:
    try:
        while True:
            questions.put(pickle.load(stream))
    finally:
        os._exit(0)  # at once, because a parser may work on an article for ever
