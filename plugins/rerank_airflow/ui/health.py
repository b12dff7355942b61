"""Health: scoring and publications over the latest runs, and the scores of each topic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from markupsafe import Markup

from rerank_airflow.ui.access import Chosen
from rerank_airflow.ui.charts import Band, Line, bars, lines, spark
from rerank_airflow.ui.paging import PartNumber, part
from rerank_airflow.ui.render import clock, number, render
from rerank_airflow.ui.runs import total_seconds
from rerank_core.observe import arrivals, history
from rerank_core.observe.drift import LEAST_PAIRS, SHIFT
from rerank_core.observe.history_records import RunRow

TOPICS = 25

Metrics = Mapping[str, Mapping[str, float]]

router = APIRouter()


@router.get("/health")
def health(
    request: Request,
    pipeline: Chosen,
    runs: Annotated[int, Query(ge=2, le=500)] = 48,
    page: PartNumber = 1,
) -> Response:
    """The latest `runs` published runs."""
    with history.reading(pipeline.database) as connection:
        current = history.find_publication(connection, pipeline=pipeline.name, publication_id=None)
        found = history.list_runs(connection, pipeline=pipeline.name, limit=runs)
        shown = [run for run in reversed(found) if run.publication_id is not None]
        if current is None or not shown:
            return render(request, "nothing.html", tab="health", pipeline=pipeline)
        recorded = history.metrics(connection, run_ids=[run.run_id for run in shown])
        topics = history.list_topics(
            connection,
            publication_id=current.publication_id,
            limit=TOPICS,
            offset=(page - 1) * TOPICS,
        )
        slugs = [topic.slug for topic in topics]
        ids = [run.publication_id for run in shown if run.publication_id is not None]
        means = history.topic_means(connection, publication_ids=ids[-24:], slugs=slugs)
        drifts = history.topic_drift(connection, publication_ids=ids[-24:], slugs=slugs)
        looked = arrivals.latest(connection, pipeline.name)
        spreads = history.topic_spreads(connection, publication_id=current.publication_id, slugs=slugs)
    rows = [
        (
            topic,
            means[topic.slug].get(ids[-1]),
            spark([means[topic.slug].get(each) for each in ids[-24:]]),
            bars(spreads[topic.slug], low=-10, high=10),
            next(
                (psi for each in reversed(ids[-24:]) if (psi := drifts[topic.slug].get(each)) is not None),
                None,
            ),
            spark([drifts[topic.slug].get(each) for each in ids[-24:]]),
        )
        for topic in topics
    ]
    last = shown[-1]
    return render(
        request,
        "health.html",
        tab="health",
        pipeline=pipeline,
        current=current,
        behind=datetime.now(UTC) - current.as_of,
        shown=shown,
        unpublished=[run for run in found if run.publication_id is None and run.run_id > last.run_id],
        degraded=[run for run in reversed(shown) if run.degraded and run.verdict != "blocked"],
        blocked=[run for run in reversed(shown) if run.verdict == "blocked"],
        drifted=[
            (run, psi)
            for run in reversed(shown)
            if (psi := recorded[run.run_id].get("observe", {}).get("drift_psi", 0.0)) >= SHIFT
        ],
        shift=SHIFT,
        silent=[(quiet, spark(quiet.days)) for quiet in (looked[1] if looked else ())],
        silent_as_of=looked[0] if looked else None,
        charts=charts(shown, recorded),
        table=[(run, figures(run, recorded[run.run_id])) for run in reversed(shown)],
        runs=runs,
        rows=rows,
        part=part(topics, at=page, size=TOPICS),
    )


def figures(run: RunRow, recorded: Metrics) -> dict[str, float | None]:
    """What the charts show of one run. Shares are 0 to 1, or None if the run wanted no pair."""
    observed = recorded.get("observe", {})
    wanted = run.candidates or 0
    shards = [of for stage, of in recorded.items() if stage.startswith("rerank[") and of.get("scored")]

    def total(name: str) -> float:
        return sum(of.get(name, 0.0) for of in shards)

    return {
        "p50": observed.get("latency_ms_p50"),
        "p99": observed.get("latency_ms_p99"),
        "rate": observed.get("pairs_per_second"),
        "errors": ((run.refused or 0) + (run.missing or 0)) / wanted if wanted else None,
        "ledger": (run.from_ledger or 0) / wanted if wanted else None,
        "mean": observed.get("logit_mean"),
        "p10": observed.get("logit_p10"),
        "p90": observed.get("logit_p90"),
        "age": observed.get("page_age_seconds"),
        "work": total_seconds(recorded),
        "rows": run.row_count,
        "drift": observed.get("drift_psi"),
        "silences": observed.get("silences"),
        "computed": total("prompt_tokens") - total("cached_tokens") if shards else None,
        "cached": total("cached_tokens") if shards else None,
        "cut": total("truncated") / total("scored") if shards else None,
    }


@dataclass(frozen=True)
class Chart:
    """A figure of the view."""

    title: str
    unit: str
    drawing: Markup
    latest: list[tuple[str, str, str]]  # of each line: its name, its style, its latest value


def charts(shown: Sequence[RunRow], recorded: Mapping[int, Metrics]) -> list[Chart]:
    """The figures over these runs, the oldest first."""
    labels = [clock(run.until) for run in shown]
    marked = [run.degraded for run in shown]
    each = [figures(run, recorded[run.run_id]) for run in shown]

    def series(name: str, factor: float = 1.0) -> list[float | None]:
        return [None if (value := found[name]) is None else value * factor for found in each]

    def chart(title: str, unit: str, *drawn: Line, **options: Any) -> Chart:
        latest = [
            (
                line.name,
                line.style,
                number(
                    next((value for value in reversed(line.values) if value is not None), None), line.digits
                ),
            )
            for line in drawn
        ]
        return Chart(title, unit, lines(title, drawn, labels=labels, marked=marked, **options), latest)

    return [
        chart(
            "Latency of a pair",
            "ms",
            Line("p50", series("p50"), "b", unit=" ms"),
            Line("p99", series("p99"), "a", unit=" ms"),
        ),
        chart("Pairs scored a second", "pairs/s", Line("pairs/s", series("rate"))),
        chart(
            "Tokens",
            "tokens",
            Line("computed", series("computed"), "b", digits=0),
            Line("cached", series("cached"), "a", digits=0),
        ),
        chart("Scored pairs with a document that was cut", "%", Line("cut", series("cut", 100), unit=" %")),
        chart("Work of all stages", "s", Line("work", series("work"), unit=" s")),
        chart("Pairs refused or left unscored", "%", Line("errors", series("errors", 100), unit=" %")),
        chart("Pairs found in the ledger", "%", Line("from the ledger", series("ledger", 100), unit=" %")),
        chart("Rows on the page", "rows", Line("rows", series("rows"), digits=0)),
        chart(
            "Mean logit of the scored pairs, p10 to p90 shaded",
            "",
            Line("mean", series("mean"), digits=2),
            band=Band("p10 to p90", series("p10"), series("p90")),
            from_zero=False,
        ),
        chart(
            f"Drift of the logits (PSI), shifted from {SHIFT:g} on",
            "",
            Line("PSI", series("drift"), digits=3),
            limit=SHIFT,
            nothing=f"no run had {LEAST_PAIRS} new scores, with as many before it, to tell",
        ),
        chart(
            "Silent or collapsed: sources, languages, intake",
            "streams",
            Line("silent", series("silences"), digits=0),
            nothing="no run has looked yet",
        ),
        chart(
            "Age of the page when it was published", "min", Line("age", series("age", 1 / 60), unit=" min")
        ),
    ]
