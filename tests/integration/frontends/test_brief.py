"""A brief of the page: what is hidden never appears, a degraded page says so, and equal pages give equal briefs."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from factories import Newsroom, make_topic

from rerank_core.cli import main
from rerank_core.errors import InputError
from rerank_core.frontends import brief as briefs
from rerank_core.frontends.brief import BUCKETS, Brief, brief
from rerank_core.operations import removal
from rerank_core.records import TokenCounter

WORDS = TokenCounter("words", lambda text: len(text.split()))
TITLES = ("solar power plant opens", "solar power falls", "solar roof for schools", "solar solar eclipse")
# Each story by itself, so that no text is a near-copy of another.
BODIES = (
    "The plant near the harbour feeds forty thousand homes. Engineers tested it for a month.",
    "Clouds over the coast halved the yield this week, the grid operator said on Tuesday.",
    "The city pays for panels on ninety schools, and pupils will read the meters themselves.",
    "Astronomers waited on the hill until the moon had passed, then packed their telescopes.",
)


@pytest.fixture
def page(room: Newsroom) -> Newsroom:
    """A topic of four articles."""
    room.follow(make_topic(slug="solar", query="solar power"), make_topic(slug="tide", query="tide"))
    for title, body in zip(TITLES, BODIES, strict=True):
        room.add(title, body=body, source="Post", url=f"https://post.example/{title.replace(' ', '-')}")
    room.run()
    return room


def made(room: Newsroom, **options: Any) -> Brief:
    values = {"pipeline": room.settings.pipeline, "topic": "solar", "counter": WORDS}
    return brief(room.database, **{**values, **options})


def act(room: Newsroom, what: Any, article_id: str) -> None:
    what(
        database=room.database,
        store=room.resources.store,
        settings=room.settings,
        article_id=article_id,
        reason="court order",
    )


def test_each_text_has_its_rank_source_reason_and_tokens(page: Newsroom) -> None:
    found = json.loads(made(page).json())
    assert [row["article_id"] for row in found["texts"]] == page.page()
    for place, row in enumerate(found["texts"], start=1):
        assert (row["place"], row["source"]) == (place, "Post")
        assert row["reason"].startswith(f"rank {row['rank']}, logit ")
        assert row["tokens"] == len(row["text"].split())
        assert row["text"].startswith(row["title"])
    assert found["tokens"] == sum(row["tokens"] for row in found["texts"])
    assert (found["state"], found["degraded"], found["tokens_by"]) == ("full", False, "words")
    assert found["counts"] == {**dict.fromkeys(BUCKETS, 0), "picked": 4}


def test_equal_pages_give_equal_briefs(page: Newsroom) -> None:
    assert made(page).json() == made(page).json()
    assert made(page).rows().equals(made(page).rows())


def test_the_budget_holds_and_what_is_left_out_says_why(page: Newsroom) -> None:
    found = made(page, tokens=40)
    assert sum(entry["tokens"] for entry in found.picked) <= 40
    left = [entry for entry in found.entries if entry["bucket"] == "over_budget"]
    assert len(left) + len(found.picked) == 4
    assert all("tokens do not fit into what was left" in entry["reason"] for entry in left)
    assert all(entry["text"] is None for entry in left)


def test_a_long_text_is_cut_and_says_so(page: Newsroom) -> None:
    found = made(page, text_tokens=10)
    assert all(entry["cut"] and entry["tokens"] <= 10 for entry in found.picked)


@pytest.mark.parametrize("what", [removal.block, removal.forget])
def test_what_is_hidden_or_forgotten_never_appears(page: Newsroom, what: Any) -> None:
    act(page, what, TITLES[0])
    found = made(page)
    assert len(found.entries) == 3
    assert TITLES[0].encode() not in found.json()


def test_an_article_that_its_source_lost_never_appears(page: Newsroom) -> None:
    page.sql(
        "INSERT INTO rerank.deleted (pipeline, article_id) VALUES (:pipeline, :article_id)",
        pipeline=page.settings.pipeline,
        article_id=TITLES[1],
    )
    assert TITLES[1] in page.page(), "the page itself shows it until the next one comes"
    assert TITLES[1] not in [entry["article_id"] for entry in made(page).entries]


def test_a_degraded_page_says_so_row_by_row(room: Newsroom) -> None:
    room.follow(make_topic(slug="solar", query="solar power"))
    room.add(*TITLES)
    room.engines.options = {"fail_at_chunk": 1, "pairs_per_chunk": 2}
    room.run()
    found = made(room)
    assert found.head["degraded"]
    by = [entry["ranked_by"] for entry in found.entries]
    assert "bm25" in by
    assert all(
        "not scored by the model (bm25)" in entry["reason"]
        for entry in found.entries
        if entry["ranked_by"] == "bm25"
    )
    strict = made(room, min_score=-100.0)
    assert strict.head["counts"]["not_scored"] == by.count("bm25")
    assert all(entry["ranked_by"] == "model" for entry in strict.picked)


def test_a_text_that_the_model_finds_irrelevant_is_left_out_by_min_score(page: Newsroom) -> None:
    logits = sorted(row.logit for row in page.ranking())
    found = made(page, min_score=logits[1])
    assert found.head["counts"]["below_min_score"] == 1


def test_a_text_that_retells_a_picked_one_is_left_out(room: Newsroom) -> None:
    room.follow(make_topic(slug="solar", query="solar power"))
    plain = (
        room.tuned(syndication_similarity=1.0) if hasattr(room.settings, "syndication_similarity") else room
    )
    story = " ".join(f"word{n} of the story" for n in range(80))
    plain.add("solar power one", body=story)
    plain.add("solar power two", body=story + " Another last sentence with other words.")
    plain.run()
    found = made(plain)
    assert [entry["bucket"] for entry in found.entries] == ["picked", "similar"]
    assert "of its phrases with" in found.entries[1]["reason"]


def test_an_unknown_topic_is_named_with_the_one_that_was_perhaps_meant(page: Newsroom) -> None:
    with pytest.raises(InputError, match="'solat' is not on the page.*perhaps 'solar'"):
        made(page, topic="solat")


def test_a_topic_without_rows_gives_an_empty_brief(page: Newsroom) -> None:
    assert made(page, topic="tide", min_score=1e9).picked == []


def command(room: Newsroom, monkeypatch: pytest.MonkeyPatch, *arguments: str, **environment: str) -> int:
    monkeypatch.setenv("RERANK_DATABASE_URL", room.settings.database_url)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_the_command_writes_json_and_parquet(
    page: Newsroom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command(page, monkeypatch, "brief", "solar", "--tokens", "500") == 0
    found = json.loads(capfd.readouterr().out)
    assert len(found["texts"]) == 4
    assert found["tokens_by"].startswith("tokenizer ")
    file = tmp_path / "brief.parquet"
    assert command(page, monkeypatch, "brief", "solar", "--out", str(file)) == 0
    table = pq.read_table(file)
    assert table.schema.remove_metadata().equals(briefs.ROWS)
    assert json.loads(table.schema.metadata[b"brief"])["topic"] == "solar"
    assert [row["article_id"] for row in table.to_pylist()] == [row["article_id"] for row in found["texts"]]


def test_without_the_checkpoint_tokens_are_estimated_and_the_brief_says_so(
    page: Newsroom, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command(page, monkeypatch, "brief", "solar", RERANK_MODEL="/nowhere/model") == 0
    assert json.loads(capfd.readouterr().out)["tokens_by"].startswith("estimate ")
