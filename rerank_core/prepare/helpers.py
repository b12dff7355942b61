"""Raw articles → documents, a batch at a time: by this process, or by helpers beside it where there are many.

A helper is a Python process that reads batches from its standard input and answers with what became of them. It knows no
database, no setting and no secret, and ends when its input does, in the midst of a batch, too, however this process
ended. Batches come back in the order that they were given, with what this process would have made of them. A helper that dies (out of memory, say) takes
nothing with it: its batch is prepared here, and the next one gets a new helper.
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

MANY = 5  # batches, from which on helpers are worth their start
MAX_HELPERS = 4  # where no setting says how many
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
GIVE_UP = 3  # times in a row that a helper died: another one would, too

# What a helper is given of this process's environment: enough to run Python, and nothing that could be secret.
_PASSED_ON = re.compile(r"PATH|HOME|TMPDIR|TEMP|TMP|TZ|LANG|LC_\w+|LD_LIBRARY_PATH|VIRTUAL_ENV|PYTHON\w*")

# Not by multiprocessing: that imports the owner's main module anew, and Airflow's forbids it, as it does to daemons.
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
    """What became of a batch: each of its revisions is a document or refused."""

    documents: dict[int, Document] = field(default_factory=dict)  # by revision
    refused: dict[int, str] = field(default_factory=dict)  # revision → reason
    counts: Counter[str] = field(default_factory=Counter)  # what the steps did
    failures: dict[int, str] = field(
        default_factory=dict
    )  # revision → traceback, of those that broke a parser


Answer = tuple[Sequence[Raw], Outcome]


def outcome(batch: Sequence[Raw], cleaning: Cleaning) -> Outcome:
    """What becomes of a batch. Whatever a parser does with one article, it does not stop the others."""
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
    """Each batch with what became of it. Helpers, where there are some, read one batch more ahead than they are.

    `workers` is how many prepare at once; None: one for each core that this process may use, at most MAX_HELPERS.
    A caller that stops before the end has to close the iterator: that ends the helpers.
    """
    first = deque(islice(batches, MANY))
    helpers = 1 if len(first) < MANY else workers or min(_cores(), MAX_HELPERS)
    given = chain(
        (first.popleft() for _ in range(len(first))), batches
    )  # none is kept longer than it is needed
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
    """Cores that this process may use: by its affinity, and by the quota of its container."""
    cores = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):  # no cgroup of version 2, or no quota
        quota, period = CPU_QUOTA.read_text(encoding="ascii").split()
        cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def _answered(batch: Sequence[Raw], asked: Future[Outcome | None], cleaning: Cleaning) -> Answer:
    found = asked.result()
    if found is None:
        log.warning("a helper is gone: the %d revisions that it had are prepared without it", len(batch))
        found = outcome(batch, cleaning)
    return batch, found


class _Helpers:
    """So many helpers; batches are handed to the next one that is idle."""

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
    """A helper's process: it starts with the first batch, and anew with the next one after it died."""

    def __init__(self, cleaning: Cleaning) -> None:
        self._cleaning = cleaning
        self._process: subprocess.Popen[bytes] | None = None
        self._died = 0  # times in a row
        self._over = False

    def prepare(self, batch: Sequence[Raw]) -> Outcome | None:
        """What becomes of a batch; None where the helper is gone."""
        if self._died >= GIVE_UP:
            return None
        try:
            if self._process is None:
                self._process = subprocess.Popen(
                    _COMMAND,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=_environment(),
                    process_group=0,  # a terminal's Ctrl-C goes to its owner alone, which ends it
                )
                if self._over:  # `kill` came before there was something to kill
                    self._process.kill()
                _send(self._cleaning, self._process.stdin)
            _send(batch, self._process.stdin)
            made = cast(Outcome, pickle.load(cast(IO[bytes], self._process.stdout)))
        except Exception:  # what is no answer can raise anything where it is read as one
            self.end()
            self._died += 1
            return None
        self._died = 0
        return made

    def kill(self) -> None:
        """Kill its process, whatever it is doing, and any that it starts from now on."""
        self._over = True
        if (process := self._process) is not None:
            process.kill()

    def end(self) -> None:
        """Kill its process and let go of it; only while nobody asks it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None


def _environment() -> dict[str, str]:
    """What a helper, which reads what strangers wrote, may know of this process's."""
    return {name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)}


def _send(message: object, to: IO[bytes] | None) -> None:
    pickle.dump(message, cast(IO[bytes], to), protocol=pickle.HIGHEST_PROTOCOL)
    cast(IO[bytes], to).flush()


def help_owner() -> None:
    """A helper's process, from its first batch to the end of its input."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that a library prints is taken for an answer
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
        os._exit(0)  # at once: a parser may be at work on an article, and never come to its end
