"""`rerank articles`: articles into the default source, and what prepare made of one."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rerank_core.extract.articles import LoadProgress

SHOWN = 4_000  # characters of a raw text that are printed

app = typer.Typer(help="The default article source; how one article was prepared.", no_args_is_help=True)


@app.command()
def load(
    file: Annotated[str, typer.Argument(help="JSON lines, plain or gzipped; - is standard input.")],
    published_now: Annotated[
        bool,
        typer.Option(
            "--published-now",
            help="Move all published_at by one span, so that the newest is now: for samples. A second load"
            " then finds another span and updates every article.",
        ),
    ] = False,
    assume_utc: Annotated[
        bool, typer.Option("--assume-utc", help="Take a published_at without UTC offset as UTC.")
    ] = False,
) -> None:
    """Load articles: a line replaces the article of its id, where it differs.

    Each line is a JSON object with article_id (or id) and, as far as it has them, title, url, summary, body (or
    body_html, text), lang, source, published_at. Bad lines are reported and left out; the exit code is 1 where no
    line was good or the file breaks off.
    """
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from rerank_core.cli.printing import clean, console, say
    from rerank_core.extract.articles import load_articles
    from rerank_core.settings import settings
    from rerank_core.storage.database import Database

    screen = console(sys.stderr)
    name = "standard input" if file == "-" else clean(Path(file).name)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[lines]:,} lines"),
        TimeRemainingColumn(),
        console=screen,
        disable=not screen.is_terminal,
    )
    task = bar.add_task(name, total=None, lines=0)

    def bad_line(number: int, reason: str) -> None:
        screen.print(f"{name}, line {number:,}: {clean(reason)}", style="yellow", soft_wrap=True)

    def progress(done: "LoadProgress") -> None:
        bar.update(task, completed=done.read_bytes, total=done.total_bytes, lines=done.lines)
        if not screen.is_terminal:
            share = f" ({100 * done.read_bytes // done.total_bytes} %)" if done.total_bytes else ""
            screen.print(f"{name}: {done.lines:,} lines{share}")

    with bar:
        report = load_articles(
            Database(settings().database_url),
            file,
            published_now=published_now,
            assume_utc=assume_utc,
            on_bad_line=bad_line,
            on_progress=progress,
        )
    say(
        f"{name}: {report.lines:,} lines: {report.inserted:,} inserted, {report.updated:,} updated,"
        f" {report.unchanged:,} unchanged, {report.bad:,} bad, {report.blank:,} blank"
    )
    if report.ignored:
        fields = ", ".join(
            f"{field} ({lines:,} lines)" for field, lines in sorted(report.ignored.items())[:20]
        )
        say(f"fields that the article source does not have, left out: {fields}")
    if not report.bad and report.blank == report.lines:
        say(f"{name} holds no article", style="yellow")
    if not report.complete or report.bad + report.blank == report.lines:
        raise typer.Exit(1)


@app.command()
def show(article: Annotated[str, typer.Argument(help="The article's id.")]) -> None:
    """Show an article as it was claimed, what each step of prepare did to it, and its text as the model reads it."""
    from rerank_core.cli.printing import clean, console, print_table, say
    from rerank_core.prepare import trace
    from rerank_core.settings import settings
    from rerank_core.storage import database as db

    database, pipeline = db.Database(settings().database_url), settings().pipeline
    found = trace.show(database=database, settings=settings(), article_id=article)
    with database.transaction(read_only=True) as connection:
        hidden = db.one(connection, "explain.hidden", pipeline=pipeline, article_id=article)
    say(f"article {article}, revision {found.number}, as run {found.claimed_by} claimed it", style="bold")
    if hidden is not None and hidden["why"] == "forgotten":
        say(
            f"it was forgotten ({hidden['reason']}): its text is gone and it is not claimed again",
            style="yellow",
        )
    elif not found.steps:
        say("its raw text is past retention", style="yellow")
    for field, text in found.raw:
        shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text):,} characters)"
        console().print(f"{field}: {clean(shown, lines=True)}", soft_wrap=True)
    rows = [
        (step.name if first else "", did)
        for step in found.steps
        for first, did in zip((True, *[False] * len(step.did)), step.did or ("nothing",), strict=False)
    ]
    if rows:
        say()
        print_table(("step", "what it did"), rows)
    if found.document_id is not None:
        say()
        say(f"document {found.document_id}, as the model reads it", style="bold")
        console().print(clean(found.text or "", lines=True), soft_wrap=True)
        if found.steps and not found.is_stored:
            say(
                "by today's settings, rules or version it would be another text; what is prepared stays as it is",
                style="yellow",
            )
