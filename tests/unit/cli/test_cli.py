"""The command line: quick to start, plain in a file, one sentence for an error, the right exit code."""

import gzip
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from sqlalchemy import text

from rerank_core import __version__, pipeline
from rerank_core import settings as settings_module
from rerank_core.airflow_settings import AirflowSettings
from rerank_core.cli import main, printing
from rerank_core.errors import EngineError
from rerank_core.models import scorers
from rerank_core.models.base import FakeScorer
from rerank_core.operations.doctor import examine
from rerank_core.operations.doctor.examine import Finding
from rerank_core.settings import Settings
from rerank_core.storage.database import Database

TOPICS = """
topics:
- slug: ai-chips
  query: 人工智能 芯片
- slug: rates
  query: central bank raises interest rate
"""
ARTICLES = [
    {
        "id": "zh-1",
        "title": "新款人工智能芯片发布",
        "body": "芯片公司今天发布人工智能芯片。",
        "source": "晨报",
    },
    {
        "id": "en-1",
        "title": "Central bank raises interest rate",
        "body": "The bank raised its rate.",
        "source": "Post",
    },
    {
        "id": "en-2",
        "title": "Football \x1b[31mred\x1b[0m [bold]cup[/bold]",
        "body": "A cup and an interest rate.",
    },
]


@dataclass(frozen=True)
class Ended:
    """What a command printed and its exit code."""

    code: int
    out: str
    err: str


Rerank = Callable[..., Ended]


@pytest.fixture
def rerank(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Rerank:
    """Run a command in this process, as into a file."""

    def run(*arguments: str, **environment: str) -> Ended:
        for name, value in environment.items():
            monkeypatch.setenv(f"RERANK_{name.upper()}", value)
        settings_module.settings.cache_clear()
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        settings_module.settings.cache_clear()
        shown = capsys.readouterr()
        return Ended(int(ended.value.code or 0), shown.out, shown.err)

    return run


@pytest.fixture
def page(
    rerank: Rerank, database_url: str, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Rerank:
    """`rerank` beside a database with two topics and three articles."""
    (tmp_path / "topics.yaml").write_text(TOPICS, encoding="utf-8")
    (tmp_path / "news.jsonl").write_text("".join(json.dumps(article) + "\n" for article in ARTICLES))
    monkeypatch.setattr(scorers, "load", lambda settings, failures=0, pairs=0: FakeScorer())
    assert (
        rerank(
            "topics", "apply", str(tmp_path / "topics.yaml"), database_url=database_url, store_url=store_url
        ).code
        == 0
    )
    assert rerank("articles", "load", str(tmp_path / "news.jsonl")).code == 0
    return rerank


def test_the_command_starts_at_once_and_imports_nothing_heavy() -> None:
    code = "import sys, rerank_core.cli; print(*sys.modules)"
    began = time.monotonic()
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert time.monotonic() - began < 2
    loaded = {name.partition(".")[0] for name in shown.split()}
    assert (
        loaded
        & {"airflow", "vllm", "torch", "bm25s", "jieba", "pyarrow", "sqlalchemy", "pydantic", "transformers"}
        == set()
    )


def test_the_version_is_printed(rerank: Rerank) -> None:
    assert rerank("--version") == Ended(0, f"news-rerank {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("db",),
        ("topics",),
        ("topics", "apply"),
        ("articles", "load"),
        ("run",),
        ("show",),
        ("doctor",),
        ("scorer",),
        ("settings",),
    ],
)
def test_every_command_explains_itself(rerank: Rerank, arguments: tuple[str, ...]) -> None:
    ended = rerank(*arguments, "--help")
    assert ended.code == 0
    assert "Usage: rerank" in ended.out


def test_a_wrong_option_is_a_usage_error(rerank: Rerank) -> None:
    assert rerank("show", "--nonsense").code == 2


def test_a_permanent_error_is_one_sentence_and_exit_code_1(rerank: Rerank, tmp_path: Path) -> None:
    ended = rerank("topics", "apply", str(tmp_path / "none.yaml"))
    assert ended == Ended(
        1, "", f"rerank: {tmp_path}/none.yaml cannot be read: No such file or directory; name a topics file\n"
    )


def test_a_retryable_error_is_one_sentence_and_exit_code_75(rerank: Rerank) -> None:
    ended = rerank("topics", "list", database_url="postgresql://u:secret@127.0.0.1:1/x")
    assert ended.code == 75
    assert ended.err.startswith("rerank: Database(postgresql+psycopg2://u:***@127.0.0.1:1/x): ")
    assert ended.err.count("\n") == 1


def test_a_database_without_the_schema_is_one_sentence(rerank: Rerank, empty_database_url: str) -> None:
    ended = rerank("topics", "list", database_url=empty_database_url)
    assert ended.code == 1
    assert "run `rerank db upgrade`" in ended.err
    assert "Traceback" not in ended.err


def test_the_traceback_is_there_for_who_asks(
    rerank: Rerank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RERANK_DEBUG", "1")
    with pytest.raises(Exception, match="cannot be read"):
        main(["topics", "apply", str(tmp_path / "none.yaml")])


def test_a_wrong_setting_is_one_sentence(rerank: Rerank) -> None:
    ended = rerank("settings", max_pairs="many")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("rerank: RERANK_MAX_PAIRS = 'many': ")


def test_every_setting_is_shown_and_no_password(rerank: Rerank) -> None:
    ended = rerank(
        "settings",
        database_url="postgresql://u:p@ss/w:rd@host/news?sslpassword=secret&sslmode=require",
        store_url="s3://key:secret@bucket/folder",
        top_secret="x",
        airflow_pipelines='{"other": {"database_url": "postgresql://u:hunter2@host/news"}}',
    )
    assert "hunter2" not in ended.out
    assert ended.code == 0
    for name in Settings.model_fields:
        assert f"RERANK_{name.upper()} " in ended.out
    for name in AirflowSettings.model_fields:
        assert f"RERANK_AIRFLOW_{name.upper()} " in ended.out
    assert "RERANK_TOP_SECRET is no setting: it changes nothing" in ended.out
    assert "postgresql+psycopg2://u:***@host/news?sslpassword=***&sslmode=require" in ended.out
    assert "s3://key:***@bucket/folder" in ended.out


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "postgresql+psycopg2://postgres:@/news?host=/tmp/a",
            "postgresql+psycopg2://postgres:@/news?host=/tmp/a",
        ),
        ("postgresql://u:p@h:5432/n", "postgresql://u:***@h:5432/n"),
        ("s3://bucket/a?secret_key=x&region=y", "s3://bucket/a?secret_key=***&region=y"),
        ("file:///tmp/a", "file:///tmp/a"),
    ],
)
def test_passwords_of_urls_are_hidden(url: str, shown: str) -> None:
    assert printing.hide_password(url) == shown


def test_upgrade_may_be_repeated(rerank: Rerank, empty_database_url: str) -> None:
    assert "schema brought from nothing to " in rerank("db", "upgrade", database_url=empty_database_url).out
    assert " already" in rerank("db", "upgrade").out


def test_a_dry_run_prints_the_plan_and_changes_nothing(
    rerank: Rerank, database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "topics.yaml").write_text(TOPICS, encoding="utf-8")
    ended = rerank("topics", "apply", str(tmp_path / "topics.yaml"), "--dry-run", database_url=database_url)
    assert (
        "2 created, 0 with a new version, 0 deactivated, 0 unchanged: so it would be; --dry-run" in ended.out
    )
    assert "has no topics" in rerank("topics", "list").out


def test_an_edit_is_shown_field_by_field(page: Rerank, tmp_path: Path) -> None:
    (tmp_path / "topics.yaml").write_text(
        TOPICS + "  top_k: 5\n  queries: {zh: 加息}\n  min_score: -1.5\n", encoding="utf-8"
    )
    ended = page("topics", "apply", str(tmp_path / "topics.yaml"))
    assert "queries: [] → [zh: 加息]; top_k: 20 → 5; min_score: none → -1.5" in ended.out
    assert "0 created, 1 with a new version, 0 deactivated, 1 unchanged" in ended.out
    assert "rates" in page("topics", "list").out


def test_bad_lines_are_reported_and_the_others_kept(page: Rerank, tmp_path: Path) -> None:
    file = tmp_path / "more.jsonl.gz"
    file.write_bytes(
        gzip.compress(b'{"id": "n", "category": 1}\n{"id"\n\n{"id": "n", "title": "\\u001b[2J"}\n')
    )
    ended = page("articles", "load", str(file))
    assert ended.code == 0
    assert "more.jsonl.gz: 4 lines: 1 inserted, 0 updated, 0 unchanged, 2 bad, 1 blank" in ended.out
    assert "left out: category (1 lines)" in ended.out
    assert "more.jsonl.gz, line 2: not JSON: Expecting ':' delimiter at character 6" in ended.err
    assert "more.jsonl.gz, line 4: article_id is on line 1 already" in ended.err


@pytest.mark.parametrize(
    "content", [b"id,title\n1,x\n", gzip.compress(b'{"id": "1"}\n')[:-4], b"", b"\n\n", gzip.compress(b"")]
)
def test_a_file_without_a_good_line_or_without_an_end_exits_with_1(
    page: Rerank, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "more.jsonl").write_bytes(content)
    assert page("articles", "load", str(tmp_path / "more.jsonl")).code == 1


def test_articles_may_come_on_standard_input(database_url: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "from rerank_core.cli import main; main()", "articles", "load", "-"],
        input=gzip.compress(b'{"id": "1"}\n'),
        capture_output=True,
        env={**os.environ, "RERANK_DATABASE_URL": database_url},
        check=True,
    )
    assert ended.stdout == b"standard input: 1 lines: 1 inserted, 0 updated, 0 unchanged, 0 bad, 0 blank\n"


def test_a_run_prints_its_stages_and_show_prints_the_page(page: Rerank) -> None:
    ended = page("run", "--key", "first")
    assert ended.code == 0, ended.err
    stages = [line.split()[0] for line in ended.out.splitlines()[2:] if line.split()[0] in pipeline.STAGES]
    assert stages == list(pipeline.STAGES)
    assert "key first" in ended.out
    shown = page("show").out
    assert "ai-chips" in shown
    assert "人工智能 芯片" in shown
    assert "新款人工智能芯片发布" in shown
    assert ".parquet" in shown
    only = page("show", "rates", "--limit", "1").out
    assert "Central bank raises interest rate" in only
    assert "Football" not in only
    assert "ai-chips" not in only
    assert page("show", "none").err == (
        "rerank: topic 'none' is not on the page of pipeline news; `rerank show` lists those that are\n"
    )


def test_a_plan_counts_the_work_and_does_none_of_it(page: Rerank) -> None:
    ended = page("run", "--plan")
    assert ended.code == 0, ended.err
    numbers = {line[: line.rindex("  ")].strip(): line.split()[-1] for line in ended.out.splitlines()[2:9]}
    assert numbers["topics"] == "2"
    assert numbers["articles to claim"] == "3"
    assert int(numbers["pairs to score"]) > 0
    assert numbers["pairs in the ledger already"] == "0"
    assert "has no page yet" in page("show").out
    page("run")
    assert re.search(r"pairs to score +0\n", page("run", "--plan").out)


def test_a_page_that_the_engine_failed_on_is_shown_as_degraded(
    page: Rerank, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(settings: Settings, failures: int = 0, pairs: int = 0) -> FakeScorer:
        raise EngineError("no engine today; try again")

    monkeypatch.setattr(scorers, "load", broken)
    ended = page("run")
    assert ended.code == 0
    assert "no engine today" in ended.err
    shown = page("show").out
    assert re.search(r"ai-chips · degraded · 1 ranked · \d not scored yet\n", shown)
    assert "bm25 " in shown


def test_pairs_over_the_budget_are_counted_in_the_page_that_is_shown(page: Rerank) -> None:
    page("run", max_pairs="2")
    shown = page("show").out
    assert re.search(r"rates · partial · 1 ranked · 2 left out over the budget\n", shown)
    page("run", max_pairs="100")
    assert "over the budget" not in page("show").out


def test_a_title_can_neither_steer_the_terminal_nor_style_the_table(page: Rerank, database_url: str) -> None:
    page("run")
    with Database(database_url).transaction() as connection:
        connection.execute(text(r"UPDATE rerank.ranking SET title = E'a\x1b[31mb[bold]c\u202Ed\ne'"))
    assert "a�[31mb[bold]cd e" in page("show").out


def test_show_says_when_there_is_no_page(page: Rerank) -> None:
    said = "rerank: pipeline news has no page yet; `rerank run` publishes one\n"
    assert page("show", "rates") == Ended(1, "", said)
    assert page("show") == Ended(0, "pipeline news has no page yet; `rerank run` publishes one\n", "")


@pytest.mark.parametrize("until", ["yesterday", "2026-11-22T16:00:00"])
def test_a_window_end_without_offset_is_a_usage_error(rerank: Rerank, until: str) -> None:
    assert rerank("run", "--until", until).code == 2


def test_a_run_takes_what_was_asked_for(
    rerank: Rerank, database_url: str, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def run_all(resources: pipeline.Resources, **choices: Any) -> None:
        asked.update(choices)
        raise EngineError("enough; stop here")

    monkeypatch.setattr(pipeline, "run_all", run_all)
    ended = rerank(
        "run",
        "--until",
        "2026-11-22T17:00:00+01:00",
        "--topics",
        "a, b,",
        "--rescore",
        "--key",
        "k",
        database_url=database_url,
        store_url=store_url,
    )
    assert ended.code == 75
    assert asked.pop("until").isoformat() == "2026-11-22T17:00:00+01:00"
    assert callable(asked.pop("on_stage"))
    assert asked == {"key": "k", "topics": ("a", "b"), "rescore": True}


def test_the_doctor_exits_with_1_only_where_something_fails(
    rerank: Rerank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examine, "examine", lambda settings: [Finding("gpu", "warn", "none", "nothing")])
    assert rerank("doctor").code == 0
    monkeypatch.setattr(examine, "examine", lambda settings: [Finding("store", "fail", "full", "empty it")])
    ended = rerank("doctor")
    assert ended.code == 1
    assert "empty it" in ended.out


def test_the_scorer_is_shown_by_its_parts(rerank: Rerank) -> None:
    out = rerank("scorer", "show").out
    for part in ("digest", "weights", "prompt", "precision", "max_document_tokens"):
        assert part in out


def test_columns_line_up_beside_chinese_and_a_file_is_neither_cut_nor_coloured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    long = "very long " * 50
    printing.print_table(
        ("title", "age"),
        [("新款人工智能芯片发布", "1 h"), ("plain", "12 h"), ("한국어 뉴스", "3 d"), (long, "4 d")],
        right=("age",),
        shorten="title",
        styles=["bold red"] * 4,
    )
    out = capsys.readouterr().out
    rows = [line.rstrip() for line in out.splitlines() if line.rstrip().endswith((" h", " d"))]
    assert len(rows) == 4
    assert len({cell_len(row) for row in rows}) == 1
    assert long.strip() in out
    assert "\x1b" not in out


def test_in_a_narrow_terminal_the_title_gives_way_and_nothing_else(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(printing, "UNCUT", 40)
    printing.print_table(
        ("rank", "title", "source", "new"),
        [("1", "新款人工智能芯片发布会" * 3, "晨曦日报", "new")],
        shorten="title",
    )
    header, _, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["rank", "title", "source", "new"]
    assert row.startswith("1      新款人工")
    assert "…" in row
    assert row.rstrip().endswith("晨曦日报   new")
    assert cell_len(row) == 40


@pytest.mark.parametrize(
    ("age", "shown"),
    [
        (-5, "0 min"),
        (0, "0 min"),
        (119, "119 min"),
        (120, "2 h"),
        (71 * 60, "71 h"),
        (72 * 60, "3 d"),
        (1440 * 14_000, "14,000 d"),
    ],
)
def test_an_age_is_in_its_largest_whole_unit(age: int, shown: str) -> None:
    assert printing.show_age(timedelta(minutes=age)) == shown


@pytest.mark.parametrize(
    ("topics", "said"),
    [
        ("rate", "pipeline news has no active topic 'rate' (perhaps 'rates' is meant); `rerank topics list`"),
        ("rates,nope", "pipeline news has no active topic 'nope'; `rerank topics list` shows the 2"),
    ],
)
def test_a_topic_that_is_not_there_is_refused_before_anything_is_claimed(
    page: Rerank, database_url: str, topics: str, said: str
) -> None:
    for arguments in (("run", "--topics", topics), ("run", "--topics", topics, "--plan")):
        ended = page(*arguments)
        assert (ended.code, said in ended.err) == (1, True)
    with Database(database_url).transaction(read_only=True) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM rerank.run").scalar() == 0


def test_no_topic_at_all_is_refused(page: Rerank) -> None:
    ended = page("run", "--topics", " , ")
    assert (ended.code, "--topics names no topic" in ended.err) == (2, True)


def test_a_run_that_exists_goes_on_though_its_topic_is_gone(page: Rerank, tmp_path: Path) -> None:
    assert page("run", "--topics", "rates", "--key", "k").code == 0
    (tmp_path / "topics.yaml").write_text(TOPICS.replace("slug: rates", "slug: other"), encoding="utf-8")
    assert page("topics", "apply", str(tmp_path / "topics.yaml")).code == 0
    assert page("run", "--topics", "rates", "--key", "k").code == 0


@pytest.mark.parametrize("command", ["block", "forget"])
def test_nothing_is_taken_away_in_a_pipeline_that_is_not_there(
    page: Rerank, database_url: str, command: str
) -> None:
    ended = page(command, "en-1", "--reason", "a letter", "--pipeline", "new")
    assert (ended.code, ended.err) == (
        1,
        "rerank: pipeline 'new' has no topics and no runs (perhaps 'news' is meant); those with some are news\n",
    )
    with Database(database_url).transaction(read_only=True) as connection:
        for table in ("block", "tombstone"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM rerank.{table}").scalar() == 0


def test_a_clean_up_of_a_pipeline_that_is_not_there_says_so(page: Rerank) -> None:
    said = "pipeline 'new' has no topics and no runs"
    assert said in page("maintain", "--dry-run", "--pipeline", "new").out
    assert said not in page("maintain", "--dry-run").out


def test_blocking_an_id_that_no_run_has_claimed_says_that_nothing_is_hidden(page: Rerank) -> None:
    ended = page("block", "en-9", "--reason", "a letter")
    assert (ended.code, ended.out) == (
        0,
        "article en-9 is blocked in pipeline news: no run has claimed an article of this id: nothing is hidden now;"
        " check the id\n",
    )


def test_a_file_without_topics_says_how_many_it_deactivates(page: Rerank, tmp_path: Path) -> None:
    (tmp_path / "none.yaml").write_text("topics: []\n", encoding="utf-8")
    for options, said in ((("--dry-run",), "would be"), ((), "are")):
        ended = page("topics", "apply", str(tmp_path / "none.yaml"), *options)
        assert f"none.yaml has no topic: 2 that pipeline news had in use {said} deactivated" in ended.out
    assert "topics:" not in page("run").out


def test_a_window_that_ends_in_the_future_ends_now_and_says_so(page: Rerank) -> None:
    ended = page("run", "--until", "2999-01-01T00:00:00Z")
    assert (
        "until 2999-01-01T00:00:00+00:00 is in the future by the database's clock: now is taken" in ended.err
    )
    assert "in the future" not in page("run", "--until", "2020-01-01T00:00:00Z").err


def test_a_run_that_does_not_move_the_page_names_the_one_that_it_stays_at(page: Rerank) -> None:
    first = page("run").out
    number = re.search(r"\nrun (\d+) of pipeline", first)
    assert number is not None
    assert first.endswith("`rerank show` prints the page\n")
    older = page("run", "--until", "2020-01-01T00:00:00Z").out
    assert older.endswith(f"the page stays at run {number[1]}; `rerank runs` shows both\n")
    page("run")
    assert page("publish", "--rollback", number[1], "--reason", "a test").code == 0
    assert page("run").out.endswith(
        f"a rollback holds the page at run {number[1]}; `rerank publish --release` lets it go on\n"
    )


def test_a_text_that_reads_like_no_value_is_not_taken_for_the_default(rerank: Rerank) -> None:
    def row(name: str) -> list[str]:
        lines = rerank("settings").out.splitlines()
        return next(line for line in lines if line.startswith(f"{name} ")).split()[1:4]

    assert row("RERANK_GPU_QUEUE") == ["unset", "the", "same"]
    for name in ("gpu_queue", "boilerplate_rules", "airflow_executor_config"):
        for text_given in ("none", "unset"):
            rerank("settings", **{name: text_given})
            assert row(f"RERANK_{name.upper()}")[:2] == [text_given, "unset"]
        rerank("settings", **{name: ""})
        assert row(f"RERANK_{name.upper()}") == ["unset", "the", "same"]


def test_forgetting_an_id_that_nobody_knows_says_so(page: Rerank) -> None:
    first = page("forget", "no-such-article", "--reason", "a letter")
    assert (first.code, "nobody has claimed an article of this id" in first.out) == (0, True)
    again = page("forget", "no-such-article", "--reason", "a letter")
    assert "nobody has claimed" not in again.out


def test_a_run_with_nothing_to_rank_says_what_is_missing(
    rerank: Rerank, database_url: str, store_url: str
) -> None:
    ended = rerank("run", database_url=database_url, store_url=store_url)
    assert ended.code == 0
    assert "there is nothing to rank for: `rerank topics apply FILE` brings topics" in ended.out
    assert "the source rerank.source_article is empty" in ended.out
    assert "has no topic: it was published before there was one" in rerank("show").out
