"""Helpers: processes that prepare articles for this process.

What strangers wrote is parsed in a helper (helper.py) alone. A helper gets no secret and no descriptor but its own pipes. It is
given some articles at once and answers them in their order. So it never waits, and it is known which article is to blame:

- An article that takes more than its limit of processor time or memory is refused, as `too_slow` or `too_large`.
- If a helper dies, stands still or breaks the form of answers, it is ended. Its article is tried once more while no other helper
  works, because it may be innocent. If it fails again, it is refused.
- The rest of its batch goes on, by a new process.

An article's media are looked at before its text, each by itself within the same limits. A medium that has no answer is dropped; its
article goes on.
"""

import contextlib
import logging
import os
import re
import time
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any, TypeVar

from pydantic import ValidationError

from rerank_core.errors import HelperUnavailable
from rerank_core.prepare import captions
from rerank_core.prepare.answers import Form, Looked, NoAnswer, Prepared, Ready, Traced
from rerank_core.prepare.cleaning import Cleaning
from rerank_core.prepare.documents import with_pictures
from rerank_core.prepare.media import Desk, Medium, Seen
from rerank_core.prepare.messages import framed
from rerank_core.prepare.watch import Watched
from rerank_core.records import Document

log = logging.getLogger(__name__)

MAX_HELPERS = 4  # unless a setting says how many
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
START_SECONDS = 20.0  # of processor time, until a helper is ready
STARTS = 3  # tries to start a helper before the stage fails
MAX_CHUNK = 16  # articles that a helper is given at once
MAX_CHUNK_BYTES = 1 << 18  # of these, unless one article is larger
SAVE_SECONDS = 5.0  # what was prepared of a batch waits no longer for the rest

# Chinese needs a dictionary, which takes seconds and hundreds of MiB to load: no article pays for that.
_HAN = re.compile(rb"[\xe4-\xe9][\x80-\xbf]{2}")
_OF_MEDIUM = re.compile(rb'.{4}\{"look":', re.DOTALL)

Told = TypeVar("Told", bound=Form)
Asked = TypeVar("Asked")


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
    media: tuple[Medium, ...] = ()  # to be looked at
    seen: tuple[Seen, ...] = ()  # what became of them
    told: tuple[captions.Told, ...] | None = None  # what joins the text; None: captions and alt texts do not
    pictures: tuple[str, ...] = ()  # paths of the renditions that the model reads

    def __str__(self) -> str:
        return f"article {self.article_id!r}, revision {self.revision_id}"


@dataclass
class Outcome:
    """What became of some revisions. Each revision is in `documents` or in `refused`."""

    documents: dict[int, Document] = field(default_factory=dict)  # revision → document
    refused: dict[int, str] = field(default_factory=dict)  # revision → reason
    counts: Counter[str] = field(default_factory=Counter)  # what the steps did
    media: dict[int, tuple[Seen, ...]] = field(default_factory=dict)  # revision → what became of its media

    @property
    def last(self) -> int:
        """The last of the revisions; 0 if there is none."""
        return max((*self.documents, *self.refused), default=0)


Parts = SimpleQueue[Outcome | BaseException | None]  # of the outcome of a batch; an error or None is the end


def outcomes(
    batches: Iterator[Sequence[Raw]],
    *,
    cleaning: Cleaning,
    limits: Limits,
    number: int,
    desk: Desk | None = None,
) -> Generator[Outcome]:
    """What becomes of each batch, in the order of the batches; in parts, if a batch takes long.

    A `number` of helpers prepare side by side, and at most one batch more than that is in memory. A caller that stops before the
    end must close the iterator, which ends the helpers. `desk` reads the media of articles; None: articles have none. Raises
    HelperUnavailable if no helper can start, and what the desk raises.
    """
    ahead: deque[Parts] = deque()
    with Helpers(number, cleaning=cleaning, limits=limits, desk=desk) as ready:
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


def trace(*, cleaning: Cleaning, limits: Limits, **article: Any) -> Traced:
    """What every step does to an article: its `title`, `summary`, `body` and `lang`, as claimed, and `told` of its media.

    Raises NoAnswer if the article goes over a limit or ends its helper, HelperUnavailable if no helper can start.
    """
    with Helpers(1, cleaning=cleaning, limits=limits) as ready:
        return ready.ask(framed({"trace": article}), Traced)


def usable_cores() -> int:
    """The number of cores that this process may use, by its affinity and by the quota of its container."""
    cores = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):  # there is no cgroup of version 2, or no quota
        quota, period = CPU_QUOTA.read_text(encoding="ascii").split()
        cores = min(cores, max(1, int(quota) // int(period)))
    return cores


class Helpers:
    """A number of helpers. Each article or batch goes to the next idle helper."""

    def __init__(self, number: int, *, cleaning: Cleaning, limits: Limits, desk: Desk | None = None) -> None:
        self._desk = desk
        rules = None if cleaning.rules is None else str(cleaning.rules)
        begin = {"without": sorted(cleaning.without), "rules": rules, "mib": limits.mib}
        self._every = [_Helper(begin, limits.seconds) for _ in range(number)]
        self._idle: SimpleQueue[_Helper] = SimpleQueue()
        self._threads = ThreadPoolExecutor(number, thread_name_prefix="helper")
        self._over = False
        for helper in self._every:
            self._idle.put(helper)

    def __enter__(self) -> "Helpers":
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End the helpers, whatever they are at."""
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
            for questions in _chunks(self._with_media(helper, raw) for raw in batch):
                with closing(self._answers(helper, questions, Prepared)) as answers:
                    for raw, answer in answers:
                        _keep(part, raw, answer)
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

    def _with_media(self, helper: "_Helper", raw: Raw) -> Raw:
        """The article with what became of its media."""
        if self._desk is None or not raw.media:
            return raw

        def ask(question: bytes) -> Looked | NoAnswer:
            with closing(self._answers(helper, [(raw, question)], Looked)) as answers:
                ((_, answer),) = answers
            return answer

        seen = tuple(self._desk.look(raw.revision_id, medium, ask) for medium in raw.media)
        return replace(raw, seen=seen, pictures=self._desk.for_model(seen))

    def ask(self, question: bytes, form: type[Told]) -> Told:
        """The answer to a framed question about an article. Raises NoAnswer, HelperUnavailable."""
        helper = self._idle.get()
        try:
            with closing(self._answers(helper, [("the article", question)], form)) as answers:
                ((_, answer),) = answers
        finally:
            self._idle.put(helper)
        if isinstance(answer, NoAnswer):
            raise answer
        return answer

    def _answers(
        self, helper: "_Helper", questions: Sequence[tuple[Asked, bytes]], form: type[Told]
    ) -> Generator[tuple[Asked, Told | NoAnswer]]:
        """The answer to each question, or why there is none. Raises HelperUnavailable."""
        left = deque(questions)
        while left:
            try:
                with helper.turn, closing(helper.ask([sent for _, sent in left], form)) as answers:
                    for answer in answers:
                        yield left.popleft()[0], answer
            except NoAnswer as reason:
                asked, sent = left.popleft()
                yield asked, self._once_more(helper, asked, sent, form, reason)

    def _once_more(
        self, helper: "_Helper", asked: object, sent: bytes, form: type[Told], reason: NoAnswer
    ) -> Told | NoAnswer:
        """The answer to a question that had none, or why there is none for good."""
        if reason.is_certain or self._over:
            return reason
        log.warning("%s: %s; it is tried once more, alone", asked, reason)
        with ExitStack() as turns:
            for each in self._every:  # in one order, so that no two articles wait for each other
                turns.enter_context(each.turn)
            try:
                (answer,) = helper.ask([sent], form)
            except NoAnswer as again:
                return again
            return answer


def _chunks(batch: Iterable[Raw]) -> Iterator[list[tuple[Raw, bytes]]]:
    """The articles, each with its question, as many at once as a helper is given."""
    chunk: list[tuple[Raw, bytes]] = []
    size = 0
    for raw in batch:
        article = {"title": raw.title, "summary": raw.summary, "body": raw.body, "lang": raw.lang}
        told = {} if raw.told is None else {"told": raw.told}
        question = framed({"prepare": {**article, **told}})
        if chunk and (len(chunk) == MAX_CHUNK or size + len(question) > MAX_CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append((raw, question))
        size += len(question)
    if chunk:
        yield chunk


def _keep(part: Outcome, raw: Raw, answer: Prepared | NoAnswer) -> None:
    """Keep what became of one article."""
    if isinstance(answer, NoAnswer):
        log.warning("%s goes to quarantine: %s", raw, answer)
        answer = Prepared(refused=str(answer))
    if answer.failure is not None:
        log.error("%s cannot be prepared: %s", raw, ascii(answer.failure).replace(r"\n", "\n  "))
    part.counts.update(answer.counts)
    if raw.seen:
        part.media[raw.revision_id] = raw.seen
        part.counts.update(seen.bucket for seen in raw.seen)
    if answer.document is not None:
        part.documents[raw.revision_id] = with_pictures(answer.document.to_document(), raw.pictures)
    else:
        part.refused[raw.revision_id] = answer.refused or "unreadable: its helper said nothing of it"


class _Helper:
    """The place of a process. The process starts with the first question, and again with the question after its end."""

    def __init__(self, begin: Mapping[str, Any], seconds: float) -> None:
        self.turn = Lock()  # held while an article is at work
        self._begin = begin
        self._seconds = seconds
        self._process: Watched | None = None
        self._loaded: set[str] = set()  # samples
        self._over = False  # no process may live any more

    def ask(self, questions: Sequence[bytes], form: type[Told]) -> Generator[Told]:
        """The answer to each question. Raises NoAnswer, which has ended the process; HelperUnavailable if none can start."""
        process = self._process or self._started()
        sample, needs = ("media", None) if _OF_MEDIUM.match(questions[0]) else ("chinese", _HAN.search)
        if sample not in self._loaded and (needs is None or any(map(needs, questions))):
            self._load(process, {"load": {"sample": sample}})
            self._loaded.add(sample)
        yield from self._told(process, questions, form, self._seconds)

    def _load(self, process: Watched, message: Mapping[str, Any]) -> None:
        """Have the process load what it needs. Raises NoAnswer, which has ended the process."""
        for _ in self._told(process, [framed(message)], Ready, START_SECONDS):
            pass

    def _told(
        self, process: Watched, messages: Sequence[bytes], form: type[Told], seconds: float
    ) -> Generator[Told]:
        """What the process answers to each message. If that is nothing or breaks its form, the process is ended."""
        try:
            for answer in process.ask(messages, seconds=seconds):
                yield form.model_validate_json(answer)
        except ValidationError as error:
            self.end()
            raise NoAnswer(f"unreadable: its helper's answer has {error.error_count()} faults") from None
        except BaseException:  # also if the caller wants no more answers
            self.end()
            raise

    def _started(self) -> Watched:
        self._loaded.clear()
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
                self._load(process, self._begin)
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
