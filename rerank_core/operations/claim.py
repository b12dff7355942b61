"""Claim articles that the lookback of every run has passed by."""

from dataclasses import dataclass, fields
from datetime import datetime
from uuid import uuid4

from rerank_core import pipeline
from rerank_core.extract.extract import Extracted
from rerank_core.pipeline import Resources
from rerank_core.records import Run
from rerank_core.storage import database as db


@dataclass(frozen=True)
class ClaimedLate:
    """What was claimed from before the lookback."""

    run: Run
    counts: Extracted
    fresh: int  # of the claimed revisions, those young enough to be ranked


def claim_late(resources: Resources, *, since: datetime, until: datetime | None = None) -> ClaimedLate:
    """Claim what was ingested in this span, however long ago, by a run of its own that is never published.

    The next published run prepares the claimed articles, and ranks those that are within freshness. Raises InputError
    for an empty span or a time without its UTC offset, and what extract raises.
    """
    run = pipeline.open_run(resources, key=f"claim__{uuid4()}", since=since, until=until)
    result = pipeline.run_stage("extract", resources=resources, run_id=run.run_id)
    counts = Extracted(**{field.name: result[field.name] for field in fields(Extracted)})
    fresh_seconds = resources.settings.freshness_hours * 3600
    with resources.database.transaction(read_only=True) as connection:
        row = db.the(connection, "extract.fresh", run_id=run.run_id, fresh_seconds=fresh_seconds)
    return ClaimedLate(run=pipeline.get_run(resources, run.run_id), counts=counts, fresh=int(row["fresh"]))
