"""`rerank topics` shows what a file changes, and changes nothing in a dry run."""

import json
from pathlib import Path

import pytest
from command_line import TOPICS, Rerank

LONG = "tram line council vote " * 80


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


def test_a_file_without_topics_says_how_many_it_deactivates(page: Rerank, tmp_path: Path) -> None:
    (tmp_path / "none.yaml").write_text("topics: []\n", encoding="utf-8")
    for options, said in ((("--dry-run",), "would be"), ((), "are")):
        ended = page("topics", "apply", str(tmp_path / "none.yaml"), *options)
        assert f"none.yaml has no topic: 2 that pipeline news had in use {said} deactivated" in ended.out
    assert "topics:" not in page("run").out


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (f"query: {LONG}", "topic 'tram': query 'tram line council vote"),
        (f"query: {'市议会批准了新的电车线路' * 125}", "topic 'tram': query '市议会批准了"),
        (f"query: tram\n  instruction: {LONG}", "topic 'tram': instruction 'tram line"),
        (f"query: tram\n  queries: {{en: {LONG}}}", "topic 'tram': query 'tram line"),
    ],
    ids=["query", "chinese", "instruction", "queries"],
)
@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["apply", "dry-run"])
def test_a_text_that_the_model_refuses_is_refused_and_nothing_is_stored(
    page: Rerank, tmp_path: Path, field: str, said: str, options: tuple[str, ...]
) -> None:
    (tmp_path / "long.yaml").write_text(f"topics:\n- slug: fine\n  query: x\n- slug: tram\n  {field}\n")
    ended = page("topics", "apply", str(tmp_path / "long.yaml"), *options)
    assert ended.code == 1
    assert f"long.yaml has 1 texts that the model refuses:\n  {said}" in ended.err
    assert "is longer than 256 tokens" in ended.err
    listed = page("topics", "list").out
    assert "rates" in listed
    assert "fine" not in listed


def test_on_a_host_without_the_model_a_long_query_is_applied_with_a_note_and_shown_short(
    page: Rerank, tmp_path: Path
) -> None:
    (tmp_path / "long.yaml").write_text(
        f"topics:\n- slug: tram\n  query: {LONG}\n  must: [{', '.join('abcdefghij')}]\n"
    )
    ended = page("topics", "apply", str(tmp_path / "long.yaml"), model=str(tmp_path / "none"))
    assert ended.code == 0
    assert "is not on this host, so the lengths of the queries are not checked" in ended.out
    (row,) = [line for line in ended.out.splitlines() if "tram line" in line]
    assert row.rstrip().endswith("…")
    assert len(row.strip()) < 140
    (tmp_path / "edited.yaml").write_text(f"topics:\n- slug: tram\n  query: A {LONG}\n")
    edited = page("topics", "apply", str(tmp_path / "edited.yaml")).out
    assert "query: tram line" in edited
    assert max(map(len, edited.splitlines())) < 400


def test_the_heading_of_a_long_query_is_short(page: Rerank, tmp_path: Path) -> None:
    query = "tram line " * 40  # 80 tokens: long for a heading, and not for the model
    (tmp_path / "long.yaml").write_text(f"topics:\n- slug: tram\n  query: {query}\n")
    assert page("topics", "apply", str(tmp_path / "long.yaml")).code == 0
    assert page("run").code == 0
    shown = page("show", "tram").out
    (heading,) = [line for line in shown.splitlines() if line.startswith("tram line")]
    assert (len(heading), heading[-1]) == (100, "…")


# ── Lint and preview ────────────────────────────────────────────────────────────────────────────


def written(folder: Path, topics: str) -> str:
    file = folder / "these.yaml"
    file.write_text(topics, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("topics", "options", "code", "said"),
    [
        (TOPICS, (), 0, "1 file: 0 errors, 0 warnings, 0 notes"),
        ("topics:\n- {slug: a, query: tram line, top_k: 51}\n", (), 0, ":2:38: warning: a: top_k 51"),
        ("topics:\n- {slug: a, query: tram line, top_k: 51}\n", ("--strict",), 1, "[top-k-over-candidates]"),
        ("topics:\n- {slug: a, query: football}\n", ("--strict",), 0, "1 note"),
        ("topics:\n- {slug: a, query: tram line, top_k: 0}\n", (), 1, "error: topic 'a': top_k 0 is not in"),
        ("topics: [", (), 1, "error: not YAML"),
        (
            f"topics:\n- {{slug: a, query: {LONG}}}\n",
            (),
            1,
            "is longer than 256 tokens; shorten it [model-refuses]",
        ),
    ],
    ids=["good", "warning", "strict", "note", "error", "no yaml", "model"],
)
def test_lint_needs_no_database_and_ends_as_a_test_does(
    rerank: Rerank, tmp_path: Path, topics: str, options: tuple[str, ...], code: int, said: str
) -> None:
    nowhere = "postgresql+psycopg2://nobody@127.0.0.1:1/none"
    ended = rerank("topics", "lint", written(tmp_path, topics), *options, database_url=nowhere)
    assert ended.code == code
    assert said in ended.out


def test_lint_prints_sarif_of_several_files(rerank: Rerank, tmp_path: Path) -> None:
    bad = written(tmp_path, "topics:\n- {slug: a, query: tram line, top_k: 0}\n")
    (tmp_path / "good.yaml").write_text(TOPICS, encoding="utf-8")
    ended = rerank("topics", "lint", str(tmp_path / "good.yaml"), bad, "--sarif")
    log = json.loads(ended.out)
    assert (ended.code, log["version"]) == (1, "2.1.0")
    assert [result["ruleId"] for result in log["runs"][0]["results"]] == ["invalid"]


def test_what_apply_refuses_preview_and_lint_refuse_with_the_same_words(page: Rerank, tmp_path: Path) -> None:
    file = written(tmp_path, f"topics:\n- slug: a\n  query: tram\n  top_k: 0\n- slug: B\n  query: {LONG}\n")
    applied, previewed = page("topics", "apply", file), page("topics", "preview", file)
    assert (applied.code, applied.err) == (previewed.code, previewed.err) == (1, applied.err)
    said = page("topics", "lint", file).out
    assert "top_k 0 is not in 1..1000" in applied.err
    for line in applied.err.splitlines()[1:]:
        assert line.rpartition("): ")[2] in said
    long = written(tmp_path, f"topics:\n- slug: a\n  query: {LONG}\n")
    assert page("topics", "apply", long).err == page("topics", "preview", long).err != ""


def test_preview_shows_what_a_topic_would_do_and_changes_nothing(page: Rerank, tmp_path: Path) -> None:
    assert page("run").code == 0
    file = written(tmp_path, TOPICS.replace("raises interest", "raises xyzzy") + "  must_not: [football]\n")
    shown = page("topics", "preview", file, "--topic", "rates", "--score", "1").out
    for said in (
        "rates · differs from the stored version",
        "no text has xyzzy",
        "removes 1, and 1 that no other filter removes",
        "Central bank raises interest rate",
        "1 pairs were scored for this preview; no score is kept",
        "changed fields",
    ):
        assert said in shown
    assert "ai-chips ·" not in shown
    assert "\x1b" not in shown
    assert "xyzzy" not in page("topics", "list").out
    wrong = page("topics", "preview", file, "--topic", "rate")
    assert (wrong.code, "there is no topic 'rate' (perhaps 'rates' is meant)" in wrong.err) == (1, True)


def test_preview_before_any_run_says_that_the_window_is_empty(page: Rerank, tmp_path: Path) -> None:
    shown = page("topics", "preview", written(tmp_path, TOPICS)).out
    assert "the window is empty" in shown
    assert "seconds not known" in shown
