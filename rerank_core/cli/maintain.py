"""`rerank maintain`: the clean-up of a pipeline; a DAG does the same every day."""

from typing import Annotated

import typer

from rerank_core.cli.options import Pipeline, opened
from rerank_core.cli.printing import print_counts, say
from rerank_core.cli.runs import log_on_screen
from rerank_core.errors import InputError


def maintain(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be deleted now, and change nothing.")
    ] = False,
    pipeline: Pipeline = None,
) -> None:
    """Delete what is past its time and repair latest.json; nothing that the page or a reader needs is deleted."""
    from rerank_core.operations import maintain
    from rerank_core.storage import topics
    from rerank_core.storage.store import Store

    settings, database = opened(pipeline)
    with log_on_screen():
        done = maintain.maintain(
            database=database,
            store=Store(settings.store_url),
            settings=settings,
            dry_run=dry_run,
        )
    try:
        with database.transaction(read_only=True) as connection:
            topics.check_pipeline(connection, settings.pipeline)
    except InputError as error:  # otherwise zeros would look as if all were well
        say(str(error), style="yellow")
    numbers = {name: value for name, value in vars(done).items() if name != "dry_run"}
    print_counts("would be" if dry_run else "clean-up", numbers)
