"""`rerank learn`: a better scorer from what readers opened, and a person who decides."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from rerank_core.cli.options import Pipeline, opened
from rerank_core.cli.printing import print_table, say

if TYPE_CHECKING:
    from rerank_core.learning.promote import Promotion

REPORT_SECONDS = 5.0

app = typer.Typer(
    help="Learn a scorer from what readers opened; try it, compare it, promote it.", no_args_is_help=True
)

Scorer = Annotated[int, typer.Argument(help="The number of a proposed scorer; `rerank learn list` shows it.")]
Reason = Annotated[str, typer.Option(help="Why; kept for whoever asks later.")]


@app.command()
def run(
    plan: Annotated[bool, typer.Option("--plan", help="Only say pairs, time and memory.")] = False,
    seed: Annotated[int, typer.Option(help="Deals the topics to folds.")] = 0,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Read pairs for so long at most; start it again to go on.")
    ] = None,
    pipeline: Pipeline = None,
) -> None:
    """Learn from readers, judge the result, and register it as a proposal if every check passes. Changes no page.

    It needs RERANK_LEARNING_FOLDER and an engine. Stopped, it goes on the next time from where it was.
    """
    from rerank_core.learning import training
    from rerank_core.storage.store import Store

    settings, database = opened(pipeline)
    if plan:
        found = training.plan(database, settings)
        time_needed = (
            "unknown: the base has not scored here yet" if found.seconds is None else _minutes(found.seconds)
        )
        say(
            f"{found.pairs:,} pairs of {found.topics} topics; time {time_needed}; {found.mib:,} MiB beside the engine"
        )
        for sentence in found.missing:
            say(f"missing: {sentence}", style="yellow")
        return
    reported = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal reported
        if time.monotonic() - reported >= REPORT_SECONDS:
            reported = time.monotonic()
            say(f"{done:,} of {total:,} pairs are read")

    judged = training.judged_pairs(database, Store(settings.store_url), settings)
    trained = training.train(
        database, settings, judged=judged, seed=seed, minutes=minutes, on_progress=report
    )
    say(f"training {trained.training_id} {trained.verdict}: {trained.sentence}")
    for check in trained.record.get("checks", ()):
        say(f"- {check['name']}: {check['sentence']}")
    if trained.scorer_id is not None:
        say(f"scorer {trained.scorer_id} is in {trained.folder}")
        say(f'next: rerank learn try {trained.scorer_id} --reason "…"')


@app.command("list")
def list_trainings(pipeline: Pipeline = None) -> None:
    """List trainings and what became of them, then who has put which scorer in place."""
    from rerank_core.learning import promote

    settings, database = opened(pipeline)
    trainings = promote.trainings(database, settings.pipeline)
    if not trainings:
        say(
            f"nothing was learned in pipeline {settings.pipeline} yet; `rerank learn run --plan` says what is needed"
        )
        return
    print_table(
        ("training", "ended", "base", "verdict", "scorer", "in place in", "sentence"),
        [
            (
                f"{row['training_id']}",
                f"{row['ended_at']:%Y-%m-%d %H:%M}",
                f"{row['base_scorer_id']}",
                row["verdict"],
                "" if row["scorer_id"] is None else f"{row['scorer_id']}",
                ", ".join(row["used_by"]),
                row["sentence"],
            )
            for row in trainings
        ],
        right=("training", "base", "scorer"),
        shorten="sentence",
    )
    for one in promote.history(database, settings):
        say(f"{one.promoted_at:%Y-%m-%d %H:%M} UTC: {_told(one)}")


@app.command("try")
def try_scorer(scorer: Scorer, reason: Reason, pipeline: Pipeline = None) -> None:
    """Make a second pipeline with the same topics and articles, in which a proposed scorer ranks a page of its own."""
    from rerank_core.learning import promote

    settings, database = opened(pipeline)
    trial = promote.start_trial(database, settings, scorer_id=scorer, reason=reason).pipeline
    say(f"pipeline {trial} has the topics of {settings.pipeline} and ranks by scorer {scorer}")
    say(f"its first page: RERANK_PIPELINE={trial} rerank run")
    say(f'each hour: add "{trial}": {{}} to RERANK_AIRFLOW_PIPELINES')
    say(f"frontends show some readers the page of {trial}; then: rerank learn compare {trial}")


@app.command()
def compare(
    trial: Annotated[str, typer.Argument(help="The second pipeline.")], pipeline: Pipeline = None
) -> None:
    """Compare opens per impression of a trial and its pipeline. You may look as often as you like."""
    from rerank_core.learning.compare import compare as compared

    settings, database = opened(pipeline)
    found = compared(database, first=trial, second=settings.pipeline)
    print_table(
        ("pipeline", "impressions", "opens", "opens per impression", "interval"),
        [
            (
                rate.pipeline,
                f"{rate.impressions:,}",
                f"{rate.opens:,}",
                f"{rate.rate:.4f}",
                f"{rate.low:.4f} to {rate.high:.4f}",
            )
            for rate in (found.first, found.second)
        ],
        right=("impressions", "opens", "opens per impression"),
    )
    say(
        f"difference {found.difference:+.4f}, {found.low:+.4f} to {found.high:+.4f} at 95 %, at every look: {found.verdict}"
    )
    if excess := found.first.excess + found.second.excess:
        say(f"{excess:,} opens beyond one an impression are left out")


@app.command()
def promote(scorer: Scorer, reason: Reason, pipeline: Pipeline = None) -> None:
    """Put a proposed scorer in place of the pipeline's model, from the next run on."""
    from rerank_core.learning import promote as work

    settings, database = opened(pipeline)
    say(_told(work.promote(database, settings, scorer_id=scorer, reason=reason)))
    say("each topic is filled by it first; until then the scorer before it ranks the topic")


@app.command()
def rollback(reason: Reason, pipeline: Pipeline = None) -> None:
    """Undo the latest promotion: the scorer before it ranks again, from the next run on."""
    from rerank_core.learning import promote as work

    settings, database = opened(pipeline)
    say(_told(work.roll_back(database, settings, reason=reason)))


def _told(one: "Promotion") -> str:
    asked = f" for {one.on_behalf_of}" if one.on_behalf_of else ""
    return f"scorer {one.scorer_id} {one.kind} in pipeline {one.pipeline} by {one.actor}{asked}: {one.reason}"


def _minutes(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{max(1, round(seconds / 60))} min"
