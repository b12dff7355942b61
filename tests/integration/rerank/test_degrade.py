"""The page is never down: what stays unscored follows in the light order, so labelled, and heals by itself."""

from typing import Any

import pyarrow as pa
import pytest
from factories import Newsroom, make_topic

from rerank_core.errors import FencedError
from rerank_core.rerank import degrade
from rerank_core.storage import artifacts, runs

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


class TestNothingRelevant:
    """A topic that has nothing says so, instead of filling its place with noise."""

    def test_texts_that_share_no_word_with_the_query_are_not_shown_unscored(self, room: Newsroom) -> None:
        room.follow("solar", "wind")
        room.add("solar 1", "cooking with apples")
        room.engines.options = DOWN
        room.run()
        assert rows(room) == [("solar 1", "bm25")]
        assert rows(room, "wind") == []
        standing = room.standing("wind")
        assert (standing.state, standing.missing, standing.ranked) == ("degraded", 2, 0)  # not known yet

    def test_what_was_found_by_its_meaning_is_shown_all_the_same(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        room.follow("solar")
        room.add("photovoltaik", "solar 1")
        read = artifacts.read_pairs

        def by_meaning(store: Any, run: Any) -> pa.Table:
            table = read(store, run)
            place = table.column_names.index("recalled_by")
            return table.set_column(place, "recalled_by", pa.array(["bm25+dense"] * table.num_rows))

        monkeypatch.setattr(artifacts, "read_pairs", by_meaning)
        room.engines.options = DOWN
        room.run()
        assert rows(room) == [("solar 1", "bm25"), ("photovoltaik", "bm25")]

    def test_when_the_scores_come_it_abstains(self, room: Newsroom) -> None:
        room = room.tuned(min_score=0.0)
        room.follow("solar")
        room.add("cooking with apples")
        room.engines.options = DOWN
        room.run()
        assert room.standing().state == "degraded"
        room.engines.options = {}
        room.run()
        assert (room.standing().state, room.page()) == ("abstained", [])

    def test_the_pipelines_threshold_holds_for_topics_without_one(self, room: Newsroom) -> None:
        room = room.tuned(min_score=0.0)  # of the logits here, −4 is no word shared, 4 all of them
        room.follow("solar", make_topic(slug="lax", query="wind", min_score=-10.0))
        room.add("cooking with apples")
        room.run()
        assert (room.standing().state, room.page()) == ("abstained", [])
        assert (room.standing("lax").state, room.page("lax")) == ("full", ["cooking with apples"])

    def test_a_quiet_hour_is_no_reason_to_abstain(self, room: Newsroom) -> None:
        room = room.tuned(min_score=0.0)
        room.follow("solar")
        room.add("solar 1")
        room.run()
        room.run()
        assert (room.standing().state, room.page()) == ("full", ["solar 1"])

    def test_a_rerun_keeps_the_threshold_that_was_frozen(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("cooking with apples")
        first = room.run("k")["publish"]
        again = room.tuned(min_score=0.0).run("k")["publish"]
        assert again["rows_sha256"] == first["rows_sha256"]
        assert again["difference"] is None
        room.tuned(min_score=0.0, gate_empty_share=1.0).run("next")
        assert room.standing().state == "abstained"

    def test_it_is_explained(self, room: Newsroom) -> None:
        room = room.tuned(min_score=0.0)
        room.follow("solar")
        room.add("cooking with apples")
        room.run()
        found = room.explained("cooking with apples")
        assert found.reason == "below_min_score"
