"""`rerank run`: the work of one window, stage by stage."""

import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rerank_core.cli.printing import clean, console, print_table, say

if TYPE_CHECKING:
    from rerank_core.operations.plan import Plan
    from rerank_core.pipeline import Resources


def run(
    until: Annotated[
        str | None,
        typer.Option(help="End of the window, ISO 8601 with its UTC offset; now if left out."),
    ] = None,
    topics: Annotated[
        str | None,
        typer.Option(
            help="Topics to rank, separated by commas; other topics keep their rankings. Every topic if left out."
        ),
    ] = None,
    rescore: Annotated[
        bool, typer.Option("--rescore", help="Score again what the ledger already has.")
    ] = False,
    as_claimed_now: Annotated[
        bool,
        typer.Option(
            "--as-claimed-now", help="For a past hour: rank what later runs have claimed of it, too."
        ),
    ] = False,
    key: Annotated[
        str | None,
        typer.Option(
            help="Name of the run, as `rerank runs` shows it; the same key continues or repeats the same run."
        ),
    ] = None,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Say how much there is to score, and change nothing. Runs that claim, or prepare the same texts, wait meanwhile.",
        ),
    ] = False,
) -> None:
    """Claim what is new, rank it and publish it: the DAG's stages without Airflow."""
    from rerank_core import pipeline
    from rerank_core.operations import plan as operations_plan
    from rerank_core.settings import Settings

    moment = None if until is None else parse_moment(until)
    slugs = None if topics is None else tuple(slug.strip() for slug in topics.split(",") if slug.strip())
    if slugs == ():
        raise typer.BadParameter("--topics names no topic; leave it out to rank all of them")
    resources = pipeline.Resources.of(Settings.load())
    if plan:
        with log_on_screen():
            planned = operations_plan.plan(resources, until=moment, topics=slugs)
        _print_plan(planned)
        return
    _run(
        resources,
        key=key,
        until=moment,
        topics=slugs,
        rescore=rescore,
        as_claimed_now=as_claimed_now,
    )


def _run(resources: "Resources", **choices: Any) -> None:
    """Run the stages; print each stage, and where the page is now."""
    from rerank_core import pipeline
    from rerank_core.storage import database as db

    rows: list[tuple[str, str, str]] = []
    counts: dict[str, dict[str, Any]] = {}

    def on_stage(stage: str, result: Mapping[str, Any]) -> None:
        counts[stage] = {name: value for name, value in result.items() if name not in {"seconds", "run_id"}}
        # Numbers for people; digests and paths are in the database.
        shown = ", ".join(
            f"{name.replace('_', ' ')} {_shown(value)}"
            for name, value in counts[stage].items()
            if not (value is None or isinstance(value, str))
        )
        rows.append((stage, f"{result['seconds']:.1f}", shown))

    try:
        with log_on_screen():
            done = pipeline.run_all(resources, on_stage=on_stage, **choices)
    finally:  # also for a run that is blocked or breaks off
        if rows:
            print_table(("stage", "seconds", "counts"), rows, right=("seconds",))
    if not counts.get("recall", {}).get("topics", 1):
        say("there is no topic to rank for: `rerank topics apply FILE` brings topics", style="yellow")
    if not counts.get("extract", {}).get("sighted", 1):
        say(
            f"the source {resources.settings.source_view} is empty: `rerank articles load FILE` fills the default one",
            style="yellow",
        )
    say(
        f"run {done.run_id} of pipeline {done.pipeline}, until {done.window.until:%Y-%m-%d %H:%M:%S} UTC, key {done.key}"
    )
    with resources.database.transaction(read_only=True) as connection:
        page = db.one(connection, "publications.standing", pipeline=done.pipeline)
    if page is None or page["run_id"] == done.run_id:
        say("`rerank show` prints the page")
    elif page["held"]:
        say(
            f"a rollback holds the page at run {page['run_id']}; `rerank publish --release` lets it go on",
            style="yellow",
        )
    else:
        say(f"the page stays at run {page['run_id']}; `rerank runs` shows both", style="yellow")


@contextmanager
def log_on_screen() -> Iterator[None]:
    """Print the library's log on standard error: a terminal shows the latest line beside a spinner, a file every line."""
    from rich.text import Text

    screen = console(sys.stderr)
    status = screen.status("…")

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            line = Text(clean(record.getMessage()))
            if screen.is_terminal and record.levelno < logging.WARNING:
                line.truncate(screen.width - 4, overflow="ellipsis")
                status.update(line)
            else:
                screen.print(line, soft_wrap=True)

    logger, handler = logging.getLogger("rerank_core"), Handler()
    before, propagates = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.propagate = False
    try:
        with status if screen.is_terminal else nullcontext():
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        logger.propagate = propagates


def _print_plan(plan: "Plan") -> None:
    not_yet = "not known: this scorer has not scored here yet"
    rows = [
        ("topics", f"{plan.topics:,}"),
        ("articles to claim", f"{plan.articles:,}"),
        ("pairs to score", f"{plan.pairs:,}"),
        ("pairs in the ledger already", f"{plan.in_ledger:,}"),
        ("pairs over the run's budget", f"{plan.left_out:,}"),
        ("tokens to score", f"{plan.tokens:,}"),
        ("of these cached, about", not_yet if plan.cached is None else f"{plan.cached:,}"),
        ("pairs with a document that is cut", f"{plan.cut_pairs:,}"),
        ("tokens cut off these documents", f"{plan.cut_tokens:,}"),
        ("seconds, about", not_yet if plan.seconds is None else f"{plan.seconds:,.0f}"),
    ]
    print_table(("plan", "number"), rows, right=("number",))


def parse_moment(text: str) -> datetime:
    """A time with its UTC offset. Raises BadParameter for any other text."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not an ISO 8601 time such as 2026-11-22T16:00:00Z") from None
    if moment.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no UTC offset; for UTC write {moment.isoformat()}Z")
    return moment


def parse_end(text: str) -> datetime:
    """A time with its UTC offset, or a span from now: 90m, 6h, 2d. Raises BadParameter for any other text."""
    found = re.fullmatch(r"(\d{1,5})([mhd])", text.strip())
    if found is None:
        return parse_moment(text)
    name = {"m": "minutes", "h": "hours", "d": "days"}[found[2]]
    return datetime.now(UTC) + timedelta(**{name: int(found[1])})


def _shown(value: Any) -> str:
    """A count with its thousands, the number of items of a list, any other value as it is."""
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple, dict)):
        return f"{len(value):,}"
    return f"{value:,}" if isinstance(value, int) else str(value)
