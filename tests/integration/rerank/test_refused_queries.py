"""A query that the scorer refuses costs its topic the scores, and no topic its page."""

import logging
from typing import Any

import numpy as np
import pytest
from factories import Newsroom, make_topic

from rerank_core.operations.removal import forget
from rerank_core.storage import ledger

LONG = {"refuse_query": "endless"}
ENDLESS = make_topic(slug="solar", query="endless solar query")


def rows(room: Newsroom, topic: str = "solar") -> list[tuple[str, str]]:
    return [(row.article_id, row.ranked_by) for row in room.ranking(topic)]


def counts(room: Newsroom, topic: str = "solar") -> dict[str, Any]:
    standing = room.standing(topic)
    names = ("state", "candidates", "scored", "refused", "missing", "page_degraded")
    return {name: getattr(standing, name) for name in names}


def test_a_topic_whose_query_is_refused_is_degraded_and_has_its_articles_in_the_light_order(
    room: Newsroom, caplog: pytest.LogCaptureFixture
) -> None:
    room.follow(ENDLESS, "wind")
    room.add("solar and much else besides", "solar solar", "wind")
    room.engines.options = LONG
    with caplog.at_level(logging.WARNING, "rerank_core"):
        results = room.run()
    assert counts(room) == {
        "state": "degraded",
        "candidates": 3,
        "scored": 0,
        "refused": 3,
        "missing": 0,
        "page_degraded": True,
    }
    assert rows(room) == [("solar solar", "bm25"), ("solar and much else besides", "bm25")]
    assert counts(room, "wind")["state"] == "full"
    assert (results["degrade"]["missing"], results["degrade"]["topics"]) == (3, 1)
    assert (results["publish"]["degraded"], results["publish"]["blocked"]) == (True, None)
    assert "shard 0: the scorer refuses 3 pairs: told to refuse it" in caplog.text
    assert (
        "topic solar gets the light order, because the scorer refuses every pair of a query of it: told to refuse it"
        in caplog.text
    )
    assert "topic wind" not in caplog.text


def test_control_without_the_light_order_for_refused_queries_the_topic_abstains(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        ledger, "query_refused", lambda connection, run, pairs: np.zeros(pairs.num_rows, dtype=bool)
    )
    room.follow(ENDLESS)
    room.add("solar solar")
    room.engines.options = LONG
    room.run()
    assert (rows(room), counts(room)["state"]) == ([], "abstained")


def test_the_next_runs_show_the_whole_window_and_score_no_pair_twice(
    room: Newsroom, caplog: pytest.LogCaptureFixture
) -> None:
    room.follow(ENDLESS)
    room.add("solar one", ingested_at=room.ago(hours=3))
    room.engines.options = LONG
    room.run(until=room.ago(hours=2))
    room.add("solar two")
    assert [pair.document for pair in room.engines.asked] == ["solar one"]
    with caplog.at_level(logging.WARNING, "rerank_core"):
        room.run()
    assert [pair.document for pair in room.engines.asked] == ["solar one", "solar two"]
    assert set(rows(room)) == {("solar one", "bm25"), ("solar two", "bm25")}
    assert "topic solar gets the light order" in caplog.text
    quiet = room.run()  # nothing is new: no engine starts, and the page stays
    assert "rerank[0]" not in quiet
    assert set(rows(room)) == {("solar one", "bm25"), ("solar two", "bm25")}
    assert counts(room)["state"] == "degraded"


def test_a_rerun_gives_the_same_rows(room: Newsroom) -> None:
    room.follow(ENDLESS)
    room.add("solar one", "solar two")
    room.engines.options = LONG
    first = room.run("k")["publish"]
    again = room.run("k")["publish"]
    assert (again["rows_sha256"], again["difference"]) == (first["rows_sha256"], None)


def test_an_edited_query_heals_the_topic(room: Newsroom) -> None:
    room.follow(ENDLESS)
    room.add("solar one", ingested_at=room.ago(hours=3))
    room.engines.options = LONG
    room.run(until=room.ago(hours=2))
    room.follow(make_topic(slug="solar", query="solar"))
    assert room.run()["publish"]["degraded"] is False
    assert rows(room) == [("solar one", "model")]
    assert counts(room)["state"] == "full"


def test_a_refused_query_of_one_language_leaves_the_other_its_scores(room: Newsroom) -> None:
    room.follow(make_topic(slug="solar", query="solar", queries={"de": "endless solar"}, candidate_limit=10))
    room.add("solar power", lang="en")
    text = (
        "Die neue Anlage für solar Strom wurde am Montag in der Stadt eröffnet und liefert ab sofort Strom."
    )
    room.add("Neue Anlage für solar Strom eröffnet", lang="de", body=text)
    room.engines.options = LONG
    room.run()
    assert rows(room) == [("solar power", "model"), ("Neue Anlage für solar Strom eröffnet", "bm25")]
    assert (counts(room)["state"], counts(room)["scored"], counts(room)["refused"]) == ("degraded", 1, 1)


def test_one_refused_document_among_scored_ones_degrades_nothing(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar one", "solar two")
    room.engines.options = {"refuse_text": "two"}
    results = room.run()
    assert (rows(room), counts(room)["state"]) == ([("solar one", "model")], "full")
    assert (results["degrade"]["missing"], results["publish"]["degraded"]) == (0, False)


def test_a_topic_all_of_whose_documents_are_refused_does_not_abstain(room: Newsroom) -> None:
    """Also if another topic, with the same query, has a score."""
    room.follow(
        make_topic(slug="solar", query="solar"), make_topic(slug="twin", query="solar", must=("two",))
    )
    room.add("solar one", "solar two")
    room.engines.options = {"refuse_text": "two"}
    room.run()
    assert (rows(room), counts(room)["state"]) == ([("solar one", "model")], "full")
    assert (rows(room, "twin"), counts(room, "twin")["state"]) == ([("solar two", "bm25")], "degraded")


def test_a_new_scorer_that_refuses_the_query_leaves_the_page_to_the_scorer_before(room: Newsroom) -> None:
    room.follow(ENDLESS)
    room.add("solar one", ingested_at=room.ago(hours=3))
    room.run(until=room.ago(hours=2))
    room.add("solar two")
    room.engines.name, room.engines.options = "new", LONG
    room.run()
    assert rows(room) == [("solar one", "model"), ("solar two", "bm25")]
    assert counts(room)["state"] == "degraded"


def test_explain_says_who_refused_the_query(room: Newsroom) -> None:
    room.follow(ENDLESS)
    room.add("solar one")
    room.engines.options = LONG
    room.run()
    found = room.explained("solar one")
    assert found.reason == "ranked"
    assert found.sentence.startswith("Rank 1, in the second block, by BM25 (")
    assert found.sentence.endswith("the scorer refused every pair of this query: told to refuse it.")


@pytest.mark.parametrize("how", ["deleted", "forgotten"])
def test_an_article_that_goes_leaves_the_light_order(room: Newsroom, how: str) -> None:
    room.follow(ENDLESS)
    room.add("solar one", "solar two")
    room.engines.options = LONG
    room.run("k")
    if how == "deleted":
        room.sql("DELETE FROM rerank.article WHERE article_id = 'solar two'")
    else:
        forget(
            database=room.database,
            store=room.resources.store,
            settings=room.settings,
            article_id="solar two",
            reason="asked to",
        )
    room.run("k")
    assert rows(room) == [("solar one", "bm25")]
