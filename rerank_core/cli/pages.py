"""`rerank show`: the current page, as frontends read it; `rerank runs`: the runs that led to it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rerank_core.cli.options import AsJson, opened
from rerank_core.cli.printing import print_json, print_table, say, shortened, show_age
from rerank_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

_OF_TOPIC = ("topic", "query", "state", "ranked", "missing", "refused", "left_out", "source_limited")
STYLES = {"full": "green", "partial": "yellow", "abstained": "yellow", "degraded": "red", "stale": "red"}


def show(
    topic: Annotated[str | None, typer.Argument(help="The topic's slug; every topic if left out.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows for each topic.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Print the current ranking of each topic."""
    page = _read_page(topic=topic, limit=limit)
    if as_json:
        print_json(page)
    else:
        _print_page(page)


def _read_page(*, topic: str | None, limit: int) -> dict[str, Any]:
    """The current page, with the first rows of each topic. Raises InputError if `topic` is not on it."""
    from rerank_core.storage import database as db
    from rerank_core.storage.store import Store

    settings, database = opened()
    pipeline = settings.pipeline
    # One snapshot: if a publication comes between two of these queries, none of them sees it.
    with database.transaction(read_only=True) as connection:
        topics = db.rows(connection, "pages.topics", pipeline=pipeline, topic=topic)
        current = db.one(connection, "page.state", pipeline=pipeline)
        articles = db.rows(connection, "pages.ranking", pipeline=pipeline, topic=topic, limit=limit)
    if topic is not None and current is None:
        raise InputError(f"pipeline {pipeline} has no page yet; `rerank run` publishes one")
    if not topics and topic is not None:
        raise InputError(
            f"topic {topic!r} is not on the page of pipeline {pipeline}; `rerank show` lists the topics that are"
        )
    rankings: dict[str, list[dict[str, Any]]] = {row["topic"]: [] for row in topics}
    for article in articles:
        rankings[article["topic"]].append({name: article[name] for name in article if name != "topic"})
    page = topics[0] if topics else None
    return {
        "pipeline": pipeline,
        "has_page": current is not None,
        "held": current is not None and current["held"],
        "blocked": current and current["blocked"],
        **{
            name: page and page[name]
            for name in ("as_of", "overdue_since", "run_id", "version", "publication_id")
        },
        "parquet": page and Store(settings.store_url).full_path(page["parquet_path"]),
        "topics": [
            {**{name: row[name] for name in _OF_TOPIC}, "ranking": rankings[row["topic"]]} for row in topics
        ],
    }


def _print_page(page: "Mapping[str, Any]") -> None:
    from rerank_core.publish.gate import advice, command

    pipeline = page["pipeline"]
    if not page["topics"]:
        say(
            f"the page of pipeline {pipeline} has no topic: it was published before any topic existed; `rerank run` publishes the next"
            if page["has_page"]
            else f"pipeline {pipeline} has no page yet; `rerank run` publishes one"
        )
        return
    for shown_topic in page["topics"]:
        ranked = f"{shown_topic['ranked']:,} ranked"
        say()
        say(
            " · ".join([shown_topic["topic"], shown_topic["state"], ranked, *_unscored(shown_topic)]),
            style=f"bold {STYLES[shown_topic['state']]}",
        )
        say(shortened(shown_topic["query"]))
        print_table(
            ("rank", "score", "title", "source", "age", "new", "flags"),
            [_cells(article) for article in shown_topic["ranking"]],
            right=("rank", "score", "age"),
            shorten="title",
        )
    say(f"as of {page['as_of']:%Y-%m-%d %H:%M} UTC, run {page['run_id']}, version {page['version']}")
    if page["overdue_since"] is not None:
        say(
            f"a newer page has been due since {page['overdue_since']:%Y-%m-%d %H:%M} UTC; see what holds up extract and prepare",
            style="bold red",
        )
    if page["held"]:
        say("a rollback holds the page here; `rerank publish --release` lets it go on", style="yellow")
    if page["blocked"] is not None:
        say(f"the gate has blocked this run: {page['blocked']}", style="bold red")
        say(
            f"its scores are not used. {advice(page['blocked'])} If the run is right after all: {command(pipeline, page['run_id'])}"
        )
    say(page["parquet"])


def runs(
    limit: Annotated[int, typer.Option(min=1, help="Latest runs to list.")] = 20, as_json: AsJson = False
) -> None:
    """List the latest runs: how far each came, and what it published."""
    from rerank_core.observe.drift import SHIFT
    from rerank_core.publish.gate import advice, command
    from rerank_core.storage import database as db

    settings, database = opened()
    pipeline = settings.pipeline
    with database.transaction(read_only=True) as connection:
        found = db.rows(connection, "pages.runs", pipeline=pipeline, limit=limit)
    if as_json:
        print_json([dict(row) for row in found])
        return
    if not found:
        say(f"pipeline {pipeline} has no run yet; `rerank run` makes one")
        return
    rows = [
        (
            f"{row['run_id']}",
            f"{row['until']:%Y-%m-%d %H:%M:%S}",
            _state(row),
            "" if row["version"] is None else f"{row['version']}",
            "" if row["row_count"] is None else f"{row['row_count']:,}",
            _page(row),
            "" if row["drift_psi"] is None else f"{row['drift_psi']:.2f}",
            row["key"],
            row["difference"] or "",
        )
        for row in found
    ]
    names = ("run", "until (UTC)", "state", "version", "rows", "page", "drift", "key", "differs")
    print_table(names, rows, right=("run", "version", "rows", "drift"), shorten="key")
    for row in found:
        if row["verdict"] == "blocked":
            say(f"run {row['run_id']} is blocked: {row['sentence']}", style="bold red")
            say(
                f"    {advice(row['sentence'])} If the run is right after all: {command(pipeline, row['run_id'])}"
            )
        elif row["verdict"] == "approved":
            say(f"run {row['run_id']} was blocked, and approved: {row['sentence']}")
        if row["drift_psi"] is not None and row["drift_psi"] >= SHIFT:
            say(
                f"run {row['run_id']}: its logits have drifted ({row['drift_psi']:.2f}, from {SHIFT} on)",
                style="yellow",
            )


def _page(row: "Mapping[Any, Any]") -> str:
    """Whether readers see the run, and in which version."""
    if not row["is_current"]:
        return ""
    shown = "held" if row["held"] else "current"
    return shown if row["page_version"] == row["version"] else f"{shown}, version {row['page_version']}"


def _state(row: "Mapping[Any, Any]") -> str:
    """How far a run has come, and what is wrong with it."""
    if row["verdict"] == "blocked":
        return f"{row['state']}, blocked"
    return f"{row['state']}, degraded" if row["degraded"] else str(row["state"])


def _unscored(topic: "Mapping[Any, Any]") -> list[str]:
    """Pairs that the run recalled and did not score, and rows that were left out, by reason; nothing if there are none."""
    reasons = (
        ("missing", "not scored yet"),
        ("refused", "refused by the scorer"),
        ("left_out", "left out over the budget"),
        ("source_limited", "rows left out for their source"),
    )
    return [f"{topic[name]:,} {why}" for name, why in reasons if topic[name]]


def _moved(article: "Mapping[Any, Any]") -> list[str]:
    """What gave the row its place, if not its score, and by how many places."""
    by, places = article["moved_by"], article["moved"]
    return [] if by is None else [by if not places else f"{by} {places:+d}"]


def _cells(article: "Mapping[Any, Any]") -> tuple[str, ...]:
    """An article's row of the table of its topic."""
    by_model = article["ranked_by"] == "model"
    return (
        f"{article['rank']}",
        f"{article['logit']:+.2f}"
        if by_model
        else article["ranked_by"]
        if article["light_score"] is None
        else f"{article['ranked_by']} {article['light_score']:.2f}",
        article["title"],
        (article["source"] or "") + (f" +{article['copies'] - 1}" if article["copies"] > 1 else ""),
        show_age(article["age"]),
        "new" if article["is_new"] else "",
        " ".join([*_moved(article), *article["flags"]]),
    )
