"""A page that is late is published as it is, by another process; the run's own tries are left alone, and heal it."""

import threading
import time
from typing import Any

import pytest
from factories import Newsroom, statement_replaced

from rerank_core import pipeline
from rerank_core.errors import DatabaseUnavailable, FencedError, InputError, OverdueError
from rerank_core.records import Run
from rerank_core.storage import runs

NEVER_SCORED = {"fail_at_chunk": 0}
BUSY = "UPDATE rerank.run SET fence = fence + 1, busy_since = clock_timestamp() - make_interval(secs => :age) WHERE run_id = :run"


@pytest.fixture
def waiting(room: Newsroom) -> Run:
    """A frozen run whose scoring has not begun."""
    room.follow("solar", "wind")
    room.add("solar 1", "solar 2", "wind 3")
    return room.until("rerank", "k")


def publish(room: Newsroom, run: Run) -> dict[str, Any] | None:
    return pipeline.publish_overdue(room.resources, run_id=run.run_id)


def test_a_late_page_comes_out_degraded_and_heals_when_the_scores_come(room: Newsroom, waiting: Run) -> None:
    late = publish(room, waiting)
    assert late is not None
    assert (late["version"], late["degraded"], late["is_current"]) == (1, True, True)
    assert {row.ranked_by for row in room.ranking()} == {"bm25"}
    assert room.standing().state == "degraded"
    healed = room.rest(waiting)
    assert (healed["version"], healed["degraded"], healed["is_current"]) == (2, False, True)
    assert healed["difference"].startswith("healed: 6 pairs have a score now")
    assert room.standing().state == "full"


def test_what_is_scored_by_then_is_ranked_by_the_model(room: Newsroom, waiting: Run) -> None:
    room.engines.options = {"pairs_per_chunk": 2, "fail_at_chunk": 1}
    with pytest.raises(Exception, match="a step failed"):
        room.stage("rerank", waiting, shard=0)
    late = publish(room, waiting)
    assert late is not None
    scored = room.value("SELECT count(*) FROM rerank.ranking WHERE ranked_by = 'model'")
    assert scored == 2
    assert {row.ranked_by for topic in ("solar", "wind") for row in room.ranking(topic)} == {"model", "bm25"}


def test_a_page_that_is_out_is_left_alone(room: Newsroom, waiting: Run) -> None:
    room.rest(waiting)
    fence = room.again(waiting).fence
    assert publish(room, waiting) is None
    assert room.again(waiting).fence == fence
    assert room.value("SELECT count(*) FROM rerank.publication") == 1


def test_the_next_run_heals_what_a_late_page_left_unscored(room: Newsroom, waiting: Run) -> None:
    publish(room, waiting)
    room.run("next")
    assert {row.ranked_by for row in room.ranking()} == {"model"}
    assert room.standing().page_degraded is False


def test_a_run_that_waits_for_vectors_is_recalled_without_them(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1")
    run = room.until("embed", "k")
    late = publish(room, run)
    assert late is not None
    assert late["rows"] == 1
    assert room.again(run).frozen
    assert room.rest(run)["version"] == 2


def test_a_run_that_has_prepared_nothing_has_no_page_to_publish(room: Newsroom) -> None:
    room.add("solar 1")
    run = room.until("prepare", "k")
    with pytest.raises(OverdueError, match="none of its articles is prepared"):
        publish(room, run)
    with pytest.raises(InputError, match="run 4711 does not exist"):
        pipeline.publish_overdue(room.resources, run_id=4711)


def test_its_numbers_are_kept_as_those_of_a_stage(room: Newsroom, waiting: Run) -> None:
    publish(room, waiting)
    assert room.value("SELECT value FROM rerank.run_metric WHERE stage = 'overdue' AND name = 'rows'") == 3


class TestBesideTheRunsOwnTries:
    """Whichever comes first, the run's own try commits."""

    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pipeline, "LOOK_SECONDS", 0.01)

    def test_a_stage_is_busy_until_it_has_ended_well_or_badly(self, room: Newsroom, waiting: Run) -> None:
        busy = "SELECT busy_since IS NOT NULL FROM rerank.run"
        with pytest.raises(RuntimeError), runs.attempt(room.database, waiting.run_id):
            assert room.value(busy)
            raise RuntimeError
        assert not room.value(busy)

    def test_an_older_try_that_ends_late_does_not_end_the_newer_one(
        self, room: Newsroom, waiting: Run
    ) -> None:
        with runs.attempt(room.database, waiting.run_id), runs.attempt(room.database, waiting.run_id):
            pass
        with runs.attempt(room.database, waiting.run_id) as (_, fence):
            with runs.busy(room.database, waiting.run_id, fence - 1):
                pass
            assert room.value("SELECT busy_since IS NOT NULL FROM rerank.run")

    def test_a_stage_at_work_is_waited_for(
        self, room: Newsroom, waiting: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looked = []

        def look(_seconds: float) -> None:
            looked.append(room.again(waiting).fence)
            if len(looked) == 3:
                room.rest(waiting)

        monkeypatch.setattr(pipeline, "sleep", look)
        room.sql(BUSY, run=waiting.run_id, age=0)
        assert publish(room, waiting) is None
        assert len(looked) == 3
        assert len(set(looked)) == 1  # waiting takes no fence
        assert room.value("SELECT count(*) FROM rerank.publication") == 1

    @pytest.mark.parametrize("age", [0, 3_600])
    def test_a_try_that_was_killed_is_waited_for_and_then_overtaken(
        self, room: Newsroom, waiting: Run, monkeypatch: pytest.MonkeyPatch, age: int
    ) -> None:
        monkeypatch.setattr(pipeline, "PATIENCE_SECONDS", 0.2)
        room.sql(BUSY, run=waiting.run_id, age=age)
        began = time.monotonic()
        late = publish(room, waiting)
        assert late is not None
        assert late["version"] == 1
        assert time.monotonic() - began >= 0.2

    def test_control_a_try_that_is_dead_would_be_waited_for_without_end(
        self, room: Newsroom, waiting: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looked = []

        def look(_seconds: float) -> None:
            looked.append(1)
            if len(looked) == 50:
                raise TimeoutError

        monkeypatch.setattr(pipeline, "sleep", look)
        room.sql(BUSY, run=waiting.run_id, age=3_600)
        with pytest.raises(TimeoutError):
            publish(room, waiting)

    @pytest.mark.parametrize("stage", ["prepare", "recall"])
    def test_a_try_that_stands_still_with_the_runs_lock_loses_its_session(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch, stage: str
    ) -> None:
        monkeypatch.setattr(pipeline, "PATIENCE_SECONDS", 0.2)
        room.follow("solar")
        room.add("solar 1")
        run = room.until("recall", "k")
        if stage == "prepare":  # of which something is prepared
            room.sql("UPDATE rerank.run SET prepared_at = NULL")
        with pytest.raises(DatabaseUnavailable), room.database.transaction() as frozen:
            runs.hold_fence(frozen, run.run_id, run.fence)
            late = publish(room, run)
            assert late is not None
            runs.hold_fence(frozen, run.run_id, run.fence)
        assert (late["version"], late["rows"]) == (1, 1)

    def test_a_try_that_works_with_the_runs_lock_is_waited_for(
        self, room: Newsroom, waiting: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pipeline, "PATIENCE_SECONDS", 1.0)
        held, over = threading.Event(), threading.Event()

        def work() -> None:
            with room.database.transaction() as connection:
                runs.hold_fence(connection, waiting.run_id, waiting.fence)
                held.set()
                while not over.wait(0.02):  # a session that gives signs
                    runs.hold_fence(connection, waiting.run_id, waiting.fence)

        thread = threading.Thread(target=work)
        timer = threading.Timer(1.5, over.set)
        thread.start()
        held.wait()
        timer.start()
        late = publish(room, waiting)
        thread.join()
        assert late is not None
        assert over.is_set()

    def test_a_try_of_the_runs_own_that_begins_meanwhile_overtakes_it(
        self, room: Newsroom, waiting: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own: list[dict[str, Any]] = []
        degrade = pipeline.degrade.degrade

        def degrade_and_be_overtaken(**values: Any) -> Any:
            result = degrade(**values)
            if not own:
                own.append({})
                own[0] = room.rest(waiting)
            return result

        monkeypatch.setattr(pipeline.degrade, "degrade", degrade_and_be_overtaken)
        assert publish(room, waiting) is None
        assert (own[0]["version"], own[0]["degraded"]) == (1, False)
        assert room.value("SELECT count(*) FROM rerank.publication") == 1

    def test_control_without_that_rule_the_runs_own_publication_is_lost(
        self, room: Newsroom, waiting: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        statement_replaced(
            monkeypatch,
            "pipeline.take_overdue_fence",
            "UPDATE rerank.run SET fence = fence + 1, busy_since = now() WHERE run_id = :run_id AND :overtake IS NOT NULL"
            " RETURNING false AS published, true AS prepared, fence",
        )
        for shard in room.stage("recall", waiting)["shards"]:
            room.stage("rerank", waiting, shard=shard["shard"])
        room.stage("degrade", waiting)
        with pytest.raises(FencedError), runs.attempt(room.database, waiting.run_id) as (run, fence):
            publish(room, waiting)
            pipeline.publish.publish(
                database=room.database,
                store=room.resources.store,
                settings=room.settings,
                run=run,
                fence=fence,
            )


class TestWithoutAirflow:
    """`rerank run` keeps the time by itself."""

    def test_slow_scoring_delays_no_page(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("solar 1", "solar 2")
        released = threading.Event()

        def hang(*_: Any, **__: Any) -> Any:
            deadline = threading.Event()
            while room.value("SELECT count(*) FROM rerank.publication") == 0:
                deadline.wait(0.02)
            released.set()
            raise RuntimeError("the driver is gone")

        patience = pytest.MonkeyPatch()
        patience.setattr(pipeline, "LATE_LOOK_SECONDS", 0.1)
        patience.setattr("rerank_core.models.scorers.load", hang)
        try:
            room.tuned(page_deadline_minutes=0.01).run("k")
        finally:
            patience.undo()
        assert released.is_set()
        found = room.sql("SELECT version, degraded FROM rerank.publication ORDER BY version")
        assert [tuple(row) for row in found] == [(1, True), (2, True)]

    def test_a_run_in_time_is_published_once(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("solar 1")
        room.run("k")
        assert room.value("SELECT count(*) FROM rerank.publication") == 1
        assert "page deadline" not in {thread.name for thread in threading.enumerate()}

    def test_without_a_deadline_nothing_is_published_early(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("solar 1")
        room.engines.options = {"seconds_per_pair": 0.2}
        room.tuned(page_deadline_minutes=0).run("k")
        assert room.value("SELECT count(*) FROM rerank.publication") == 1

    def test_any_failure_of_a_shard_leaves_a_page(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any, **__: Any) -> Any:
            raise ImportError("libcuda.so.1: cannot open shared object file")

        monkeypatch.setattr("rerank_core.models.scorers.load", fail)
        room.follow("solar")
        room.add("solar 1")
        assert room.run("k")["publish"]["degraded"]
