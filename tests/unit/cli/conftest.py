"""Commands of this process, as if their output went into a file."""

import json
from pathlib import Path

import pytest
from command_line import ARTICLES, TOPICS, Ended, Rerank

from rerank_core.cli import main
from rerank_core.models import scorers
from rerank_core.models.base import FakeScorer


@pytest.fixture
def rerank(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Rerank:
    """Run a command in this process, as into a file."""

    def run(*arguments: str, **environment: str) -> Ended:
        for name, value in environment.items():
            monkeypatch.setenv(f"RERANK_{name.upper()}", value)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
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
