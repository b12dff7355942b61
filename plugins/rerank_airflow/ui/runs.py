"""Runs: the list, and one run in full: where every article and pair went, how long it took, what was unusual."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from airflow.api_fastapi.common.db.common import SessionDep
from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse

from rerank_airflow.defaults import RANKING
from rerank_airflow.ui import dag_runs
from rerank_airflow.ui.access import Chosen, Visible, of_name
from rerank_airflow.ui.charts import stack
from rerank_airflow.ui.paging import PartNumber, part
from rerank_airflow.ui.render import address, render
from rerank_core.airflow_settings import of_pipeline
from rerank_core.observe import history
from rerank_core.observe.history_records import RunRow, ShardScores, SourceCounts, Unfinished, Version
from rerank_core.storage.store import Store

STAGES = ("extract", "prepare", "embed", "recall", "rerank", "degrade", "publish", "observe")
SHARD = re.compile(r"rerank\[(\d+)\]")

Metrics = Mapping[str, Mapping[str, float]]  # stage → name → value

router = APIRouter()


@dataclass(frozen=True)
class Step:
    """One step of the funnel: what came in, and the buckets that it went to."""

    name: str
    unit: str
    total: int | None  # None: the run has not come so far
    parts: list[tuple[str, int, str]]  # name, count, style

    @property
    def bar(self) -> Any:
        return stack(self.parts)


@dataclass(frozen=True)
class Shard:
    """One shard: its last attempt, and what the ledger has of all its attempts."""

    number: int
    last: Mapping[str, float]
    ledger: ShardScores | None
    unfinished: Unfinished | None

    @property
    def resumed(self) -> int:
        """Pairs that an attempt before the last one scored."""
        scored = int(self.last.get("scored", 0))
        return max(0, (self.ledger.scored if self.ledger else 0) - scored) if self.last.get("pairs") else 0


@router.get("/runs")
def runs(request: Request, pipeline: Chosen, page: PartNumber = 1) -> Response:
    """Every run of the pipeline, the latest first."""
    with history.reading(pipeline.database) as connection:
        found = history.list_runs(connection, pipeline=pipeline.name, limit=30, offset=(page - 1) * 30)
        if not found and page == 1:
            return render(request, "nothing.html", tab="runs", pipeline=pipeline)
        recorded = history.metrics(connection, run_ids=[run.run_id for run in found])
    return render(
        request,
        "runs.html",
        tab="runs",
        pipeline=pipeline,
        runs=[(run, total_seconds(recorded[run.run_id])) for run in found],
        part=part(found, at=page, size=30),
    )


@router.get("/dag-run")
def of_dag_run(
    request: Request,
    visible: Visible,
    session: SessionDep,
    dag_id: Annotated[str, Query(max_length=250)],
    dag_run_id: Annotated[str, Query(max_length=250)],
) -> Response:
    """The run that a dag run is."""
    name = next((name for name in visible if of_pipeline(RANKING, name) == dag_id), None)
    if name is None:
        return render(request, "no_run.html", bare=True, dag_id=dag_id, dag_run_id=dag_run_id, ranks=False)
    pipeline = of_name(name, visible)
    key = dag_runs.key_of(session, dag_id=dag_id, dag_run_id=dag_run_id)
    with history.reading(pipeline.database) as connection:
        run_id = None if key is None else history.run_of_key(connection, pipeline=name, key=key)
    if run_id is None:
        return render(request, "no_run.html", bare=True, dag_id=dag_id, dag_run_id=dag_run_id, ranks=True)
    target = address(f"{request.scope['root_path']}/run", {"pipeline": name, "run_id": run_id})
    return RedirectResponse(target, status_code=303)


@router.get("/run")
def run(
    request: Request,
    pipeline: Chosen,
    session: SessionDep,
    run_id: Annotated[int, Query(ge=1, le=2**62)],
    page: PartNumber = 1,
) -> Response:
    """One run."""
    with history.reading(pipeline.database) as connection:
        found = history.find_run(connection, pipeline=pipeline.name, run_id=run_id)
        if found is None:
            raise HTTPException(
                404,
                f"The pipeline {pipeline.name} has no run {run_id}; the list of runs shows those there are.",
            )
        recorded = history.metrics(connection, run_ids=[run_id])[run_id]
        source = history.source_counts(connection, run_id=run_id)
        in_ledger = {each.shard: each for each in history.list_shards(connection, run_id=run_id)}
        unfinished = {each.shard: each for each in history.list_unfinished(connection, run_id=run_id)}
        versions = history.list_versions(connection, run_id=run_id)
        topics = (
            history.list_run_topics(
                connection,
                run_id=run_id,
                publication_id=found.publication_id,
                limit=50,
                offset=(page - 1) * 50,
            )
            if found.publication_id is not None
            else []
        )
        quarantined = history.list_quarantined(connection, run_id=run_id)
        scorer = history.find_scorer(connection, scorer_id=found.scorer_id)
    shards = _shards(recorded, in_ledger, unfinished)
    return render(
        request,
        "run.html",
        tab="runs",
        pipeline=pipeline,
        run=found,
        steps=funnel(found, source, recorded),
        stages=stage_times(recorded),
        seconds=total_seconds(recorded),
        shards=shards,
        distrusted=sum(each.distrusted for each in in_ledger.values()),
        observed=recorded.get("observe", {}),
        versions=versions,
        notes=[*notes(found, shards, versions), *source_notes(source)],
        topics=topics,
        quarantined=quarantined,
        scorer=scorer,
        airflow_runs=dag_runs.of_key(session, dag_id=pipeline.dag_id, key=found.key),
        store=Store(pipeline.settings.store_url),
        part=part(topics, at=page),
    )


def funnel(run: RunRow, source: SourceCounts, recorded: Metrics) -> list[Step]:
    """The way from source rows to ranked rows. The parts of each step add up to its total."""
    prepared, recalled = recorded.get("prepare", {}), recorded.get("recall", {})

    def of(counts: Mapping[str, float], name: str) -> int:
        return int(counts.get(name, 0))

    sighted = source.sighted
    steps = [
        Step(
            "Extracted",
            "rows of the source",
            sighted,
            [
                ("claimed", source.claimed or 0, "good"),
                ("unchanged", source.unchanged or 0, "dim"),
                ("too late", source.too_late or 0, "warn"),
                ("later", source.later or 0, "dim"),
                ("forgotten", source.forgotten or 0, "dim"),
                ("invalid", source.invalid or 0, "bad"),
            ],
        ),
        Step(
            "Prepared",
            "revisions claimed",
            of(prepared, "revisions") if prepared else None,
            [
                ("documents", of(prepared, "documents"), "good"),
                ("copies", of(prepared, "copies"), "dim"),
                ("quarantined", of(prepared, "quarantined"), "bad"),
            ],
        ),
    ]
    if run.candidates is not None:
        parts = [
            ("from the ledger", run.from_ledger or 0, "dim"),
            ("scored", run.scored or 0, "good"),
            ("quarantined", run.refused or 0, "bad"),
            ("left unscored", run.missing or 0, "warn"),
            ("over the budget", run.left_out or 0, "over"),
        ]
        steps.append(Step("Candidates", "pairs of topic and document", run.candidates, parts))
        steps.append(
            Step(
                "Ranked",
                f"rows in {run.topics_ranked or 0} topics",
                run.row_count,
                [("ranked", run.row_count or 0, "good")],
            )
        )
    else:
        wanted = of(recalled, "candidates") if recalled else None
        known = of(recalled, "from_ledger")
        over = of(recalled, "left_out")
        parts = [
            ("from the ledger", known, "dim"),
            ("to score", max(0, (wanted or 0) - known - over), "good"),
            ("over the budget", over, "over"),
        ]
        steps.append(Step("Candidates", "pairs of topic and document", wanted, parts))
        steps.append(Step("Ranked", "nothing published yet", None, []))
    return steps


def stage_times(recorded: Metrics) -> list[tuple[str, float | None]]:
    """(stage, seconds of its last attempt). All shards count as one stage, with the sum of their seconds."""
    shards = [
        values["seconds"]
        for stage, values in recorded.items()
        if SHARD.fullmatch(stage) and "seconds" in values
    ]
    times = {stage: values["seconds"] for stage, values in recorded.items() if "seconds" in values}
    others = sorted(stage for stage in times if stage not in STAGES and not SHARD.fullmatch(stage))
    return [
        (stage, (sum(shards) if shards else None) if stage == "rerank" else times.get(stage))
        for stage in (*STAGES, *others)
    ]


def total_seconds(recorded: Metrics) -> float | None:
    """Work of all stages together."""
    known = [seconds for _, seconds in stage_times(recorded) if seconds is not None]
    return sum(known) if known else None


def notes(run: RunRow, shards: list[Shard], versions: list[Version]) -> list[tuple[str, str]]:
    """(kind, sentence): what was unusual."""
    found = []
    is_told = run.verdict == "blocked"  # by a note of its own
    if run.missing and not is_told:
        found.append(
            (
                "bad",
                f"Degraded: {run.missing:,} of {run.candidates or 0:,} pairs have no score. They follow in a light order,"
                " after the scored ones; the next good run scores them.",
            )
        )
    elif run.degraded and not is_told:
        found.append(("bad", "The run was published degraded."))
    if run.left_out:
        found.append(
            (
                "warn",
                f"{run.left_out:,} pairs were over the run's budget (RERANK_MAX_PAIRS); later runs take them up.",
            )
        )
    if run.refused:
        found.append(
            (
                "warn",
                f"The scorer refused {run.refused:,} pairs; Quarantine, below, has the reasons. If it refused every pair of"
                " a query, its articles follow in a light order.",
            )
        )
    for shard in shards:
        if shard.resumed:
            found.append(
                (
                    "info",
                    f"Shard {shard.number} resumed: {shard.resumed:,} pairs were scored by an earlier try and not again.",
                )
            )
        if shard.unfinished:
            found.append(
                (
                    "warn",
                    f"Shard {shard.number}: its last try did not come to its end. The log of its task says why."
                    " Clear that task to score the rest.",
                )
            )
    if len(versions) > 1:
        same = len({version.rows_sha256 for version in versions}) == 1
        found.append(
            (
                "info",
                f"Published {versions[0].version} times: "
                + ("the rows are the same each time." if same else "the rows differ, see Versions."),
            )
        )
    if run.topics is not None:
        found.append(("info", f"Limited to {len(run.topics)} topics; the others were carried forward."))
    if run.rescore:
        found.append(("info", "Asked to score again what the ledger already had."))
    if run.as_claimed_now:
        found.append(("info", "Asked to rank what later runs have claimed, too."))
    return found


def source_notes(source: SourceCounts) -> list[tuple[str, str]]:
    """(kind, sentence): what was unusual in what the run claimed."""
    if not source.dates_ignored:
        return []
    said = (
        f"{source.dates_ignored:,} articles have a date that means none or is long before ingestion; their age counts"
        " from ingestion."
    )
    return [("info", said)]


def _shards(
    recorded: Metrics, in_ledger: Mapping[int, ShardScores], unfinished: Mapping[int, Unfinished]
) -> list[Shard]:
    last = {int(found[1]): values for stage, values in recorded.items() if (found := SHARD.fullmatch(stage))}
    return [
        Shard(number, last.get(number, {}), in_ledger.get(number), unfinished.get(number))
        for number in sorted(last.keys() | in_ledger.keys() | unfinished.keys())
    ]
