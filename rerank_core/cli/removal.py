"""`rerank block`, `unblock` and `forget`: hide an article at once, or remove its text for good."""

from typing import TYPE_CHECKING, Annotated

import typer

from rerank_core.cli.options import Article, Pipeline, opened
from rerank_core.cli.printing import print_counts, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rerank_core.operations.removal import Blocked, Forgotten
    from rerank_core.settings import Settings
    from rerank_core.storage.database import Database

Reason = Annotated[str, typer.Option(help="Why; kept for whoever asks later.")]


def block(article: Article, reason: Reason, pipeline: Pipeline = None) -> None:
    """Hide an article from the views at once, and from every file that is published from now on."""
    from rerank_core.operations import removal
    from rerank_core.storage.store import Store

    settings, database = _opened(pipeline)
    found = removal.block(
        database=database,
        store=Store(settings.store_url),
        settings=settings,
        article_id=article,
        reason=reason,
    )
    say(f"article {article} is hidden in pipeline {settings.pipeline}: {_where(found, 'it was on')}")


def unblock(article: Article, pipeline: Pipeline = None) -> None:
    """Show a hidden article again."""
    from rerank_core.operations import removal
    from rerank_core.storage.store import Store

    settings, database = opened(pipeline)
    found = removal.unblock(
        database=database,
        store=Store(settings.store_url),
        settings=settings,
        article_id=article,
    )
    say(
        f"article {article} is not hidden in pipeline {settings.pipeline} any more: {_where(found, 'it is on')}"
    )


def forget(article: Article, reason: Reason, pipeline: Pipeline = None) -> None:
    """Remove an article's text for good, and list the places that this cannot reach; no later claim brings it back."""
    from rerank_core.operations import removal
    from rerank_core.storage.store import Store

    settings, database = _opened(pipeline)
    store = Store(settings.store_url)
    found = removal.forget(
        database=database,
        store=store,
        settings=settings,
        article_id=article,
        reason=reason,
    )
    _print_forgotten(article, found, store.full_path)
    _print_unreached(removal.unreached(settings, is_local=store.local_folder is not None))


def _opened(pipeline: str | None) -> "tuple[Settings, Database]":
    """As `opened`. Raises InputError if the database does not know the pipeline: a misspelt one would hide nothing."""
    from rerank_core.storage import topics

    settings, database = opened(pipeline)
    with database.transaction(read_only=True) as connection:
        topics.check_pipeline(connection, settings.pipeline)
    return settings, database


def _where(found: "Blocked", verb: str) -> str:
    """Where the article is on the page, after a verb such as "it was on"."""
    if found.topics:
        return f"{verb} the page under {', '.join(found.topics)}"
    return (
        "it is not on the page"
        if found.claimed
        else "no run has claimed an article of this id: nothing is hidden now; check the id"
    )


def _print_forgotten(article: str, found: "Forgotten", full_path: "Callable[[str], str]") -> None:
    say(f"article {article} is forgotten in pipeline {', '.join(found.pipelines)}")
    if not found.known:
        say(
            "nothing was removed: nobody has claimed an article of this id. If the id is right, no run will ever claim"
            " the article; if it is wrong, forget the right one",
            style="yellow",
        )
    removed = {
        "raw texts": found.texts,
        "documents": found.documents,
        "documents kept, because another article has them, too": found.shared,
        "scores of these documents": found.scores,
        "rows of the article source": found.source_rows,
        "titles and links in rankings": found.rankings,
    }
    print_counts("removed", removed)
    for path in found.reissued:
        say(f"the page was published again without it: {full_path(path)}")
    for scorer_id in found.scorers:
        say(
            f"scorer {scorer_id} has learned from its text, and cannot unlearn it: learn again, or use another",
            style="yellow",
        )
    for pipeline in found.shown_in:
        say(
            f"the topic files of pipeline {pipeline} could not be replaced and may still show it: run"
            f" `rerank maintain --pipeline {pipeline}` as soon as the store answers",
            style="yellow",
        )
    for path in found.pictures:
        say(f"removed by a clean-up until {found.due_at:%Y-%m-%d %H:%M} UTC: {full_path(path)}")
    for path, due_at in {**dict.fromkeys(found.due, found.due_at), **found.folders}.items():
        say(f"due for deletion at {due_at:%Y-%m-%d %H:%M} UTC: {full_path(path)}")


def _print_unreached(places: "Sequence[str]") -> None:
    say()
    say("What this command cannot reach:")
    for place in places:
        say(f"- {place}")
