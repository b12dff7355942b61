"""The gate: what it blocks and what it lets pass, what a block does to scores and page, and how it ends."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import sleep

import pytest
from factories import FakeEngines, Newsroom, make_pair, make_score, make_topic, statement_replaced

from rerank_core import pipeline
from rerank_core import settings as settings_module
from rerank_core.cli import main
from rerank_core.errors import BlockedError, DatabaseUnavailable, FencedError, InputError
from rerank_core.observe import history
from rerank_core.operations import pointer
from rerank_core.publish import gate
from rerank_core.records import Run
from rerank_core.storage import database as db
from rerank_core.storage import ledger

TOPICS = ("solar", "wind", "tide")


def follow(room: Newsroom, *slugs: str, **overrides: object) -> None:
    """Make these the topics, or those of TOPICS; each takes what has its word."""
    room.follow(
        *(make_topic(slug=slug, must=(slug,), candidate_limit=100, **overrides) for slug in slugs or TOPICS)
    )


@pytest.fixture
def standing(room: Newsroom) -> Newsroom:
    """A newsroom with a good page of two articles a topic."""
    follow(room)
    room.add("solar one", "wind one", "tide one", "solar wind tide two", ingested_at=room.ago(hours=3))
    room.run("first", until=room.ago(hours=2))
    return room


def blocked_run(room: Newsroom, key: str = "bad", **options: object) -> dict[str, object]:
    """What publish says of a run whose model gives the same logit to everything."""
    room.engines.options = {"constant": 3.0, "pairs_per_chunk": 100, **options}
    run = room.until("publish", key)
    published = room.stage("publish", run)
    room.stage("observe", run)
    room.engines.options = {"pairs_per_chunk": 100}
    assert published["blocked"]
    return published


def scores_of(room: Newsroom, run_id: object) -> int:
    """Scores in the ledger that a run made."""
    return int(room.value("SELECT count(*) FROM rerank.pair_score WHERE run_id = :run_id", run_id=run_id))


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


class TestABlock:
    def test_the_page_keeps_what_was_scored_before_and_the_new_follow_in_bm25_order(
        self, standing: Newsroom
    ) -> None:
        before = standing.page()
        standing.flood("new")
        published = blocked_run(standing)
        rows = standing.ranking()
        assert (published["is_current"], published["degraded"]) == (True, True)
        assert [row.article_id for row in rows[: len(before)]] == before
        assert {row.ranked_by for row in rows[: len(before)]} == {"model"}
        assert {row.ranked_by for row in rows[len(before) :]} == {"bm25"}
        assert len(rows) == len(before) + 20
        assert standing.standing().state == "degraded"

    def test_its_scores_leave_the_ledger_and_are_kept(self, standing: Newsroom) -> None:
        standing.flood("new")
        published = blocked_run(standing)
        assert (scores_of(standing, published["run_id"]), published["distrusted"]) == (0, 210)
        assert standing.value("SELECT count(*) FROM rerank.score_aside") == 210

    def test_it_is_kept_with_its_sentence_in_publication_and_decisions(self, standing: Newsroom) -> None:
        standing.flood("new")
        published = blocked_run(standing)
        assert (
            standing.value(
                "SELECT blocked FROM rerank.publication WHERE publication_id = :id",
                id=published["publication_id"],
            )
            == published["blocked"]
        )
        (row,) = standing.sql("SELECT * FROM rerank.gate")
        assert (row.run_id, row.verdict, row.sentence) == (
            published["run_id"],
            "blocked",
            published["blocked"],
        )
        assert row.actor

    def test_a_whole_run_ends_with_an_error_that_says_what_to_do(self, standing: Newsroom) -> None:
        standing.flood("new")
        standing.engines.options = {"constant": 3.0, "pairs_per_chunk": 100}
        with pytest.raises(
            BlockedError, match=r"spread: the 210 logits .*rerank publish --approve \d+ --pipeline news"
        ):
            standing.run("bad")
        assert standing.standing().state == "degraded"  # and is published all the same

    @pytest.mark.parametrize(
        ("blocked", "said"),
        [
            ("canary: in shard 0 its pairs were out of order, by 0.100 logits", "`rerank scorer list`"),
            ("finite: 1 of 210 logits are no finite number", "`rerank scorer list`"),
            ("counts: source rows are 2, and claimed 1 is 1", "changed or deleted by hand"),
            (
                "empty: 3 of 3 topics have no row, more than 50%; on the page …, 0 of 3",
                "which topics these are",
            ),
        ],
    )
    def test_each_check_has_its_advice(self, blocked: str, said: str) -> None:
        sentence = gate.sentence(7, "news", blocked=blocked, distrusted=210, is_current=True)
        assert blocked in sentence
        assert said in sentence
        assert sentence.count("See ") == 1
        assert "its 210 scores count for nothing" in sentence

    def test_two_checks_give_both_advices_and_the_same_one_once(self) -> None:
        assert gate.advice("finite: 1 of 2; spread: 2; counts: 3").count("See whether") == 2

    def test_a_first_run_with_the_same_logit_everywhere_gets_its_page_in_bm25_order(
        self, room: Newsroom
    ) -> None:
        follow(room)
        room.flood("new")
        published = blocked_run(room)
        assert published["is_current"]
        assert {row.ranked_by for row in room.ranking()} == {"bm25"}

    def test_where_the_degraded_page_is_too_empty_the_page_that_stands_stays(
        self, standing: Newsroom
    ) -> None:
        before = standing.value("SELECT publication_id FROM rerank.pointer")
        room = standing.tuned(freshness_hours=1.0)  # a window in which nothing came in
        published = room.stage("publish", room.until("publish", "bad"))
        assert (published["is_current"], published["degraded"]) == (False, True)
        assert standing.value("SELECT publication_id FROM rerank.pointer") == before
        with pytest.raises(BlockedError, match="the page that readers see stays as it is"):
            pipeline.raise_blocked(published, pipeline="news")

    def test_a_page_that_was_kept_from_readers_is_not_the_one_that_ranks_are_compared_with(
        self, standing: Newsroom
    ) -> None:
        before = standing.value("SELECT publication_id FROM rerank.pointer")
        room = standing.tuned(freshness_hours=1.0)  # a window in which nothing came in
        kept = room.stage("publish", room.until("publish", "bad", until=room.ago(minutes=30)))
        assert (kept["blocked"] is not None, kept["is_current"]) == (True, False)
        standing.run("good", until=standing.ago(minutes=20))
        with history.reading(standing.database) as connection:
            shown = history.find_publication(connection, pipeline="news", publication_id=None)
        assert shown is not None
        assert shown.before_id == before
        standing.flood("new")
        seen = blocked_run(standing, "seen")  # a degraded page that readers see is one to be compared with
        standing.add("solar last")
        standing.run("last")
        with history.reading(standing.database) as connection:
            shown = history.find_publication(connection, pipeline="news", publication_id=None)
        assert shown is not None
        assert shown.before_id == seen["publication_id"]

    def test_scores_that_a_rescoring_run_replaced_come_back(self, standing: Newsroom) -> None:
        standing.flood("new")
        standing.run("good", until=standing.ago(minutes=3))
        before = [(row.article_id, row.logit) for row in standing.ranking()]
        standing.engines.options = {"constant": 3.0, "pairs_per_chunk": 100}
        run = standing.until("publish", "again", rescore=True)
        assert scores_of(standing, run.run_id) > 200
        published = standing.stage("publish", run)
        assert published["blocked"]
        assert [(row.article_id, row.logit) for row in standing.ranking()] == before
        assert {row.ranked_by for row in standing.ranking()} == {"model"}

    def test_scores_that_a_good_rescoring_run_replaced_are_dropped(self, standing: Newsroom) -> None:
        standing.run("again", rescore=True)
        assert standing.value("SELECT count(*) FROM rerank.score_aside") == 0

    def test_a_try_that_still_scores_when_the_run_is_blocked_adds_nothing(
        self, standing: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        standing.flood("new")
        published = blocked_run(standing)
        late = standing.open("bad")
        old = late.__class__(**{**vars(late), "fence": late.fence - 1})  # as it was when the try began
        from rerank_core.rerank import rerank

        with pytest.raises(FencedError, match="blocked by its gate while this try scored"):
            rerank.rerank(
                database=standing.database,
                store=standing.resources.store,
                settings=standing.settings,
                run=old,
                shard=0,
            )
        assert scores_of(standing, published["run_id"]) == 0


class TestScoresUnderWay:
    """A try that keeps a chunk of scores holds the run by its key: the gate waits for it, and nobody else does."""

    @contextmanager
    def keeping(self, room: Newsroom, run: Run) -> Iterator[None]:
        """A try stands in the middle of a chunk, and then keeps it."""
        pair = make_pair(query_id=4711, document_id=4711, month=room.now.date().replace(day=1))
        scorer_id = room.value("SELECT max(scorer_id) FROM rerank.scorer")
        values = {"scorer_id": scorer_id, "run_id": run.run_id, "shard": 0, "engine": "e", "device": "d"}
        with room.database.transaction() as connection:
            ledger.hold_unblocked(connection, run)
            ledger.write(connection, [make_score(pair)], replace=False, **values)
            yield

    def moved(self, room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> tuple[bool, int]:
        """Whether the page moves meanwhile: by the run itself, and by hand."""
        monkeypatch.setattr(db, "LOCK_TIMEOUT", "200ms")
        room.flood("new", articles=3)
        run = room.until("publish", "good")
        with self.keeping(room, run):
            published = room.stage("publish", run)
            back = pointer.rollback(
                database=room.database,
                store=room.resources.store,
                settings=room.settings,
                run_id=run.run_id,
                reason="why",
            )
        return published["is_current"], back.run_id - run.run_id

    def test_publishing_and_rollbacks_do_not_wait(
        self, standing: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.moved(standing, monkeypatch) == (True, 0)

    def test_control_a_stronger_lock_waits(self, standing: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
        statement_replaced(
            monkeypatch, "runs.hold_fence", "SELECT fence FROM rerank.run WHERE run_id = :run_id FOR UPDATE"
        )
        with pytest.raises(DatabaseUnavailable, match="lock timeout"):
            self.moved(standing, monkeypatch)

    def kept_of_a_blocked_run(self, room: Newsroom) -> int:
        """How many scores stand in the ledger when a run was blocked in the middle of a chunk."""
        room.flood("new")
        room.engines.options = {"constant": 3.0, "pairs_per_chunk": 100}
        run = room.until("publish", "bad")
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        with ThreadPoolExecutor(1) as pool:
            with self.keeping(room, run):
                publishing = pool.submit(room.stage, "publish", run)
                while not (publishing.done() or room.value(waiting)):
                    sleep(0.01)
            assert publishing.result()["blocked"]
        return scores_of(room, run.run_id)

    def test_the_gate_waits_and_takes_them_too(self, standing: Newsroom) -> None:
        assert self.kept_of_a_blocked_run(standing) == 0

    def test_control_a_gate_that_does_not_wait_leaves_them(
        self, standing: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        statement_replaced(monkeypatch, "gate.hold_run", "SELECT CAST(:run_id AS bigint)")
        assert self.kept_of_a_blocked_run(standing) == 1


class TestHealing:
    def test_the_next_good_run_scores_the_pairs_anew_and_the_page_is_whole(self, standing: Newsroom) -> None:
        standing.flood("new")
        bad = blocked_run(standing)
        results = standing.run("next")
        assert results["rerank[0]"]["scored"] == 210
        assert results["publish"]["blocked"] is None
        assert not results["publish"]["degraded"]
        assert {row.ranked_by for row in standing.ranking()} == {"model"}
        assert scores_of(standing, bad["run_id"]) == 0

    def test_a_cleared_run_scores_anew_and_passes(self, standing: Newsroom) -> None:
        standing.flood("new")
        bad = blocked_run(standing)
        good = standing.run("bad")["publish"]
        assert (good["run_id"], good["version"], good["blocked"]) == (bad["run_id"], 2, None)
        assert "healed: 210 pairs have a score now" in good["difference"]
        assert [row.verdict for row in standing.sql("SELECT verdict FROM rerank.gate ORDER BY gate_id")] == [
            "blocked",
            "passed",
        ]
        assert standing.value("SELECT count(*) FROM rerank.score_aside") == 0
        assert standing.run("next")["publish"]["degraded"] is False

    def test_publishing_it_again_without_new_scores_is_blocked_again_with_the_same_rows(
        self, standing: Newsroom
    ) -> None:
        standing.flood("new")
        bad = blocked_run(standing)
        again = standing.stage("publish", standing.open("bad"))
        assert (again["version"], again["blocked"], again["distrusted"]) == (2, bad["blocked"], 210)
        assert (again["rows_sha256"], again["difference"]) == (bad["rows_sha256"], None)
        assert scores_of(standing, bad["run_id"]) == 0

    def test_a_run_cleared_while_the_model_is_still_wrong_is_blocked_again(self, standing: Newsroom) -> None:
        standing.flood("new")
        bad = blocked_run(standing)
        again = blocked_run(standing)
        assert (again["run_id"], again["version"], again["distrusted"]) == (bad["run_id"], 2, 210)
        assert again["rows_sha256"] == bad["rows_sha256"]

    def test_a_rescoring_run_that_is_blocked_twice_still_gives_back_what_it_replaced(
        self, standing: Newsroom
    ) -> None:
        standing.flood("new")
        standing.run("good", until=standing.ago(minutes=3))
        before = [(row.article_id, row.logit) for row in standing.ranking()]
        for _ in range(2):
            standing.engines.options = {"constant": 3.0, "pairs_per_chunk": 100}
            standing.stage("publish", standing.until("publish", "again", rescore=True))
        standing.stage("publish", standing.open("again"))
        assert [(row.article_id, row.logit) for row in standing.ranking()] == before

    def test_a_setting_that_allows_it_lets_a_later_try_pass(self, standing: Newsroom) -> None:
        follow(standing, min_score=100.0)
        run = standing.until("publish", "bad")
        assert standing.stage("publish", run)["blocked"]
        passed = standing.tuned(gate_empty_share=1.0).stage("publish", run)
        assert (passed["blocked"], passed["is_current"]) == (None, True)


class TestApproval:
    def approve(
        self, room: Newsroom, run_id: object, reason: str = "it is all the same news"
    ) -> dict[str, object] | None:
        return pipeline.approve(room.resources, run_id=int(str(run_id)), reason=reason)

    def test_it_trusts_the_scores_and_publishes_a_new_version(self, standing: Newsroom) -> None:
        standing.flood("new")
        bad = blocked_run(standing)
        good = self.approve(standing, bad["run_id"])
        assert good is not None
        assert (good["version"], good["blocked"], good["degraded"], good["is_current"]) == (
            2,
            None,
            False,
            True,
        )
        assert scores_of(standing, bad["run_id"]) == 210
        assert {row.ranked_by for row in standing.ranking()} == {"model"}
        assert standing.value("SELECT count(*) FROM rerank.score_aside") == 0

    def test_it_is_kept_who_approved_and_why(self, standing: Newsroom) -> None:
        standing.flood("new")
        bad = blocked_run(standing)
        pipeline.approve(standing.resources, run_id=int(str(bad["run_id"])), reason=" fine ", actor="ada")
        row = standing.sql("SELECT * FROM rerank.gate ORDER BY gate_id DESC LIMIT 1")[0]
        assert (row.verdict, row.sentence, row.actor) == ("approved", "fine", "ada")

    def test_later_runs_find_the_approved_scores(self, standing: Newsroom) -> None:
        standing.flood("new")
        self.approve(standing, blocked_run(standing)["run_id"])
        asked = len(standing.engines.asked)
        assert standing.run("next")["publish"]["degraded"] is False
        assert len(standing.engines.asked) == asked

    def test_a_second_approval_changes_nothing(self, standing: Newsroom) -> None:
        standing.flood("new")
        bad = blocked_run(standing)
        self.approve(standing, bad["run_id"])
        assert self.approve(standing, bad["run_id"]) is None
        assert (
            standing.value("SELECT count(*) FROM rerank.publication WHERE run_id = :id", id=bad["run_id"])
            == 2
        )
        assert standing.value("SELECT count(*) FROM rerank.gate") == 2

    def test_an_approval_that_died_before_it_published_is_finished_by_the_next(
        self, standing: Newsroom
    ) -> None:
        standing.flood("new")
        bad = blocked_run(standing)
        gate.approve(standing.database, run_id=int(str(bad["run_id"])), pipeline="news", reason="fine")
        good = self.approve(standing, bad["run_id"])
        assert (good or {}).items() >= {"version": 2, "degraded": False}.items()

    def test_a_run_that_is_not_blocked_is_refused(self, standing: Newsroom) -> None:
        good = standing.run("good")["publish"]
        with pytest.raises(InputError, match="is not blocked: there is nothing to approve"):
            self.approve(standing, good["run_id"])

    def test_a_run_that_passed_after_its_block_is_refused(self, standing: Newsroom) -> None:
        standing.flood("new")
        bad = blocked_run(standing)
        standing.run("bad")
        with pytest.raises(InputError, match="is not blocked"):
            self.approve(standing, bad["run_id"])

    def test_a_run_that_does_not_exist_or_is_of_another_pipeline_is_refused(self, standing: Newsroom) -> None:
        standing.flood("new")
        bad = blocked_run(standing)
        with pytest.raises(InputError, match="run 999999 does not exist"):
            self.approve(standing, 999_999)
        with pytest.raises(InputError, match="belongs to pipeline 'news', not 'other'"):
            self.approve(standing.tuned(pipeline="other"), bad["run_id"])

    @pytest.mark.parametrize("reason", ["", "  \n"])
    def test_it_needs_a_reason(self, standing: Newsroom, reason: str) -> None:
        standing.flood("new")
        with pytest.raises(InputError, match="needs a reason"):
            self.approve(standing, blocked_run(standing)["run_id"], reason)

    def test_after_a_newer_run_the_page_does_not_go_back(self, standing: Newsroom) -> None:
        standing.flood("new")
        bad = blocked_run(standing)
        standing.add("solar five")
        newer = standing.run("newer")["publish"]
        healed = standing.ranking()
        good = self.approve(standing, bad["run_id"])
        assert good is not None
        assert (good["is_current"], good["blocked"]) == (False, None)
        assert standing.value("SELECT publication_id FROM rerank.pointer") == newer["publication_id"]
        assert standing.ranking() == healed

    def test_scores_made_since_stay(self, standing: Newsroom) -> None:
        standing.flood("new")
        bad = blocked_run(standing)
        newer = standing.run("newer")["publish"]
        self.approve(standing, bad["run_id"])
        assert (scores_of(standing, bad["run_id"]), scores_of(standing, newer["run_id"])) == (0, 210)

    def test_an_approved_rescoring_run_keeps_its_own_scores(self, standing: Newsroom) -> None:
        standing.flood("new")
        standing.run("good", until=standing.ago(minutes=3))
        standing.engines.options = {"constant": 3.0, "pairs_per_chunk": 100}
        bad = standing.stage("publish", standing.until("publish", "again", rescore=True))
        self.approve(standing, bad["run_id"])
        assert {row.logit for row in standing.ranking()} == {3.0}
        assert standing.value("SELECT count(*) FROM rerank.score_aside") == 0

    def test_a_page_that_was_kept_from_readers_is_shown_to_them(self, standing: Newsroom) -> None:
        follow(standing, min_score=100.0)
        bad = standing.stage("publish", standing.until("publish", "bad"))
        assert standing.page() != []
        good = self.approve(standing, bad["run_id"])
        assert (good or {})["is_current"] is True
        assert standing.page() == []

    def test_a_rerun_of_an_approved_run_is_not_judged_again(self, standing: Newsroom) -> None:
        standing.flood("new")
        bad = blocked_run(standing)
        good = self.approve(standing, bad["run_id"])
        again = standing.run("bad")["publish"]
        assert good is not None
        assert (again["version"], again["blocked"], again["rows_sha256"]) == (3, None, good["rows_sha256"])


class TestTwoPipelines:
    @pytest.fixture
    def other(self, standing: Newsroom) -> Newsroom:
        """A second pipeline with the same articles, topics and scorer, that has a page of its own."""
        other = standing.tuned(pipeline="other")
        follow(other)
        other.run("other first", until=standing.ago(hours=2))
        return other

    def rows(self, room: Newsroom) -> list[object]:
        return room.sql(
            "SELECT * FROM rerank.current_ranking WHERE pipeline = :pipeline AND topic = 'solar' ORDER BY rank",
            pipeline=room.settings.pipeline,
        )

    def test_the_other_one_does_not_read_the_distrusted_scores(
        self, standing: Newsroom, other: Newsroom
    ) -> None:
        standing.flood("new")
        blocked_run(standing)
        results = other.run("other next")
        assert results["rerank[0]"]["scored"] == 210
        assert results["publish"]["degraded"] is False

    def test_its_good_scores_heal_the_blocked_run(self, standing: Newsroom, other: Newsroom) -> None:
        standing.flood("new")
        bad = blocked_run(standing)
        other.run("other next")
        passed = standing.stage("publish", standing.open("bad"))
        assert (passed["run_id"], passed["blocked"], passed["degraded"]) == (bad["run_id"], None, False)

    def test_one_that_was_frozen_before_the_block_is_published_without_them(
        self, standing: Newsroom, other: Newsroom
    ) -> None:
        standing.flood("new")
        standing.engines.options = {"constant": 3.0, "pairs_per_chunk": 100}
        run = standing.until("publish", "bad")
        waiting = other.until(
            "publish", "other next"
        )  # every pair was known to it, so degrade left no light order
        assert standing.stage("publish", run)["blocked"]
        published = other.stage("publish", waiting)
        assert (published["blocked"], published["degraded"]) == (None, True)
        assert {row.ranked_by for row in self.rows(other)} == {"model", "bm25"}

    def test_the_others_page_stays(self, standing: Newsroom, other: Newsroom) -> None:
        before = self.rows(other)
        standing.flood("new")
        blocked_run(standing)
        assert self.rows(other) == before


def test_a_page_that_a_rollback_holds_stays_held(standing: Newsroom) -> None:
    first = standing.value("SELECT run_id FROM rerank.publication")
    pointer.rollback(
        database=standing.database,
        store=standing.resources.store,
        settings=standing.settings,
        run_id=first,
        reason="hold",
    )
    standing.flood("new")
    bad = blocked_run(standing)
    assert bad["is_current"] is False
    good = pipeline.approve(standing.resources, run_id=int(str(bad["run_id"])), reason="fine")
    assert (good or {})["is_current"] is False


def test_forgotten_articles_leave_what_was_set_aside(standing: Newsroom) -> None:
    from rerank_core.operations import removal

    standing.flood("new")
    blocked_run(standing)
    removal.forget(
        database=standing.database,
        store=standing.resources.store,
        settings=standing.settings,
        article_id="new7",
        reason="law",
    )
    assert standing.value("SELECT count(*) FROM rerank.score_aside") == 207
    good = pipeline.approve(
        standing.resources, run_id=standing.value("SELECT max(run_id) FROM rerank.run"), reason="fine"
    )
    assert (good or {"blocked": "no"})["blocked"] is None


def test_control_without_the_gate_the_same_logit_everywhere_is_published(
    standing: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement_replaced(
        monkeypatch,
        "gate.scores",
        "SELECT CAST(NULL AS integer) AS shard, 0 AS pairs, 0 AS not_finite, CAST(NULL AS float) AS deviation WHERE :run_id > 0",
    )
    standing.flood("new")
    standing.engines.options = {"constant": 3.0, "pairs_per_chunk": 100}
    published = standing.run("bad")["publish"]
    assert (published["blocked"], published["is_current"]) == (None, True)


def test_engines_of_the_tests_show_a_canary(engines: FakeEngines) -> None:
    assert engines._load().canary_margin == 1.0


def test_the_commands_tell_of_a_block_and_approve_it(
    standing: Newsroom, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    standing.flood("new")
    bad = blocked_run(standing)
    run_id = str(bad["run_id"])
    monkeypatch.setattr(settings_module, "settings", lambda: standing.settings)
    monkeypatch.setenv("RERANK_DATABASE_URL", standing.settings.database_url)
    monkeypatch.setenv("RERANK_STORE_URL", standing.settings.store_url)

    def command(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capsys.readouterr()
        return int(ended.value.code or 0), " ".join((said.out + said.err).split())

    way = f"rerank publish --approve {run_id} --pipeline news"
    code, said = command("runs")
    assert (code, "published, blocked" in said) == (0, True)
    assert f"run {run_id} is blocked: spread: the 210 logits deviate by 0" in said
    assert way in said
    code, said = command("show", "solar")
    assert (code, "the gate has blocked this run: spread" in said, way in said) == (0, True, True)
    assert command("publish", "--approve", run_id) == (
        1,
        f"rerank: approving run {run_id} needs a reason, for whoever looks later; give --reason",
    )
    code, said = command("publish", "--approve", run_id, "--reason", "all the same news")
    assert code == 0
    assert (
        f"run {run_id} is approved: its scores count again. It is published as version 2, which is the page now"
        in said
    )
    assert command("publish", "--approve", run_id, "--reason", "again") == (
        0,
        f"run {run_id} was approved and published before; there is nothing to do",
    )
    assert "the gate has blocked" not in command("show", "solar")[1]
    assert f"run {run_id} was blocked, and approved: all the same news" in command("runs")[1]
    code, said = command("publish", "--approve", "1", "--release")
    assert code == 2
    assert "give one of --rollback RUN, --approve RUN and --release" in said


def test_the_command_run_prints_its_table_and_ends_with_the_gates_sentence(
    standing: Newsroom, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    standing.flood("new")
    standing.engines.options = {"constant": 3.0, "pairs_per_chunk": 100}
    monkeypatch.setattr(settings_module, "settings", lambda: standing.settings)
    with pytest.raises(SystemExit) as ended:
        main(["run", "--key", "bad"])
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert "observe" in said.out
    assert "rerank: the gate blocks run" in said.err
