"""`rerank topics` shows what a file changes, and changes nothing in a dry run."""

from pathlib import Path

from command_line import TOPICS, Rerank


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
