"""`rerank scorer quantise`: make an 8-bit copy of a checkpoint."""

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from rerank_core.cli.printing import say

REPORT_SECONDS = 5.0


def quantise(
    source: Annotated[
        str, typer.Argument(help="The checkpoint: a folder or a hub name.", metavar="SRC", show_default=False)
    ],
    target: Annotated[
        Path, typer.Argument(help="The folder to write; must not exist.", metavar="DST", show_default=False)
    ],
    scheme: Annotated[
        Literal["int8", "fp8"],
        typer.Option(
            help="Numbers of weights and activations; an fp8 copy runs only on a GPU of compute capability 8.9 or later."
        ),
    ] = "int8",
) -> None:
    """Write an 8-bit copy (W8A8) of a checkpoint: a new scorer that is faster and whose logits differ a little.

    Measure its order on your own topics before you use it. Its scores are never mixed with the source's.
    """
    from rerank_core.models import quantise as work
    from rerank_core.models.weights import resolve_model

    reported = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal reported
        if time.monotonic() - reported >= REPORT_SECONDS:
            reported = time.monotonic()
            say(f"{done / 2**20:,.0f} of {total / 2**20:,.0f} MiB")

    written = work.quantise(
        resolve_model(source), target.expanduser().absolute(), scheme=scheme, on_progress=report
    )
    say(
        f"{written.folder}: {written.tensors} weight matrices in {written.scheme}, the rest in {written.precision} as before; "
        f"{written.bytes_before / 2**20:,.0f} MiB became {written.bytes_after / 2**20:,.0f}"
    )
    say(
        f"next: `rerank scorer register {written.folder}` runs its canary; then set RERANK_MODEL={written.folder}"
    )
