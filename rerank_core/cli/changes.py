"""`rerank changes`: what is new in each topic since the page before."""

from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from rerank_core.cli.options import opened
from rerank_core.cli.printing import print_table, say

if TYPE_CHECKING:
    from rerank_core.observe.changes import Change

CAUSES = {
    "rollback": "a rollback took the page back to it",
    "release": "the page was released to it",
    "forget": "it is the page before without a forgotten article",
}


def changes(
    topic: Annotated[str | None, typer.Argument(help="The topic's slug; every topic if left out.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows for each topic.")] = 10,
) -> None:
    """Print what entered each topic, left it, rose and fell since the page before."""
    from rerank_core.observe.changes import of_page

    settings, database = opened()
    news = of_page(database, pipeline=settings.pipeline, topic=topic)
    for slug, group in groupby(news.rows, key=lambda row: row.topic):
        rows = list(group)
        say()
        say(slug, style="bold")
        print_table(
            ("change", "before", "now", "title"),
            [_cells(row) for row in rows[:limit]],
            right=("before", "now"),
            shorten="title",
        )
        if len(rows) > limit:
            say(f"and {len(rows) - limit:,} more; --limit shows more rows")
    if not news.rows:
        say(
            "this is the first page: there is none before it to compare it with"
            if news.from_publication_id is None
            else "nothing entered, left, rose or fell"
        )
    counts = ", ".join(f"{count:,} {kind}" for kind, count in news.counts.items())
    cause = f"; {CAUSES[news.cause]}" if news.cause in CAUSES else ""
    say(
        f"page of run {news.run_id}, version {news.version}, since {news.moved_at:%Y-%m-%d %H:%M} UTC: {counts}{cause}"
    )


def _cells(row: "Change") -> tuple[str, ...]:
    """A row of the table of its topic."""
    return (
        row.change,
        "" if row.rank_before is None else f"{row.rank_before}",
        "" if row.rank_now is None else f"{row.rank_now}",
        row.title or row.article_id,
    )
