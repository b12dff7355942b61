"""The `rerank` command: the library's work without Airflow.

A raised error is one sentence on standard error and an exit code: 1 where trying again cannot help, 75
where it may. `RERANK_DEBUG=1` shows the traceback. What a command needs is imported when it runs, so
that the command starts at once.
"""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from rerank_core.cli import (
    articles,
    checks,
    claim,
    db,
    explain,
    feedback,
    maintain,
    pages,
    pointer,
    quality,
    quantise,
    redis,
    removal,
    runs,
    scorer,
    serve,
    topics,
)
from rerank_core.errors import RerankError, RetryableError

EXIT_PERMANENT = 1
EXIT_RETRYABLE = 75  # EX_TEMPFAIL of sysexits.h

app = typer.Typer(
    help="Scheduled, precomputed topical ranking of news.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(db.app, name="db")
app.add_typer(topics.app, name="topics")
app.add_typer(articles.app, name="articles")
app.add_typer(scorer.app, name="scorer")
app.add_typer(feedback.app, name="feedback")
app.add_typer(redis.app, name="redis")
scorer.app.command("quantise")(quantise.quantise)
app.command("run")(runs.run)
app.command("claim")(claim.claim)
app.command("publish")(pointer.publish)
app.command("block")(removal.block)
app.command("unblock")(removal.unblock)
app.command("forget")(removal.forget)
app.command("maintain")(maintain.maintain)
app.command("show")(pages.show)
app.command("explain")(explain.explain)
app.command("eval")(quality.evaluate)
app.command("calibrate")(quality.calibrate)
app.command("playground")(serve.playground)
app.command("serve")(serve.serve)
app.command("runs")(pages.runs)
app.command("doctor")(checks.doctor)
app.command("settings")(checks.settings)


def _version(wanted: bool) -> None:
    if wanted:
        from rerank_core import __version__

        typer.echo(f"news-rerank {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends with SystemExit."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(
                errors="replace"
            )  # a title that the terminal cannot show must not end a command
    try:
        app(args=arguments, prog_name="rerank")
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None or os.environ.get("RERANK_DEBUG") == "1":
            raise
        from rerank_core.cli.printing import clean

        print("rerank:", clean(sentence, lines=True), file=sys.stderr)
        sys.exit(EXIT_RETRYABLE if isinstance(error, RetryableError) else EXIT_PERMANENT)


def _sentence(error: Exception) -> str | None:
    """What to tell the user; None for an error that only a traceback explains."""
    if isinstance(error, RerankError):
        return str(error)
    code = getattr(getattr(error, "orig", None), "pgcode", None)
    if code is None:
        return None
    reason = str(getattr(error, "orig", "")).strip().splitlines()[0]
    if code in {"42P01", "42703", "42883", "3F000"}:  # undefined table, column, function, schema
        return f"the database lacks what this version needs ({reason}); run `rerank db upgrade`"
    if code == "42501":
        return f"the database refuses this role: {reason}; grant it the right, or take another role"
    return f"the database refuses: {reason}; set RERANK_DEBUG=1 to see where"
