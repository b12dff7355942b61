"""`rerank run`: one window's work, stage by stage."""

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import datetime
from time import monotonic
from typing import Annotated, Any

import typer


def run(
    until: Annotated[
        str | None,
        typer.Option(help="End of the window, ISO 8601 with its UTC offset; now where it is left out."),
    ] = None,
    topics: Annotated[
        str | None, typer.Option(help="Topics to rank anew, by comma; the others keep their rankings.")
    ] = None,
    rescore: Annotated[
        bool, typer.Option("--rescore", help="Score again what the ledger already has.")
    ] = False,
    key: Annotated[
        str | None, typer.Option(help="Identity of the run: the same key continues or repeats the same run.")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say how much there is to score, and do nothing.")
    ] = False,
) -> None:
    """Claim what is new, rank it, publish: the DAG's stages without Airflow."""
    from rerank_core import pipeline
    from rerank_core.settings import settings

    moment = None if until is None else _moment(until)
    slugs = None if topics is None else tuple(slug.strip() for slug in topics.split(",") if slug.strip())
    resources = pipeline.Resources.of(settings())
    if plan:
        _print_plan(pipeline.plan(resources, until=moment, topics=slugs))
        return
    _run(resources, key=key, until=moment, topics=slugs, rescore=rescore)


def _run(resources: Any, **choices: Any) -> None:
    from rich.status import Status

    from rerank_core import pipeline
    from rerank_core.cli.printing import console, print_table, say

    screen = console(sys.stderr)
    rows: list[tuple[str, str, str]] = []
    began = monotonic()
    status = Status("first stage …", console=screen)

    def on_stage(name: str, counts: Mapping[str, Any]) -> None:
        nonlocal began
        seconds, began = monotonic() - began, monotonic()
        shown = ", ".join(f"{count.replace('_', ' ')} {_number(value)}" for count, value in counts.items())
        rows.append((name, f"{seconds:.1f}", shown))
        status.update(f"{name} took {seconds:.1f} s; next stage …")
        if not screen.is_terminal:
            screen.print(f"{name}: {seconds:.1f} s")

    with status if screen.is_terminal else nullcontext():
        done = pipeline.run_all(resources, on_stage=on_stage, **choices)
    print_table(("stage", "seconds", "counts"), rows, right=("seconds",))
    say(
        f"run {done.run_id} of pipeline {done.pipeline}, until {done.window.until:%Y-%m-%d %H:%M:%S} UTC, key {done.key}"
    )


def _print_plan(plan: Any) -> None:
    from rerank_core.cli.printing import print_table

    rows = [
        ("topics", f"{plan.topics:,}"),
        ("articles to claim", f"{plan.articles:,}"),
        ("pairs", f"{plan.pairs:,}"),
        ("of them in the ledger", f"{plan.in_ledger:,}"),
        ("tokens to score", f"{plan.tokens:,}"),
        (
            "seconds, about",
            "not known: nothing was scored yet" if plan.seconds is None else f"{plan.seconds:,.0f}",
        ),
    ]
    print_table(("plan", "number"), rows, right=("number",))


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not an ISO 8601 time such as 2026-11-22T16:00:00Z") from None
    if moment.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no UTC offset; write {text}Z for UTC")
    return moment


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
