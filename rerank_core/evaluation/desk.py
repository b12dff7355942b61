"""The desk: requests of many clients share one engine, in turn.

- One thread has the engine, because a scorer belongs to one thread.
- The thread scores round after round. A round takes some pairs of each request in turn, about a second of work. So a
  request with one document does not wait for another's thousand.
- A request that is given up leaves the desk: at most its pairs in the running round are scored in vain.
- If the engine fails, the requests of its round get an error, and the thread builds another engine. If that fails too,
  the desk is dead: it calls `on_death`, and every request gets the reason.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date

from rerank_core.errors import EngineError, RetryableError
from rerank_core.models.base import Refusal, Scorer
from rerank_core.records import Pair, Score

log = logging.getLogger(__name__)

TURN = 16  # pairs of one request that go into a round before the next request has its turn
MOST_ROUND = 2_048  # pairs of a round
MOST_WAITING = 20_000  # pairs that wait for a round, of all requests
ROUND_SECONDS = 1.0  # of work that a round is to take
GIVE_UP_SECONDS = 120.0  # for a round: an engine that takes longer is stuck

Outcome = Score | Refusal


class Busy(RetryableError):
    """Too many pairs wait already."""


@dataclass(frozen=True)
class Texts:
    """One pair as a client gave it: untrusted texts."""

    instruction: str
    query: str
    document: str


@dataclass(eq=False)
class _Request:
    """One client's pairs."""

    texts: Sequence[Texts]
    next: int = 0  # the place of the first pair that no round has taken
    outcomes: dict[int, Outcome] = field(default_factory=dict)  # by place
    answer: Future[list[Outcome]] = field(default_factory=Future)

    def settle(self, place: int, outcome: Outcome) -> None:
        self.outcomes[place] = outcome
        if len(self.outcomes) == len(self.texts):
            with suppress(InvalidStateError):  # the client has left
                self.answer.set_result([self.outcomes[place] for place in range(len(self.texts))])

    def fail(self, error: Exception) -> None:
        with suppress(InvalidStateError):
            self.answer.set_exception(error)


class Desk:
    """Scores the pairs of many clients with one scorer."""

    def __init__(
        self, load: Callable[[int], Scorer], *, on_death: Callable[[Exception], None] = lambda error: None
    ) -> None:
        """Start the engine. `load` is given how many engines have failed before. Raises what `load` raises."""
        self._load = load
        self._on_death = on_death
        self._changed = threading.Condition()
        self._requests: deque[_Request] = deque()
        self._waiting = 0  # pairs
        self._round_pairs = TURN
        self._closed = False
        self.death: Exception | None = None  # why nothing can be scored any more
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, args=(ready,), name="scorer", daemon=True)
        self._thread.start()
        ready.result()

    async def score(self, texts: Sequence[Texts]) -> list[Outcome]:
        """A score or a refusal for each pair, in order. If it is cancelled, the pairs leave the desk.

        Raises Busy if too many pairs wait, EngineError if the engine fails.
        """
        request = _Request(texts)
        if not texts:
            return []
        with self._changed:
            if self.death is not None or self._closed:
                raise EngineError(f"the server ends: {self.death or 'it was told to'}")
            if self._waiting and self._waiting + len(texts) > MOST_WAITING:
                raise Busy(f"{self._waiting} pairs wait already, {MOST_WAITING} is the most; ask again later")
            self._requests.append(request)
            self._waiting += len(texts)
            self._changed.notify()
        try:
            return await asyncio.wrap_future(request.answer)
        finally:
            self._leave(request)

    def close(self) -> None:
        """Give the engine back. Requests that still wait get an error. May be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(GIVE_UP_SECONDS)

    def _leave(self, request: _Request) -> None:
        with self._changed:
            self._waiting -= len(request.texts) - request.next
            with suppress(ValueError):
                self._requests.remove(request)

    def _work(self, ready: "Future[None]") -> None:
        scorer: Scorer | None = None
        failures = 0
        try:
            scorer = self._load(failures)
            ready.set_result(None)
            while taken := self._next_round():
                try:
                    self._score(scorer, taken)
                except Exception as error:
                    failures += 1
                    log.error("the engine failed, and another one is built: %s", error)
                    reason = EngineError(f"the engine failed ({error}); ask again, it starts anew")
                    for request, _ in taken:
                        request.fail(reason)
                    scorer.close()
                    scorer = self._load(failures)
        except Exception as error:
            if not ready.done():
                ready.set_exception(error)
            self._die(error)
        finally:
            if scorer is not None:
                scorer.close()
            self._refuse_all(EngineError(f"the server ends: {self.death or 'it was told to'}"))

    def _die(self, error: Exception) -> None:
        with self._changed:
            self.death = error
        self._on_death(error)

    def _refuse_all(self, error: Exception) -> None:
        with self._changed:
            waiting = list(self._requests)
        for request in waiting:
            request.fail(error)

    def _next_round(self) -> list[tuple[_Request, int]]:
        """Request and place of each pair that is scored next; waits for a request. Empty: the desk was closed."""
        taken: list[tuple[_Request, int]] = []
        with self._changed:
            while not taken and not self._closed:
                self._changed.wait_for(lambda: self._closed or self._requests)
                while self._requests and not self._closed and len(taken) < self._round_pairs:
                    request = self._requests.popleft()
                    places = range(request.next, min(request.next + TURN, len(request.texts)))
                    taken += [(request, place) for place in places]
                    request.next = places.stop
                    self._waiting -= len(places)
                    if request.next < len(request.texts):
                        self._requests.append(request)
        return taken

    def _score(self, scorer: Scorer, taken: Sequence[tuple[_Request, int]]) -> None:
        """Score a round. Raises EngineError if the engine fails, or does not score all of it in GIVE_UP_SECONDS."""
        pairs = []
        for number, (request, place) in enumerate(taken):
            texts = request.texts[place]
            pairs.append(Pair(0, number, date.min, texts.instruction, texts.query, texts.document))
        began = time.monotonic()
        done = 0
        for chunk in scorer.score(pairs, flush_seconds=ROUND_SECONDS, deadline=began + GIVE_UP_SECONDS):
            outcomes: list[Outcome] = [*chunk.scores, *chunk.refused]
            for outcome in outcomes:
                request, place = taken[outcome.pair.document_id]
                request.settle(place, outcome)
                done += 1
        if done < len(pairs):
            raise EngineError(f"{len(pairs) - done} pairs were not scored in {GIVE_UP_SECONDS:.0f} s")
        fitting = int(len(pairs) / max(time.monotonic() - began, 1e-3) * ROUND_SECONDS)
        self._round_pairs = max(TURN, min(MOST_ROUND, (self._round_pairs + fitting) // 2))
