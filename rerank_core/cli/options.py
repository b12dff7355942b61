"""Options that several commands share, so that they have one name and one meaning."""

from typing import Annotated

import typer

Pipeline = Annotated[
    str | None, typer.Option(help="The pipeline; if left out, the one that RERANK_PIPELINE names.")
]
RunId = Annotated[int | None, typer.Option(help="The run; if left out, the one behind the page.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a program.")]
