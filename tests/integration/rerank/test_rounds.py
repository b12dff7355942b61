"""Tasks of one run help each other: what a dead or slow task leaves is scored by the others, and hardly anything twice."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from factories import Newsroom, make_topic

from rerank_core.models import scorers
from rerank_core.models.base import ChunkFailed, FakeScorer
from rerank_core.records import Run
from rerank_core.rerank.rounds import ShardTask

TOPICS = ("solar", "wind", "tide")


class Killed(BaseException):
    """Ends a task as SIGKILL does: the task does nothing any more."""


def frozen(room: Newsroom, *, shards: int = 2, articles: int = 12) -> Run:
    """A run of a topic for each shard, and as many pairs in each."""
    room.follow(*TOPICS[:shards])
    room.add(*(f"{' '.join(TOPICS)} {number}" for number in range(articles)))
    room = room.tuned(shards=shards)
    run = room.until("recall", "k")
    assert [shard["pairs"] for shard in room.stage("recall", run)["shards"]] == [articles] * shards
    return room.again(run)


def asked(room: Newsroom) -> list[tuple[str, str]]:
    """Query and document of each pair that an engine was given and took, in order."""
    return [(pair.query, pair.document) for pair in room.engines.asked]


def killed_at(monkeypatch: pytest.MonkeyPatch, room: Newsroom, *, chunk: int) -> None:
    """The next task dies in this chunk."""
    load = scorers.load

    def loaded(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(scorers, "load", load)
        scorer = load(*args, **options)
        score = scorer.score

        def dying(pairs: Any, **how: Any) -> Any:
            for number, scored in enumerate(score(pairs, **how)):
                if number == chunk:
                    raise Killed
                yield scored

        scorer.score = dying
        return scorer

    monkeypatch.setattr(scorers, "load", loaded)


def test_a_task_that_is_done_goes_on_with_the_other_shard_from_its_end(room: Newsroom) -> None:
    run = frozen(room)
    own = room.stage("rerank", run, shard=0)
    assert (own["pairs"], own["scored"], own["helped"], own["left"], own["shards"]) == (24, 24, 12, 0, 2)
    queries = [query for query, _ in asked(room)[:24:12]]
    room.engines.asked.clear()
    room.sql("DELETE FROM rerank.pair_score")
    other = room.stage("rerank", run, shard=1)
    assert (other["scored"], other["helped"]) == (24, 12)
    given = asked(room)
    assert [query for query, _ in given[:24:12]] == queries[::-1]
    room.engines.asked.clear()
    room.sql("DELETE FROM rerank.pair_score")
    room.stage("rerank", run, shard=0)
    assert asked(room)[12:24] == given[:12][::-1]


def test_what_a_killed_task_left_is_scored_by_the_other_and_the_run_is_complete(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = frozen(room)
    room.engines.options = {"pairs_per_chunk": 2}
    killed_at(monkeypatch, room, chunk=3)
    with pytest.raises(Killed):
        room.stage("rerank", run, shard=1)
    room.engines.asked.clear()
    found = room.stage("rerank", run, shard=0)
    assert (found["scored"], found["helped"], found["left"]) == (18, 6, 0)  # three chunks were kept
    again = room.stage("rerank", run, shard=1)
    assert (again["pairs"], again["left"], len(room.engines.built)) == (0, 0, 2)
    assert room.stage("degrade", run)["missing"] == 0


def test_control_without_help_the_run_is_not_complete(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ShardTask, "rest", lambda task: [])
    found = room.stage("rerank", frozen(room), shard=0)
    assert (found["scored"], found["helped"], found["left"]) == (12, 0, 12)


def test_a_task_whose_shard_is_scored_takes_up_what_a_task_that_failed_has_left(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = frozen(room)
    with monkeypatch.context() as alone:
        alone.setattr(ShardTask, "rest", lambda task: [])
        room.stage("rerank", run, shard=0)
    found = room.stage("rerank", run, shard=0)
    assert (found["pairs"], found["scored"], found["helped"], found["left"]) == (12, 12, 12, 0)


def test_each_of_three_tasks_takes_up_the_next_shard_first(room: Newsroom) -> None:
    run = frozen(room, shards=3)
    first = {}
    for shard in range(3):
        room.sql("DELETE FROM rerank.pair_score")
        room.engines.asked.clear()
        assert room.stage("rerank", run, shard=shard)["helped"] == 24
        first[shard] = [query for query, _ in asked(room)[::12]]
    assert first[1][:2] == first[0][1:]
    assert first[2][:2] == [first[0][2], first[0][0]]


def test_a_pair_that_two_shards_want_is_scored_once(room: Newsroom) -> None:
    room.follow(make_topic(slug="one", query="solar"), make_topic(slug="two", query="solar"), "wind")
    room.add(*(f"solar wind {number}" for number in range(6)))
    split = room.tuned(shards=3)
    run = split.until("rerank", "k")
    for shard in range(3):  # whoever comes first
        split.sql("DELETE FROM rerank.pair_score")
        split.engines.asked.clear()
        assert split.stage("rerank", run, shard=shard)["scored"] == 12
        assert len(set(asked(split))) == 12
        given = [(pair.query_id, pair.document_id) for pair in split.engines.asked]
        assert len(set(given)) == len(given) == 12


def test_a_task_at_its_deadline_takes_up_nothing(room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    run = frozen(room)
    monkeypatch.setattr("rerank_core.rerank.rounds.monotonic", lambda: float("inf"))
    found = room.stage("rerank", run, shard=0)
    assert (found["scored"], found["unscored"], found["helped"], found["left"]) == (12, 0, 0, 12)


def test_a_pair_of_another_shard_that_breaks_the_engine_is_refused_by_a_later_try(room: Newsroom) -> None:
    run = frozen(room)
    room.engines.options = {"pairs_per_chunk": 2, "fail_at_text": f"{' '.join(TOPICS)} 7"}
    for _ in range(4):  # two for the pair of its own shard, two for that of the other
        with pytest.raises(ChunkFailed):
            room.stage("rerank", run, shard=0)
    found = room.stage("rerank", run, shard=0)
    assert (found["left"], room.value("SELECT count(*) FROM rerank.refused_pair")) == (0, 2)


@pytest.mark.parametrize("slower", [1, 4])
def test_two_tasks_at_once_score_hardly_a_pair_twice_and_the_faster_does_more(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch, slower: int
) -> None:
    run = frozen(room, articles=24)
    speeds = {0.1: 0.01, 0.11: 0.01 * slower}  # seconds a pair, by the flush_seconds of the two
    given: list[Any] = []

    def load(settings: Any, **_: Any) -> FakeScorer:
        scorer = FakeScorer(pairs_per_chunk=2, seconds_per_pair=speeds[settings.flush_seconds])
        score = scorer.score

        def counted(pairs: Any, **how: Any) -> Any:
            for chunk in score(pairs, **how):
                given.extend((found.pair.query_id, found.pair.document_id) for found in chunk.scores)
                yield chunk

        scorer.score = counted  # type: ignore[method-assign]
        return scorer

    monkeypatch.setattr(scorers, "load", load)
    rooms = [room.tuned(flush_seconds=seconds) for seconds in speeds]
    with ThreadPoolExecutor(2) as pool:
        fast, slow = pool.map(lambda shard: rooms[shard].stage("rerank", run, shard=shard), (0, 1))
    assert fast["scored"] + slow["scored"] == len(set(given)) == 48
    assert len(given) - len(set(given)) <= 4  # two chunks
    assert fast["left"] == slow["left"] == 0
    if slower > 1:
        assert fast["scored"] > slow["scored"]
