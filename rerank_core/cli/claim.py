"""`rerank claim`: claim articles that are older than every run's lookback."""

from dataclasses import asdict
from typing import Annotated

import typer

from rerank_core.cli.options import Pipeline
from rerank_core.cli.printing import print_counts, say
from rerank_core.cli.runs import parse_moment


def claim(
    since: Annotated[
        str,
        typer.Option(help="Start of the span of ingestion that is claimed, ISO 8601 with its UTC offset."),
    ],
    until: Annotated[str | None, typer.Option(help="End of the span; now if left out.")] = None,
    pipeline: Pipeline = None,
) -> None:
    """Claim articles that were ingested too long ago for runs; the next run prepares them and ranks the fresh ones."""
    from rerank_core.operations.claim import claim_late
    from rerank_core.pipeline import Resources
    from rerank_core.settings import Settings

    settings = Settings.load(pipeline=pipeline)
    done = claim_late(
        Resources.of(settings),
        since=parse_moment(since),
        until=None if until is None else parse_moment(until),
    )
    window = done.run.window
    say(
        f"run {done.run.run_id} of pipeline {done.run.pipeline} claims what was ingested"
        f" from {window.since:%Y-%m-%d %H:%M:%S} to {window.until:%Y-%m-%d %H:%M:%S} UTC"
    )
    print_counts("rows of the source", asdict(done.counts))
    say(
        f"the next run prepares what was claimed, and ranks the {done.fresh:,} of these articles"
        f" that came within the last {settings.freshness_hours:g} hours"
    )
