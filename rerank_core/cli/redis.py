"""`rerank redis`: the hot copy of the page."""

from typing import Annotated

import typer

app = typer.Typer(help="The hot copy of the page in Redis.", no_args_is_help=True)

PATIENCE_SECONDS = 60.0  # nobody else waits for it


@app.command()
def sync(
    pipeline: Annotated[
        str | None, typer.Option(help="The pipeline; RERANK_PIPELINE's where it is left out.")
    ] = None,
) -> None:
    """Write the whole copy anew, as frontends see the page now; at any time, beside anything."""
    from rerank_core.cli.printing import say
    from rerank_core.frontends import redis_copy
    from rerank_core.settings import Settings
    from rerank_core.storage.database import Database

    settings = Settings.load(pipeline=pipeline)
    done = redis_copy.sync(
        database=Database(settings.database_url),
        settings=settings,
        pipeline=settings.pipeline,
        anew=True,
        seconds=PATIENCE_SECONDS,
    )
    if done.publication_id is None:
        say(f"pipeline {settings.pipeline} has no page yet; there is nothing to copy")
    else:
        say(
            f"Redis has the page of pipeline {settings.pipeline}: publication {done.publication_id}, {done.written:,} topics"
        )
