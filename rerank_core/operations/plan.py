"""What a run that began now would have to do, without doing it."""

import tempfile
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from rerank_core import pipeline
from rerank_core.pipeline import Resources
from rerank_core.rerank import rerank
from rerank_core.storage.store import Store


@dataclass(frozen=True)
class Plan:
    """What a run that began now would have to do."""

    articles: int  # revisions it would claim
    topics: int
    pairs: int  # it would score
    in_ledger: int  # candidates that have a score already
    left_out: int  # pairs over its budget
    tokens: int  # of the prompts, before any is taken from the prefix cache
    cached: (
        int | None
    )  # of these, if the prefix cache serves the share that it served lately; null: not known
    cut_pairs: int  # whose document is longer than the model reads
    cut_tokens: int  # of these documents, each counted once, that the model does not read
    seconds: float | None  # at the scorer's latest speed; null: it has not scored here yet


def plan(
    resources: Resources, *, until: datetime | None = None, topics: tuple[str, ...] | None = None
) -> Plan:
    """Rehearse a run up to its pairs, in a transaction that is rolled back: nothing is claimed or scored.

    Meanwhile, other runs of the pipeline wait before they claim, and runs of other pipelines before they prepare the
    same texts. Raises InputError for a topic that is not active, and what extract, prepare and recall raise.
    """
    with resources.database.rehearsal() as database, tempfile.TemporaryDirectory() as folder:
        rehearsed = replace(resources, database=database, store=Store(Path(folder).as_uri()))
        run_id = pipeline.open_run(rehearsed, key=f"plan__{uuid4()}", until=until, topics=topics).run_id
        extracted = pipeline.perform("extract", rehearsed, run_id)
        pipeline.perform("prepare", rehearsed, run_id)
        recalled = pipeline.perform("recall", rehearsed, run_id)
        work = rerank.workload(
            database=database,
            store=rehearsed.store,
            settings=rehearsed.settings,
            run=pipeline.get_run(rehearsed, run_id),
        )
        return Plan(
            articles=extracted.claimed,
            topics=recalled.topics,
            pairs=work.pairs,
            in_ledger=recalled.from_ledger,
            left_out=recalled.left_out,
            tokens=work.tokens,
            cached=work.cached,
            cut_pairs=work.cut_pairs,
            cut_tokens=work.cut_tokens,
            seconds=work.seconds,
        )
