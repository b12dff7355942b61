"""A pair that breaks the engine is found and refused; the others are scored, and the innocent are spared."""

from typing import Any

import pytest
from factories import Newsroom, make_pair

from rerank_core.errors import EngineError
from rerank_core.models.base import FakeScorer
from rerank_core.rerank import poison

TITLES = [f"solar {number}" for number in range(6)]
POISON = "solar 3"


class Killed(BaseException):
    """The process is told to stop."""


@pytest.fixture
def run(room: Newsroom) -> Any:
    room.follow("solar")
    room.add(*TITLES)
    return room.until("rerank", "k")


def scored(room: Newsroom) -> set[str]:
    return {
        row.text
        for row in room.sql("SELECT text FROM rerank.pair_score JOIN rerank.document USING (document_id)")
    }


def refused(room: Newsroom) -> set[str]:
    return {
        row.text
        for row in room.sql("SELECT text FROM rerank.refused_pair JOIN rerank.document USING (document_id)")
    }


def test_a_pair_that_breaks_the_engine_is_refused_by_the_third_try_and_the_rest_is_scored(
    room: Newsroom, run: Any
) -> None:
    room.engines.options = {"fail_at_text": POISON}
    for _ in range(2):
        with pytest.raises(EngineError):
            room.stage("rerank", run, shard=0)
    assert refused(room) == set()
    found = room.stage("rerank", run, shard=0)
    assert refused(room) == {POISON}
    assert scored(room) == set(TITLES) - {POISON}
    assert found["pairs"] == found["scored"] + found["refused"]
    assert room.stage("degrade", run)["missing"] == 0


def test_control_without_the_mark_the_pair_breaks_every_try(
    room: Newsroom, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave = poison.PoisonMark.leave

    def forgetful(*arguments: Any, **options: Any) -> poison.PoisonMark:
        room.sql("DELETE FROM rerank.scoring_attempt")
        return leave(*arguments, **options)

    monkeypatch.setattr(poison.PoisonMark, "leave", forgetful)
    room.engines.options = {"fail_at_text": POISON}
    for _ in range(5):
        with pytest.raises(EngineError):
            room.stage("rerank", run, shard=0)
    assert refused(room) == set()


def vanish(room: Newsroom, run: Any, title: str) -> None:
    """A try that was killed with this pair in the engine by itself; nothing was raised."""
    mark = poison.PoisonMark.leave(room.database, run_id=run.run_id, shard=0)
    document = room.value("SELECT document_id FROM rerank.document WHERE text = :text", text=title)
    mark._name(make_pair(query_id=room.value("SELECT query_id FROM rerank.query"), document_id=document))


def test_a_pair_that_two_tries_vanished_with_is_refused(room: Newsroom, run: Any) -> None:
    for _ in range(2):
        vanish(room, run, POISON)
    found = room.stage("rerank", run, shard=0)
    assert (found["scored"], found["refused"]) == (5, 1)
    assert refused(room) == {POISON}


def test_a_try_that_was_killed_for_another_reason_accuses_no_pair(room: Newsroom, run: Any) -> None:
    for title in (POISON, TITLES[4], POISON):
        vanish(room, run, title)
    found = room.stage("rerank", run, shard=0)
    assert (found["scored"], found["refused"]) == (6, 0)


def test_a_task_that_is_told_to_stop_accuses_no_pair(
    room: Newsroom, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison.PoisonMark.leave(room.database, run_id=run.run_id, shard=0)
    with monkeypatch.context() as patch:
        patch.setattr(FakeScorer, "_score", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            room.stage("rerank", run, shard=0)
    found = room.stage("rerank", run, shard=0)
    assert (found["scored"], found["refused"]) == (6, 0)


def test_on_the_cpu_the_engine_is_built_again_once_within_the_try(
    room: Newsroom, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeScorer, "engine", "fake 1 cpu")
    room.engines.options = {"fail_at_text": POISON}
    with pytest.raises(EngineError):
        room.stage("rerank", run, shard=0)
    assert len(room.engines.built) == 2
    assert room.stage("rerank", run, shard=0)["refused"] == 1
    assert scored(room) == set(TITLES) - {POISON}


def test_a_try_that_came_to_its_end_leaves_no_mark(room: Newsroom, run: Any) -> None:
    room.stage("rerank", run, shard=0)
    assert room.sql("SELECT * FROM rerank.scoring_attempt") == []
