"""`rerank feedback`: log what readers did with the rankings."""

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="What readers did with the rankings; events are logged only.", no_args_is_help=True)


@app.command()
def load(
    file: Annotated[Path, typer.Argument(help="JSON lines, plain or gzipped.")],
) -> None:
    """Load events; each line is an object with run_id, topic, rank, revision_id, event and time, as the page gave them.

    Loading again adds nothing. Give an event_id if equal events may happen at the same time. Bad lines are reported and
    left out. The exit code is 1 if no line was good or the file breaks off. The view rerank.ranking_feedback shows the
    events.
    """
    from rerank_core.cli.printing import console, print_bad_line, say
    from rerank_core.learning import events
    from rerank_core.settings import settings
    from rerank_core.storage.database import Database

    screen = console(sys.stderr)
    chosen = settings()
    report = events.load(
        Database(chosen.database_url),
        file,
        pipeline=chosen.pipeline,
        on_bad_line=lambda number, reason: print_bad_line(screen, file.name, number, reason),
    )
    say(
        f"{file.name}: {report.lines:,} lines: {report.added:,} added, {report.repeated:,} repeated,"
        f" {report.unknown:,} of no row that pipeline {chosen.pipeline} has published, {report.bad:,} bad,"
        f" {report.blank:,} blank"
    )
    if not report.complete or report.added + report.repeated == 0 < report.lines - report.blank:
        raise typer.Exit(1)
