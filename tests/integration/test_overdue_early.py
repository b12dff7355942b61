"""A page that is due before everything is prepared: it comes out with what is prepared, or the page before says that it is late."""

import json
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from factories import Newsroom, make_topic, statement_replaced

from rerank_core import pipeline
from rerank_core.cli import pages
from rerank_core.errors import OverdueError
from rerank_core.prepare import prepare
from rerank_core.records import Run


@pytest.fixture
def half(room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that is prepared up to its second article: its own try was cut off there."""
    room.follow("solar", make_topic(slug="wind", languages=("fr",)))
    room.add("solar 1", "solar 2", "solar 3", "solar 4")
    run = room.until("prepare", "k")
    prepare_half(room, run, monkeypatch)
    return run


def prepare_half(room: Newsroom, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    original = prepare._save
    saved: list[Any] = []

    def save(*given: Any) -> None:
        if saved:
            raise KeyboardInterrupt
        saved.append(given)
        original(*given)

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "BATCH", 2)
        patch.setattr(prepare, "_save", save)
        with pytest.raises(KeyboardInterrupt):
            room.stage("prepare", run)


def late(room: Newsroom, run: Run) -> dict[str, Any] | None:
    return pipeline.publish_overdue(room.resources, run_id=run.run_id)


def rest(room: Newsroom, run: Run) -> dict[str, Any]:
    """What the run does by itself afterwards."""
    room.stage("prepare", run)
    return room.rest(run)


def test_what_is_prepared_is_published_and_says_that_it_is_not_all(room: Newsroom, half: Run) -> None:
    published = late(room, half)
    assert published is not None
    assert (published["version"], published["degraded"], published["is_current"]) == (1, True, True)
    assert published["blocked"] is None
    assert sorted(room.page()) == ["solar 1", "solar 2"]
    assert (room.standing().page_degraded, room.standing().state) == (True, "degraded")
    assert (
        room.standing("wind").state == "partial"
    )  # no pair of it is missing, and not every article was looked at
    assert room.standing().overdue_since is None


def test_the_run_goes_on_and_its_next_version_has_the_rest(room: Newsroom, half: Run) -> None:
    late(room, half)
    healed = rest(room, half)
    assert (healed["version"], healed["degraded"], healed["is_current"]) == (2, False, True)
    assert "prepared: the version before lacks articles that were not prepared yet" in healed["difference"]
    assert sorted(room.page()) == ["solar 1", "solar 2", "solar 3", "solar 4"]
    assert {row.ranked_by for row in room.ranking()} == {"model"}
    assert room.standing().state == "full"
    again = room.stage("publish", half)
    assert (again["version"], again["difference"]) == (3, None)


def test_the_runs_own_try_of_prepare_is_not_overtaken(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The late page comes out while the stage is at work."""
    room.follow("solar")
    room.add("solar 1", "solar 2", "solar 3", "solar 4", "solar 5", "solar 6")
    room = room.tuned(prepare_workers=1)
    run = room.until("prepare", "k")
    monkeypatch.setattr(prepare, "BATCH", 2)
    monkeypatch.setattr(prepare, "MANY", 0)
    reading, published = prepare._batches, []

    def batches(*given: Any) -> Any:
        for number, batch in enumerate(reading(*given)):
            if number == 2:  # the first batch is saved by now
                published.append(late(room, run))
            yield batch

    monkeypatch.setattr(prepare, "_batches", batches)
    assert room.stage("prepare", run)["documents"] == 6
    assert [one["rows"] for one in published] == [2]
    assert rest(room, run)["version"] == 2
    assert len(room.page()) == 6


def test_what_the_run_never_prepares_the_next_run_takes_up(room: Newsroom, half: Run) -> None:
    late(room, half)
    results = room.run("next")
    assert results["publish"]["degraded"] is False
    assert sorted(room.page()) == ["solar 1", "solar 2", "solar 3", "solar 4"]
    assert room.value("SELECT count(*) FROM rerank.revision WHERE document_id IS NULL") == 0
    assert {row.is_new for row in room.ranking()} == {True}


def test_control_a_late_page_that_counts_as_the_runs_own_loses_what_was_not_prepared(
    room: Newsroom, half: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement_replaced(
        monkeypatch,
        "publish.done",
        "UPDATE rerank.run SET published_at = now(), degraded = :degraded WHERE run_id = :run_id",
    )
    late(room, half)
    room.run("next")
    assert room.value("SELECT count(*) FROM rerank.revision WHERE document_id IS NULL") == 2


def test_a_text_that_is_prepared_while_a_late_page_is_made_is_not_on_it(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be a near-copy of another text, and only the end of the stage finds that out."""
    words = " ".join(f"word{number}" for number in range(60))
    room.follow("solar")
    room.add("a", title="solar plant", body=words)
    room.add("b", title="solar plant", body="")
    room.add("c", title="solar plant", body=words + " again")
    run = room.until("prepare", "k")
    prepare_half(room, run, monkeypatch)
    place = prepare.place_prepared

    def ends(*_: Any) -> None:
        raise KeyboardInterrupt

    def placed_and_prepared(*, run: Run, fence: int, **given: Any) -> None:
        place(run=run, fence=fence, **given)
        with monkeypatch.context() as patch:
            patch.setattr(prepare, "_finish", ends)
            with pytest.raises(KeyboardInterrupt):
                pipeline.perform_fenced("prepare", room.resources, run, fence)

    monkeypatch.setattr(prepare, "place_prepared", placed_and_prepared)
    late(room, run)
    assert room.value("SELECT count(*) FROM rerank.revision WHERE document_id IS NULL") == 0
    assert sorted(room.page()) == ["a", "b"]
    assert rest(room, run)["version"] == 2
    assert sorted(room.page()) == ["a", "b"]


def test_near_copies_share_a_row_of_a_late_page_too(room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    words = " ".join(f"word{number}" for number in range(60))
    room.follow("solar")
    room.add("a", title="solar plant", body=words)
    room.add("b", title="solar plant", body=words + " again")
    room.add("c", "d")
    run = room.until("prepare", "k")
    prepare_half(room, run, monkeypatch)
    late(room, run)
    assert room.page() == ["a"]
    assert rest(room, run)["version"] == 2


def test_a_second_deadline_finds_the_page_out(room: Newsroom, half: Run) -> None:
    late(room, half)
    assert late(room, half) is None
    assert room.value("SELECT count(*) FROM rerank.publication") == 1


def test_a_run_that_is_prepared_by_then_is_frozen_with_all_of_it(room: Newsroom, half: Run) -> None:
    late(room, half)
    room.stage("prepare", half)
    published = late(room, half)
    assert published is not None
    assert published["version"] == 2
    assert sorted(room.page()) == ["solar 1", "solar 2", "solar 3", "solar 4"]
    assert rest(room, half)["version"] == 3


class TestNothingIsPrepared:
    """The page before stays, with its own as-of time, and says that a newer page is overdue."""

    @pytest.fixture
    def stuck(self, room: Newsroom) -> Run:
        """A run beside a page; it has claimed its articles, and prepared none."""
        room.follow("solar")
        room.add("solar 1")
        room.run("before")
        room.add("solar 2")
        return room.until("prepare", "k")

    def test_the_page_before_says_so_everywhere(self, room: Newsroom, stuck: Run, store_url: str) -> None:
        before = room.standing()
        with pytest.raises(
            OverdueError, match=f"the page of run {stuck.run_id} is due, and none of its articles"
        ):
            late(room, stuck)
        standing = room.standing()
        assert standing.overdue_since is not None
        assert (standing.as_of, standing.publication_id) == (before.as_of, before.publication_id)
        latest = json.loads((Path(store_url.removeprefix("file://")) / "news/latest.json").read_text())
        assert latest["overdue_since"] is not None
        assert latest["publication_id"] == before.publication_id
        assert room.page() == ["solar 1"]

    def test_rerank_show_says_so(
        self, room: Newsroom, stuck: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in ("database_url", "store_url"):
            monkeypatch.setenv(f"RERANK_{name.upper()}", getattr(room.settings, name))
        pages.show()
        assert "newer page" not in capsys.readouterr().out
        with pytest.raises(OverdueError):
            late(room, stuck)
        pages.show()
        assert "a newer page has been due since" in capsys.readouterr().out

    def test_it_is_said_until_a_newer_page_is_out(self, room: Newsroom, stuck: Run, store_url: str) -> None:
        with pytest.raises(OverdueError):
            late(room, stuck)
        since = room.standing().overdue_since
        with pytest.raises(OverdueError):
            late(room, stuck)
        assert room.standing().overdue_since == since
        rest(room, stuck)
        assert room.standing().overdue_since is None
        latest = json.loads((Path(store_url.removeprefix("file://")) / "news/latest.json").read_text())
        assert latest["overdue_since"] is None

    def test_a_run_that_has_claimed_nothing_yet_publishes_nothing(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("solar 1")
        room.run("before")
        with pytest.raises(OverdueError):
            late(room, room.open("k"))

    def test_a_run_without_new_articles_needs_no_prepare_for_its_page(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("solar 1")
        room.run("before")
        published = late(room, room.until("prepare", "k"))
        assert published is not None
        assert published["is_current"]
        assert room.page() == ["solar 1"]

    def test_an_older_runs_page_is_not_missed(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("solar 1")
        older = room.open("older", until=room.ago(hours=1))
        room.run("newer")
        assert late(room, older) is None
        assert room.standing().overdue_since is None

    def test_without_a_page_before_there_is_nothing_to_say_it(self, room: Newsroom) -> None:
        room.follow("solar")
        room.add("solar 1")
        with pytest.raises(OverdueError):
            late(room, room.until("prepare", "k"))
        assert room.sql("SELECT * FROM rerank.current_topic") == []


class TestWithoutAirflow:
    """`rerank run` keeps the time of every stage."""

    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pipeline, "LATE_LOOK_SECONDS", 0.1)

    def test_a_slow_prepare_delays_no_page(self, room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
        room.follow("solar")
        room.add("solar 1", "solar 2", "solar 3", "solar 4", "solar 5", "solar 6")
        monkeypatch.setattr(prepare, "BATCH", 2)
        monkeypatch.setattr(prepare, "MANY", 0)
        reading = prepare._batches

        def batches(*given: Any) -> Any:
            for number, batch in enumerate(reading(*given)):
                if number == 2:
                    wait_for_a_page(room)
                yield batch

        monkeypatch.setattr(prepare, "_batches", batches)
        room.tuned(page_deadline_minutes=0.001, prepare_workers=1).run("k")
        found = room.sql("SELECT version, degraded, row_count FROM rerank.publication ORDER BY version")
        assert [tuple(row) for row in found] == [(1, True, 2), (2, False, 6)]

    def test_a_slow_extract_has_the_page_before_say_so(
        self, room: Newsroom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        room.follow("solar")
        room.add("solar 1")
        room.run("before")
        extract, said = pipeline.extract.extract, []

        def slow(**given: Any) -> Any:
            said.append(eventually(lambda: room.standing().overdue_since is not None))
            return extract(**given)

        monkeypatch.setattr(pipeline.extract, "extract", slow)
        room.tuned(page_deadline_minutes=0.001).run("k")
        assert said == [True]
        assert room.standing().overdue_since is None


def wait_for_a_page(room: Newsroom) -> None:
    assert eventually(lambda: room.value("SELECT count(*) FROM rerank.publication") > 0)


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it holds within half a minute."""
    until = monotonic() + 30
    while not holds():
        if monotonic() > until:
            return False
        sleep(0.02)
    return True
