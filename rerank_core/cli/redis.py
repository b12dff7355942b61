"""`rerank redis`: the hot copy of the page in Redis."""

import typer

from rerank_core.cli.options import Pipeline, opened
from rerank_core.cli.printing import say

app = typer.Typer(help="The hot copy of the page in Redis.", no_args_is_help=True)

PATIENCE_SECONDS = 60.0  # how long a command may wait for Redis; a run waits less


@app.command()
def sync(
    pipeline: Pipeline = None,
) -> None:
    """Write the whole copy again, as frontends see the page now; safe at any time, even beside a run."""
    from rerank_core.frontends import redis_copy

    settings, database = opened(pipeline)
    done = redis_copy.sync(
        database=database,
        settings=settings,
        rewrite=True,
        seconds=PATIENCE_SECONDS,
    )
    if done.publication_id is None:
        say(f"pipeline {settings.pipeline} has no page yet; there is nothing to copy")
    else:
        say(
            f"Redis has the page of pipeline {settings.pipeline}: publication {done.publication_id}, {done.written:,} topics"
        )
