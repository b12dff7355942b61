"""The numbers of the tables are what they are said to be; no engine is built."""

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks import (
    bench_scale,
    bench_scoring,
    scale_hour,
    scale_runs,
    workloads,
)
from benchmarks.arithmetic import Measured, Row, compare, ratios, spread
from benchmarks.checkpoints import SHAPE, computed_flops
from benchmarks.contenders import Result
from benchmarks.official import whole_prompt
from benchmarks.reporting import (
    contention,
    effects,
    prepare,
    preview,
    recall,
    scale,
    scoring,
    syndication,
    tables,
    ui,
)
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.models import scorers
from rerank_core.models.prompt import Prompter
from rerank_core.settings import DEMO_CHECKPOINT


def measured(contender: str, *seconds: float, cached: int = 0, padding: int = 0) -> Measured:
    """Two pairs of 100 tokens each, in rounds of these lengths."""
    entry = Measured(contender, "headlines")
    for length in seconds:
        entry.add(Result(length, [1.0, 2.0], [100, 100], [0, cached], padding))
    return entry


def rows() -> list[Row]:
    ours = measured("ours", 1.0, 2.0, 4.0, cached=50)
    theirs = measured("theirs", 2.0, 2.0, 12.0, padding=100)
    ours.flops = 3e9
    return compare([ours, theirs], ceiling=6e9, reference={"headlines": {1: 1.5}})


def test_a_ratio_is_their_time_over_ours_round_by_round() -> None:
    assert ratios([1.0, 2.0, 4.0], [2.0, 2.0, 12.0]) == [2.0, 1.0, 3.0]
    assert spread([2.0, 1.0, 3.0]) == (1.0, 2.0, 3.0)


def test_a_row_compares_with_ours() -> None:
    ours, theirs = rows()
    assert (ours.ratio, theirs.ratio) == (1.0, 2.0)
    assert (theirs.ratio_low, theirs.ratio_high) == (1.0, 3.0)
    assert ours.pairs_per_second == 1.0  # two pairs in the median two seconds
    assert (ours.computed_tokens, ours.cached_tokens) == (150, 50)
    assert theirs.computed_tokens == 300  # padding is computed too
    assert theirs.allowed == 2.0
    assert ours.ceiling_share == 0.25
    assert theirs.ceiling_share is None
    assert ours.difference == 0.5


def test_cached_tokens_cost_no_arithmetic_but_are_attended() -> None:
    whole = computed_flops(SHAPE, tokens=200, cached=0)
    rest = computed_flops(SHAPE, tokens=200, cached=100)
    alone = computed_flops(SHAPE, tokens=100, cached=0)
    assert whole == pytest.approx(rest + alone)
    assert rest > alone
    assert whole == pytest.approx(200 * 2 * 440.4e6, rel=0.03)  # two operations a weight


def results() -> dict[str, Any]:
    machine = {
        "processor": "a processor",
        "cores": 2,
        "threads": 2,
        "memory_gib": 23,
        "python": "3.11",
        "load": 0.1,
        "versions": {"vllm": "1"},
        "date": "2026-11-22",
    }
    part = {
        "date": "2026-11-22",
        "checkpoint": "a checkpoint",
        "precision": "bfloat16",
        "max_document_tokens": 512,
        "rounds": 3,
        "batch_size": 8,
        "corpus": "news",
        "vocabulary": "words",
        "ceilings": {"bfloat16": 6e9},
        "rows": [asdict(row) for row in rows()],
        "engines": [{"engine": "ours", "start_seconds": 1.0, "peak_memory_bytes": 2**30, "threads": 2}],
        "notes": ["theirs: not installed"],
    }
    return {"machine": machine, "parts": {"speed": part, "families": {**part, "load": 0.1}}}


def test_the_tables_are_written_with_their_plot(tmp_path: Path) -> None:
    bench_scoring.save(results(), tmp_path, "cpu")
    text = (tmp_path / "cpu.md").read_text()
    assert "| theirs | 1.00 | 300 | 0 | 2.00 (1.00–3.00) | – | 2.00 | – | 0.5 |" in text
    assert "| headlines | theirs | 2 | 1.00 | 300 | 0.5 (0.3–1.0) | – |" in text
    tables = [
        [line.count("|") for line in block.splitlines()] for block in text.split("\n\n") if block[0] == "|"
    ]
    assert all(len(set(widths)) == 1 for widths in tables)
    assert "Left out: theirs: not installed" in text
    assert json.loads((tmp_path / "cpu.json").read_text())["machine"]["cores"] == 2
    assert (tmp_path / "cpu.svg").read_text().count("<rect") == 1 + len(rows())


def test_every_table_is_as_wide_as_its_head() -> None:
    lines = tables.table(["a", "b"], [["x", 1.0], ["y", None]])
    assert {line.count("|") for line in lines} == {3}


def test_sizes_come_from_the_command_line() -> None:
    chosen = bench_scoring.arguments(["speed", "--mixed", "20x50"])
    assert (chosen.mixed, chosen.parts) == ((20, 50), ["speed"])
    assert chosen.headlines == bench_scoring.SIZES["headlines"]
    with pytest.raises(SystemExit):
        bench_scoring.arguments(["no-such-part"])


@pytest.mark.long
def test_all_contenders_read_the_same_tokens_after_the_cut() -> None:
    prompter = Prompter(DEMO_CHECKPOINT / "tokenizer.json", max_document_tokens=20)
    texts = [document.text for document in workloads._documents(at_least=5, long=0)[:5]]
    for pair in workloads.pair_up(prompter, texts, 2, 5):
        prompt = prompter.prompt(instruction=pair.instruction, query=pair.query, document=pair.document)
        assert not prompt.truncated
        assert prompt.ids == prompter._encoder.frame(_parts(whole_prompt(pair)), CONTROLS)


CONTROLS = frozenset({"<|im_start|>", "<|im_end|>", "<think>", "</think>"})


def _parts(text: str) -> tuple[str, ...]:
    """A string cut at its control tokens."""
    import re

    return tuple(part for part in re.split(f"({'|'.join(map(re.escape, CONTROLS))})", text) if part)


TINY = (
    "--rounds 1 --articles 600 --new 20 --page-topics 3 --page-rows 20 --page-documents 300 --history 300 --times 2 --a-day 60"
    " --run-new 5 --run-topics 4 --reader-seconds 0.2"
).split()


@pytest.fixture(autouse=True)
def _engines_of_a_test_end_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark replaces the engines of its whole process."""
    for name in ("identity", "load"):
        monkeypatch.setattr(scorers, name, getattr(scorers, name))


def scaled(part: str, postgres: EmbeddedPostgres, folder: Path) -> dict[str, Any]:
    """The figures of a part of the scale benchmark at tiny sizes, in databases that are gone afterwards."""
    try:
        return bench_scale.measure(part, postgres, folder, bench_scale.arguments(TINY))
    finally:
        for name in ("claim", "history1", "history2", "page"):
            postgres.drop(name)


def test_a_claim_and_the_bare_statement_both_take_exactly_what_is_new(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    found = scaled("claim", postgres, tmp_path)
    assert (len(found["stage_s"]), len(found["bare_s"])) == (1, 1)


def test_a_page_is_published_and_copied_with_all_its_rows(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    found = scaled("publish", postgres, tmp_path)
    assert found["rows"] == 60
    assert found["copied_rows"] == [60]


@pytest.mark.long
def test_runs_over_both_histories_have_the_same_new_work(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    found = scaled("history", postgres, tmp_path)
    assert found["revisions"] == [310, 610]
    short, long = found["stages_s"]["1"], found["stages_s"]["2"]
    assert [set(one) for one in short] == [set(one) for one in long]
    assert found["scored"][0] == found["scored"][1] > 0


def test_a_page_is_published_with_feeds_and_news_and_without(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    found = scaled("news", postgres, tmp_path)
    assert min(found["changes"]) > 0
    assert len(found["plain_all_s"]) == len(found["whole_all_s"]) == 1


def test_readers_are_timed_idle_and_while_pages_are_published(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    found = scaled("readers", postgres, tmp_path)
    assert min(found["queries"]) > 0


@pytest.mark.long
def test_an_hour_is_timed_task_by_task_at_each_size(tmp_path: Path, postgres: EmbeddedPostgres) -> None:
    try:
        found = scale_hour.measure_hour(
            postgres, tmp_path, topics=2, new=60, times=2, rounds=1, names=("design",)
        )
    finally:
        postgres.drop("hour_design")
    assert found["sizes"]["design"]["rows"] == 100
    assert set(found["sizes"]["design"]["rounds"][0]) == set(scale_hour.STAGES)


def test_a_rerun_is_timed_task_by_task_and_asks_for_no_engine(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    tasks = ("extract",)
    try:
        found = scale_runs.measure_rerun(postgres, tmp_path, articles=200, topics=2, rounds=1, tasks=tasks)
    finally:
        postgres.drop("rerun")
    assert found["first_run_pairs"] > 0
    assert [[tuple(one) for one in runs] for runs in found["tasks_s"].values()] == [[tasks], [tasks]]


def test_the_page_says_which_bars_are_missed() -> None:
    machine = {"processor": "a processor", "cores": 2, "date": "2026-11-22", "load": 0.1}
    claim = {
        "articles": 1000,
        "new": 10,
        "stage_s": [1.0, 4.0, 2.0],
        "bare_s": [1.0, 1.0, 1.0],
        "machine": machine,
    }
    text = scale.markdown({"claim": claim}, head="")
    assert (
        "| claim of 10 new among 1,000 articles ÷ bare SQL | 2.00 | 1.00–4.00 | at most 3 | reached |" in text
    )
    text = scale.markdown({"claim": {**claim, "stage_s": [4.0, 4.0, 4.0]}}, head="")
    assert "| 4.00 | 4.00–4.00 | at most 3 | **missed** |" in text


PAGES: dict[str, Callable[[dict[str, Any]], str]] = {
    "contention": contention.markdown,
    "cpu": scoring.markdown,
    "effects": effects.markdown,
    "prepare": prepare.markdown,
    "preview": preview.markdown,
    "recall": recall.markdown,
    "scale": partial(scale.markdown, head=bench_scale.HEAD),
    "syndication": syndication.markdown,
    "ui": ui.markdown,
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_results_is_made_from_its_figures(name: str) -> None:
    figures = bench_scale.RESULTS / f"{name}.json"
    made = PAGES[name](json.loads(figures.read_text(encoding="utf-8")))
    assert made == figures.with_suffix(".md").read_text(encoding="utf-8")
