"""`rerank show` prints the page as frontends read it, and what is missing of it."""

import json
import re
from datetime import datetime

import pytest
from command_line import Ended, Rerank

from rerank_core import pipeline
from rerank_core.errors import EngineError
from rerank_core.models import scorers
from rerank_core.models.base import FakeScorer
from rerank_core.settings import Settings


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
        "rerank: topic 'none' is not on the page of pipeline news; `rerank show` lists the topics that are\n"
    )


def test_the_page_and_its_runs_can_be_read_by_a_program(page: Rerank) -> None:
    nothing = json.loads(page("show", "--json").out)
    assert (nothing["has_page"], nothing["as_of"], nothing["topics"]) == (False, None, [])
    assert json.loads(page("runs", "--json").out) == []
    page("run", "--key", "first")
    shown = json.loads(page("show", "--json", "--limit", "1").out)
    assert [topic["topic"] for topic in shown["topics"]] == ["ai-chips", "rates"]
    first = shown["topics"][0]["ranking"]
    assert [row["rank"] for row in first] == [1]
    assert first[0]["title"] in page("show", "ai-chips", "--limit", "1").out
    assert first[0]["age"] > 0  # seconds
    assert datetime.fromisoformat(shown["as_of"]).tzinfo is not None
    (run,) = json.loads(page("runs", "--json").out)
    assert (run["key"], run["state"], run["is_current"]) == ("first", "published", True)
    assert run["run_id"] == shown["run_id"]
    assert page("show", "none", "--json").code == 1


def test_show_says_when_there_is_no_page(page: Rerank) -> None:
    said = "rerank: pipeline news has no page yet; `rerank run` publishes one\n"
    assert page("show", "rates") == Ended(1, "", said)
    assert page("show") == Ended(0, "pipeline news has no page yet; `rerank run` publishes one\n", "")


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
