"""The rounds in which a task scores: first its shard, then what the run's other shards still miss.

Another try, another run or the task of another shard may score the same pairs at the same time. A task notices that when the
ledger already has what it has scored, or what comes next. It then reads its worklist again and goes on at the other end
(poison.PoisonMark.meet). So two tasks side by side score at most two chunks twice: one where they began and one where they meet
at last.

A task that has finished its shard takes up the other shards from their ends, the next shard first: their own tasks come from
the front. So unequal devices end together, and what a killed task has left is scored before anybody knows that it was killed.
"""

import logging
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from time import monotonic, sleep

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rerank_core.errors import CorruptError
from rerank_core.models.base import ScoredChunk, Scorer
from rerank_core.records import Pair, Run
from rerank_core.rerank.poison import PoisonMark
from rerank_core.rerank.worklist import read_worklist
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import ledger
from rerank_core.storage.database import Database

log = logging.getLogger(__name__)

SAY_SECONDS = 5.0  # between two lines of progress
NAMED = 10  # reasons of refusals that a shard's log names, those of most pairs first
PATIENCE = 3  # times `flush_seconds` that the last chunk of another try is waited for


@dataclass(frozen=True)
class ShardTask:
    """A task that scores: its shard first, then the rest of the run."""

    database: Database
    settings: Settings
    run: Run
    number: int  # of the shard
    work: pa.Table  # schemas.PAIRS, the frozen pairs that the run wants scored
    deadline: float  # as monotonic() tells time

    @property
    def scorer_id(self) -> int:
        """The run's scorer. Raises CorruptError if the run has none."""
        if self.run.scorer_id is None:
            raise CorruptError(
                f"run {self.run.run_id} has pairs to score and no scorer; start a new run and report it"
            )
        return self.run.scorer_id

    def worklist(self) -> list[Pair]:
        """The pairs that the shard still has to score, in the order that they go into the engine."""
        return self._read(self.number)

    def rest(self) -> list[Pair]:
        """The pairs that the run's other shards still have to score, each shard from its end."""
        others = sorted(self.shards - {self.number}, key=lambda number: (number < self.number, number))
        rest = [pair for number in others for pair in reversed(self._read(number))]
        return list({(pair.query_id, pair.document_id): pair for pair in rest}.values())

    def left(self, unscored: int) -> int:
        """How many pairs of the whole run have no score; `unscored` are those of this shard."""
        if len(self.shards) == 1:
            return unscored
        with self.database.transaction(read_only=True) as connection:
            settled = ledger.settled(connection, self.run, self.work, rescore=self.run.rescore)
        return int(np.count_nonzero(~settled))

    @property
    def shards(self) -> set[int]:
        """The numbers of the run's shards."""
        return {*pc.unique(self.work.column("shard")).to_pylist(), self.number}

    def _read(self, number: int) -> list[Pair]:
        with self.database.transaction(read_only=True) as connection:
            return read_worklist(
                connection, self.run, self.work.filter(pc.equal(self.work.column("shard"), number))
            )


@dataclass(frozen=True)
class Round:
    """Pairs that go into the engine together, until it turns out that another try or run scores them too."""

    to_score: dict[
        tuple[int, int], Pair
    ]  # by query and document, in the order that they go in; those done leave
    chunks: Generator[ScoredChunk]
    met: list[Pair] = field(default_factory=list)  # the pairs at which another try or run was met

    @classmethod
    def of(cls, pairs: Sequence[Pair], chunks: Generator[ScoredChunk]) -> "Round":
        return cls({(pair.query_id, pair.document_id): pair for pair in pairs}, chunks)

    def take(self, chunk: ScoredChunk) -> list[Pair]:
        """The chunk is done; returns the pairs that come next, as many as the chunk had."""
        done = [score.pair for score in chunk.scores] + [refusal.pair for refusal in chunk.refused]
        for pair in done:
            del self.to_score[pair.query_id, pair.document_id]
        return list(islice(self.to_score.values(), len(done)))


def _rounds(
    task: ShardTask,
    mark: PoisonMark,
    scorer: Scorer,
    worklist: list[Pair],
    read: Callable[[], list[Pair]],
    *,
    is_first: bool,
) -> Iterator[Round]:
    """A round of the worklist. Each time that the caller asks again: a round of what `read` finds on the worklist then."""
    limits = {"flush_seconds": task.settings.flush_seconds, "deadline": task.deadline}
    asked = (
        mark.score(scorer, worklist, **limits) if is_first else _closable(scorer.score(worklist, **limits))
    )
    current = Round.of(worklist, asked)
    yield current
    while True:
        mark.spare()  # who scores the same pairs is alive: none of the pairs is to blame
        meetings = mark.meet(current.met, scorer_id=task.scorer_id)
        for wait in range(PATIENCE + 1):
            worklist = read()
            if not worklist:
                return
            if not meetings or len(worklist) > 2 * len(current.met) or wait == PATIENCE:
                break
            sleep(task.settings.flush_seconds)  # so few pairs are in the other try's engine
        ordered = _away_from_the_other(worklist, meetings)
        current = Round.of(ordered, _closable(scorer.score(ordered, **limits)))
        yield current


def _away_from_the_other(worklist: list[Pair], meetings: int) -> list[Pair]:
    """From the end backwards after the first meeting, from the front after the second, from the middle after the third."""
    if meetings % 3 == 1:
        return worklist[::-1]
    start = len(worklist) // 2 if meetings and meetings % 3 == 0 else 0
    return worklist[start:] + worklist[:start]


def _closable(chunks: Iterator[ScoredChunk]) -> Generator[ScoredChunk]:
    yield from chunks


@dataclass
class Tally:
    """What has been done of a worklist so far."""

    total: int  # pairs of the worklist, and `helped`
    helped: int = 0  # pairs of other shards, scored or refused
    began: float = field(default_factory=monotonic)
    said: float = field(default_factory=monotonic)
    scored: int = 0
    refused: int = 0
    unscored: int = 0
    truncated: int = 0
    neutralised: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    reasons: Counter[str] = field(default_factory=Counter)  # of refusals

    def add(self, chunk: ScoredChunk, *, written: int, unscored: int) -> None:
        """Count a chunk of which so many scores were new to the ledger."""
        self.scored += written
        self.refused += len(chunk.refused)
        self.reasons.update(refusal.reason for refusal in chunk.refused)
        self.unscored = unscored
        self.neutralised += len(chunk.neutralised)
        self.truncated += sum(score.truncated for score in chunk.scores)
        self.prompt_tokens += sum(score.prompt_tokens for score in chunk.scores)
        self.cached_tokens += sum(score.cached_tokens for score in chunk.scores)

    def log_progress(self, shard: int) -> None:
        """Log a line of progress every few seconds, and at the end."""
        now = monotonic()
        if now - self.said < SAY_SECONDS and self.unscored:
            return
        self.said = now
        rate = self.scored / max(now - self.began, 1e-6)
        log.info(
            "shard %d: %d pairs are scored, %d are left, %.1f pairs/s, %.0f s left",
            shard,
            self.scored,
            self.unscored,
            rate,
            self.unscored / max(rate, 1e-6),
        )


def score(task: ShardTask, mark: PoisonMark, scorer: Scorer, worklist: list[Pair]) -> Tally:
    """Score the worklist of the shard, then the rest of the run; both end at the task's deadline."""
    tally = Tally(total=len(worklist))
    if worklist:
        _score_rounds(
            task, scorer, _rounds(task, mark, scorer, worklist, task.worklist, is_first=True), tally
        )
    left, settled = tally.unscored, tally.scored + tally.refused
    rest = task.rest() if monotonic() < task.deadline else []
    if rest:
        log.info("shard %d: done; %d pairs of other shards are taken up", task.number, len(rest))
        read = task.rest
        _score_rounds(task, scorer, _rounds(task, mark, scorer, rest, read, is_first=not worklist), tally)
        tally.helped = tally.scored + tally.refused - settled
    tally.total, tally.unscored = tally.total + tally.helped, left
    for reason, pairs in tally.reasons.most_common(NAMED):
        log.warning("shard %d: the scorer refuses %d pairs: %s", task.number, pairs, reason)
    return tally


def _score_rounds(task: ShardTask, scorer: Scorer, rounds: Iterator[Round], tally: Tally) -> None:
    """Score round after round, until one ends without another task at the same pairs."""
    for current in rounds:
        tally.unscored = len(current.to_score)
        with closing(current.chunks) as chunks:
            for chunk in chunks:
                written = _keep(task, chunk, scorer.engine)
                following = current.take(chunk)
                tally.add(chunk, written=written, unscored=len(current.to_score))
                tally.log_progress(task.number)
                is_overtaken = written < len(chunk.scores)
                if is_overtaken or _has_any(task, following):
                    log.info("shard %d: another task scores these pairs, too", task.number)
                    current.met.extend([score.pair for score in chunk.scores] if is_overtaken else following)
                    tally.unscored = 0
                    break
            else:
                break


def _has_any(task: ShardTask, pairs: Sequence[Pair]) -> bool:
    """Whether the ledger has a score of one of these pairs that counts for the run."""
    with task.database.transaction(read_only=True) as connection:
        row = db.the(
            connection,
            "rerank.has_any",
            scorer_id=task.scorer_id,
            only_run_id=task.run.run_id if task.run.rescore else None,
            query_ids=[pair.query_id for pair in pairs],
            document_ids=[pair.document_id for pair in pairs],
            months=[pair.month for pair in pairs],
        )
    return bool(row["found"])


def _keep(task: ShardTask, chunk: ScoredChunk, engine_and_device: str) -> int:
    """Put a chunk into the ledger; returns how many of its scores were new to the ledger.

    Raises FencedError if the gate has blocked the run.
    """
    engine, _, device = engine_and_device.rpartition(" ")
    written = 0
    with task.database.transaction() as connection:
        ledger.hold_unblocked(connection, task.run)
        if chunk.scores:
            written = ledger.write(
                connection,
                chunk.scores,
                scorer_id=task.scorer_id,
                run_id=task.run.run_id,
                shard=task.number,
                engine=engine,
                device=device,
                replace=task.run.rescore,
            )
        if chunk.refused:
            ledger.write_refused(
                connection,
                [(refusal.pair, refusal.reason) for refusal in chunk.refused],
                scorer_id=task.scorer_id,
                run_id=task.run.run_id,
            )
    return written
