"""Helpers: processes that prepare articles for this process.

What strangers wrote is parsed in a helper (helper.py) alone. A helper gets no secret, no descriptor but its own pipes, and one
article at a time. So it is known which article is to blame:

- An article that takes more than its limit of processor time or memory is refused, as `too_slow` or `too_large`.
- If a helper dies, stands still or breaks the form of answers, it is ended. Its article is tried once more while no other helper
  works, because it may be innocent. If it fails again, it is refused.
- The rest of its batch goes on, by a new process.
"""

import contextlib
import logging
import os
import re
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any, TypeVar

from pydantic import ValidationError

from rerank_core.errors import HelperUnavailable
from rerank_core.prepare.answers import Form, NoAnswer, Prepared, Ready, Traced
from rerank_core.prepare.cleaning import Cleaning
from rerank_core.prepare.messages import framed
from rerank_core.prepare.watch import Watched
from rerank_core.records import Document

log = logging.getLogger(__name__)

MAX_HELPERS = 4  # unless a setting says how many
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
START_SECONDS = 20.0  # of processor time, until a helper is ready
STARTS = 3  # tries to start a helper before the stage fails
SAVE_SECONDS = 5.0  # what was prepared of a batch waits no longer for the rest

# Chinese needs a dictionary, which takes seconds and hundreds of MiB to load: no article pays for that.
_HAN = re.compile(rb"[\xe4-\xe9][\x80-\xbf]{2}")

Told = TypeVar("Told", bound=Form)


@dataclass(frozen=True)
class Limits:
    """What one article may take."""

    seconds: float = 10.0  # of processor time
    mib: int = 1024  # of memory, beyond what a helper takes by itself


@dataclass(frozen=True)
class Raw:
    """What prepare reads of a revision."""

    revision_id: int
    article_id: str
    title: str | None
    summary: str | None
    body: str | None
    lang: str | None  # as the source claims it


@dataclass
class Outcome:
    """What became of some revisions. Each revision is in `documents` or in `refused`."""

    documents: dict[int, Document] = field(default_factory=dict)  # revision → document
    refused: dict[int, str] = field(default_factory=dict)  # revision → reason
    counts: Counter[str] = field(default_factory=Counter)  # what the steps did

    @property
    def last(self) -> int:
        """The last of the revisions; 0 if there is none."""
        return max((*self.documents, *self.refused), default=0)


Parts = SimpleQueue[Outcome | BaseException | None]  # of the outcome of a batch; an error or None is the end


def outcomes(
    batches: Iterator[Sequence[Raw]], *, cleaning: Cleaning, limits: Limits, number: int
) -> Generator[Outcome]:
    """What becomes of each batch, in the order of the batches; in parts, if a batch takes long.

    A `number` of helpers prepare side by side, and at most one batch more than that is in memory. A caller that stops before the
    end must close the iterator, which ends the helpers. Raises HelperUnavailable if no helper can start.
    """
    ahead: deque[Parts] = deque()
    with Helpers(number, cleaning=cleaning, limits=limits) as ready:
        for batch in batches:
            ahead.append(ready.prepare(batch))
            if len(ahead) > number:
                yield from _parts(ahead.popleft())
        while ahead:
            yield from _parts(ahead.popleft())


def _parts(parts: Parts) -> Iterator[Outcome]:
    while (part := parts.get()) is not None:
        if isinstance(part, BaseException):
            raise part
        yield part


def trace(*, cleaning: Cleaning, limits: Limits, **article: str | None) -> Traced:
    """What every step does to an article: its `title`, `summary`, `body` and `lang`, as claimed.

    Raises NoAnswer if the article goes over a limit or ends its helper, HelperUnavailable if no helper can start.
    """
    with Helpers(1, cleaning=cleaning, limits=limits) as ready:
        return ready.ask({"trace": article}, Traced, what="the article")


def usable_cores() -> int:
    """The number of cores that this process may use, by its affinity and by the quota of its container."""
    cores = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):  # there is no cgroup of version 2, or no quota
        quota, period = CPU_QUOTA.read_text(encoding="ascii").split()
        cores = min(cores, max(1, int(quota) // int(period)))
    return cores


class Helpers:
    """A number of helpers. Each article or batch goes to the next idle helper."""

    def __init__(self, number: int, *, cleaning: Cleaning, limits: Limits) -> None:
        rules = None if cleaning.rules is None else str(cleaning.rules)
        begin = framed({"without": sorted(cleaning.without), "rules": rules, "mib": limits.mib})
        self._every = [_Helper(begin, limits.seconds) for _ in range(number)]
        self._idle: SimpleQueue[_Helper] = SimpleQueue()
        self._threads = ThreadPoolExecutor(number, thread_name_prefix="helper")
        self._over = False
        for helper in self._every:
            self._idle.put(helper)

    def __enter__(self) -> "Helpers":
        return self

    def __exit__(self, *raised: object) -> None:
        self._over = True
        for helper in self._every:
            helper.kill()
        self._threads.shutdown(cancel_futures=True)
        for helper in self._every:
            helper.end()

    def prepare(self, batch: Sequence[Raw]) -> Parts:
        """Give a batch away; returns where the parts of its outcome will be."""
        parts: Parts = SimpleQueue()
        self._threads.submit(self._prepare, batch, parts)
        return parts

    def _prepare(self, batch: Sequence[Raw], parts: Parts) -> None:
        helper = self._idle.get()
        try:
            part, due = Outcome(), 0.0
            for raw in batch:
                self._add(part, raw, helper)
                due = due or time.monotonic() + SAVE_SECONDS
                if time.monotonic() >= due:
                    parts.put(part)
                    part, due = Outcome(), 0.0
            if due:
                parts.put(part)
            parts.put(None)
        except BaseException as error:
            parts.put(error)
        finally:
            self._idle.put(helper)

    def _add(self, part: Outcome, raw: Raw, helper: "_Helper") -> None:
        """Prepare one article, and keep what became of it."""
        what = f"article {raw.article_id!r}, revision {raw.revision_id}"
        article = {"title": raw.title, "summary": raw.summary, "body": raw.body, "lang": raw.lang}
        try:
            answer = self._ask(helper, {"prepare": article}, Prepared, what)
        except NoAnswer as reason:
            log.warning("%s goes to quarantine: %s", what, reason)
            answer = Prepared(refused=str(reason))
        if answer.failure is not None:
            log.error("%s cannot be prepared: %s", what, ascii(answer.failure).replace(r"\n", "\n  "))
        part.counts.update(answer.counts)
        if answer.document is not None:
            part.documents[raw.revision_id] = answer.document.to_document()
        else:
            part.refused[raw.revision_id] = answer.refused or "unreadable: its helper said nothing of it"

    def ask(self, question: dict[str, Any], form: type[Told], *, what: str) -> Told:
        """The answer to a question about an article. Raises NoAnswer, HelperUnavailable."""
        helper = self._idle.get()
        try:
            return self._ask(helper, question, form, what)
        finally:
            self._idle.put(helper)

    def _ask(self, helper: "_Helper", question: dict[str, Any], form: type[Told], what: str) -> Told:
        sent = framed(question)
        try:
            with helper.turn:
                return helper.ask(sent, form)
        except NoAnswer as reason:
            if reason.is_certain or self._over:
                raise
            log.warning("%s: %s; it is tried once more, alone", what, reason)
        with ExitStack() as turns:
            for each in self._every:  # in one order, so that no two articles wait for each other
                turns.enter_context(each.turn)
            return helper.ask(sent, form)


class _Helper:
    """The place of a process. The process starts with the first question, and again with the question after its end."""

    def __init__(self, begin: bytes, seconds: float) -> None:
        self.turn = Lock()  # held while an article is at work
        self._begin = begin
        self._seconds = seconds
        self._process: Watched | None = None
        self._knows_chinese = False
        self._over = False  # no process may live any more

    def ask(self, question: bytes, form: type[Told]) -> Told:
        """The answer to a question. Raises NoAnswer, which has ended the process; HelperUnavailable if none can start."""
        process = self._process or self._started()
        if not self._knows_chinese and _HAN.search(question):
            self._told(process, framed({"load": {"sample": "chinese"}}), Ready, START_SECONDS)
            self._knows_chinese = True
        return self._told(process, question, form, self._seconds)

    def _told(self, process: Watched, message: bytes, form: type[Told], seconds: float) -> Told:
        """What the process answers to a message. If that is nothing or breaks its form, the process is ended."""
        try:
            return form.model_validate_json(process.ask(message, seconds=seconds))
        except ValidationError as error:
            self.end()
            raise NoAnswer(f"unreadable: its helper's answer has {error.error_count()} faults") from None
        except BaseException:
            self.end()
            raise

    def _started(self) -> Watched:
        self._knows_chinese = False
        why = said = ""
        for _ in range(STARTS):
            if self._over:
                break
            try:
                self._process = process = Watched()
            except OSError as error:
                why = str(error)
                continue
            if self._over:  # `kill` was called before there was a process
                break
            try:
                self._told(process, self._begin, Ready, START_SECONDS)
            except NoAnswer as error:
                why, said = str(error).split(":")[-1].strip(), process.said
            else:
                return process
        raise HelperUnavailable(
            f"no helper of prepare can start: {why}; {said}; see whether this host has memory left"
        )

    def kill(self) -> None:
        """Kill the process at once, and any process that starts after this call."""
        self._over = True
        if (process := self._process) is not None:
            process.kill()

    def end(self) -> None:
        """Kill the process and let go of it. Only for a helper that no thread is asking."""
        if self._process is not None:
            self._process.end()
        self._process = None
