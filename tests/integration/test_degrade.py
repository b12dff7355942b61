"""The page is never down: what stays unscored follows in the light order, so labelled, and heals by itself."""

import pytest
from factories import Newsroom

from rerank_core import degrade, runs
from rerank_core.errors import FencedError

DOWN = {"fail_at_chunk": 0}


def rows(room: Newsroom, topic: str = "solar") -> list[tuple[str, str]]:
    return [(row.article_id, row.ranked_by) for row in room.ranking(topic)]


def test_unscored_documents_follow_the_scored_ones_as_a_second_block(room: Newsroom) -> None:
    room.follow("solar")
    room.add("cooking with apples")
    room.run()
    room.add("solar and much else besides", "solar solar")
    room.engines.options = DOWN
    results = room.run()
    assert "rerank[0]" not in results
    assert (results["degrade"]["missing"], results["degrade"]["topics"]) == (2, 1)
    assert results["publish"]["degraded"]
    assert rows(room) == [
        ("cooking with apples", "model"),
        ("solar solar", "bm25"),
        ("solar and much else besides", "bm25"),
    ]
    first, second, third = room.ranking()
    assert first.logit is not None
    for row in (second, third):
        assert (row.logit, row.probability, row.rank_score, row.scorer_id) == (None, None, None, None)
    assert second.light_score > third.light_score > 0
    assert (room.standing().state, room.standing().missing, room.standing().page_degraded) == (
        "degraded",
        2,
        True,
    )


def test_a_topic_without_any_score_is_all_in_the_light_order(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar and much else besides", "solar solar")
    room.engines.options = DOWN
    room.run()
    assert rows(room) == [("solar solar", "bm25"), ("solar and much else besides", "bm25")]
    assert room.standing().scorer_id is None


def test_a_topic_with_all_its_scores_is_not_degraded_by_another_one(room: Newsroom) -> None:
    room.follow("solar", "wind")
    room.add("solar wind")
    room.engines.options = {"pairs_per_chunk": 1, "fail_at_chunk": 1}
    room.run()
    states = {topic: room.standing(topic).state for topic in ("solar", "wind")}
    assert sorted(states.values()) == ["degraded", "full"]


def test_the_next_good_run_heals_the_page_by_itself(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1", "solar 2")
    room.engines.options = DOWN
    room.run()
    room.engines.options = {}
    results = room.run()
    assert results["rerank[0]"]["scored"] == 2
    assert {by for _, by in rows(room)} == {"model"}
    assert (room.standing().state, room.standing().page_degraded) == ("full", False)
    assert "rerank[0]" not in room.run()


def test_a_deadline_degrades_the_page_too(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1", "solar 2")
    room.tuned(scoring_minutes=1e-9).run()
    assert {by for _, by in rows(room)} == {"bm25"}
    assert room.standing().state == "degraded"


def test_nothing_missing_makes_no_light_order(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1")
    run = room.until("publish", "k")
    assert run.light_path is None


def test_publish_makes_the_light_order_of_what_degrade_had_no_reason_to_order(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1")
    run = room.until("publish", "k")
    assert run.light_path is None
    room.sql("DELETE FROM rerank.pair_score")
    published = room.stage("publish", run)
    assert (published["rows"], published["degraded"]) == (1, True)
    assert [row.ranked_by for row in room.ranking()] == ["bm25"]


def test_blocked_articles_are_in_neither_block(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1", "solar 2")
    room.run()
    room.add("solar 3", "solar 4")
    for article in ("solar 1", "solar 3"):
        room.sql(
            "INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', :a, 'r')", a=article
        )
    room.engines.options = DOWN
    room.run()
    assert rows(room) == [("solar 2", "model"), ("solar 4", "bm25")]
    assert room.value("SELECT count(*) FROM rerank.ranking WHERE article_id = 'solar 3'") == 0


def test_an_overtaken_try_leaves_the_light_order_as_it_is(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1")
    run = room.until("rerank", "k")
    room.stage("recall", run)
    with room.database.transaction() as connection:
        old = runs.take_fence(connection, run.run_id)
        runs.take_fence(connection, run.run_id)
    with pytest.raises(FencedError):
        degrade.degrade(
            database=room.database,
            store=room.resources.store,
            settings=room.settings,
            run=room.again(run),
            fence=old,
        )
    assert room.again(run).light_path is None
