"""`rerank feedback`: what readers did with the rankings, logged."""

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="What readers did with the rankings: logging only.", no_args_is_help=True)


@app.command()
def load(
    file: Annotated[Path, typer.Argument(help="JSON lines, plain or gzipped.")],
) -> None:
    """Load events: each line an object with run_id, topic, rank, revision_id, event and time, as the page gave them.

    Loading again adds nothing; give an event_id where equal events may come at one time. Bad lines are reported and
    left out; the exit code is 1 where no line was good or the file breaks off. Read them in the view
    rerank.ranking_feedback.
    """
    from rerank_core.cli.printing import clean, console, say
    from rerank_core.evaluation import feedback
    from rerank_core.settings import settings
    from rerank_core.storage.database import Database

    screen = console(sys.stderr)

    def bad_line(number: int, reason: str) -> None:
        screen.print(f"{file.name}, line {number:,}: {clean(reason)}", style="yellow", soft_wrap=True)

    chosen = settings()
    report = feedback.load(
        Database(chosen.database_url), file, pipeline=chosen.pipeline, on_bad_line=bad_line
    )
    say(
        f"{file.name}: {report.lines:,} lines: {report.added:,} added, {report.repeated:,} repeated,"
        f" {report.unknown:,} of no row that pipeline {chosen.pipeline} has published, {report.bad:,} bad,"
        f" {report.blank:,} blank"
    )
    if not report.complete or report.added + report.repeated == 0 < report.lines - report.blank:
        raise typer.Exit(1)
