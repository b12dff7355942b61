"""`rerank topics preview`: what the topics of a file would recall and rank, before they are applied."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rerank_core.cli.options import opened
from rerank_core.cli.printing import print_table, say, shortened
from rerank_core.cli.runs import log_on_screen, parse_moment

if TYPE_CHECKING:
    from rerank_core.operations.preview.records import Cost, Difference, Preview, TopicPreview

STAND = {
    "new": "new",
    "edited": "differs from the stored version",
    "stored": "as it is stored",
    "off": "not active",
}
NAMED = 5  # articles that enter or leave, and overlaps


def preview(
    file: Annotated[Path, typer.Argument(help="A topics.yaml.")],
    topic: Annotated[
        list[str] | None, typer.Option(help="Only this topic of the file; may be repeated.")
    ] = None,
    score: Annotated[
        int,
        typer.Option(min=0, help="Score at most so many pairs, and keep no score; 0 starts no engine."),
    ] = 0,
    rows: Annotated[int, typer.Option(min=0, help="Rows of each topic that are shown.")] = 10,
    until: Annotated[
        str | None, typer.Option(help="End of the window, ISO 8601 with its UTC offset; now if left out.")
    ] = None,
    articles: Annotated[
        int, typer.Option(min=1, help="The newest articles of the window that are looked at.")
    ] = 20_000,
) -> None:
    """Try the topics of a file against the current window: what they find, share, exclude and cost. Changes nothing."""
    from rerank_core.cli.topics_input import load
    from rerank_core.operations.preview.preview import preview as look

    settings, database = opened()
    wanted, _ = load(file, settings)
    with log_on_screen():
        found = look(
            database,
            settings,
            wanted,
            shown=topic or None,
            until=None if until is None else parse_moment(until),
            score=score,
            rows=rows,
            most_articles=articles,
        )
    _print_head(found)
    for each in found.topics:
        _print_topic(each)


def _print_head(found: "Preview") -> None:
    span = f"{found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M} UTC"
    say(
        f"pipeline {found.pipeline}, {span}: {found.articles:,} articles, {found.documents:,} texts, recall by"
        f" {found.strategy}"
    )
    if found.cut:
        say("the window has more articles; --articles looks at more of them", style="yellow")
    if not found.documents:
        say("the window is empty: `rerank run` claims articles and prepares them", style="yellow")
    if found.without_vector:
        say(f"{found.without_vector} queries have no vector yet: words recall for them", style="yellow")
    if found.scored_now:
        say(f"{found.scored_now:,} pairs were scored for this preview; no score is kept")


def _print_topic(found: "TopicPreview") -> None:
    say()
    say(f"{found.topic.slug} · {STAND[found.stand]}", style="bold")
    print_table(("fact", "value"), _facts(found))
    if found.rows:
        print_table(
            ("rank", "score", "title", "source", "lang", "age", "found by"),
            [
                (
                    f"{row.rank}",
                    f"{row.light_score:.2f} words" if row.logit is None else f"{row.logit:+.2f}",
                    row.title or row.article_id,
                    row.source or "",
                    row.lang,
                    f"{row.age_hours:.0f} h",
                    row.recalled_by or "scored before",
                )
                for row in found.rows
            ],
            right=("rank", "score", "age"),
            shorten="title",
        )


def _facts(found: "TopicPreview") -> list[tuple[str, str]]:
    facts = [
        ("passes its filters", f"{found.eligible:,} texts"),
        ("recalled", f"{found.recalled:,}"),
        ("rows of the page", f"{found.row_count:,} of {found.topic.top_k:,}"),
        ("to score now", _cost(found.cost)),
        ("to score an hour", _hourly(found.cost)),
    ]
    for query in found.queries:
        langs = " ".join(query.langs) or "no language of the window"
        said = f"{query.documents:,} texts in {langs}"
        if query.unmatched and query.documents:
            said += f"; no text has {', '.join(query.unmatched)}"
        if query.unused:
            said += f"; does not count: {', '.join(query.unused)}"
        facts.append((f"query {shortened(query.query)}", said))
    for each in found.filters:
        said = f"removes {each.removed:,}, and {each.alone:,} that no other filter removes"
        facts.append((f"{each.field} {each.value}", said))
    if found.without_query:
        said = ", ".join(f"{lang} {count:,}" for lang, count in found.without_query.items())
        facts.append(("languages without a query", said))
    for overlap in found.overlaps[:NAMED]:
        where = " as its page is" if overlap.stored else ""
        facts.append((f"shares rows with {overlap.slug}", f"{overlap.shared} of its {overlap.rows}{where}"))
    return facts + (_differences(found.difference) if found.difference else [])


def _differences(found: "Difference") -> list[tuple[str, str]]:
    order = "by the model" if found.compared_by == "model" else "by words, since not all is scored"
    return [
        ("changed fields", ", ".join(found.fields)),
        ("compared with the stored version", order),
        ("candidates", f"+{found.candidates_entered:,} −{found.candidates_left:,}"),
        ("enters the page", _articles(found.entered)),
        ("leaves the page", _articles(found.left)),
    ]


def _articles(articles: tuple[tuple[str, str], ...]) -> str:
    named = [f"{title or article_id}" for article_id, title in articles[:NAMED]]
    more = [f"and {len(articles) - NAMED} more"] if len(articles) > NAMED else []
    return " · ".join(named + more) or "nothing"


def _cost(cost: "Cost") -> str:
    seconds = (
        "seconds not known: nothing was scored here yet" if cost.seconds is None else _time(cost.seconds)
    )
    return f"{cost.pairs:,} pairs, {cost.known:,} are scored already; {seconds}"


def _hourly(cost: "Cost") -> str:
    seconds = "seconds not known" if cost.seconds_an_hour is None else _time(cost.seconds_an_hour)
    return f"about {cost.pairs_an_hour:,.1f} pairs; {seconds}"


def _time(seconds: float) -> str:
    return f"about {seconds:,.1f} s of one engine"
