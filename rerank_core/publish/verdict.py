"""What the gate finds on the page of a run, and which page is published because of it.

The page with all scores of the run is ranked and judged first. If the gate finds a fault, it blocks the run: the scores of
the run leave the ledger, and the page is ranked again from what is left. Readers get the page of a blocked run only
if that page is not too empty; else they keep the page that they have, which is older and fuller.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import pyarrow as pa
from sqlalchemy import Connection

from rerank_core.errors import NoLightOrder
from rerank_core.publish import editorial, gate, hidden
from rerank_core.publish.standings import Standings, rank_page
from rerank_core.records import Act, Run
from rerank_core.rerank import degrade
from rerank_core.settings import Settings
from rerank_core.storage import runs
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

log = logging.getLogger(__name__)

T = TypeVar("T")
# A page, the articles that it leaves out (→ why), and the acts that it follows.
_Ranked = tuple[Standings, Mapping[str, str], Sequence[Act]]


@dataclass(frozen=True)
class Inputs:
    """What a publication is made from, read before anything is judged."""

    database: Database
    store: Store
    settings: Settings
    run: Run
    fence: int
    members: pa.Table  # schemas.MEMBERS
    article_ids: frozenset[str]  # of the freshness window
    deleted: Collection[str] | None  # of these, gone from the source; null: the source did not answer


@dataclass(frozen=True)
class Verdict:
    """The page to publish, and what the gate found."""

    standings: Standings
    hidden: Mapping[str, str]  # article of the window → why the page leaves it out
    acts: Sequence[Act]  # of editors, that the page follows
    spread: gate.Spread  # of the scores that the run made
    blocked: str | None = None  # which checks failed, and by how much; null: the run passes
    distrusted: int = 0  # scores of the run that count for nothing, because it is blocked
    early: bool = False  # not all that the run claimed is prepared
    moves_pointer: bool = (
        True  # false: the run is blocked, and what is left of its page is too empty for readers
    )

    @property
    def missing(self) -> int:
        """Pairs of the page that have no score."""
        return sum(topic.missing for topic in self.standings.topics.values())

    @property
    def degraded(self) -> bool:
        topics = self.standings.topics.values()
        return self.blocked is not None or self.early or any(topic.state == "degraded" for topic in topics)


@dataclass(frozen=True)
class _Judged:
    """The page with all scores of the run, and what is wrong with it."""

    standings: Standings | None  # null: these scores cannot be ranked
    hidden: Mapping[str, str]
    acts: Sequence[Act]
    spread: gate.Spread
    faults: tuple[str, ...]  # a sentence each; empty: the run passes


def judge(inputs: Inputs) -> Verdict:
    """Judge the run, block it if it fails, and rank the page that is left to publish.

    Raises FencedError if a newer try has begun, CorruptError if an artifact of the run is gone.
    """
    run = inputs.run
    judged = _with_light_order(inputs, _judge_with_scores)
    if judged.standings is not None and not judged.faults:
        return Verdict(judged.standings, judged.hidden, judged.acts, judged.spread, early=run.early)
    blocked = "; ".join(judged.faults)
    log.error("run %d is blocked: %s", run.run_id, blocked)
    with inputs.database.transaction() as connection:
        runs.hold_fence(connection, run.run_id, inputs.fence)
        distrusted = gate.block(connection, run, fence=inputs.fence, sentence=blocked)
    ranked, is_too_empty = _with_light_order(inputs, _rank_without_scores)
    return Verdict(
        *ranked, judged.spread, blocked, distrusted, early=run.early, moves_pointer=not is_too_empty
    )


def _judge_with_scores(inputs: Inputs) -> _Judged:
    """Judge the page with all scores of the run, also those that an earlier try was blocked for."""
    run = inputs.run
    with inputs.database.transaction(read_only=True) as connection:
        decision = gate.latest(connection, run.run_id)
        if decision is None or decision.verdict == "passed":
            return _check(connection, inputs)
    with inputs.database.transaction() as connection:
        runs.hold_fence(connection, run.run_id, inputs.fence)
        trial = connection.begin_nested()
        gate.trust(connection, run.run_id)
        if decision.verdict == "approved":
            return _Judged(*_rank(connection, inputs), gate.spread(connection, run), ())
        judged = _check(connection, inputs)
        if judged.faults:
            trial.rollback()  # the scores stay set aside
        else:
            gate.decide(connection, run.run_id, "passed", "a later try passed", fence=inputs.fence)
        return judged


def _check(connection: Connection, inputs: Inputs) -> _Judged:
    """Every check of the gate."""
    run, share = inputs.run, inputs.settings.gate_empty_share
    spread = gate.spread(connection, run)
    faults = gate.check_scores(connection, run, spread)
    if spread.not_finite:
        return _Judged(None, {}, (), spread, tuple(faults))
    page, left_out, acts = _rank(connection, inputs)
    faults += gate.check_counts(connection, run, page)
    faults += gate.check_empty(connection, run, page.topics, hidden=left_out, share=share)
    return _Judged(page, left_out, acts, spread, tuple(faults))


def _rank_without_scores(inputs: Inputs) -> tuple[_Ranked, bool]:
    """The page of a blocked run, and whether it is too empty for readers."""
    share = inputs.settings.gate_empty_share
    with inputs.database.transaction(read_only=True) as connection:
        page, left_out, acts = _rank(connection, inputs)
        faults = gate.check_empty(connection, inputs.run, page.topics, hidden=left_out, share=share)
    return (page, left_out, acts), bool(faults)


def _rank(connection: Connection, inputs: Inputs) -> _Ranked:
    """Rank the page from what the ledger holds now."""
    run = inputs.run
    left_out = hidden.hidden_articles(connection, run.pipeline, inputs.article_ids, inputs.deleted)
    acts = editorial.acts_of(connection, run)
    page = rank_page(
        connection, store=inputs.store, run=run, members=inputs.members, hidden=left_out, acts=acts
    )
    return page, left_out, acts


def _with_light_order(inputs: Inputs, look: Callable[[Inputs], T]) -> T:
    """Look at the page. If pairs lost their scores after the degrade stage, order them now and look again."""
    run = inputs.run
    try:
        return look(inputs)
    except NoLightOrder as error:
        log.warning("run %d: %s; it is made now", run.run_id, error)
    degrade.order_missing(
        database=inputs.database, store=inputs.store, settings=inputs.settings, run=run, fence=inputs.fence
    )
    with inputs.database.transaction(read_only=True) as connection:
        run = runs.get(connection, run.run_id)
    return look(replace(inputs, run=run))
