"""`rerank run` does what was asked, refuses what cannot be, and says where the page is afterwards."""

import re
from pathlib import Path
from typing import Any

import pytest
from command_line import TOPICS, Rerank

from rerank_core import pipeline
from rerank_core.errors import EngineError
from rerank_core.storage.database import Database


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
        "--as-claimed-now",
        "--key",
        "k",
        database_url=database_url,
        store_url=store_url,
    )
    assert ended.code == 75
    assert asked.pop("until").isoformat() == "2026-11-22T17:00:00+01:00"
    assert callable(asked.pop("on_stage"))
    assert asked == {"key": "k", "topics": ("a", "b"), "rescore": True, "as_claimed_now": True}


@pytest.mark.parametrize("until", ["yesterday", "2026-11-22T16:00:00"])
def test_a_window_end_without_offset_is_a_usage_error(rerank: Rerank, until: str) -> None:
    assert rerank("run", "--until", until).code == 2


def test_a_window_that_ends_in_the_future_ends_now_and_says_so(page: Rerank) -> None:
    ended = page("run", "--until", "2999-01-01T00:00:00Z")
    assert (
        "until 2999-01-01T00:00:00+00:00 is in the future by the database's clock: now is taken" in ended.err
    )
    assert "in the future" not in page("run", "--until", "2020-01-01T00:00:00Z").err


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


def test_a_run_with_nothing_to_rank_says_what_is_missing(
    rerank: Rerank, database_url: str, store_url: str
) -> None:
    ended = rerank("run", database_url=database_url, store_url=store_url)
    assert ended.code == 0
    assert "there is no topic to rank for: `rerank topics apply FILE` brings topics" in ended.out
    assert "the source rerank.source_article is empty" in ended.out
    assert "has no topic: it was published before any topic existed" in rerank("show").out


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
