"""When articles that have come start a run: after a quiet time, not for ever, and once."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from factories import FakeEngines, Newsroom

from rerank_airflow.signals import assets
from rerank_airflow.signals.arrivals import ArrivalsTrigger, QuietTime
from rerank_core.extract import arrivals
from rerank_core.records import Waiting
from rerank_core.settings import Settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def waits(articles: int) -> Waiting:
    return Waiting(articles, NOON.replace(second=articles) if articles else None)


def due_at(counts: list[int], quiet: float = 3, longest: float = 10) -> list[int]:
    """Seconds at which the rule tells of articles, if so many wait at each second."""
    rule = QuietTime(quiet, longest)
    return [second for second, count in enumerate(counts) if rule.is_due(waits(count), float(second))]


def test_it_waits_until_no_further_article_comes() -> None:
    assert due_at([0, 1, 2, 3, 3, 3, 3, 3, 3]) == [6]


def test_it_does_not_wait_for_ever_while_articles_keep_coming() -> None:
    assert due_at(list(range(30)), longest=10) == [11, 22]


def test_it_tells_once_of_what_nobody_claims_and_again_of_what_comes_then() -> None:
    assert due_at([1] * 20) == [3]
    assert due_at([1] * 10 + [2] * 10) == [3, 13]


def test_what_a_run_has_claimed_is_forgotten() -> None:
    assert due_at([1, 1, 0, 1, 1, 1, 1]) == [6]
    assert due_at([1, 1, 1, 1, 0, 1, 1, 1, 1]) == [3, 8]


def test_nothing_is_told_of_an_empty_source() -> None:
    assert due_at([0] * 30) == []


@pytest.fixture
def room(database_url: str, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Newsroom:
    engines = FakeEngines()
    engines.install(monkeypatch)
    monkeypatch.setenv("RERANK_DATABASE_URL", database_url)
    monkeypatch.setenv("RERANK_STORE_URL", store_url)
    made = Newsroom(Settings.load(), engines)
    made.follow("solar")
    return made


def looked(room: Newsroom) -> int:
    return arrivals.waiting(room.database, room.settings).articles


class TestWaiting:
    """What a look at the source finds is what a run of now would claim."""

    def test_articles_wait_until_a_run_claims_them(self, room: Newsroom) -> None:
        assert looked(room) == 0
        room.add("solar 1", "solar 2")
        assert looked(room) == 2
        room.run("k")
        assert looked(room) == 0
        room.add("solar 3", ingested_at=room.ago(seconds=0))
        assert looked(room) == 1

    def test_one_that_committed_late_and_an_edit_of_one_that_just_came_wait_too(self, room: Newsroom) -> None:
        room.add("solar 1", ingested_at=room.ago(minutes=2))
        room.run("k")
        room.add("solar late", ingested_at=room.ago(minutes=1))
        assert looked(room) == 1
        room.edit("solar 1", title="solar 1, corrected")
        assert looked(room) == 2

    def test_what_no_run_claims_does_not_wait(self, room: Newsroom) -> None:
        room.add("solar future", ingested_at=room.ago(hours=-1))
        room.add("solar old", ingested_at=room.ago(days=30))
        room.add("x" * 2_001)
        room.add("solar gone")
        room.sql(
            "INSERT INTO rerank.tombstone (pipeline, article_id, reason) VALUES ('news', 'solar gone', 'r')"
        )
        assert looked(room) == 0

    def test_another_pipeline_has_its_own(self, room: Newsroom) -> None:
        room.add("solar 1")
        room.run("k")
        assert arrivals.waiting(room.database, room.settings.of("shadow")).articles == 1


def events(trigger: ArrivalsTrigger, wanted: int, *, during: Any = None, seconds: float = 20) -> list[Any]:
    """The first events of a trigger, as the triggerer runs it; `during` is called after each."""

    async def collect() -> list[Any]:
        found = []
        stream = trigger.run()
        try:
            async with asyncio.timeout(seconds):
                async for event in stream:
                    found.append(event.payload)
                    if len(found) == wanted:
                        break
                    if during is not None:
                        await asyncio.to_thread(during)
        except TimeoutError:
            pass
        finally:
            await stream.aclose()  # type: ignore[attr-defined]
        return found

    return asyncio.run(collect())


def quick(**overrides: Any) -> ArrivalsTrigger:
    values = {"pipeline": "news", "quiet_seconds": 0.3, "longest_seconds": 5.0, "look_seconds": 0.05}
    return ArrivalsTrigger(**{**values, **overrides})


class TestTrigger:
    """The trigger itself, on a real Postgres."""

    def test_each_burst_is_an_event(self, room: Newsroom) -> None:
        room.add("solar 1", "solar 2")

        def claim_and_add() -> None:
            room.run()
            room.add("solar 3", ingested_at=room.ago(seconds=0))

        found = events(quick(), 2, during=claim_and_add)
        assert [event["articles"] for event in found] == [2, 1]
        assert {event["pipeline"] for event in found} == {"news"}
        assert datetime.fromisoformat(found[1]["newest"]) == room.ago(seconds=0)

    def test_what_nobody_claims_is_told_once(self, room: Newsroom) -> None:
        room.add("solar 1")
        assert len(events(quick(), 2, seconds=1.5)) == 1

    def test_a_database_that_is_away_ends_no_trigger(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        room.add("solar 1")
        waiting, asked = arrivals.waiting, []

        def away(*values: Any) -> Waiting:
            asked.append(1)
            if len(asked) < 3:
                raise (OSError("network"), ValueError("odd"))[len(asked) - 1]
            return waiting(*values)

        monkeypatch.setattr(arrivals, "waiting", away)
        assert [event["articles"] for event in events(quick(), 1)] == [1]
        assert len(asked) > 2

    def test_control_an_exception_that_is_not_caught_ends_it(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(trigger: ArrivalsTrigger) -> Waiting:
            raise OSError("network")

        monkeypatch.setattr(ArrivalsTrigger, "look", away)
        with pytest.raises(OSError, match="network"):
            events(quick(), 1)

    def test_airflow_can_make_it_again_from_what_it_keeps(self) -> None:
        from pkgutil import resolve_name

        from airflow.triggers.base import BaseEventTrigger

        trigger = quick()
        path, values = trigger.serialize()
        again = resolve_name(path.replace(".Arr", ":Arr"))(**values)
        assert again.serialize() == (path, values)
        assert isinstance(again, BaseEventTrigger)
        assert BaseEventTrigger.hash(path, values) == BaseEventTrigger.hash(*again.serialize())


def test_the_asset_is_watched_with_the_times_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_AIRFLOW_QUIET_SECONDS", "7")
    monkeypatch.setenv("RERANK_AIRFLOW_ARRIVAL_MINUTES", "2")
    asset = assets.articles("shadow")
    assert (asset.name, asset.uri) == ("articles_shadow", "news-rerank://shadow/articles")
    (watcher,) = asset.watchers
    assert watcher.trigger.serialize()[1] == {
        "pipeline": "shadow",
        "quiet_seconds": 7.0,
        "longest_seconds": 120.0,
        "look_seconds": 2.0,
    }
