"""How a block ends: by good scores, or because a person approves the run."""

import pytest
from factories import Newsroom
from gated import blocked_run, follow, scores_of

from rerank_core import pipeline
from rerank_core.errors import InputError
from rerank_core.publish import gate


class TestHealing:
    def test_the_next_good_run_scores_the_pairs_again_and_the_page_is_whole(self, standing: Newsroom) -> None:
        standing.flood("new")
        bad = blocked_run(standing)
        results = standing.run("next")
        assert results["rerank[0]"]["scored"] == 210
        assert results["publish"]["blocked"] is None
        assert not results["publish"]["degraded"]
        assert {row.ranked_by for row in standing.ranking()} == {"model"}
        assert scores_of(standing, bad["run_id"]) == 0

    def test_a_cleared_run_scores_again_and_passes(self, standing: Newsroom) -> None:
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
        pipeline.approve(
            standing.resources, run_id=int(str(bad["run_id"])), reason=" fine ", on_behalf_of="ada"
        )
        row = standing.sql("SELECT * FROM rerank.gate ORDER BY gate_id DESC LIMIT 1")[0]
        assert (row.verdict, row.sentence, row.on_behalf_of) == ("approved", "fine", "ada")

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
