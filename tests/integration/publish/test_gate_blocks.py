"""What a block does to the scores of a run and to the page."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import sleep

import pytest
from factories import FakeEngines, Newsroom, make_pair, make_score, statement_replaced
from gated import blocked_run, follow, scores_of

from rerank_core import pipeline
from rerank_core.errors import BlockedError, DatabaseUnavailable, FencedError
from rerank_core.frontends import json_pages
from rerank_core.observe import history
from rerank_core.operations import pointer
from rerank_core.publish import gate
from rerank_core.records import Run
from rerank_core.storage import database as db
from rerank_core.storage import ledger


def blocked_in_files(room: Newsroom) -> set[object]:
    """What latest.json, the topic files and the feeds say of the page."""
    store = room.resources.store
    latest = json_pages.read_latest(store, "news")
    assert latest is not None
    files = [json.loads(store.read_json(path) or "") for path in json_pages.paths(latest)]
    assert len(files) == 2 * len(latest["topics"])
    return {file.get("_rerank", file)["blocked"] for file in (latest, *files)}


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

    def test_the_files_for_readers_say_so_until_it_is_approved(self, standing: Newsroom) -> None:
        room = standing.tuned(feeds=("json",))
        room.flood("new")
        bad = blocked_run(room)
        assert blocked_in_files(room) == {True}
        pipeline.approve(room.resources, run_id=int(str(bad["run_id"])), reason="fine")
        assert blocked_in_files(room) == {False}

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
