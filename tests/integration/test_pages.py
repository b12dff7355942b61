"""What the pages tell people to type is typed: commands that need a database alone, and every statement of SQL."""

import gzip
import json
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pages
import pytest
from pages import ROOT, Block, Command
from sqlalchemy import text

from rerank_core.cli import main
from rerank_core.demo.evaluate import evaluate as evaluate_sample
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.models import scorers
from rerank_core.models.base import FakeScorer
from rerank_core.models.numpy_embedder import NumpyEmbedder
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

SAMPLE = ROOT / "rerank_core" / "demo" / "sample"
RUN_KEY = "2026-11-25T14:00:00Z"

# Commands that need more than a database, by their first words, and what they need.
NEED_MORE = {
    "eval --corpus": "an engine",
    "eval --curve": "an engine",
    "playground": "an engine, and a person",
    "redis": "Redis; tests/integration/frontends run it",
    "scorer convert": "modules of a model; tests/engine runs it",
    "scorer quantise": "torch and minutes; tests/engine runs it",
    "scorer register": "an engine; tests/engine runs it",
    "serve": "an engine; tests/engine runs it",
}
# What must have happened before a command makes sense.
BEFORE = {
    "eval shadow": ["RERANK_PIPELINE=shadow topics apply topics.yaml", "RERANK_PIPELINE=shadow run"],
    "publish --release": ["publish --rollback 1 --reason before"],
    "undo": ["pin en-0005 --topic new-iphone --until 6h --reason before"],
    "unblock": ["block en-0005 --reason before"],
}
# A command that a good run refuses, and what it says; tests/integration/publish has what it does after a bad one.
REFUSED = {
    "publish --approve": "run 1 is not blocked",
    "feedback claim": "RERANK_FEEDBACK_VIEW names no view of events",
    "learn compare": "news-try-3 has impressions of less than two runs",
    "learn promote": "no training proposed scorer 3",
    "learn rollback": "nothing stands in place of",
    "learn run": "RERANK_LEARNING_FOLDER is not set",
    "learn try": "no training proposed scorer 3",
}
# What a reader puts in place of a word.
VALUES = {
    "ARTICLE": "en-0005",
    "BM25.trec": "bm25.trec",
    "DATABASE": "news",
    "DOCUMENTS.jsonl": "articles.jsonl",
    "EVENTS.jsonl": "events.jsonl",
    "FILE": "rerank_core/demo/sample/topics.yaml",
    "FILE.jsonl": "articles.jsonl",
    "FILE.jsonl.gz": "articles.jsonl.gz",
    "FILE.svg": "plot.svg",
    "FILE_OR_TABLE": "rerank_core/demo/sample/qrels.tsv",
    "JUDGED.tsv": "judged.tsv",
    "KEY": RUN_KEY,
    "N": "1",
    "QRELS": "rerank_core/demo/sample/qrels.tsv",
    "QUERIES.tsv": "queries.tsv",
    "RERANKED.parquet": "reranked.parquet",
    "RERANKED.trec": "reranked.trec",
    "RUN": "1",
    "TIME": "2026-11-25T14:00:00Z",
    "TOPIC": "new-iphone",
    "TOPICS": "ai-policy,floods",
}


@dataclass(frozen=True)
class Desk:
    """A folder with the files that pages speak of, and a database that has had one run of the sample."""

    database: str  # to be copied for each command
    folder: Path


@pytest.fixture(scope="module")
def desk(
    postgres: EmbeddedPostgres, _migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    """The desk that every command begins at."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "rerank_core").symlink_to(ROOT / "rerank_core")
    shutil.copy(SAMPLE / "topics.yaml", folder / "topics.yaml")
    shutil.copy(SAMPLE / "articles.jsonl", folder / "articles.jsonl")
    (folder / "articles.jsonl.gz").write_bytes(gzip.compress((SAMPLE / "articles.jsonl").read_bytes()))
    (folder / "queries.tsv").write_text("q1\tApple releases a new iPhone\n")
    (folder / "bm25.trec").write_text("q1 Q0 en-0005 1 5.5 bm25\nq1 Q0 en-0001 2 5.0 bm25\n")
    (folder / "judged.tsv").write_text("q1 0 en-0005 1\n")
    url = postgres.create("desk", template=_migrated_template)
    with pytest.MonkeyPatch.context() as patch:
        _sit_down(patch, url, folder)
        _type("topics apply topics.yaml".split())
        _type("articles load articles.jsonl --published-now".split())
        _type(["run", "--key", RUN_KEY, "--until", datetime.now(UTC).isoformat()])
        judged = [line.split() for line in (SAMPLE / "qrels.tsv").read_text(encoding="utf-8").splitlines()]
        with Database(url).transaction() as connection:
            connection.exec_driver_sql(
                "CREATE TABLE public.qrels (topic text, article_id text, relevance int)"
            )
            connection.execute(
                text("INSERT INTO public.qrels VALUES (:topic, :article, :relevance)"),
                [{"topic": row[0], "article": row[2], "relevance": int(row[3])} for row in judged],
            )
            row = connection.execute(
                text("SELECT revision_id FROM rerank.current_ranking WHERE topic = 'new-iphone' AND rank = 1")
            ).one()
    event = {"run_id": 1, "topic": "new-iphone", "rank": 1, "revision_id": row.revision_id, "event": "open"}
    (folder / "events.jsonl").write_text(json.dumps(event | {"time": "2026-11-25T15:00:00Z"}) + "\n")
    yield Desk("desk", folder)
    postgres.drop("desk")


def _sit_down(patch: pytest.MonkeyPatch, url: str, folder: Path) -> None:
    patch.chdir(folder)
    patch.setenv("RERANK_DATABASE_URL", url)
    patch.setenv("RERANK_STORE_URL", (folder / "store").as_uri())
    patch.setenv("RERANK_FILL_FACTOR", "1")
    patch.setattr(scorers, "load", lambda settings, failures=0, pairs=0: FakeScorer())


def _type(words: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


def test_the_readme_shows_the_figures_of_the_sample_that_need_no_engine(
    desk: Desk, postgres: EmbeddedPostgres
) -> None:
    url = postgres.create("judged", template=desk.database)
    try:
        found = evaluate_sample(
            database=Database(url),
            store=Store((desk.folder / "store").as_uri()),
            run_id=1,
            qrels_file=SAMPLE / "qrels.tsv",
            embedder=NumpyEmbedder(),
        )
    finally:
        postgres.drop("judged")
    lines = pages.read(ROOT / "README.md").splitlines()
    assert [quality.order for quality in found] == ["model", "meaning", "BM25", "random order"]
    for quality in found[1:3]:
        assert f"{quality.order:15}{quality.ndcg:7.3f}   {quality.low:.3f} – {quality.high:.3f}" in lines


def _words(command: Command) -> list[str]:
    """The words to type, with values in place of the words that stand for them; "…" after an option is its text."""
    _, words = pages.without_environment(command.words)
    return ["because" if word == "…" else VALUES.get(word, word) for word in words[1:]]


def _entry(words: list[str], table: Iterable[str]) -> str | None:
    """The entry of a table whose first word is the command's, and whose others are among these words."""
    for entry in table:
        first, *others = entry.split()
        if words[0] == first and set(others) <= set(words):
            return entry
    return None


def _is_whole(words: list[str]) -> bool:
    """Whether a command within a sentence names all that the command needs."""
    import typer

    from rerank_core.cli import app

    command, rest = typer.main.get_command(app), list(words)
    while hasattr(command, "commands"):
        if not rest:
            return False
        command = command.commands[rest.pop(0)]
    try:
        command.make_context(command.name, rest)
    except Exception:
        return False
    return True


def to_type() -> list[Command]:
    """The commands `rerank …` of all pages that a database is enough for, each once."""
    found: dict[tuple[str, ...], Command] = {}
    for page in pages.all_pages():
        if page.name == "CHANGELOG.md":
            continue
        for command in pages.commands(page):
            _, words = pages.without_environment(command.words)
            typed = _words(command)
            if words[:1] == ("rerank",) and _entry(typed, NEED_MORE) is None and _is_whole(typed):
                found.setdefault(tuple(typed), command)
    return list(found.values())


COMMANDS = to_type()


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_of_a_page_works(
    command: Command,
    desk: Desk,
    postgres: EmbeddedPostgres,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = _words(command)
    url = postgres.create("typed", template=desk.database)
    try:
        _sit_down(monkeypatch, url, desk.folder)
        for before in BEFORE.get(_entry(words, BEFORE) or "", ()):
            given, typed = pages.without_environment(tuple(before.split()))
            with pytest.MonkeyPatch.context() as patch:
                for name, value in given.items():
                    patch.setenv(name, value)
                assert _type(list(typed)) == 0
        for name, value in pages.without_environment(command.words)[0].items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = _type(words)
        shown = capsys.readouterr()
    finally:
        postgres.drop("typed")
    refusal = REFUSED.get(_entry(words, REFUSED) or "")
    if refusal is not None:
        assert refusal in shown.err
    else:
        # The doctor may find this host wanting; that it looks at all of it is enough.
        assert code == 0 or (words[0] == "doctor" and code == 1), shown.err
    assert shown.out.strip() or shown.err.strip()


def test_the_commands_that_people_rerun_with_are_among_them() -> None:
    typed = {" ".join(_words(command)) for command in COMMANDS}
    assert typed >= {
        f"run --key {RUN_KEY}",
        "run --plan",
        "run --rescore",
        "run --topics ai-policy,floods",
        "run --until 2026-11-25T15:00:00Z",
        "db upgrade",
        "db roles --print",
        "topics apply topics.yaml --dry-run",
        "articles load articles.jsonl.gz",
        "doctor",
        "runs",
        "show",
    }
    assert len(typed) >= 15


# ── SQL ─────────────────────────────────────────────────────────────────────────────────────────

# CONTRACT.md shows the files of tests/examples, which have a test of their own.
SQL = [
    block
    for page in pages.all_pages()
    if page.name != "CONTRACT.md"
    for block in pages.blocks(page)
    if block.language == "sql"
]
STORY = """
CREATE TABLE public.story (
    id bigint, updated_at timestamptz, created_at timestamptz, link text, headline text, html text, published timestamptz
);
CREATE TABLE public.story_picture (story_id bigint, position integer, sha256 text, file_name text, caption text)
"""


def run_block(sql: str, url: str) -> None:
    """Run the statements of a block, in a transaction that is rolled back."""
    database = Database(url)
    with database.rehearsal() as rehearsal, rehearsal.transaction() as connection:
        connection.exec_driver_sql(STORY)
        for statement in re.split(r";\s*(?:--.*)?(?:\n|$)", sql):
            if re.sub(r"--.*", "", statement).strip():
                connection.exec_driver_sql(statement)


@pytest.mark.parametrize("block", SQL, ids=str)
def test_sql_of_a_page_runs(block: Block, database_url: str) -> None:
    run_block(block.text, database_url)


def test_control_sql_with_a_wrong_column_is_found(database_url: str) -> None:
    block = next(block for block in SQL if block.page == ROOT / "README.md")
    with pytest.raises(Exception, match="does not exist"):
        run_block(block.text.replace("ranked_by", "ranked_in"), database_url)


def test_the_view_that_the_page_shows_is_a_source(
    database_url: str, store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The view of sql/README.md, made as it is shown: a run claims from it."""
    block = next(block for block in SQL if "CREATE VIEW public.rerank_source" in block.text)
    with Database(database_url).transaction() as connection:
        connection.exec_driver_sql(STORY)
        connection.exec_driver_sql(block.text)
        connection.exec_driver_sql(
            "INSERT INTO public.story VALUES (7, now(), now() - interval '1 hour', 'https://news.test/7', 'Solar power', 'Text', now())"
        )
    monkeypatch.setenv("RERANK_DATABASE_URL", database_url)
    monkeypatch.setenv("RERANK_STORE_URL", store_url)
    monkeypatch.setenv("RERANK_SOURCE_VIEW", "public.rerank_source")
    assert _type(["claim", "--since", "2026-01-01T00:00:00Z"]) == 0
    capsys.readouterr()
    assert _type(["articles", "show", "7"]) == 0
    shown = capsys.readouterr().out
    assert "article 7, revision 1" in shown
    assert "title: Solar power" in shown


def test_the_numbers_of_the_readmes_demo_are_those_of_the_sample(
    database_url: str,
    store_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Claims and pairs do not depend on the model; they are counted again with a fake one."""
    shown = pages.blocks(ROOT / "README.md")[1].text
    _sit_down(monkeypatch, database_url, tmp_path)
    monkeypatch.setenv("RERANK_STORE_URL", store_url)
    _type(["topics", "apply", str(SAMPLE / "topics.yaml")])
    counted = []
    for name in ("articles", "more_articles"):
        _type(["articles", "load", str(SAMPLE / f"{name}.jsonl"), "--published-now"])
        assert _type(["run"]) == 0
        with Database(database_url).transaction(read_only=True) as connection:
            counted.append(
                connection.exec_driver_sql(
                    "SELECT sum(value) FILTER (WHERE stage = 'extract' AND name = 'claimed')::int AS claimed,"
                    " sum(value) FILTER (WHERE stage LIKE 'rerank%%' AND name = 'pairs')::int AS pairs"
                    " FROM rerank.run_metric WHERE run_id = (SELECT max(run_id) FROM rerank.run)"
                ).one()
            )
    said = re.findall(r"articles claimed (\d+) · pairs (\d+): scored now (\d+), from the ledger 0", shown)
    assert [tuple(map(int, row)) for row in said] == [(claimed, pairs, pairs) for claimed, pairs in counted]
