"""`rerank publish`: move the page by hand, or approve a run; otherwise runs move the page themselves."""

from typing import TYPE_CHECKING, Annotated

import typer

from rerank_core.cli.options import Pipeline, opened
from rerank_core.cli.printing import say

if TYPE_CHECKING:
    from rerank_core.settings import Settings


def publish(
    rollback: Annotated[
        int | None, typer.Option(metavar="RUN", help="Take the page back to this run and hold it there.")
    ] = None,
    approve: Annotated[
        int | None,
        typer.Option(metavar="RUN", help="Publish a run that the gate has blocked, with its scores."),
    ] = None,
    release: Annotated[
        bool,
        typer.Option("--release", help="Take the page to the newest run and let it follow the runs again."),
    ] = False,
    reason: Annotated[
        str, typer.Option(help="Why; kept for whoever asks later. Only --release goes without.")
    ] = "",
    pipeline: Pipeline = None,
) -> None:
    """Take the page back to an earlier run, let it follow the runs again, or approve a blocked run."""
    if sum((rollback is not None, approve is not None, release)) != 1:
        raise typer.BadParameter("give one of --rollback RUN, --approve RUN and --release")
    from rerank_core.operations import pointer
    from rerank_core.storage.store import Store

    settings, database = opened(pipeline)
    if approve is not None:
        _approve(settings, approve, reason)
        return
    store = Store(settings.store_url)
    if rollback is None:
        moved = pointer.release(
            database=database, store=store, settings=settings, reason=reason or "released"
        )
        state = "follows the runs again"
    else:
        moved = pointer.rollback(
            database=database, store=store, settings=settings, run_id=rollback, reason=reason
        )
        state = "stays there until `rerank publish --release`"
    say(
        f"the page of pipeline {settings.pipeline} is at run {moved.run_id}, version {moved.version},"
        f" as of {moved.as_of:%Y-%m-%d %H:%M} UTC, and {state}; moved by {moved.actor}"
    )
    if moved.reissued:
        say("the run was published again without the articles that were forgotten since")
    say(store.full_path(moved.parquet_path))


def _approve(settings: "Settings", run_id: int, reason: str) -> None:
    from rerank_core import pipeline

    published = pipeline.approve(pipeline.Resources.of(settings), run_id=run_id, reason=reason)
    if published is None:
        say(f"run {run_id} was approved and published before; there is nothing to do")
        return
    page = (
        "which is the page now"
        if published["is_current"]
        else "and the page stays: a newer run made it, or a rollback holds it"
    )
    say(
        f"run {run_id} is approved: its scores count again. It is published as version {published['version']}, {page}"
    )
    say(published["parquet"])
