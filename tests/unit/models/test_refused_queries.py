"""Queries that are too long for the scorer are told by its tokenizer alone, without an engine."""

from pathlib import Path

import pytest
from factories import make_topic, never

from rerank_core.models import scorers
from rerank_core.models.prompt import MAX_INSTRUCTION_TOKENS, MAX_QUERY_TOKENS
from rerank_core.settings import Settings

CHINESE = "市议会批准了新的电车线路工程计划" * 94  # 1,504 characters
TRAM = "tram line council vote " * 80


def refused(*topics: object, model: str | None = None) -> list[str] | None:
    settings = Settings.load() if model is None else Settings.load(model=model)
    return scorers.refused_queries(settings, topics)  # type: ignore[arg-type]


@pytest.mark.parametrize("query", [CHINESE, TRAM], ids=["chinese", "english"])
def test_a_query_over_the_limit_is_named_with_its_topic(query: str) -> None:
    (said,) = refused(make_topic(slug="tram", query=query)) or []
    assert said.startswith(f"topic 'tram': query '{query[:20]}")
    assert said.endswith(f"is longer than {MAX_QUERY_TOKENS} tokens")
    assert len(said) < 160


def test_a_long_instruction_is_told_once_and_a_long_query_of_one_language_too() -> None:
    told = refused(
        make_topic(slug="told", query="tram", queries={"zh": "电车"}, instruction=TRAM),
        make_topic(slug="zh", query="tram", queries={"zh": CHINESE, "en": "tram"}),
        make_topic(slug="fine", query="tram", queries={"zh": "电车"}),
    )
    assert told is not None
    assert [said.split(":")[0] for said in told] == ["topic 'told'", "topic 'zh'"]
    assert "instruction 'tram line" in told[0]
    assert told[0].endswith(f"is longer than {MAX_INSTRUCTION_TOKENS} tokens")


def test_a_query_at_the_limit_is_taken() -> None:
    prompter = scorers.prompter(Settings.load())
    words = 1
    while True:
        query = "tram " * words
        try:
            prompter.prompt(instruction="judge", query=query, document="")
        except scorers.InputError:
            break
        assert refused(make_topic(query=query)) == []
        words += 16
    assert refused(make_topic(query=query)) != []


def test_an_inactive_topic_is_not_asked_about() -> None:
    assert refused(make_topic(query=TRAM, active=False)) == []


def test_a_host_without_the_checkpoint_cannot_tell_and_downloads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused(make_topic(query=TRAM), model=str(tmp_path / "none")) is None
    asked = []

    def snapshot(name: str, **options: object) -> str:
        asked.append(options["local_files_only"])
        raise OSError("not in the cache")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert refused(make_topic(query=TRAM), model="owner/name") is None
    assert asked == [True]


def test_no_engine_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorers, "load", never)
    assert refused(make_topic(query="tram")) == []
