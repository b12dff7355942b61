"""`rerank topics`: apply, try and lint a topics.yaml, and list the stored topics."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rerank_core.cli.options import opened
from rerank_core.cli.preview import preview
from rerank_core.cli.printing import clean, print_table, say, shortened

if TYPE_CHECKING:
    from rerank_core.storage.topics import TopicChange

app = typer.Typer(help="Stored topics: try, check, apply and list them.", no_args_is_help=True)

app.command()(preview)

STYLES = {"create": "green", "new version": "yellow", "deactivate": "red", "unchanged": "dim"}


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(help="A topics.yaml. A stored topic that it lacks is deactivated.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and change nothing.")] = False,
) -> None:
    """Make the topics of a file the pipeline's topics; all of them or none."""
    from rerank_core.cli.topics_input import load
    from rerank_core.storage import topics

    settings, database = opened()
    pipeline = settings.pipeline
    wanted, is_checked = load(file, settings)
    with database.transaction(read_only=dry_run) as connection:
        done = (topics.plan if dry_run else topics.apply)(connection, pipeline, wanted)
    print_table(
        ("action", "topic", "version", "what changes"),
        [
            (change.action, change.topic.slug, f"{change.topic.number}", _differences(change))
            for change in done.changes
        ],
        right=("version",),
        styles=[STYLES[change.action] for change in done.changes],
    )
    if not wanted:
        say(
            f"{file.name} has no topic: {done.count('deactivate')} that pipeline {pipeline} had in use"
            f" {'would be' if dry_run else 'are'} deactivated, and its next page shows none",
            style="yellow",
        )
    if not is_checked:
        say(
            f"the model {settings.model} is not on this host, so the lengths of the queries are not checked; `rerank"
            " doctor` does so on a host that scores",
            style="yellow",
        )
    say(
        f"pipeline {pipeline}: {done.count('create')} created, {done.count('new version')} with a new version,"
        f" {done.count('deactivate')} deactivated, {done.count('unchanged')} unchanged"
        + (": so it would be; --dry-run changes nothing" if dry_run else "")
    )


@app.command("list")
def list_topics() -> None:
    """List the newest version of every topic."""
    from rerank_core.storage import topics

    settings, database = opened()
    pipeline = settings.pipeline
    with database.transaction(read_only=True) as connection:
        stored = topics.current_topics(connection, pipeline, active_only=False)
    if not stored:
        say(f"pipeline {pipeline} has no topics; `rerank topics apply FILE` brings some")
        return
    print_table(
        ("topic", "version", "query", "languages", "recall", "top", "min", "half-life"),
        [
            (
                topic.slug,
                f"{topic.number}" if topic.active else f"{topic.number} (off)",
                topic.query,
                " ".join(topic.languages) or "all",
                f"{topic.candidate_limit}",
                f"{topic.top_k}",
                "" if topic.min_score is None else f"{topic.min_score:+g}",
                f"{topic.half_life_hours:g} h",
            )
            for topic in stored
        ],
        right=("recall", "top", "min", "half-life"),
        shorten="query",
        styles=["" if topic.active else "dim" for topic in stored],
    )


@app.command()
def lint(
    files: Annotated[list[Path], typer.Argument(help="One or more topics.yaml.")],
    sarif: Annotated[bool, typer.Option("--sarif", help="Print SARIF 2.1.0 instead of text.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail, too; notes never do.")] = False,
) -> None:
    """Say what is wrong with topics files, and what is probably not meant; needs no database.

    The exit code is 1 if there is an error, so that a test can run it before each change of the file.
    """
    from rerank_core.cli.sarif import log
    from rerank_core.models.scorers import refused_queries
    from rerank_core.recall.lint import lint as remarks_on
    from rerank_core.settings import Settings
    from rerank_core.storage.bounded import read_bounded
    from rerank_core.storage.topics_file import LARGEST, read_topics

    settings = Settings.load()
    found = []
    for file in files:
        content = read_topics(read_bounded(file, most=LARGEST, what=str(file)))
        found.append((file, remarks_on(content, refused_queries(settings, content.topics) or ())))
    if sarif:
        typer.echo(json.dumps(log(found), ensure_ascii=False, indent=1))
    for file, remarks in found if not sarif else ():
        for remark in remarks:
            who = f"{remark.topic}: " if remark.topic else ""
            where = f"{file}:{remark.place.line}:{remark.place.column}"
            typer.echo(clean(f"{where}: {remark.level}: {who}{remark.message} [{remark.rule}]"))
    levels = [remark.level for _, remarks in found for remark in remarks]
    if not sarif:
        counts = [_counted(levels.count(level), level) for level in ("error", "warning", "note")]
        typer.echo(f"{_counted(len(files), 'file')}: {', '.join(counts)}")
    if "error" in levels or (strict and "warning" in levels):
        raise typer.Exit(1)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _differences(change: "TopicChange") -> str:
    if change.before is None:
        return _shown(change.topic.query)
    return "; ".join(
        f"{name}: {_shown(getattr(change.before, name))} → {_shown(getattr(change.topic, name))}"
        for name in change.fields
    )


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return shortened(value)
    if isinstance(value, dict):
        value = tuple(f"{name}: {text}" for name, text in value.items())
    if isinstance(value, tuple):
        return shortened(f"[{', '.join(value)}]")
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
