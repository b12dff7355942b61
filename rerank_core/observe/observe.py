"""A run in numbers: counts and times of every stage, how scoring went, and whether the scores have drifted."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from rerank_core.observe import arrivals, drift
from rerank_core.observe.drift import Drift, Logits
from rerank_core.records import Run
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.artifacts import Ids
from rerank_core.storage.copy import copy_out
from rerank_core.storage.database import Database

log = logging.getLogger(__name__)

NAMED = 10  # silences that one run tells of
LOGITS = pa.schema([("query_id", pa.int64()), ("logit", pa.float32())])


@dataclass(frozen=True)
class Observed:
    """How a run went. Fields of scoring are None if the run scored nothing; fields of the page, if it has not published."""

    scored: int
    latency_ms_p50: float | None  # of a pair, from its submission to the engine to its result
    latency_ms_p99: float | None
    pairs_per_second: float | None  # of one shard's task while it scored, the start of its engine apart
    logit_mean: float | None
    logit_p10: float | None
    logit_p50: float | None
    logit_p90: float | None
    page_age_seconds: float  # from the run's as-of time to its publication
    degraded: bool | None = None
    blocked: bool | None = None  # by the gate
    pairs_scored: int | None = None  # of the pairs that the page's topics wanted: scored by this run
    pairs_from_ledger: int | None = None  # scored before
    pairs_refused: int | None = None  # in quarantine
    pairs_missing: int | None = None  # without a score: in the light order
    pairs_left_out: int | None = None  # over the budget, left to a later run
    drift_psi: float | None = None  # of the run's logits against earlier runs'; None: too few on a side
    drift_pairs: int = 0  # of the run
    drift_baseline_pairs: int = 0
    silences: int = 0  # sources, languages and the whole intake that are silent or have collapsed
    fallen_silent: tuple[str, ...] = ()  # a sentence for each that was not at the run before


def observe(*, database: Database, settings: Settings, run: Run) -> Observed:
    """Compute and record the run's scoring metrics, and what has fallen silent."""
    with database.transaction() as connection:
        row = db.the(connection, "observe.scores", run_id=run.run_id)
        drifted = _drift(connection, run)
        silent, fallen = arrivals.look(connection, run, settings)
        result = Observed(
            **row,
            **(db.one(connection, "observe.pairs", run_id=run.run_id) or {}),
            drift_psi=drifted.psi,
            drift_pairs=drifted.pairs,
            drift_baseline_pairs=drifted.baseline_pairs,
            silences=len(silent),
            fallen_silent=tuple(each.sentence for each in fallen[:NAMED]),
        )
        db.execute(
            connection,
            "observe.psi",
            run_id=run.run_id,
            slugs=list(drifted.topics),
            psis=list(drifted.topics.values()),
        )
        record(connection, run_id=run.run_id, stage="observe", values=vars(result))
    for each in fallen[:NAMED]:
        log.warning("run %d: %s", run.run_id, each.sentence)
    if drifted.psi is not None and drifted.psi >= drift.SHIFT:
        log.warning(
            "run %d: its %d logits have drifted from the %d before: population stability index %.2f, the limit is %g",
            run.run_id,
            drifted.pairs,
            drifted.baseline_pairs,
            drifted.psi,
            drift.SHIFT,
        )
    return result


def _drift(connection: Connection, run: Run) -> Drift:
    earlier = db.rows(connection, "observe.baseline", run_id=run.run_id, enough=drift.ENOUGH)
    baseline_query_ids, baseline = _logits(connection, [row["run_id"] for row in earlier])
    query_ids, found = _logits(connection, [run.run_id])
    topics: dict[str, list[int]] = {}
    for row in db.rows(connection, "observe.queries", run_id=run.run_id):
        topics.setdefault(row["slug"], []).append(row["query_id"])
    return drift.measure(
        baseline_query_ids=baseline_query_ids,
        baseline=baseline,
        query_ids=query_ids,
        found=found,
        topics=topics,
    )


def _logits(connection: Connection, run_ids: list[int]) -> tuple[Ids, Logits]:
    """The finite logits that these runs made, and the query of each."""
    table = copy_out(connection, "observe.logits", LOGITS, run_ids=run_ids)
    logits = table.column("logit").to_numpy().astype(np.float64)
    finite = np.isfinite(logits)
    return table.column("query_id").to_numpy()[finite], logits[finite]


def record(connection: Connection, *, run_id: int, stage: str, values: Mapping[str, Any]) -> None:
    """Record the finite numbers among these values as metrics of a stage; a later attempt replaces them."""
    numbers = {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, (int, float)) and math.isfinite(value)
    }
    if numbers:
        db.execute(
            connection,
            "observe.record",
            run_id=run_id,
            stage=stage,
            names=list(numbers),
            values=list(numbers.values()),
        )
