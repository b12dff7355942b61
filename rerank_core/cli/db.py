"""`rerank db`: the schema, and the roles that use it."""

from typing import Annotated

import typer

from rerank_core.cli.options import opened
from rerank_core.cli.printing import say
from rerank_core.errors import InputError

app = typer.Typer(help="The database schema and its roles.", no_args_is_help=True)


@app.command()
def upgrade() -> None:
    """Bring the schema to this version; safe to repeat. Pause the DAGs first, and let their runs end."""
    from rerank_core.frontends import contract
    from rerank_core.settings import Settings
    from rerank_core.storage import migrations

    before, after = migrations.upgrade(Settings.load().database_url, comments=contract.comments())
    say(
        f"schema at {after} already"
        if before == after
        else f"schema brought from {before or 'nothing'} to {after}"
    )
    if before not in (None, after):
        say(
            "no task of the version before may work beside this one: install this version everywhere before the DAGs go"
            " on; if `rerank db roles` made the roles, apply its script again",
            style="yellow",
        )


@app.command()
def restored() -> None:
    """Finish a restore from a dump: no number comes twice, and files and Redis show the restored page. Needs the owner's role."""
    from rerank_core.operations.restored import finish
    from rerank_core.storage.store import Store

    settings, database = opened()
    done = finish(database=database, store=Store(settings.store_url), settings=settings)
    say(f"{done.sequences} sequences go on far ahead; pages restored: {', '.join(done.pipelines) or 'none'}")
    for pipeline in done.without_file:
        say(
            f"the store lacks the file of the page of pipeline {pipeline}: restore the store too, of the same time or later",
            style="yellow",
        )
    say(
        "repeat each `rerank forget` and `rerank block` that was made after the dump: it has brought those articles back"
    )


@app.command()
def roles(
    print_script: Annotated[
        bool, typer.Option("--print", help="Print the script; this command never applies it.")
    ] = False,
    owner: Annotated[
        str, typer.Option(help="Owns the schema; `rerank db upgrade` runs as it.")
    ] = "rerank_owner",
    source: Annotated[str, typer.Option(help="Reads the article source.")] = "rerank_source",
    writer: Annotated[str, typer.Option(help="Runs the pipeline.")] = "rerank_writer",
    frontend: Annotated[
        str,
        typer.Option(
            help="Reads the views current_ranking, recent_ranking, current_topic and recent_change."
        ),
    ] = "rerank_frontend",
    shared: Annotated[
        bool,
        typer.Option(
            "--shared",
            help="Leave the rights of PUBLIC in the database as they are, for other programs that use it. Frontends"
            " can then make temporary tables and large objects.",
        ),
    ] = False,
) -> None:
    """Print the SQL script that makes roles with the least rights; a superuser reads and applies it.

    Apply it before the first `rerank db upgrade` and again after each:
    rerank db roles --print | psql -v ON_ERROR_STOP=1 DATABASE
    """
    from rerank_core.settings import Settings
    from rerank_core.storage.roles import Roles, script

    if not print_script:
        raise InputError("rerank db roles makes no role by itself; give --print to print its script")
    names = Roles(owner=owner, source=source, writer=writer, frontend=frontend)
    own = Settings.load()
    typer.echo(script(names, source_view=own.source_view, media_view=own.media_view, shared=shared), nl=False)
