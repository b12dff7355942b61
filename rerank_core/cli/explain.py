"""`rerank explain`: why an article has its rank in a topic, or none."""

from typing import Annotated

import typer

from rerank_core.cli.options import RunId, opened
from rerank_core.cli.printing import print_table, say


def explain(
    topic: Annotated[str, typer.Argument(help="The topic's slug.")],
    article: Annotated[str, typer.Argument(help="The article's id in the source.")],
    run: RunId = None,
) -> None:
    """Say why an article has its rank in a topic, or why it is not ranked there."""
    from rerank_core.observe.explain import explain as look
    from rerank_core.storage.store import Store

    settings, database = opened()
    found = look(
        database=database,
        store=Store(settings.store_url),
        settings=settings,
        topic=topic,
        article_id=article,
        run_id=run,
    )
    say(found.sentence, style="bold green" if found.reason == "ranked" else "bold")
    if found.facts:
        print_table(("fact", "value"), found.facts)
