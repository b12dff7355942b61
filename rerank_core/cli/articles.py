"""`rerank articles`: load articles into the default source, and show what prepare made of an article."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rerank_core.cli.options import opened
from rerank_core.cli.printing import clean, console, print_bad_line, print_table, say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from rerank_core.extract.articles import LoadProgress, LoadReport

SHOWN = 4_000  # characters of a raw text that are printed

app = typer.Typer(help="The default article source, and how an article was prepared.", no_args_is_help=True)


@app.command()
def load(
    file: Annotated[str, typer.Argument(help="JSON lines, plain or gzipped; - is standard input.")],
    published_now: Annotated[
        bool,
        typer.Option(
            "--published-now",
            help="For samples: move every published_at by the same span, so that the newest is now. Loading again"
            " moves them by another span, and so updates every article.",
        ),
    ] = False,
    assume_utc: Annotated[
        bool, typer.Option("--assume-utc", help="Take a published_at without UTC offset as UTC.")
    ] = False,
    media: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the pictures and clips that lines name in `media`; else media stay as they are."
        ),
    ] = None,
) -> None:
    """Load articles; a line replaces the stored article of the same id if they differ.

    Each line is a JSON object with article_id (or id) and any of title, url, summary, body (or body_html, text), lang,
    source, media, published_at (ISO 8601, RFC 822, ctime, or seconds or milliseconds since 1970). Bad lines are reported
    and left out. The exit code is 1 if no line was good or the file breaks off.
    """
    from rerank_core.extract.articles import load_articles

    screen = console(sys.stderr)
    name = "standard input" if file == "-" else clean(Path(file).name)
    bar = _bar(screen)
    task = bar.add_task(name, total=None, lines=0)

    def progress(done: "LoadProgress") -> None:
        bar.update(task, completed=done.read_bytes, total=done.total_bytes, lines=done.lines)
        if not screen.is_terminal:
            share = f" ({100 * done.read_bytes // done.total_bytes} %)" if done.total_bytes else ""
            screen.print(f"{name}: {done.lines:,} lines{share}")

    with bar:
        report = load_articles(
            opened()[1],
            file,
            published_now=published_now,
            assume_utc=assume_utc,
            media=media,
            on_bad_line=lambda number, reason: print_bad_line(screen, name, number, reason),
            on_progress=progress,
        )
    _print_report(name, report)
    if not report.complete or report.bad + report.blank == report.lines:
        raise typer.Exit(1)


def _bar(screen: "Console") -> "Progress":
    """A progress bar for a terminal; a file shows none."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[lines]:,} lines"),
        TimeRemainingColumn(),
        console=screen,
        disable=not screen.is_terminal,
    )


def _print_report(name: str, report: "LoadReport") -> None:
    """What was loaded from the file `name`, and what was left out."""
    say(
        f"{name}: {report.lines:,} lines: {report.inserted:,} inserted, {report.updated:,} updated,"
        f" {report.unchanged:,} unchanged, {report.bad:,} bad, {report.blank:,} blank"
    )
    if report.media or report.media_dropped:
        say(f"{report.media:,} pictures and clips, {report.media_dropped:,} left out")
    if report.ignored:
        fields = ", ".join(
            f"{field} ({lines:,} lines)" for field, lines in sorted(report.ignored.items())[:20]
        )
        say(f"fields that the article source does not have were left out: {fields}")
    if report.undated:
        say(
            f"{report.undated:,} lines have a published_at that means none, such as 1970-01-01: their age counts from"
            " ingestion"
        )
    if not report.bad and report.blank == report.lines:
        say(f"{name} holds no article", style="yellow")


@app.command()
def show(article: Annotated[str, typer.Argument(help="The article's id in the source.")]) -> None:
    """Show an article as it was claimed, what each step of prepare did to it, and its text as the model reads it."""
    from rerank_core.prepare import show as prepared
    from rerank_core.storage import database as db

    settings, database = opened()
    found = prepared.show(database=database, settings=settings, article_id=article)
    with database.transaction(read_only=True) as connection:
        hidden = db.one(connection, "explain.hidden", pipeline=settings.pipeline, article_id=article)
    say(f"article {article}, revision {found.number}, as run {found.claimed_by} claimed it", style="bold")
    if hidden is not None and hidden["why"] == "forgotten":
        say(
            f"it was forgotten ({hidden['reason']}): its text is gone, and it is never claimed again",
            style="yellow",
        )
    elif not found.steps:
        say("its raw text is past retention", style="yellow")
    for field, text in found.raw:
        shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text):,} characters)"
        console().print(f"{field}: {clean(shown, lines=True)}", soft_wrap=True)
    rows = [
        (name if place == 0 else "", line)
        for name, did in found.steps.items()
        for place, line in enumerate(did or ("nothing",))
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
                "today's settings, rules or version would make another text; a prepared text stays as it is",
                style="yellow",
            )
