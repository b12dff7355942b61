"""`rerank pin`, `boost`, `demote`, `undo` and `editorial`: the hand of an editor."""

from typing import TYPE_CHECKING, Annotated

import typer

from rerank_core.cli.options import Article, Pipeline, opened
from rerank_core.cli.printing import print_table, say
from rerank_core.cli.runs import parse_end

if TYPE_CHECKING:
    from rerank_core.operations.desk import Standing
    from rerank_core.records import ActKind

Topic = Annotated[str, typer.Option(help="The topic's slug.")]
Until = Annotated[
    str, typer.Option(help="When it ends: an ISO 8601 time with its UTC offset, or 90m, 6h, 2d from now.")
]
Reason = Annotated[str, typer.Option(help="Why; kept for whoever asks later.")]
Places = Annotated[int, typer.Option(help="How many places.")]


def pin(
    article: Article,
    topic: Topic,
    until: Until,
    reason: Reason,
    place: Annotated[int, typer.Option(help="The place that the article takes, from 1.")] = 1,
    pipeline: Pipeline = None,
) -> None:
    """Show an article at a place of a topic from the next page on, whatever its score."""
    _make("pin", article, topic, place, until, reason, pipeline)


def boost(
    article: Article,
    topic: Topic,
    until: Until,
    reason: Reason,
    places: Places = 5,
    pipeline: Pipeline = None,
) -> None:
    """Show an article so many places higher in a topic from the next page on."""
    _make("boost", article, topic, places, until, reason, pipeline)


def demote(
    article: Article,
    topic: Topic,
    until: Until,
    reason: Reason,
    places: Places = 5,
    pipeline: Pipeline = None,
) -> None:
    """Show an article so many places lower in a topic from the next page on."""
    _make("demote", article, topic, places, until, reason, pipeline)


def undo(article: Article, topic: Topic, pipeline: Pipeline = None) -> None:
    """End the pin, boost or demotion of an article in a topic; the next page is without it."""
    from rerank_core.operations import desk
    from rerank_core.publish.editorial import told

    settings, database = opened(pipeline)
    act = desk.undo(database=database, settings=settings, article_id=article, slug=topic)
    say(f"undone, from the next page on: article {article} in topic {topic}, {told(act)}")


def editorial(
    topic: Annotated[str | None, typer.Option(help="The topic's slug; every topic if left out.")] = None,
    pipeline: Pipeline = None,
) -> None:
    """List the pins, boosts and demotions that stand, and what the current page makes of them."""
    from rerank_core.operations import desk
    from rerank_core.publish.editorial import who

    settings, database = opened(pipeline)
    found = desk.list_standing(database, settings, slug=topic)
    if not found:
        say("nothing is pinned, boosted or demoted now")
        return
    rows = [
        (
            standing.act.slug,
            f"{standing.act.kind} {standing.act.amount}",
            standing.act.article_id,
            standing.title or "",
            _effect(standing),
            f"{standing.act.ends_at:%Y-%m-%d %H:%M}",
            who(standing.act),
            standing.act.reason,
        )
        for standing in found
    ]
    names = ("topic", "act", "article", "title", "on the page", "until (UTC)", "by", "reason")
    print_table(names, rows, shorten="title")


def _make(
    kind: "ActKind",
    article: str,
    topic: str,
    amount: int,
    until: str,
    reason: str,
    pipeline: str | None,
) -> None:
    from rerank_core.operations import desk
    from rerank_core.publish.editorial import told

    settings, database = opened(pipeline)
    made = desk.make(
        database=database,
        settings=settings,
        kind=kind,
        article_id=article,
        slug=topic,
        amount=amount,
        ends_at=parse_end(until),
        reason=reason,
    )
    say(f"article {article} in topic {topic}, from the next page on: {told(made.act)}")
    if made.effect == "unclaimed":
        say("no run has claimed the article yet: it shows when one has", style="yellow")


def _effect(standing: "Standing") -> str:
    if standing.effect != "shown":
        return standing.effect
    moved = "" if not standing.moved else f", {standing.moved:+d}"
    return f"rank {standing.rank}{moved}"
