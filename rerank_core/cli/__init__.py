"""The `rerank` command: the library's work without Airflow.

A raised error becomes one sentence on standard error and an exit code: 1 if trying again cannot help, 75 if it may.
`RERANK_DEBUG=1` shows the traceback. A command imports what it needs when it runs, so that every command starts at once.
"""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from rerank_core.cli import (
    articles,
    changes,
    checks,
    claim,
    db,
    desk,
    explain,
    exports,
    feedback,
    learn,
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
from rerank_core.cli.printing import clean
from rerank_core.errors import RerankError, RetryableError

EXIT_PERMANENT = 1
EXIT_RETRYABLE = 75  # EX_TEMPFAIL of sysexits.h

# Groups of the help, in the order in which their first command is added.
SET_UP = "Set up and check"
RANK = "Rank and read"
BY_HAND = "By hand"
JUDGE = "Judge and ask the model"

app = typer.Typer(
    help="Rank news for stored topics: claim what is new, score it, publish the page.",
    epilog="Every command reads its settings from variables RERANK_…; `rerank settings` shows them. A command without"
    " --pipeline works on the one that RERANK_PIPELINE names. To begin: `rerank db upgrade`, `rerank articles load FILE`,"
    " `rerank topics apply FILE`, `rerank doctor`, `rerank run`, `rerank show`.",
    rich_markup_mode="markdown",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(db.app, name="db", rich_help_panel=SET_UP)
app.add_typer(topics.app, name="topics", rich_help_panel=SET_UP)
app.add_typer(articles.app, name="articles", rich_help_panel=SET_UP)
app.add_typer(scorer.app, name="scorer", rich_help_panel=JUDGE)
app.add_typer(feedback.app, name="feedback", rich_help_panel=JUDGE)
app.add_typer(learn.app, name="learn", rich_help_panel=JUDGE)
app.add_typer(redis.app, name="redis", rich_help_panel=SET_UP)
scorer.app.command("quantise")(quantise.quantise)
app.command("doctor", rich_help_panel=SET_UP)(checks.doctor)
app.command("settings", rich_help_panel=SET_UP)(checks.settings)
app.command("run", rich_help_panel=RANK)(runs.run)
app.command("claim", rich_help_panel=BY_HAND)(claim.claim)
app.command("publish", rich_help_panel=BY_HAND)(pointer.publish)
app.command("block", rich_help_panel=BY_HAND)(removal.block)
app.command("unblock", rich_help_panel=BY_HAND)(removal.unblock)
app.command("forget", rich_help_panel=BY_HAND)(removal.forget)
app.command("pin", rich_help_panel=BY_HAND)(desk.pin)
app.command("boost", rich_help_panel=BY_HAND)(desk.boost)
app.command("demote", rich_help_panel=BY_HAND)(desk.demote)
app.command("undo", rich_help_panel=BY_HAND)(desk.undo)
app.command("editorial", rich_help_panel=BY_HAND)(desk.editorial)
app.command("maintain", rich_help_panel=BY_HAND)(maintain.maintain)
app.command("show", rich_help_panel=RANK)(pages.show)
app.command("changes", rich_help_panel=RANK)(changes.changes)
app.command("explain", rich_help_panel=RANK)(explain.explain)
app.command("eval", rich_help_panel=JUDGE)(quality.evaluate)
app.command("calibrate", rich_help_panel=JUDGE)(quality.calibrate)
app.command("playground", rich_help_panel=JUDGE)(serve.playground)
app.command("serp", rich_help_panel=JUDGE)(exports.serp)
app.command("brief", rich_help_panel=RANK)(exports.brief)
app.command("serve", rich_help_panel=JUDGE)(serve.serve)
app.command("runs", rich_help_panel=RANK)(pages.runs)


def _version(wanted: bool) -> None:
    if wanted:
        from rerank_core import __version__

        typer.echo(f"news-rerank {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="NAME", help="Who asks, kept beside the database role; else RERANK_ASKED_BY."
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if name is not None:
        from rerank_core.storage.database import asked_by

        context.with_resource(asked_by(name))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; always ends with SystemExit. If nobody reads the output to its end, that is no error."""
    screen = sys.stdout
    try:
        _main(arguments)
    except SystemExit as end:
        is_read = sys.stdout is screen  # after a broken pipe, typer puts another stream there
        try:
            screen.flush()
        except BrokenPipeError:
            is_read = is_read and bool(end.code)
            os.dup2(os.open(os.devnull, os.O_WRONLY), screen.fileno())  # or Python complains at its end
        sys.exit(end.code if is_read else 0)


def _main(arguments: Sequence[str] | None) -> None:
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
        print("rerank:", clean(sentence, lines=True), file=sys.stderr)
        sys.exit(EXIT_RETRYABLE if isinstance(error, RetryableError) else EXIT_PERMANENT)


def _sentence(error: Exception) -> str | None:
    """What to tell the user; None if only a traceback explains the error."""
    if isinstance(error, RerankError):
        return str(error)
    code = getattr(getattr(error, "orig", None), "pgcode", None)
    if code is None:
        return None
    reason = str(getattr(error, "orig", "")).strip().splitlines()[0]
    if code in {"42P01", "42703", "42883", "3F000"}:  # undefined table, column, function, schema
        return f"the database lacks what this version needs ({reason}); run `rerank db upgrade`"
    if code == "42501":
        return (
            f"the database refuses this role: {reason}; if `rerank db roles --print` made the roles, apply it again, as"
            " after every upgrade; otherwise grant the right, or use another role"
        )
    return f"the database refuses: {reason}; set RERANK_DEBUG=1 to see where"
