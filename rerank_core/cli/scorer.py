"""`rerank scorer`: the models that score, and what their ids are made of."""

from pathlib import Path
from typing import Annotated

import typer

from rerank_core.cli.options import opened
from rerank_core.cli.printing import print_table, say

app = typer.Typer(help="The models that score: show, list, register and copy them.", no_args_is_help=True)


@app.command()
def register(
    path: Annotated[str, typer.Argument(help="A checkpoint: a folder, or a hub name.")],
    canary: Annotated[
        bool, typer.Option(help="Score the canary first; otherwise the id is only computed.")
    ] = True,
) -> None:
    """Read all of a checkpoint's weights, run its canary, store the scorer and print its id.

    The settings give precision, token limit and passages mode. Later starts read the weights again only if their path,
    size, time or inode has changed.
    """
    from rerank_core.models import scorers
    from rerank_core.settings import Settings
    from rerank_core.storage.database import Database

    chosen = Settings.load(model=path)
    found = scorers.identity(chosen, verify=True)
    if not canary:
        say(f"{found.digest} (computed only: not stored, and the canary was not run)")
        return
    scorers.load(chosen).close()
    with Database(chosen.database_url).transaction() as connection:
        number = scorers.place(connection, found)
    say(f"{found.digest} is scorer {number}; RERANK_MODEL={found.location} makes runs use it")


@app.command()
def convert(
    source: Annotated[
        str, typer.Argument(help="The modules: a folder or a hub name.", metavar="SRC", show_default=False)
    ],
    target: Annotated[
        Path, typer.Argument(help="The folder to write; must not exist.", metavar="DST", show_default=False)
    ],
) -> None:
    """Write an ettin-reranker, which is made of sentence-transformers' modules, as a checkpoint that the engine loads.

    The copy gives the same scores.
    """
    from rerank_core.models import convert as work
    from rerank_core.models.weights import resolve_model

    folder = target.expanduser().absolute()
    work.convert(resolve_model(source), folder)
    say(f"next: `rerank scorer register {folder}` runs its canary; then set RERANK_MODEL={folder}")


@app.command()
def show(
    verify: Annotated[bool, typer.Option("--verify", help="Read all weights again.")] = False,
) -> None:
    """Show the scorer that the settings name, and what its id is made of."""
    from rerank_core.models.scorers import identity
    from rerank_core.settings import Settings

    found = identity(Settings.load(), verify=verify)
    print_table(("part", "value"), [(name, str(value)) for name, value in found.as_dict().items()])


@app.command("list")
def list_scorers() -> None:
    """List the registered scorers, the newest first."""
    from rerank_core.models.scorers import known

    _, database = opened()
    with database.transaction(read_only=True) as connection:
        scorers = known(connection)
    if not scorers:
        say("no scorer is registered; `rerank scorer register PATH` adds one, and so does the first run")
        return
    print_table(
        ("scorer", "id", "family", "precision", "tokens", "passages", "registered", "location"),
        [
            (
                f"{row['scorer_id']}",
                row["digest"][:12],
                row["family"],
                row["precision"],
                f"{row['max_document_tokens']}",
                row["passages"],
                f"{row['registered_at']:%Y-%m-%d %H:%M}",
                row["location"],
            )
            for row in scorers
        ],
        right=("scorer", "tokens"),
        shorten="location",
    )
