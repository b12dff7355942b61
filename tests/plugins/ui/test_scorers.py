"""The view of what was learned: cards, checks, where a proposal is in place, and who put it there."""

import json
import re

import pytest
from newsrooms import HOSTILE
from view_reader import Reader, offences

RECORD = {
    "method": "head",
    "base_location": "Qwen/Qwen3-Reranker-0.6B",
    "train_pairs": 1200,
    "train_opens": 3456.7,
    "cut": "2026-10-01T00:00:00+00:00",
    "seed": 0,
    "examination": [[1, 1.0], [5, 0.4], [20, 0.12]],
    "freshness": [[0, 1.0]],
    "checks": [
        {
            "name": "readers",
            "passed": True,
            "sentence": "over 9 topics it is +3.10 standard errors",
            "figures": {},
        }
    ],
}


@pytest.fixture
def trained(news):
    """Writes a training of the pipeline `shadow`; what a test has written is deleted after it."""
    number = news.room.value("SELECT min(scorer_id) FROM rerank.scorer")

    def add(verdict: str, sentence: str, **record) -> int:
        return news.room.value(
            "INSERT INTO rerank.training (pipeline, base_scorer_id, scorer_id, verdict, sentence, record, began_at)"
            " VALUES ('shadow', :number, :proposed, :verdict, :sentence, :record, now()) RETURNING training_id",
            number=number,
            proposed=number if verdict == "proposed" else None,
            verdict=verdict,
            sentence=sentence,
            record=json.dumps({**RECORD, **record}),
        )

    add.number = number
    yield add
    news.room.sql("DELETE FROM rerank.training")
    news.room.sql("DELETE FROM rerank.promotion")


def shown(page: str) -> str:
    return re.sub(r"\s+", " ", Reader(page).text)


def test_it_says_what_is_needed_before_anything_was_learned(get, monkeypatch):
    assert "Set RERANK_LEARNING_FOLDER to begin" in shown(get("/scorers", pipeline="shadow"))
    monkeypatch.setenv("RERANK_LEARNING_FOLDER", "/learned")
    assert "rerank learn run --plan" in shown(get("/scorers", pipeline="shadow"))


def test_a_proposal_has_its_card_its_checks_and_its_curves(get, trained):
    trained("proposed", "every check passed")
    page = get("/scorers", pipeline="shadow")
    text = shown(page)
    assert f"scorer {trained.number} in" in text
    assert "in place nowhere" in text
    assert "over 9 topics it is +3.10 standard errors" in text
    assert "pairs learned from1200" in text
    assert "0.12 at rank 20, beside 1 at 1" in text
    assert page.count('class="spark"') == 1
    assert f"rerank learn try {trained.number} --pipeline shadow" in text


def test_a_refusal_says_which_check_failed_and_nothing_else_is_offered(get, trained):
    trained("refused", "canary: the least margin is 0.2; needed is 0.8")
    text = shown(get("/scorers", pipeline="shadow"))
    assert "canary: the least margin is 0.2; needed is 0.8" in text
    assert "rerank learn try" not in text


def test_it_shows_who_put_which_scorer_in_place_and_why(get, news, trained):
    trained("proposed", "every check passed")
    news.room.sql(
        "INSERT INTO rerank.promotion (pipeline, model, scorer_id, location, kind, reason, on_behalf_of)"
        " VALUES ('shadow', 'm', :number, 'there', 'promoted', 'readers like it', 'Ana')",
        number=trained.number,
    )
    text = shown(get("/scorers", pipeline="shadow"))
    assert "in place in shadow" in text
    assert "promoted" in text
    assert "readers like it" in text
    assert "Ana" in text
    assert "readers like it" not in shown(get("/scorers", pipeline="news"))


def test_hostile_words_stay_words(get, news, trained):
    for text in HOSTILE:
        trained("refused", text, method=text, base_location=text)
    news.room.sql(
        "INSERT INTO rerank.promotion (pipeline, model, scorer_id, location, kind, reason)"
        " VALUES ('shadow', 'm', :number, 'there', 'promoted', :text)",
        number=trained.number,
        text=HOSTILE[0],
    )
    page = get("/scorers", pipeline="shadow")
    assert offences(page) == []
    assert HOSTILE[0] in Reader(page).text
