"""What a run did, in numbers: counts of every stage, their times, and how scoring went."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from rerank_core import database as db
from rerank_core.database import Database
from rerank_core.records import Run


@dataclass(frozen=True)
class Observed:
    """How a run went; fields of its scoring are null where it scored nothing, those of its page where it has none."""

    scored: int
    latency_ms_p50: float | None  # of a pair, from its submission to the engine to its result
    latency_ms_p99: float | None
    pairs_per_second: float | None  # from the first to the last write to the ledger
    logit_mean: float | None
    logit_p10: float | None
    logit_p50: float | None
    logit_p90: float | None
    page_age_seconds: float  # from the run's as-of time to its publication
    degraded: bool | None = None
    pairs_scored: int | None = None  # of what the page's topics wanted: scored by this run
    pairs_from_ledger: int | None = None  # scored before
    pairs_refused: int | None = None  # in quarantine
    pairs_missing: int | None = None  # without a score: in the light order
    pairs_left_out: int | None = None  # over the budget, carried over


def observe(*, database: Database, run: Run) -> Observed:
    """Compute and record the run's scoring metrics."""
    with database.transaction() as connection:
        row = db.one(connection, "observe_scores", run_id=run.run_id)
        assert row is not None
        result = Observed(**row, **(db.one(connection, "observe_pairs", run_id=run.run_id) or {}))
        record(connection, run_id=run.run_id, stage="observe", values=vars(result))
    return result


def record(connection: Connection, *, run_id: int, stage: str, values: Mapping[str, Any]) -> None:
    """Keep the numbers among these values as metrics of a stage; a later try of it replaces them."""
    numbers = {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, (int, float)) and math.isfinite(value)
    }
    if numbers:
        db.execute(
            connection,
            "observe_record",
            run_id=run_id,
            stage=stage,
            names=list(numbers),
            values=list(numbers.values()),
        )
