"""Score one shard's pairs with the model, and write each score to the ledger within seconds.

The worklist is what the frozen pairs ask for minus what the ledger has. So a killed task resumes at the pair where it
stopped, and a rerun with an empty worklist does not load the engine. The deadline may leave pairs unscored: they get the
light order, and the next run takes them up.

Tasks of a run help each other, and two tries never score the whole of a shard twice: rounds.py.
"""

import logging
from contextlib import closing, suppress
from dataclasses import dataclass
from time import monotonic

import pyarrow.compute as pc

from rerank_core.errors import EngineError, InputError, RetryableError
from rerank_core.models import scorers
from rerank_core.models.base import ChunkFailed, Scorer
from rerank_core.records import Pair, Run
from rerank_core.rerank import hosts, rounds
from rerank_core.rerank.poison import PoisonMark
from rerank_core.rerank.rounds import ShardTask
from rerank_core.rerank.worklist import read_worklist
from rerank_core.settings import Settings
from rerank_core.storage import artifacts, ledger
from rerank_core.storage import database as db
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reranked:
    """Where each pair of the shard went."""

    shard: int
    shards: int  # of the run
    pairs: int  # of the worklist when the task began, and `helped`
    unscored: int  # the deadline came first
    left: int  # pairs of the whole run that had no score when the task ended; 0: it is complete
    scored: int = 0
    refused: int = 0  # in quarantine, with a reason
    elsewhere: int = 0  # another task or run was quicker to score them
    helped: int = 0  # pairs of the run's other shards, in `pairs` and in `scored` or `refused`
    truncated: int = 0  # of the scored
    neutralised: int = 0  # of the scored: the text imitated a label of the prompt
    prompt_tokens: int = 0
    cached_tokens: int = 0  # of these, not computed again
    load_seconds: float = 0.0  # start of the engine
    score_seconds: float = 0.0


def rerank(*, database: Database, store: Store, settings: Settings, run: Run, shard: int) -> Reranked:
    """Score the worklist of the shard, and then what the run's other shards still miss.

    On the CPU, an engine that fails in a step is built again, once. Raises EngineError (retryable) if the engine fails
    again, or fails on a GPU; ModelError if the settings name another scorer than the run's; FencedError if the gate
    blocks the run meanwhile.
    """
    deadline = monotonic() + settings.scoring_minutes * 60
    with database.transaction(read_only=True) as connection:
        settings = scorers.in_use(connection, settings, frozen_id=run.scorer_id)
    work, _ = artifacts.read_work(store, run)
    work = work.filter(pc.is_valid(work.column("shard")))
    task = ShardTask(database, settings, run, shard, work, deadline)
    result = _score_with_one_engine(task)
    if isinstance(result, ChunkFailed):
        log.warning("shard %d: %s; the engine is built again, once", shard, result)
        result = _score_with_one_engine(task)
    if isinstance(result, ChunkFailed):
        raise result
    return result


def _score_with_one_engine(task: ShardTask) -> Reranked | ChunkFailed:
    """Score the worklist; returns the error if an engine on the CPU failed in a step: another one may be built."""
    started = monotonic()
    run, shard = task.run, task.number
    worklist = task.worklist()
    waiting = worklist or task.rest()
    if waiting:
        with task.database.transaction(read_only=True) as connection:
            scorers.expect(connection, task.settings, task.scorer_id)
    if not waiting or monotonic() >= task.deadline:  # the engine would score nothing
        unscored = len(worklist)
        return Reranked(shard, len(task.shards), pairs=unscored, unscored=unscored, left=task.left(unscored))
    mark = PoisonMark.leave(task.database, run_id=run.run_id, shard=shard)
    poison = [pair for pair in waiting if (pair.query_id, pair.document_id) == mark.poison]
    if poison:
        _refuse(task, poison[0])
        worklist = [pair for pair in worklist if pair is not poison[0]]
    log.info("shard %d: %d pairs to score; the engine starts", shard, len(worklist))
    with closing(_load(task, failures=mark.failures, pairs=len(waiting))) as scorer:
        load_seconds = monotonic() - started
        _keep_canary(task, scorer)
        try:
            tally = rounds.score(task, mark, scorer, worklist)
        except ChunkFailed as error:  # the mark stays: the next try goes carefully
            if scorer.engine.endswith(" cpu"):
                return error
            raise
        except BaseException:
            with suppress(RetryableError):  # the database itself may be what is away
                mark.spare()
            raise
    mark.remove()
    return Reranked(
        shard=shard,
        pairs=tally.total + len(poison),
        scored=tally.scored,
        refused=tally.refused + len(poison),
        unscored=tally.unscored,
        elsewhere=tally.total - tally.scored - tally.refused - tally.unscored,
        helped=tally.helped,
        left=task.left(tally.unscored),
        shards=len(task.shards),
        truncated=tally.truncated,
        neutralised=tally.neutralised,
        prompt_tokens=tally.prompt_tokens,
        cached_tokens=tally.cached_tokens,
        load_seconds=load_seconds,
        score_seconds=monotonic() - tally.began,
    )


def _load(task: ShardTask, *, failures: int, pairs: int) -> Scorer:
    """As scorers.load; if the engine does not start, other hosts come first for a while."""
    try:
        return scorers.load(task.settings, failures=failures, pairs=pairs)
    except EngineError as error:
        hosts.keep_away(database=task.database, settings=task.settings, error=error)
        raise


def _keep_canary(task: ShardTask, scorer: Scorer) -> None:
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


def _refuse(task: ShardTask, pair: Pair) -> None:
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
    work, _ = artifacts.read_work(store, run)
    with database.transaction(read_only=True) as connection:
        worklist = read_worklist(connection, run, work)
        settings = scorers.in_use(connection, settings, frozen_id=run.scorer_id)
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
