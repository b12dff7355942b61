"""What the gate blocks, and what it lets pass."""

import pytest
from factories import Newsroom
from gated import TOPICS, blocked_run, follow

from rerank_core.publish import gate


class TestChecks:
    def test_logits_that_are_all_alike_block(self, standing: Newsroom) -> None:
        standing.flood("new")
        said = blocked_run(standing)["blocked"]
        assert said == (
            "spread: the 210 logits deviate by 0, less than 0.001: the model says the same of everything"
        )

    def test_control_logits_that_differ_pass(self, standing: Newsroom) -> None:
        standing.flood("new")
        published = standing.run("good")["publish"]
        assert (published["blocked"], published["made"]) == (None, 210)
        assert published["deviation"] > gate.LEAST_DEVIATION

    def test_a_few_logits_may_be_alike(self, standing: Newsroom) -> None:
        standing.flood("new", articles=66)  # 198 pairs
        standing.engines.options = {"constant": 3.0}
        published = standing.run("few")["publish"]
        assert (published["blocked"], published["made"]) == (None, 198)

    @pytest.mark.parametrize("logit", ["NaN", "Infinity"])
    def test_a_logit_that_is_no_finite_number_blocks(self, standing: Newsroom, logit: str) -> None:
        standing.add("solar three")
        run = standing.until("publish", "bad")
        # The ledger's own rule refuses it; whoever writes past that rule meets the gate.
        (name,) = standing.sql(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'rerank.pair_score'::regclass AND contype = 'c'"
        )[0]
        rule = standing.value(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = :name LIMIT 1", name=name
        )
        standing.sql(f"ALTER TABLE rerank.pair_score DROP CONSTRAINT {name}")
        try:
            standing.sql(
                f"UPDATE rerank.pair_score SET logit = '{logit}' WHERE run_id = :run_id", run_id=run.run_id
            )
            published = standing.stage("publish", run)
        finally:
            standing.sql("DELETE FROM rerank.pair_score WHERE logit IN ('NaN', 'Infinity')")
            standing.sql(f"ALTER TABLE rerank.pair_score ADD CONSTRAINT {name} {rule}")
        assert published["blocked"] == "finite: 1 of 1 logits are no finite number"
        assert standing.page() == ["solar one", "solar wind tide two", "solar three"]

    def test_a_canary_out_of_order_blocks(self, standing: Newsroom) -> None:
        standing.add("solar three")
        standing.engines.options = {"canary_margin": -0.25}
        published = standing.stage("publish", standing.until("publish", "bad"))
        assert published["blocked"] == "canary: in shard 0 its pairs were out of order, by 0.250 logits"

    def test_scores_of_an_engine_without_a_canary_block(self, standing: Newsroom) -> None:
        standing.add("solar three")
        standing.engines.options = {"canary_margin": None}
        published = standing.stage("publish", standing.until("publish", "bad"))
        assert published["blocked"] == "canary: shard 0 was scored by an engine whose canary is not kept"

    def test_the_canary_is_kept_before_the_first_score(self, standing: Newsroom) -> None:
        standing.add("solar three", "solar four")
        standing.engines.options = {"pairs_per_chunk": 1, "fail_at_chunk": 1}
        results = standing.run("cut off")
        assert "rerank[0]" not in results  # the shard failed, and left a score
        assert (results["publish"]["made"], results["publish"]["blocked"]) == (1, None)

    def test_runs_opened_before_the_gate_was_there_need_no_canary(self, standing: Newsroom) -> None:
        standing.add("solar three")
        standing.engines.options = {"canary_margin": None}
        run = standing.until("publish", "old")
        standing.sql("UPDATE rerank.run SET gated = false WHERE run_id = :run_id", run_id=run.run_id)
        assert standing.stage("publish", run)["blocked"] is None

    @pytest.mark.parametrize(
        ("damage", "said"),
        [
            (
                "UPDATE rerank.run SET unchanged = unchanged + 2 WHERE run_id = :run_id",
                "counts: source rows are 6, and claimed 2 + unchanged 6 is 8",
            ),
            (
                "UPDATE rerank.revision SET document_id = NULL WHERE run_id = :run_id AND title = 'solar three'",
                "counts: 1 of 2 claimed revisions are neither prepared nor in quarantine",
            ),
            (
                "INSERT INTO rerank.quarantine (revision_id, stage, reason) SELECT revision_id, 'prepare', 'no text'"
                " FROM rerank.revision WHERE run_id = :run_id",
                "counts: 2 claimed revisions are prepared and in quarantine, too",
            ),
            (
                "UPDATE rerank.run SET claimed = 3, sighted = sighted + 1 WHERE run_id = :run_id",
                "counts: 3 revisions were claimed and 2 are there",
            ),
            (
                "UPDATE rerank.run_topic SET not_recalled = not_recalled + 1 WHERE run_id = :run_id AND slug = 'solar'",
                "counts: topic solar: the window has 6 documents and 7 are accounted for",
            ),
            (
                "UPDATE rerank.run_topic SET wanted = wanted + 1, carried = carried - 1 WHERE run_id = :run_id AND slug = 'wind'",
                "counts: topic wind: recall wanted 2 pairs and 1 are accounted for",
            ),
            (
                "UPDATE rerank.run_topic SET left_out = 5 WHERE run_id = :run_id AND slug = 'tide'",
                "counts: topic tide: recall wanted 0 pairs and 5 are accounted for",
            ),
        ],
        ids=["source rows", "nowhere", "twice", "claimed", "window", "wanted", "left out"],
    )
    def test_a_bucket_that_does_not_add_up_blocks(self, standing: Newsroom, damage: str, said: str) -> None:
        standing.add("solar three", "wind three")
        run = standing.until("publish", "bad")
        standing.sql(damage, run_id=run.run_id)
        assert standing.stage("publish", run)["blocked"] == said

    def test_control_buckets_that_add_up_pass(self, standing: Newsroom) -> None:
        standing.add("solar three", "wind three", "…")  # one without text
        standing.edit("solar one", title="solar one, edited")
        standing.engines.options = {"refuse_text": "wind three"}
        results = standing.tuned(max_pairs=1).run("good")
        assert results["prepare"]["quarantined"] == 1
        assert results["recall"]["left_out"] > 0
        assert results["publish"]["blocked"] is None

    def test_control_copies_and_near_copies_are_one_document_of_the_window(self, standing: Newsroom) -> None:
        text = "solar " + " ".join(f"word{number}" for number in range(80))
        standing.add("solar a", "solar b", body=text)
        standing.add("solar c", body=text + " and one more")
        run = standing.until("publish", "good")
        members = standing.value("SELECT count(*) FROM rerank.revision WHERE run_id = :id", id=run.run_id)
        assert members == 3
        assert standing.stage("publish", run)["blocked"] is None

    def test_more_empty_topics_than_the_share_block(self, standing: Newsroom) -> None:
        room = standing.tuned(freshness_hours=1.0)  # a window in which nothing came in
        published = room.stage("publish", room.until("publish", "bad"))
        assert published["blocked"].startswith("empty: 3 of 3 topics have no row, more than 50%")
        assert "of run" in published["blocked"]
        assert published["blocked"].endswith("0 of 3")

    @pytest.mark.parametrize(
        ("share", "blocked"), [(0.6, True), (0.67, False), (1.0, False)], ids=["less", "as many", "off"]
    )
    def test_the_share_is_the_setting(self, standing: Newsroom, share: float, blocked: bool) -> None:
        room = standing.tuned(gate_empty_share=share, freshness_hours=1.0)
        room.add("tide three")
        published = room.stage("publish", room.until("publish", "bad"))
        assert (published["blocked"] is not None, published["empty"]) == (blocked, 2)

    def test_articles_that_were_blocked_are_missed_by_nobody(self, standing: Newsroom) -> None:
        standing.sql(
            "INSERT INTO rerank.block (pipeline, article_id, reason) SELECT 'news', article_id, 'law' FROM rerank.article"
        )
        published = standing.run("good")["publish"]
        assert (published["empty"], published["blocked"], published["is_current"]) == (3, None, True)

    def test_deactivated_topics_are_no_empty_ones(self, standing: Newsroom) -> None:
        follow(standing, "tide")
        assert standing.run("good")["publish"]["blocked"] is None

    def test_topics_that_are_new_have_lost_nothing(self, standing: Newsroom) -> None:
        follow(standing, *TOPICS, "nothing", "at", "all", "yet")
        published = standing.run("good")["publish"]
        assert (published["empty"], published["blocked"]) == (4, None)

    def test_empty_topics_that_were_deactivated_excuse_no_others(self, room: Newsroom) -> None:
        follow(room, *TOPICS, "nothing", "at", "all")
        room.add("solar one", "wind one", "tide one", ingested_at=room.ago(hours=3))
        room.run("first", until=room.ago(hours=2))
        follow(room, *TOPICS)
        room = room.tuned(freshness_hours=1.0)
        room.add("tide two")
        published = room.stage("publish", room.until("publish", "bad"))
        assert published["blocked"].startswith("empty: 2 of 3 topics have no row")
        assert published["blocked"].endswith("0 of 3")

    def test_topics_that_abstain_count_as_empty(self, standing: Newsroom) -> None:
        follow(standing, min_score=100.0)
        published = standing.stage("publish", standing.until("publish", "bad"))
        assert published["blocked"].startswith("empty: 3 of 3")

    def test_a_first_run_is_not_blocked_for_its_empty_topics(self, room: Newsroom) -> None:
        follow(room, *TOPICS, "nothing", "at", "all")
        room.add("tide one")
        published = room.run("first")["publish"]
        assert (published["empty"], published["blocked"]) == (5, None)
        again = room.run("first")["publish"]  # its rerun is no later run
        assert (again["version"], again["blocked"]) == (2, None)

    def test_a_page_as_empty_as_the_one_that_stands_is_not_blocked(self, room: Newsroom) -> None:
        follow(room, *TOPICS, "nothing", "at", "all")
        room.add("tide one")
        room.run("first", until=room.ago(minutes=5))
        assert room.run("second")["publish"]["blocked"] is None

    def test_a_run_of_an_older_time_is_not_blocked_for_its_empty_topics(self, standing: Newsroom) -> None:
        published = standing.run("backfill", until=standing.ago(hours=5))["publish"]
        assert (published["empty"], published["blocked"], published["is_current"]) == (3, None, False)
