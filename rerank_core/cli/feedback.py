"""`rerank feedback`: keep what readers did with the rankings, and report it."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rerank_core.cli.options import AsJson, Pipeline, opened
from rerank_core.cli.printing import console, print_bad_line, print_counts, print_json, print_table, say
from rerank_core.cli.runs import parse_moment
from rerank_core.errors import InputError

if TYPE_CHECKING:
    from rerank_core.learning.report import Group, Report

app = typer.Typer(help="What readers did with the page: load, claim and report it.", no_args_is_help=True)


@app.command()
def load(
    file: Annotated[Path, typer.Argument(help="JSON lines, plain or gzipped.")],
) -> None:
    """Load events; each line is an object with run_id, topic, rank, revision_id, event and time, as the page gave them.

    Loading again adds nothing. Give an event_id if equal events may happen at the same time. Bad lines are reported and
    left out. The exit code is 1 if no line was good or the file breaks off. The view rerank.ranking_feedback shows the
    events.
    """
    from rerank_core.learning import events

    screen = console(sys.stderr)
    settings, database = opened()
    report = events.load(
        database,
        file,
        pipeline=settings.pipeline,
        on_bad_line=lambda number, reason: print_bad_line(screen, file.name, number, reason),
    )
    say(
        f"{file.name}: {report.lines:,} lines: {report.added:,} added, {report.repeated:,} repeated,"
        f" {report.unknown:,} of no row that pipeline {settings.pipeline} has published, {report.bad:,} bad,"
        f" {report.blank:,} blank"
    )
    if not report.complete or report.added + report.repeated == 0 < report.lines - report.blank:
        raise typer.Exit(1)


@app.command()
def claim(
    since: Annotated[
        str | None,
        typer.Option(help="Take events from then on, ISO 8601 with UTC offset; if left out, the lookback's."),
    ] = None,
    pipeline: Pipeline = None,
) -> None:
    """Claim the events of RERANK_FEEDBACK_VIEW that are not kept yet, late ones too. Claiming again adds nothing."""
    from rerank_core.learning import events

    settings, database = opened(pipeline)
    moment = None if since is None else parse_moment(since)
    done = events.claim(database, settings, since=moment)
    if done is None:
        raise InputError(
            "RERANK_FEEDBACK_VIEW names no view of events; set it, or load a file: `rerank feedback load`"
        )
    print_counts("events of the view", vars(done))


@app.command()
def report(
    days: Annotated[float, typer.Option(min=0.01, max=3650, help="Pages of so many days.")] = 30.0,
    pipeline: Pipeline = None,
    as_json: AsJson = False,
) -> None:
    """Count opens by topic, source, rank and scorer, and fit what rank and age do to them.

    The report is kept: the view Feedback of Airflow shows it.
    """
    from rerank_core.learning import report as reports

    settings, database = opened(pipeline)
    found = reports.make(database, settings, days=days)
    if as_json:
        print_json(asdict(found))
    else:
        _print(found)


def _print(found: "Report") -> None:
    left_out = ", ".join(f"{count:,} {name}" for name, count in found.rows.items() if count)
    say(f"pages from {found.since:%Y-%m-%d %H:%M} UTC on; rows: {left_out or 'none'}")
    for title, effects in (("rank", found.positions.examination), ("age, hours", found.positions.freshness)):
        print_table(
            (title, "factor", "95 % interval", "impressions", "opens"),
            [
                (
                    f"{effect.at:g}",
                    f"{effect.factor:.3f}",
                    f"{effect.low:.3f} to {effect.high:.3f}",
                    f"{effect.impressions:,}",
                    f"{effect.opens:,}",
                )
                for effect in effects
            ],
            right=(title, "factor", "impressions", "opens"),
        )
    for kind, groups in found.groups.items():
        print_table(
            (kind, "impressions", "opens", "hides", "open rate", "without rank and age"),
            [_cells(group) for group in groups[:20]],
            right=("impressions", "opens", "hides", "open rate", "without rank and age"),
        )


def _cells(group: "Group") -> tuple[str, ...]:
    counts = (f"{count:,}" for count in (group.impressions, group.opens, group.hides))
    return (group.name, *counts, f"{group.rate:.2%}", f"{group.debiased:.2%}")
