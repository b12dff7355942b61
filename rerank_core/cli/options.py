"""What several commands share: options, so that they have one name and one meaning, and what a command works on."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rerank_core.settings import Settings
    from rerank_core.storage.database import Database

Pipeline = Annotated[
    str | None, typer.Option(help="The pipeline; if left out, the one that RERANK_PIPELINE names.")
]
Article = Annotated[str, typer.Argument(help="The article's id in the source.")]
RunId = Annotated[int | None, typer.Option(help="The run; if left out, the one behind the page.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a program.")]


def opened(pipeline: str | None = None) -> "tuple[Settings, Database]":
    """The settings of a pipeline, and the database that they name; None is the pipeline that the settings name."""
    from rerank_core.settings import Settings
    from rerank_core.storage.database import Database

    settings = Settings.load(pipeline=pipeline)
    return settings, Database(settings.database_url)
