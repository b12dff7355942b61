"""Score one shard's pairs with the model, and write each score to the ledger within seconds.

The worklist is what the frozen pairs ask for minus what the ledger has. So a killed task resumes at the pair where it
stopped, and a rerun with an empty worklist does not load the engine. The deadline may leave pairs unscored: they get the
light order, and the next run takes them up.

Another try, or another run, may score the same pairs at the same time. A try notices that when the ledger already has
what it has scored, or what comes next. It then reads its worklist again and goes on at the other end (poison.PoisonMark.meet). So
two tries side by side score at most two chunks twice: one where they began and one where they meet at last.
"""

import logging
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from time import monotonic, sleep

import pyarrow as pa
import pyarrow.compute as pc

from rerank_core.errors import CorruptError, InputError, RetryableError
from rerank_core.models import scorers
from rerank_core.models.base import ChunkFailed, ScoredChunk, Scorer
from rerank_core.records import Pair, Run
from rerank_core.rerank.poison import PoisonMark
from rerank_core.rerank.worklist import read_worklist
from rerank_core.settings import Settings
from rerank_core.storage import artifacts, ledger
from rerank_core.storage import database as db
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)

SAY_SECONDS = 5.0  # between two lines of progress
NAMED = 10  # reasons of refusals that a shard's log names, those of most pairs first
PATIENCE = 3  # times `flush_seconds` that the last chunk of another try is waited for


@dataclass(frozen=True)
class Reranked:
    """Where each pair of the shard went."""

    shard: int
    pairs: int  # of the worklist when the task began
    scored: int
    refused: int  # in quarantine, with a reason
    unscored: int  # the deadline came first
    elsewhere: int  # another try or run was quicker to score them
    truncated: int  # of the scored
    neutralised: int  # of the scored: the text imitated a label of the prompt
    prompt_tokens: int
    cached_tokens: int  # of these, not computed again
    load_seconds: float  # start of the engine
    score_seconds: float


@dataclass(frozen=True)
class _Shard:
    """The shard that a task scores."""

    database: Database
    settings: Settings
    run: Run
    number: int
    pairs: pa.Table  # schemas.PAIRS, the frozen pairs of the shard
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
        with self.database.transaction(read_only=True) as connection:
            return read_worklist(connection, self.run, self.pairs)


def rerank(*, database: Database, store: Store, settings: Settings, run: Run, shard: int) -> Reranked:
    """Score the worklist of the shard.

    On the CPU, an engine that fails in a step is built again, once. Raises EngineError (retryable) if the engine fails
    again, or fails on a GPU; ModelError if the settings name another scorer than the run's; FencedError if the gate
    blocks the run meanwhile.
    """
    deadline = monotonic() + settings.scoring_minutes * 60
    pairs = artifacts.read_pairs(store, run)
    own_pairs = pairs.filter(pc.fill_null(pc.equal(pairs.column("shard"), shard), False))
    task = _Shard(database, settings, run, shard, own_pairs, deadline)
    result = _score_with_one_engine(task)
    if isinstance(result, ChunkFailed):
        log.warning("shard %d: %s; the engine is built again, once", shard, result)
        result = _score_with_one_engine(task)
    if isinstance(result, ChunkFailed):
        raise result
    return result


def _score_with_one_engine(task: _Shard) -> Reranked | ChunkFailed:
    """Score the worklist; returns the error if an engine on the CPU failed in a step: another one may be built."""
    started = monotonic()
    run, shard = task.run, task.number
    worklist = task.worklist()
    if worklist:
        with task.database.transaction(read_only=True) as connection:
            scorers.expect(connection, task.settings, task.scorer_id)
    if not worklist or monotonic() >= task.deadline:  # the engine would score nothing
        return Reranked(shard, len(worklist), 0, 0, len(worklist), 0, 0, 0, 0, 0, 0.0, 0.0)
    mark = PoisonMark.leave(task.database, run_id=run.run_id, shard=shard)
    poison = [pair for pair in worklist if (pair.query_id, pair.document_id) == mark.poison]
    if poison:
        _refuse(task, poison[0])
        worklist.remove(poison[0])
    log.info("shard %d: %d pairs to score; the engine starts", shard, len(worklist))
    with closing(scorers.load(task.settings, failures=mark.failures, pairs=len(worklist))) as scorer:
        load_seconds = monotonic() - started
        _keep_canary(task, scorer)
        rounds = _rounds(task, mark, scorer, worklist)
        try:
            result = _score_rounds(task, scorer, rounds, total=len(worklist), load_seconds=load_seconds)
        except ChunkFailed as error:  # the mark stays: the next try goes carefully
            if scorer.engine.endswith(" cpu"):
                return error
            raise
        except BaseException:
            with suppress(RetryableError):  # the database itself may be what is away
                mark.spare()
            raise
    mark.remove()
    if result.pairs != result.scored + result.refused + result.unscored + result.elsewhere:
        raise CorruptError(
            f"run {run.run_id}: the pairs of shard {shard} do not add up: {result}; start a new run, and report it"
        )
    return replace(result, pairs=result.pairs + len(poison), refused=result.refused + len(poison))


def _keep_canary(task: _Shard, scorer: Scorer) -> None:
    """Keep the canary's margin before the first score: the gate asks for it, also if the task is killed."""
    if scorer.canary_margin is not None:
        with task.database.transaction() as connection:
            db.execute(
                connection,
                "observe.record",
                run_id=task.run.run_id,
                stage=f"rerank[{task.number}]",
                names=["canary_margin"],
                values=[scorer.canary_margin],
            )


def _refuse(task: _Shard, pair: Pair) -> None:
    reason = "the engine failed, or its task was killed, while this pair was in it by itself"
    log.error("query %d × document %d is refused: %s", pair.query_id, pair.document_id, reason)
    with task.database.transaction() as connection:
        ledger.write_refused(connection, [(pair, reason)], scorer_id=task.scorer_id, run_id=task.run.run_id)


@dataclass(frozen=True)
class Workload:
    """What is left to score of a frozen run."""

    pairs: int
    tokens: int  # of the prompts
    cached: (
        int | None
    )  # of these, if the prefix cache serves the share that it served lately; null: not known
    cut_pairs: int  # whose document is longer than the model reads
    cut_tokens: int  # of these documents, each counted once, that the model does not read
    seconds: float | None  # at the latest speed of the run's scorer; null: it has not scored here yet


def workload(*, database: Database, store: Store, settings: Settings, run: Run) -> Workload:
    """Count what the run's shards would score, without an engine. Raises ModelError as `rerank` does."""
    pairs = artifacts.read_pairs(store, run)
    work = pairs.filter(pairs.column("work"))
    with database.transaction(read_only=True) as connection:
        worklist = read_worklist(connection, run, work)
        speed = db.one(connection, "rerank.speed", scorer_id=run.scorer_id)
    if not worklist:
        return Workload(pairs=0, tokens=0, cached=0, cut_pairs=0, cut_tokens=0, seconds=0.0)
    prompter = scorers.prompter(settings)
    tokens = cut_pairs = 0
    cut_documents: dict[int, str] = {}
    for pair in worklist:
        with suppress(InputError):  # its query is too long: the scorer will refuse the pair
            media = {"pictures": pair.pictures} if pair.pictures else {}
            prompt = prompter.prompt(
                instruction=pair.instruction, query=pair.query, document=pair.document, **media
            )
            tokens += prompt.tokens
            if prompt.truncated:
                cut_pairs += 1
                cut_documents[pair.document_id] = pair.document
    return Workload(
        pairs=len(worklist),
        tokens=tokens,
        cached=None if speed is None else round(tokens * speed["cached_share"]),
        cut_pairs=cut_pairs,
        cut_tokens=sum(map(prompter.count_cut, cut_documents.values())),
        seconds=None if speed is None else speed["load_seconds"] + tokens * speed["seconds_per_token"],
    )


@dataclass(frozen=True)
class _Round:
    """Pairs that go into the engine together, until it turns out that another try or run scores them too."""

    to_score: dict[
        tuple[int, int], Pair
    ]  # by query and document, in the order that they go in; those done leave
    chunks: Generator[ScoredChunk]
    met: list[Pair] = field(default_factory=list)  # the pairs at which another try or run was met

    @classmethod
    def of(cls, pairs: Sequence[Pair], chunks: Generator[ScoredChunk]) -> "_Round":
        return cls({(pair.query_id, pair.document_id): pair for pair in pairs}, chunks)

    def take(self, chunk: ScoredChunk) -> list[Pair]:
        """The chunk is done; returns the pairs that come next, as many as the chunk had."""
        done = [score.pair for score in chunk.scores] + [refusal.pair for refusal in chunk.refused]
        for pair in done:
            del self.to_score[pair.query_id, pair.document_id]
        return list(islice(self.to_score.values(), len(done)))


def _rounds(task: _Shard, mark: PoisonMark, scorer: Scorer, worklist: list[Pair]) -> Iterator[_Round]:
    """A round of the worklist. Each time that the caller asks again: a round of what is on the worklist then."""
    limits = {"flush_seconds": task.settings.flush_seconds, "deadline": task.deadline}
    current = _Round.of(worklist, mark.score(scorer, worklist, **limits))
    yield current
    while True:
        mark.spare()  # who scores the same pairs is alive: none of the pairs is to blame
        meetings = mark.meet(current.met, scorer_id=task.scorer_id)
        for wait in range(PATIENCE + 1):
            worklist = task.worklist()
            if not worklist:
                return
            if not meetings or len(worklist) > 2 * len(current.met) or wait == PATIENCE:
                break
            sleep(task.settings.flush_seconds)  # so few pairs are in the other try's engine
        ordered = _away_from_the_other(worklist, meetings)
        current = _Round.of(ordered, _closable(scorer.score(ordered, **limits)))
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
class _Tally:
    """What has been done of a worklist so far."""

    total: int
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
            "shard %d: %d of %d pairs, %.1f pairs/s, %.0f s left",
            shard,
            self.total - self.unscored,
            self.total,
            rate,
            self.unscored / max(rate, 1e-6),
        )


def _score_rounds(
    task: _Shard, scorer: Scorer, rounds: Iterator[_Round], *, total: int, load_seconds: float
) -> Reranked:
    """Score round after round, until one ends without another try or run at the same pairs."""
    tally = _Tally(total)
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
                    log.info("shard %d: another try or run scores these pairs, too", task.number)
                    current.met.extend([score.pair for score in chunk.scores] if is_overtaken else following)
                    tally.unscored = 0
                    break
            else:
                break
    for reason, pairs in tally.reasons.most_common(NAMED):
        log.warning("shard %d: the scorer refuses %d pairs: %s", task.number, pairs, reason)
    return Reranked(
        shard=task.number,
        pairs=total,
        scored=tally.scored,
        refused=tally.refused,
        unscored=tally.unscored,
        elsewhere=total - tally.scored - tally.refused - tally.unscored,
        truncated=tally.truncated,
        neutralised=tally.neutralised,
        prompt_tokens=tally.prompt_tokens,
        cached_tokens=tally.cached_tokens,
        load_seconds=load_seconds,
        score_seconds=monotonic() - tally.began,
    )


def _has_any(task: _Shard, pairs: Sequence[Pair]) -> bool:
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


def _keep(task: _Shard, chunk: ScoredChunk, engine_and_device: str) -> int:
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
