"""`rerank publish`: move the page by hand. Runs move it by themselves."""

from typing import Annotated

import typer


def publish(
    rollback: Annotated[
        int | None, typer.Option(metavar="RUN", help="Take the page back to this run and hold it there.")
    ] = None,
    release: Annotated[
        bool, typer.Option("--release", help="Take the page to the newest run and let it go on.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why; kept with the move.")] = "",
    pipeline: Annotated[
        str | None, typer.Option(help="The pipeline; RERANK_PIPELINE's where it is left out.")
    ] = None,
) -> None:
    """Take the page back to an earlier run, or let a page that was taken back go on."""
    if release == (rollback is not None):
        raise typer.BadParameter("give either --rollback RUN or --release")
    from rerank_core import pointer
    from rerank_core.cli.printing import say
    from rerank_core.database import Database
    from rerank_core.settings import Settings
    from rerank_core.store import Store

    settings = Settings.load(pipeline=pipeline)
    database, store = Database(settings.database_url), Store(settings.store_url)
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
        say("it was published again without the articles that were forgotten since")
    say(store.full_path(moved.parquet_path))
