"""Score one shard's pairs with the model, and write each score to the ledger within seconds.

Work is what the frozen pairs want minus what the ledger has, so a killed task resumes where it
stopped, and a rerun with nothing missing does not load the engine. Where another try, or another run,
scores the same pairs at the same time, the one that notices reads the ledger anew and goes on at the other
end (attempts.py). It notices when the ledger has what it has scored, or what comes next: two tries side by side score
at most a chunk each that the other has scored, one where they began and one where they meet at last. Pairs that the
deadline leaves unscored are left to the light order; the next run takes them up.
"""

import logging
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
from rerank_core.rerank import worklist
from rerank_core.rerank.poison import Attempt
from rerank_core.settings import Settings
from rerank_core.storage import artifacts, ledger
from rerank_core.storage import database as db
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)

SAY_SECONDS = 5.0  # between two lines of progress
PATIENCE = 3  # times `flush_seconds` that the last chunk of another try is waited for


@dataclass(frozen=True)
class Reranked:
    """Where each pair of the shard went."""

    shard: int
    pairs: int  # that had no score when the task began
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


def rerank(*, database: Database, store: Store, settings: Settings, run: Run, shard: int) -> Reranked:
    """Score what the shard still misses.

    On the CPU an engine that fails in a step is built anew once. Raises EngineError (retryable) where
    it fails again, or on a GPU; ModelError where the settings name another scorer than the run's; FencedError
    where the gate blocks the run meanwhile.
    """
    deadline = monotonic() + settings.scoring_minutes * 60
    result = _try(database, store, settings, run, shard, deadline=deadline, last=False) or _try(
        database, store, settings, run, shard, deadline=deadline, last=True
    )
    assert result is not None
    return result


def _try(
    database: Database,
    store: Store,
    settings: Settings,
    run: Run,
    shard: int,
    *,
    deadline: float,
    last: bool,
) -> Reranked | None:
    """Score with one engine; None where it failed and another may be built."""
    started = monotonic()
    pairs = artifacts.read_pairs(store, run)
    mine = pairs.filter(pc.fill_null(pc.equal(pairs.column("shard"), shard), False))
    with database.transaction(read_only=True) as connection:
        wanted = worklist.unsettled_pairs(connection, run, mine)
        if wanted:
            assert run.scorer_id is not None
            scorers.expect(connection, settings, run.scorer_id)
    if not wanted or monotonic() >= deadline:  # in time for nothing: the engine need not start
        return Reranked(shard, len(wanted), 0, 0, len(wanted), 0, 0, 0, 0, 0, 0.0, 0.0)
    attempt = Attempt.begin(database, run_id=run.run_id, shard=shard)
    culprits = [pair for pair in wanted if (pair.query_id, pair.document_id) == attempt.culprit]
    if culprits:
        _refuse(database, run, culprits[0])
        wanted.remove(culprits[0])
    log.info("shard %d: %d pairs to score; the engine starts", shard, len(wanted))
    with closing(scorers.load(settings, failures=attempt.failures, pairs=len(wanted))) as scorer:
        loaded = monotonic()
        _keep_canary(database, run, shard, scorer)
        rounds = _rounds(database, settings, run, mine, attempt, scorer, wanted, deadline=deadline)
        try:
            result = _write(database, run, shard, len(wanted), scorer, rounds, loaded - started)
        except ChunkFailed as error:
            if last or not scorer.engine.endswith(" cpu"):
                raise
            log.warning("shard %d: %s; the engine is built anew, once", shard, error)
            return None
        except BaseException:
            with suppress(RetryableError):  # the database itself may be what is away
                attempt.spare()
            raise
    attempt.end()
    if result.pairs != result.scored + result.refused + result.unscored + result.elsewhere:
        raise CorruptError(f"run {run.run_id}: the pairs of shard {shard} do not add up: {result}")
    return replace(result, pairs=result.pairs + len(culprits), refused=result.refused + len(culprits))


def _keep_canary(database: Database, run: Run, shard: int, scorer: Scorer) -> None:
    """Before the first score: a task that is killed leaves scores too, and the gate asks for their engine's canary."""
    if scorer.canary_margin is not None:
        with database.transaction() as connection:
            db.execute(
                connection,
                "observe.record",
                run_id=run.run_id,
                stage=f"rerank[{shard}]",
                names=["canary_margin"],
                values=[scorer.canary_margin],
            )


def _refuse(database: Database, run: Run, pair: Pair) -> None:
    assert run.scorer_id is not None
    reason = "the engine failed, or its task was killed, while this pair was in it by itself"
    log.error("query %d × document %d is refused: %s", pair.query_id, pair.document_id, reason)
    with database.transaction() as connection:
        ledger.write_refused(connection, [(pair, reason)], scorer_id=run.scorer_id, run_id=run.run_id)


@dataclass(frozen=True)
class Workload:
    """What is left to score of a frozen run."""

    pairs: int
    tokens: int  # of the prompts
    seconds: float | None  # at the latest speed of the run's scorer; null: it has not scored here yet


def workload(*, database: Database, store: Store, settings: Settings, run: Run) -> Workload:
    """Count what the run's shards would score, without an engine. Raises ModelError as `rerank` does."""
    pairs = artifacts.read_pairs(store, run)
    work = pairs.filter(pairs.column("work"))
    with database.transaction(read_only=True) as connection:
        wanted = worklist.unsettled_pairs(connection, run, work)
        speed = db.one(connection, "rerank.speed", scorer_id=run.scorer_id)
    if not wanted:
        return Workload(pairs=0, tokens=0, seconds=0.0)
    prompter = scorers.prompter(settings)
    tokens = 0
    for pair in wanted:
        with suppress(InputError):  # its query is too long: the scorer will refuse the pair
            prompt = prompter.prompt(instruction=pair.instruction, query=pair.query, document=pair.document)
            tokens += prompt.tokens
    seconds = None if speed is None else speed["load_seconds"] + tokens * speed["seconds_per_token"]
    return Workload(pairs=len(wanted), tokens=tokens, seconds=seconds)


@dataclass(frozen=True)
class _Round:
    """Pairs that go into the engine together, until it turns out that another try or run scores them, too."""

    left: dict[tuple[int, int], Pair]  # not done yet, by query and document, in the order that they go in
    chunks: Generator[ScoredChunk]
    met: list[Pair] = field(default_factory=list)  # among which it turned out

    @classmethod
    def of(cls, pairs: Sequence[Pair], chunks: Generator[ScoredChunk]) -> "_Round":
        return cls({(pair.query_id, pair.document_id): pair for pair in pairs}, chunks)

    def take(self, chunk: ScoredChunk) -> list[Pair]:
        """The chunk is done; returns the pairs that come next, as many as it had."""
        done = [score.pair for score in chunk.scores] + [refusal.pair for refusal in chunk.refused]
        for pair in done:
            del self.left[pair.query_id, pair.document_id]
        return list(islice(self.left.values(), len(done)))


def _rounds(
    database: Database,
    settings: Settings,
    run: Run,
    mine: pa.Table,
    attempt: Attempt,
    scorer: Scorer,
    wanted: list[Pair],
    *,
    deadline: float,
) -> Iterator[_Round]:
    """One round, and a further one with what is still missing each time that it is asked for."""
    assert run.scorer_id is not None
    here = _Round.of(
        wanted,
        attempt.score(scorer, wanted, flush_seconds=settings.flush_seconds, deadline=deadline),
    )
    yield here
    while True:
        attempt.spare()  # who scores the same pairs is alive: none of them is to blame
        meetings = attempt.meet(here.met, scorer_id=run.scorer_id)
        for wait in range(PATIENCE + 1):
            with database.transaction(read_only=True) as connection:
                left = worklist.unsettled_pairs(connection, run, mine)
            if not left:
                return
            if not meetings or len(left) > 2 * len(here.met) or wait == PATIENCE:
                break
            sleep(settings.flush_seconds)  # so few are left that the other one has them in its engine
        ordered = _placed(left, meetings)
        chunks = scorer.score(ordered, flush_seconds=settings.flush_seconds, deadline=deadline)
        here = _Round.of(ordered, _closable(chunks))
        yield here


def _placed(left: list[Pair], meetings: int) -> list[Pair]:
    """The pairs from the end backwards after the first meeting, from the front after the second, then from the middle."""
    if meetings % 3 == 1:
        return left[::-1]
    start = len(left) // 2 if meetings and meetings % 3 == 0 else 0
    return left[start:] + left[:start]


def _closable(chunks: Iterator[ScoredChunk]) -> Generator[ScoredChunk]:
    yield from chunks


def _write(
    database: Database,
    run: Run,
    shard: int,
    total: int,
    scorer: Scorer,
    rounds: Iterator[_Round],
    load_seconds: float,
) -> Reranked:
    assert run.scorer_id is not None
    engine, _, device = scorer.engine.rpartition(" ")
    scored = refused = unscored = truncated = neutralised = prompt_tokens = cached_tokens = 0
    began = said = monotonic()
    for one in rounds:
        unscored = len(one.left)
        with closing(one.chunks) as chunks:
            for chunk in chunks:
                written = _keep(database, run, shard, chunk, engine=engine, device=device)
                scored += written
                refused += len(chunk.refused)
                following = one.take(chunk)
                unscored = len(one.left)
                neutralised += len(chunk.neutralised)
                truncated += sum(score.truncated for score in chunk.scores)
                prompt_tokens += sum(score.prompt_tokens for score in chunk.scores)
                cached_tokens += sum(score.cached_tokens for score in chunk.scores)
                now = monotonic()
                if now - said >= SAY_SECONDS or unscored == 0:
                    said = now
                    rate = scored / max(now - began, 1e-6)
                    left = unscored / max(rate, 1e-6)
                    log.info(
                        "shard %d: %d of %d pairs, %.1f pairs/s, %.0f s left",
                        shard,
                        total - unscored,
                        total,
                        rate,
                        left,
                    )
                overtaken = written < len(chunk.scores)
                if overtaken or _has_any(database, run, following):
                    log.info("shard %d: another try or run scores these pairs, too", shard)
                    one.met.extend([score.pair for score in chunk.scores] if overtaken else following)
                    unscored = 0
                    break
            else:
                break
    return Reranked(
        shard=shard,
        pairs=total,
        scored=scored,
        refused=refused,
        unscored=unscored,
        elsewhere=total - scored - refused - unscored,
        truncated=truncated,
        neutralised=neutralised,
        prompt_tokens=prompt_tokens,
        cached_tokens=cached_tokens,
        load_seconds=load_seconds,
        score_seconds=monotonic() - began,
    )


def _has_any(database: Database, run: Run, pairs: Sequence[Pair]) -> bool:
    """Whether the ledger has a score of one of these pairs that counts for the run."""
    with database.transaction(read_only=True) as connection:
        row = db.one(
            connection,
            "rerank.has_any",
            scorer_id=run.scorer_id,
            only_run_id=run.run_id if run.rescore else None,
            query_ids=[pair.query_id for pair in pairs],
            document_ids=[pair.document_id for pair in pairs],
            months=[pair.month for pair in pairs],
        )
    assert row is not None
    return bool(row["found"])


def _keep(database: Database, run: Run, shard: int, chunk: ScoredChunk, *, engine: str, device: str) -> int:
    """Put a chunk into the ledger; returns how many of its scores the ledger did not have."""
    assert run.scorer_id is not None
    written = 0
    with database.transaction() as connection:
        ledger.hold_unblocked(connection, run)
        if chunk.scores:
            written = ledger.write(
                connection,
                chunk.scores,
                scorer_id=run.scorer_id,
                run_id=run.run_id,
                shard=shard,
                engine=engine,
                device=device,
                replace=run.rescore,
            )
        if chunk.refused:
            ledger.write_refused(
                connection,
                [(refusal.pair, refusal.reason) for refusal in chunk.refused],
                scorer_id=run.scorer_id,
                run_id=run.run_id,
            )
    return written
