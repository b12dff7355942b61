"""Submission: pairs enter an engine that works in steps, continuously.

- The engine is kept filled with about one second of work. Between two steps, the deadline, an interrupt and the flush to
  the ledger get their turn, and no step waits for the slowest pair of a batch.
- Everything that can be wrong with a pair is checked before it enters, so that a pair does not take its batch with it.
- A thread encodes texts ahead while the engine works.
- After any exception out of the engine, an interrupt included, requests may be left inside it. The engine is then
  finished, and the error names the pairs inside, so that the next try can find the pair at fault.
"""

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

from rerank_core.errors import EngineError, InputError
from rerank_core.models.base import ChunkFailed, Refusal, ScoredChunk, name_pairs
from rerank_core.models.prompt import Prompt, Prompter
from rerank_core.records import Pair, Score

_STEP_SECONDS = 1.0  # of work that the engine is kept filled with
_ENCODED_AHEAD = 64  # pairs that are encoded at a time


class Engine(Protocol):
    """What this module uses of vLLM's LLMEngine."""

    def add_request(self, request_id: str, prompt: Any, params: Any) -> Any: ...

    def step(self) -> Any: ...

    def abort_request(self, request_ids: list[str]) -> Any: ...


@dataclass
class _Entry:
    """A pair inside the engine, with one request for each window of its document."""

    index: int  # in the pairs given
    pair: Pair
    prompt: Prompt
    windows: int  # without a result yet
    since: float = field(default_factory=time.monotonic)
    tokens: int = 0  # of the prompts, as the engine got them
    logit: float = -math.inf  # the largest logit of the windows so far
    cached: int = 0  # tokens taken from the prefix cache
    refused: bool = False


@dataclass
class _Sent:
    """One request inside the engine."""

    entry: _Entry
    tokens: int


@dataclass
class _Ready:
    """Results since the last chunk, by index in the pairs given."""

    scores: dict[int, Score] = field(default_factory=dict)
    refused: dict[int, Refusal] = field(default_factory=dict)
    neutralised: dict[int, Pair] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)

    def chunk(self) -> ScoredChunk:
        return ScoredChunk(
            scores=tuple(self.scores[index] for index in sorted(self.scores)),
            refused=tuple(self.refused[index] for index in sorted(self.refused)),
            neutralised=tuple(self.neutralised[index] for index in sorted(self.neutralised)),
            seconds=time.monotonic() - self.since,
        )


class _Waiting:
    """Pairs that have not entered the engine yet, in order. A thread builds the prompts of the next pairs."""

    def __init__(self, pairs: Sequence[Pair], prompter: Prompter) -> None:
        self._pairs, self._prompter = pairs, prompter
        self._begun = 0
        self._built: deque[tuple[int, Prompt | InputError]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prompts")
        self._ahead = self._begin()

    def __bool__(self) -> bool:
        return bool(self._built) or self._ahead is not None

    def pop(self) -> tuple[int, Prompt | InputError]:
        """The index of the next pair, with its prompt or the error that its texts raise. Waits for the thread."""
        if not self._built:
            assert self._ahead is not None
            self._built.extend(self._ahead.result())
            self._ahead = self._begin()
        return self._built.popleft()

    def close(self) -> None:
        """Build no more prompts."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> Future[list[tuple[int, Prompt | InputError]]] | None:
        chosen = range(self._begun, min(self._begun + _ENCODED_AHEAD, len(self._pairs)))
        self._begun += len(chosen)
        return (
            self._thread.submit(lambda: [(index, self._build(index)) for index in chosen]) if chosen else None
        )

    def _build(self, index: int) -> Prompt | InputError:
        pair = self._pairs[index]
        media = {"pictures": pair.pictures} if pair.pictures else {}
        try:
            return self._prompter.prompt(
                instruction=pair.instruction, query=pair.query, document=pair.document, **media
            )
        except InputError as error:
            return error


def _render_ids(ids: Sequence[int], media: Sequence[Any]) -> dict[str, Any]:
    """A prompt without media."""
    return {"type": "token", "prompt_token_ids": ids}


class Submission:
    """Scores pairs with one engine: one call of `score` at a time, in the process that built the engine."""

    def __init__(
        self,
        engine: Engine,
        *,
        parameters: Any,
        prompter: Prompter,
        max_prompt_tokens: int,
        least_tokens: int,
        most_tokens: int,
        render: Callable[[Sequence[int], Sequence[Any]], Any] = _render_ids,
    ) -> None:
        """`parameters` go with every request. `render` makes ids and media what the engine takes. The measured speed decides how many tokens are kept in the engine,
        between `least_tokens` and `most_tokens`. A prompt over `max_prompt_tokens` is refused.
        """
        self.finished = False
        self._engine: Any = engine
        self._parameters = parameters
        self._prompter = prompter
        self._render = render
        self._max_prompt_tokens = max_prompt_tokens
        self._least_tokens = min(least_tokens, most_tokens)
        self._most_tokens = most_tokens
        self._speed: float | None = None  # prompt tokens a second, cached tokens included
        self._busy = False
        self._process = os.getpid()
        self._sequence = 0

    def score(
        self, pairs: Sequence[Pair], *, flush_seconds: float, deadline: float | None
    ) -> Iterator[ScoredChunk]:
        """See Scorer.score. If the caller leaves the iteration early, its pairs are taken out of the engine."""
        self._check_usable()
        self._busy = True
        sent: dict[str, _Sent] = {}
        try:
            yield from self._score(pairs, sent, flush_seconds, deadline)
        except GeneratorExit:
            self._withdraw(sent)
            raise
        except BaseException:
            self.finished = True
            raise
        finally:
            self._busy = False

    def release(self) -> None:
        """Finish, and let go of the engine."""
        self.finished = True
        self._engine = None

    def _check_usable(self) -> None:
        if self.finished:
            raise EngineError("this scorer is finished (a step failed, or it was closed); build a new one")
        if self._busy:
            raise EngineError("this scorer is already scoring; finish that iteration first")
        if self._process != os.getpid():
            raise EngineError("this scorer belongs to the process that built it; build one in this process")

    def _score(
        self, pairs: Sequence[Pair], sent: dict[str, _Sent], flush_seconds: float, deadline: float | None
    ) -> Iterator[ScoredChunk]:
        with closing(_Waiting(pairs, self._prompter)) as waiting:
            yield from self._score_waiting(pairs, waiting, sent, flush_seconds, deadline)

    def _score_waiting(
        self,
        pairs: Sequence[Pair],
        waiting: _Waiting,
        sent: dict[str, _Sent],
        flush_seconds: float,
        deadline: float | None,
    ) -> Iterator[ScoredChunk]:
        ready = _Ready()
        failure: ChunkFailed | None = None
        while (waiting or sent) and failure is None:
            if deadline is not None and time.monotonic() >= deadline:
                self._withdraw(sent)
                break
            failure = self._submit(pairs, waiting, sent, ready, flush_seconds)
            if failure is None and sent:
                failure = self._step(sent, ready)
            if failure is None and time.monotonic() - ready.since >= flush_seconds:
                yield ready.chunk()
                ready = _Ready()
        if ready.scores or ready.refused:
            yield ready.chunk()  # results before a failure are kept
        if failure is not None:
            raise failure

    def _submit(
        self,
        pairs: Sequence[Pair],
        waiting: _Waiting,
        sent: dict[str, _Sent],
        ready: _Ready,
        flush_seconds: float,
    ) -> ChunkFailed | None:
        """Fill the engine with about one second of work, and refuse pairs that cannot be scored."""
        seconds = min(_STEP_SECONDS, flush_seconds / 2)
        wanted = self._least_tokens if self._speed is None else int(self._speed * seconds)
        allowed = min(max(wanted, self._least_tokens), self._most_tokens)
        inside = sum(request.tokens for request in sent.values())
        while waiting and (inside < allowed or not sent):
            index, prompt = waiting.pop()
            pair = pairs[index]
            if isinstance(prompt, InputError):
                ready.refused[index] = Refusal(pair, str(prompt))
                continue
            windows = (prompt.ids, *prompt.further)
            longest = max(map(len, windows)) + prompt.media_tokens
            if longest > self._max_prompt_tokens:
                reason = f"the prompt has {longest} tokens, the model takes {self._max_prompt_tokens}"
                ready.refused[index] = Refusal(pair, reason)
                continue
            entry = _Entry(index, pair, prompt, len(windows))
            for ids in windows:
                request = str(self._sequence)
                self._sequence += 1
                try:
                    rendered = self._render(ids, prompt.media)
                    tokens = len(rendered["prompt_token_ids"])
                    sent[request] = _Sent(entry, tokens)
                    self._engine.add_request(request, rendered, self._parameters)
                except Exception as error:
                    self.finished = True
                    return _failed("the engine refused a pair", error, [pair])
                entry.tokens += tokens
                inside += tokens
        return None

    def _step(self, sent: dict[str, _Sent], ready: _Ready) -> ChunkFailed | None:
        """Run one step of the engine; its results go to `ready`."""
        began = time.monotonic()
        try:
            outputs = self._engine.step()
        except Exception as error:
            self.finished = True
            return _failed("a step of the engine failed", error, _pairs_in(sent))
        now = time.monotonic()
        done = 0
        for output in outputs:
            if not output.finished:
                continue
            request = sent.pop(output.request_id.partition("-")[0])
            entry = request.entry
            if entry.refused:  # because of another of its windows
                continue
            if getattr(output, "error", None) is not None:
                entry.refused = True
                ready.refused[entry.index] = Refusal(entry.pair, f"the engine reports: {output.error}")
                continue
            logit = float(output.outputs.data.item())
            if not math.isfinite(logit):
                self.finished = True  # blocks of the prefix cache may hold the same value
                return ChunkFailed(
                    f"the logit of {name_pairs([entry.pair])} is {logit}: an overflow in this precision, or "
                    "damaged weights",
                    suspects=[entry.pair],
                )
            cached = max(0, output.num_cached_tokens or 0)
            done += request.tokens
            entry.cached += cached
            entry.logit = max(entry.logit, logit)
            entry.windows -= 1
            if entry.windows:
                continue
            if entry.prompt.neutralised:
                ready.neutralised[entry.index] = entry.pair
            ready.scores[entry.index] = Score(
                pair=entry.pair,
                logit=entry.logit,
                truncated=entry.prompt.truncated,
                latency_ms=(now - entry.since) * 1000,
                prompt_tokens=entry.tokens,
                cached_tokens=entry.cached,
            )
        if done:
            speed = done / max(now - began, 1e-6)
            self._speed = speed if self._speed is None else (self._speed + speed) / 2
        return None

    def _withdraw(self, sent: dict[str, _Sent]) -> None:
        """Take the pairs out of the engine, so that it can be used again."""
        if sent and not self.finished:
            try:
                self._engine.abort_request(list(sent))
            except BaseException:
                self.finished = True
                raise
        sent.clear()


def _pairs_in(sent: dict[str, _Sent]) -> list[Pair]:
    """The pairs inside the engine, each once."""
    return list({request.entry.index: request.entry.pair for request in sent.values()}.values())


def _failed(what: str, error: Exception, suspects: Sequence[Pair]) -> ChunkFailed:
    failure = ChunkFailed(f"{what} ({type(error).__name__}: {error})", suspects=suspects)
    failure.__cause__ = error
    return failure
