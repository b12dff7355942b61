"""The light order by sentence embeddings: labelled, repeated by reruns, and BM25 when the model is missing."""

import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from factories import Newsroom, make_topic, never
from tiny_sentences import make_checkpoint

from rerank_core.errors import EngineError
from rerank_core.models import sentences
from rerank_core.settings import USE_MULTILINGUAL
from rerank_core.storage import artifacts

DOWN = {"fail_at_chunk": 0}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("sentences"))


@pytest.fixture
def light_room(room: Newsroom, checkpoint: Path) -> Newsroom:
    """A newsroom without an engine, with two articles that words and meaning put into different orders."""
    light = room.tuned(light_order="embeddings", light_model=str(checkpoint), light_seconds=240.0)
    light.follow("solar")
    light.add("solar and much else besides", "sun sun", "cooking with apples")
    light.engines.options = DOWN
    return light


def rows(room: Newsroom) -> list[tuple[str, str]]:
    return [(row.article_id, row.ranked_by) for row in room.ranking()]


BY_MEANING = [
    ("sun sun", "embedding"),
    ("solar and much else besides", "embedding"),
    ("cooking with apples", "embedding"),
]
BY_WORDS = [("solar and much else besides", "bm25")]  # the others share no word with the query


def pretend(monkeypatch: pytest.MonkeyPatch, *, raises: Exception | None = None) -> list[dict[str, Any]]:
    """Stand in for the model; returns what it was asked."""
    import numpy as np

    asked: list[dict[str, Any]] = []

    def vectors(**values: Any) -> Any:
        asked.append(values)
        if raises is not None:
            raise raises
        found = {"sun sun": 0.9, "solar and much else besides": 0.5, "cooking with apples": 0.1}
        queries = np.ones((len(values["queries"]), 1), dtype=np.float32)
        return queries, np.asarray([[found.get(text, -0.2)] for text in values["documents"]], np.float32)

    monkeypatch.setattr(sentences, "vectors", vectors)
    return asked


def test_a_real_model_orders_by_meaning_what_words_order_otherwise(light_room: Newsroom) -> None:
    results = light_room.run()
    assert results["degrade"]["fell_back"] is False
    assert rows(light_room) == BY_MEANING
    first, *_, last = light_room.ranking()
    assert 1.0 >= first.light_score > last.light_score
    assert (first.logit, first.rank_score, first.scorer_id) == (None, None, None)
    assert light_room.standing().state == "degraded"
    table = light_room.parquet(results["publish"])
    assert set(table.column("ranked_by").to_pylist()) == {"embedding"}


def test_without_the_setting_it_is_words(light_room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "vectors", never)
    light_room.tuned(light_order="bm25").run()
    assert rows(light_room) == BY_WORDS


def test_scored_articles_come_first_by_the_model_and_keep_their_bm25_score(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    light = room.tuned(light_order="embeddings")
    light.follow("solar")
    light.add("solar")
    light.run()
    light.add("sun sun", "solar and much else besides")
    light.engines.options = DOWN
    asked = pretend(monkeypatch)
    light.run()
    assert rows(light) == [("solar", "model"), *BY_MEANING[:2]]
    assert [(values["queries"], set(values["documents"])) for values in asked] == [
        (["solar"], {"sun sun", "solar and much else besides"})
    ]
    assert light.ranking()[0].light_score > 0
    assert [row.light_score for row in light.ranking()[1:]] == pytest.approx([0.9, 0.5])


@pytest.mark.parametrize(
    "failure",
    [EngineError("light model 'x' took longer than 1 s"), OSError("no space left on device")],
)
def test_where_the_model_fails_it_is_words_and_a_warning(
    light_room: Newsroom,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
) -> None:
    pretend(monkeypatch, raises=failure)
    with caplog.at_level(logging.WARNING, "rerank_core.rerank.degrade"):
        results = light_room.run()
    assert results["degrade"]["fell_back"] is True
    assert f"{failure}; the light order is BM25" in caplog.text
    assert rows(light_room) == BY_WORDS
    kept = "SELECT value FROM rerank.run_metric WHERE stage = 'degrade' AND name = 'fell_back'"
    assert light_room.value(kept) == 1


def test_a_model_that_is_not_there_or_takes_too_long_takes_no_page_down(
    light_room: Newsroom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    light_room.tuned(light_model=str(tmp_path / "nowhere")).run()
    assert rows(light_room) == BY_WORDS
    monkeypatch.setattr(
        sentences, "_command", lambda *_: [sys.executable, "-c", "import time; time.sleep(600)"]
    )
    light_room.tuned(light_seconds=0.5).run()
    assert rows(light_room) == BY_WORDS


def test_control_a_failure_that_is_not_caught_takes_the_page_down(
    light_room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, raises=KeyError("not one of the failures that are caught"))
    with pytest.raises(KeyError):
        light_room.run()
    assert light_room.page() == []


@pytest.mark.parametrize("changed", ["embeddings", "bm25"])
def test_a_rerun_repeats_the_order_without_asking_the_model_again(
    light_room: Newsroom, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    asked = pretend(monkeypatch)
    first = light_room.run("k")["publish"]
    monkeypatch.setattr(sentences, "vectors", never)
    again = light_room.tuned(light_model="another", light_order=changed).run("k")["publish"]
    assert (again["version"], again["rows_sha256"], again["difference"]) == (2, first["rows_sha256"], None)
    assert rows(light_room) == BY_MEANING
    assert len(asked) == 1


def test_a_rerun_repeats_a_fall_back_to_words(light_room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, raises=EngineError("away"))
    first = light_room.run("k")["publish"]
    pretend(monkeypatch)
    assert light_room.run("k")["publish"]["rows_sha256"] == first["rows_sha256"]
    assert rows(light_room) == BY_WORDS


def test_the_next_run_is_ordered_again_and_a_good_one_heals_the_page(
    light_room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = pretend(monkeypatch)
    light_room.run()
    light_room.run()
    assert len(asked) == 2
    light_room.engines.options = {}
    light_room.run()
    assert {by for _, by in rows(light_room)} == {"model"}
    assert len(asked) == 2


def test_a_frozen_light_order_that_was_lost_is_made_again(
    light_room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = pretend(monkeypatch)
    light_room.run("k")
    run = light_room.open("k")
    Path(light_room.resources.store.full_path(str(run.light_path))).unlink()
    light_room.run("k")
    assert len(asked) == 2
    assert rows(light_room) == BY_MEANING


def test_a_light_order_that_says_nothing_of_what_made_it_is_by_words(room: Newsroom) -> None:
    from rerank_core.storage import schemas

    table = schemas.LIGHT.empty_table()
    assert artifacts.label_of(table) == "bm25"
    assert artifacts.label_of(artifacts.labelled(table, "embedding")) == "embedding"


# ── The embedder that needs no GPU ──────────────────────────────────────────────────────────────────

MEANT, WORDED, FOREIGN = "Physicians walk out of hospitals", "医生推荐的家常食谱", "डॉक्टर हड़ताल पर गए"


@pytest.fixture
def strike_room(room: Newsroom) -> Newsroom:
    """A newsroom without an engine: one article means what the topic asks, one shares a word, one is in Hindi."""
    light = room.tuned(light_order="embeddings", light_model=USE_MULTILINGUAL, light_seconds=240.0)
    light.follow(make_topic(slug="strike", query="医生罢工", queries={"hi": "हड़ताल"}))
    light.add(MEANT)
    light.add(WORDED, lang="zh")
    light.add(FOREIGN, lang="hi")
    light.engines.options = DOWN
    return light


def test_meaning_comes_first_and_a_language_that_the_model_does_not_know_last(strike_room: Newsroom) -> None:
    assert strike_room.run()["degrade"]["fell_back"] is False
    assert [row.article_id for row in strike_room.ranking("strike")] == [MEANT, WORDED, FOREIGN]
    near, far, unknown = (row.light_score for row in strike_room.ranking("strike"))
    assert 1 > near > far > 0
    assert -1 < unknown < -0.5  # it shares a word with the query of its language


def test_a_page_in_such_a_language_alone_is_in_the_order_of_words(
    strike_room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentences, "vectors", never)
    room = strike_room
    room.sql("DELETE FROM rerank.article WHERE lang <> 'hi'")
    room.add("हड़ताल हड़ताल", "बारिश", lang="hi")
    room.run()
    order = [row.article_id for row in room.ranking("strike")]
    assert order == ["हड़ताल हड़ताल", FOREIGN, "बारिश"]


def test_control_by_words_the_one_that_means_it_is_not_even_shown(strike_room: Newsroom) -> None:
    strike_room.tuned(light_order="bm25").run()
    assert MEANT not in strike_room.page("strike")
    assert WORDED in strike_room.page("strike")


def test_vectors_that_dense_recall_has_kept_are_taken(
    strike_room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = strike_room.run("alone")
    expected = {row.article_id: row.light_score for row in strike_room.ranking("strike")}
    room = strike_room.tuned(recall="hybrid", embedding_model=USE_MULTILINGUAL)
    room.run("embeds")
    asked: list[dict[str, Any]] = []
    original = sentences.vectors
    monkeypatch.setattr(sentences, "vectors", lambda **values: asked.append(values) or original(**values))
    kept = room.run("keeps")
    assert asked == []
    assert kept["degrade"] | {"seconds": 0} == alone["degrade"] | {
        "seconds": 0,
        "run_id": kept["degrade"]["run_id"],
    }
    found = {row.article_id: row.light_score for row in room.ranking("strike")}
    assert found == pytest.approx(expected, abs=1e-3)
    room.add("Doctors go back to work")
    strike_room.run("one more")  # by words: it has no vector
    assert [(values["queries"], values["documents"]) for values in asked] == [
        ([], ["Doctors go back to work"])
    ]


def test_vectors_of_another_embedder_are_not(strike_room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    room = strike_room.tuned(recall="dense", embedding_model=USE_MULTILINGUAL, max_document_tokens=16)
    asked = pretend(monkeypatch)
    room.run()
    assert [len(values["documents"]) for values in asked] == [2]


def test_a_page_by_embeddings_is_shown_and_explained_as_that(
    light_room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:

    pretend(monkeypatch)
    light_room.run()
    found = light_room.explained("sun sun")
    assert "by the similarity of sentence embeddings (0.90)" in found.sentence
