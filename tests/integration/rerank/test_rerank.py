"""Scoring goes on where it stopped, stops in time, and loads no engine for nothing."""

from typing import Any

import pytest
from factories import Newsroom, make_pair, make_score, make_topic, never
from sqlalchemy.exc import IntegrityError

from rerank_core.errors import EngineError, InputError, ModelError
from rerank_core.models import scorers
from rerank_core.models.base import ChunkFailed
from rerank_core.records import Run
from rerank_core.rerank.poison import PoisonMark
from rerank_core.storage import ledger

TITLES = [f"solar {number}" for number in range(6)]


def frozen(room: Newsroom, *titles: str, key: str = "k", **options: Any) -> Any:
    room.follow("solar")
    room.add(*titles)
    run = room.until("rerank", key, **options)
    return room.again(run) if run.frozen else run


def scored(room: Newsroom) -> set[str]:
    """Articles that the ledger has a score of."""
    return {
        row.article_id
        for row in room.sql(
            "SELECT article_id FROM rerank.pair_score JOIN rerank.revision USING (document_id)"
        )
    }


def test_a_failure_loses_only_the_step_and_the_next_try_scores_only_the_rest(room: Newsroom) -> None:
    run = frozen(room, *TITLES)
    room.engines.options = {"pairs_per_chunk": 2, "fail_at_chunk": 2}
    with pytest.raises(EngineError, match="a step failed"):
        room.stage("rerank", run, shard=0)
    assert len(scored(room)) == 4
    kept = scored(room)
    room.engines.options = {"pairs_per_chunk": 2}
    room.engines.asked.clear()
    found = room.stage("rerank", run, shard=0)
    assert (found["pairs"], found["scored"]) == (2, 2)
    assert {pair.document for pair in room.engines.asked} == set(TITLES) - kept
    assert scored(room) == set(TITLES)
    assert all(scorer.finished for scorer in room.engines.built)


def test_with_nothing_to_score_no_engine_is_built(room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    run = frozen(room, *TITLES)
    room.stage("rerank", run, shard=0)
    monkeypatch.setattr(scorers, "load", never)
    for shard in (0, 1):
        assert room.stage("rerank", run, shard=shard)["pairs"] == 0


def test_control_with_something_to_score_one_is_built(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorers, "load", never)
    with pytest.raises(AssertionError):
        room.stage("rerank", frozen(room, *TITLES), shard=0)


def test_a_refused_pair_goes_to_quarantine_and_is_neither_missing_nor_asked_for_again(room: Newsroom) -> None:
    room.engines.options = {"refuse_text": "poison"}
    room.follow("solar")
    room.add("solar poison", "solar fine")
    results = room.run("k")
    assert [results["rerank[0]"][name] for name in ("pairs", "scored", "refused", "unscored")] == [2, 1, 1, 0]
    assert results["degrade"]["missing"] == 0
    assert not results["publish"]["degraded"]
    assert (room.page(), room.standing().state, room.standing().refused) == (["solar fine"], "full", 1)
    assert [row.reason for row in room.sql("SELECT reason FROM rerank.refused_pair")] == ["told to refuse it"]
    assert "rerank[0]" not in room.run("k")
    assert "rerank[0]" not in room.run("next")


def test_the_deadline_stops_scoring_and_what_was_scored_is_kept(room: Newsroom) -> None:
    run = frozen(room, *TITLES)
    room.engines.options = {"pairs_per_chunk": 1, "seconds_per_pair": 0.4}
    found = room.tuned(scoring_minutes=0.6 / 60).stage("rerank", run, shard=0)
    assert found["scored"] + found["unscored"] == 6
    assert 0 < found["unscored"] < 6
    assert len(scored(room)) == found["scored"]


def test_a_shard_whose_time_is_over_before_it_begins_starts_no_engine(room: Newsroom) -> None:
    run = frozen(room, *TITLES)
    found = room.tuned(scoring_minutes=1e-9).stage("rerank", run, shard=0)
    assert (found["pairs"], found["unscored"]) == (6, 6)
    assert room.engines.built == []


def test_a_run_that_rescores_replaces_every_score_once(room: Newsroom) -> None:
    frozen(room, *TITLES)
    room.run("first")
    room.sql("UPDATE rerank.pair_score SET logit = 99")
    assert room.value("SELECT count(*) FROM rerank.pair_score WHERE logit = 99") == 6
    room.engines.asked.clear()
    # Nothing is claimed; the window is filled once more by a change of the topic's candidates.
    room.sql("DELETE FROM rerank.fill")
    room.engines.options = {"pairs_per_chunk": 2, "fail_at_chunk": 1}
    run = room.until("rerank", "again", rescore=True)
    with pytest.raises(EngineError):
        room.stage("rerank", run, shard=0)
    room.engines.options = {}
    assert room.stage("rerank", run, shard=0)["scored"] == 4
    assert room.value("SELECT count(*) FROM rerank.pair_score WHERE logit = 99") == 0
    assert room.value("SELECT count(*) FROM rerank.pair_score") == 6
    assert room.stage("rerank", run, shard=0)["pairs"] == 0


def test_without_rescore_the_first_score_stands(room: Newsroom) -> None:
    run = frozen(room, "solar 1")
    room.stage("rerank", run, shard=0)
    room.sql("UPDATE rerank.pair_score SET logit = 99")
    pair = room.engines.asked[0]
    # What a run has written itself stands, also where it rescores: another of its tries is as good.
    later = room.open("later").run_id
    for replace, by, expected in ((False, run.run_id, 99), (True, run.run_id, 99), (True, later, 1)):
        with room.database.transaction() as connection:
            ledger.write(
                connection,
                [make_score(pair)],
                scorer_id=run.scorer_id,
                run_id=by,
                shard=0,
                engine="fake 1",
                device="none",
                replace=replace,
            )
        assert room.value("SELECT logit FROM rerank.pair_score") == expected


@pytest.mark.parametrize("logit", [float("nan"), float("inf"), float("-inf")])
def test_the_ledger_takes_no_score_that_is_no_number(room: Newsroom, logit: float) -> None:
    run = frozen(room, "solar 1")
    room.stage("rerank", run, shard=0)
    with (
        pytest.raises(IntegrityError, match="pair_score_logit_check"),
        room.database.transaction() as connection,
    ):
        ledger.write(
            connection,
            [make_score(room.engines.asked[0], logit=logit)],
            scorer_id=run.scorer_id,
            run_id=run.run_id,
            shard=0,
            engine="fake 1",
            device="none",
            replace=True,
        )


def test_topics_with_the_same_query_share_the_score(room: Newsroom) -> None:
    room.follow(make_topic(slug="one", query="solar"), make_topic(slug="two", query="solar"))
    room.add("solar 1")
    assert room.run()["rerank[0]"]["scored"] == 1
    assert room.page("one") == room.page("two") == ["solar 1"]


def test_pairs_of_one_query_are_given_side_by_side(room: Newsroom) -> None:
    room.follow("solar", "wind")
    room.add("solar wind 1", "solar wind 2", "solar wind 3")
    room.run()
    assert [pair.query for pair in room.engines.asked] in (
        ["solar"] * 3 + ["wind"] * 3,
        ["wind"] * 3 + ["solar"] * 3,
    )


def test_every_score_says_where_it_came_from(room: Newsroom) -> None:
    run = frozen(room, "solar 1")
    room.stage("rerank", run, shard=0)
    row = room.sql("SELECT run_id, shard, engine, device, scorer_id, truncated FROM rerank.pair_score")[0]
    assert tuple(row) == (run.run_id, 0, "fake 1", "none", run.scorer_id, False)


def test_a_worker_with_another_model_is_refused_before_it_scores(room: Newsroom) -> None:
    run = frozen(room, "solar 1")
    room.engines.name = "other"
    with pytest.raises(ModelError, match="frozen with scorer .*give every worker the same checkpoint"):
        room.stage("rerank", run, shard=0)
    assert room.engines.built == []


def test_the_rerank_stage_needs_its_shard(room: Newsroom) -> None:
    with pytest.raises(InputError, match="number of a shard"):
        room.stage("rerank", frozen(room, "solar 1"))


def test_a_try_that_finds_its_chunk_scored_by_another_leaves_the_rest_to_it(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = frozen(room, *TITLES)
    room.engines.options = {"pairs_per_chunk": 2}
    write = ledger.write

    def while_another_scores_all(connection: Any, scores: Any, **options: Any) -> int:
        monkeypatch.setattr(ledger, "write", write)
        room.stage("rerank", run, shard=0)
        return write(connection, scores, **options)

    monkeypatch.setattr(ledger, "write", while_another_scores_all)
    found = room.stage("rerank", run, shard=0)
    assert (found["pairs"], found["scored"], found["elsewhere"], found["unscored"]) == (6, 0, 6, 0)
    assert [scorer.chunks for scorer in room.engines.built] == [1, 6]  # the other one goes carefully


class Rival:
    """Another try, or another run, that writes the first score of each of the first chunks before this try does."""

    def __init__(self, room: Newsroom, times: int, **other: Any) -> None:
        self.room, self.left, self.other = room, times, other
        self.write = ledger.write
        self.written: list[list[str]] = []

    def __call__(self, connection: Any, scores: Any, **options: Any) -> int:
        if self.left:
            self.left -= 1
            with self.room.database.transaction() as other:
                self.write(other, [scores[0]], **{**options, **self.other})
        self.written.append([score.pair.document for score in scores])
        return self.write(connection, scores, **options)


@pytest.mark.parametrize("rescore", [False, True])
def test_two_tries_side_by_side_go_to_opposite_ends_each_time_that_they_meet(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch, rescore: bool
) -> None:
    titles = [f"solar {number}" for number in range(20)]
    run = frozen(room, *titles, rescore=rescore)
    room.engines.options = {"pairs_per_chunk": 2}
    rival = Rival(room, times=3)
    monkeypatch.setattr(ledger, "write", rival)
    found = room.stage("rerank", run, shard=0)
    assert (found["scored"], found["elsewhere"], found["unscored"]) == (17, 3, 0)
    assert scored(room) == set(titles)
    given = [pair.document for pair in room.engines.asked[:20]]
    assert rival.written[0] == given[:2]
    assert rival.written[1] == given[:-3:-1]  # from the end
    assert rival.written[2] == given[2:4]  # from the front
    assert rival.written[3] == given[11:13]  # of a third one: from the middle of what is left


@pytest.mark.parametrize("rescore", [False, True])
def test_what_comes_next_and_was_scored_by_another_meanwhile_does_not_go_into_the_engine(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch, rescore: bool
) -> None:
    run = frozen(room, *TITLES, rescore=rescore)
    room.engines.options = {"pairs_per_chunk": 2}
    write = ledger.write

    def beside(connection: Any, scores: Any, **options: Any) -> int:
        monkeypatch.setattr(ledger, "write", write)
        with room.database.transaction() as other:
            write(other, [make_score(pair) for pair in room.engines.asked[3:4]], **options)
        return write(connection, scores, **options)

    monkeypatch.setattr(ledger, "write", beside)
    monkeypatch.setattr("rerank_core.rerank.rounds.sleep", lambda seconds: None)
    found = room.stage("rerank", run, shard=0)
    assert (found["scored"], found["elsewhere"], found["unscored"]) == (5, 1, 0)
    assert [pair.document for pair in room.engines.asked[6:]] == [
        pair.document for pair in reversed([*room.engines.asked[2:3], *room.engines.asked[4:6]])
    ]
    assert [scorer.chunks for scorer in room.engines.built] == [3]
    assert scored(room) == set(TITLES)


@pytest.mark.parametrize("alive", [True, False])
def test_what_the_other_try_has_in_its_engine_at_last_is_waited_for_and_scored_where_it_does_not_come(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch, alive: bool
) -> None:
    run = frozen(room, *TITLES)
    room.engines.options = {"pairs_per_chunk": 4}
    write, waited = ledger.write, []
    given: dict[str, Any] = {}

    def beside(connection: Any, scores: Any, **options: Any) -> int:
        if not given:
            given.update(options)
            with room.database.transaction() as other:
                write(other, scores[:1], **options)
        return write(connection, scores, **options)

    def meanwhile(seconds: float) -> None:
        waited.append(seconds)
        if alive:
            left = [make_score(pair) for pair in room.engines.asked[4:6]]
            with room.database.transaction() as other:
                write(other, left, **given)

    monkeypatch.setattr(ledger, "write", beside)
    monkeypatch.setattr("rerank_core.rerank.rounds.sleep", meanwhile)
    found = room.stage("rerank", run, shard=0)
    assert scored(room) == set(TITLES)
    assert len(waited) == (1 if alive else 3)
    assert (found["scored"], found["elsewhere"]) == ((3, 3) if alive else (5, 1))


def test_runs_that_score_the_same_pairs_count_their_meetings_in_one_place(room: Newsroom) -> None:
    runs = [frozen(room, "solar 1", key="first"), frozen(room, "solar 2", key="second")]
    first, second = (PoisonMark.leave(room.database, run_id=run.run_id, shard=0) for run in runs)
    pairs = {}
    for run, number in zip(runs, (1, 2), strict=True):
        score = make_score(make_pair(document_id=number, query_id=1))
        pairs[run.run_id] = [score.pair]
        with room.database.transaction() as connection:
            ledger.write(
                connection,
                [score],
                scorer_id=1,
                run_id=run.run_id,
                shard=0,
                engine="fake 1",
                device="none",
                replace=False,
            )
    of_first, of_second = pairs.values()
    assert first.meet(of_second, scorer_id=1) == 1
    assert second.meet(of_first, scorer_id=1) == 2
    assert second.meet(of_second, scorer_id=1) == 1  # with another try of the second run
    first.remove()
    assert second.meet(of_first, scorer_id=1) == 0  # the other one is over


class TestWhenScoringEndsEarly:
    """Whatever ends it, each topic has had its share, and what is left over is carried over."""

    TOPICS = ("solar", "wind", "tide")

    @pytest.fixture
    def ended(self, room: Newsroom) -> Run:
        """A run of which three topics' first 16 of 40 pairs were scored when the engine failed."""
        room.follow(*self.TOPICS)
        for number in range(40):  # the longer a title, the less it is about any of them
            room.add(" ".join([*self.TOPICS, *(f"word{number}x{n}" for n in range(number))]))
        room.engines.options = {"pairs_per_chunk": 8, "fail_at_chunk": 6}
        run = room.until("recall", "k")
        room.stage("recall", run)
        with pytest.raises(ChunkFailed):
            room.stage("rerank", run, shard=0)
        room.engines.options = {}
        return run

    def test_every_topic_has_its_best_scored(self, room: Newsroom, ended: Run) -> None:
        room.stage("degrade", ended)
        room.stage("publish", ended)
        for topic in self.TOPICS:
            standing = room.standing(topic)
            assert (standing.state, standing.scored, standing.missing) == ("degraded", 16, 24)
            scored = {row.article_id for row in room.ranking(topic) if row.ranked_by == "model"}
            wanted = [pair["article_id"] for pair in room.pairs(ended) if pair["topic"] == topic]
            assert scored == set(wanted[:16])

    def test_the_next_try_begins_with_what_was_in_the_engine(self, room: Newsroom, ended: Run) -> None:
        before = [(pair.query_id, pair.document_id) for pair in room.engines.asked]
        room.engines.asked.clear()
        room.stage("rerank", ended, shard=0)
        assert [(pair.query_id, pair.document_id) for pair in room.engines.asked] == before[48:]

    def test_what_the_deadline_leaves_is_counted_and_scored_by_the_next_run(
        self, room: Newsroom, ended: Run
    ) -> None:
        result = room.tuned(scoring_minutes=1e-9).stage("rerank", ended, shard=0)
        assert (result["pairs"], result["scored"], result["unscored"]) == (72, 0, 72)
        room.stage("degrade", ended)
        room.stage("publish", ended)
        metric = "SELECT value FROM rerank.run_metric WHERE stage = 'rerank[0]' AND name = 'unscored'"
        assert room.value(metric) == 72
        assert room.run("next")["rerank[0]"]["scored"] == 72
        assert {room.standing(topic).state for topic in self.TOPICS} == {"full"}
