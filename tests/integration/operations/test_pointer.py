"""The page is taken back by hand, stays there until it is released, and every move is kept."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from factories import Newsroom

from rerank_core.cli import main
from rerank_core.errors import FencedError, InputError
from rerank_core.frontends import json_pages
from rerank_core.operations import pointer


@pytest.fixture
def room(room: Newsroom) -> Newsroom:
    room.follow("solar")
    room.add("solar 1")
    return room


def published(room: Newsroom, key: str, **options: Any) -> dict[str, Any]:
    return room.run(key, **options)["publish"]


def rollback(room: Newsroom, run_id: int, reason: str = "the page is wrong") -> pointer.Moved:
    return pointer.rollback(
        database=room.database,
        store=room.resources.store,
        settings=room.settings,
        run_id=run_id,
        reason=reason,
    )


def release(room: Newsroom, reason: str = "mended") -> pointer.Moved:
    return pointer.release(
        database=room.database, store=room.resources.store, settings=room.settings, reason=reason
    )


def two_runs(room: Newsroom) -> tuple[dict[str, Any], dict[str, Any]]:
    first = published(room, "first")
    room.add("solar 2")
    return first, published(room, "second")


def latest(room: Newsroom) -> Any:
    """The publication that latest.json names."""
    found = json_pages.read_latest(room.resources.store, "news")
    return found and found["publication_id"]


def moves(room: Newsroom) -> list[tuple[Any, ...]]:
    return [
        tuple(row)
        for row in room.sql(
            "SELECT from_publication_id, to_publication_id, reason, actor FROM rerank.pointer_move"
            " ORDER BY pointer_move_id"
        )
    ]


def test_a_rollback_takes_the_page_back_at_once_and_keeps_who_and_why(room: Newsroom) -> None:
    first, second = two_runs(room)
    moved = rollback(room, first["run_id"], "wrong topics")
    assert (moved.run_id, moved.publication_id, moved.from_publication_id) == (
        first["run_id"],
        first["publication_id"],
        second["publication_id"],
    )
    assert room.page() == ["solar 1"]
    assert room.standing().parquet_path == moved.parquet_path == first["parquet_path"]
    assert latest(room) == first["publication_id"]
    assert moves(room)[-1] == (
        second["publication_id"],
        first["publication_id"],
        "rollback: wrong topics",
        "postgres",
    )


def test_new_runs_publish_and_leave_a_held_page_alone_until_it_is_released(
    room: Newsroom, caplog: pytest.LogCaptureFixture
) -> None:
    first, _ = two_runs(room)
    rollback(room, first["run_id"])
    room.add("solar 3")
    third = published(room, "third")
    assert not third["is_current"]
    assert "is held at run" in caplog.text
    assert room.page() == ["solar 1"]
    moved = release(room)
    assert moved.publication_id == third["publication_id"]
    assert sorted(room.page()) == ["solar 1", "solar 2", "solar 3"]
    assert latest(room) == third["publication_id"]
    assert moves(room)[-1][2] == "release: mended"
    room.add("solar 4")
    assert published(room, "fourth")["is_current"]


def test_a_release_goes_to_the_latest_time_and_not_to_the_latest_publication(room: Newsroom) -> None:
    first, second = two_runs(room)
    rollback(room, first["run_id"])
    assert not published(room, "backfill", until=room.ago(minutes=5))["is_current"]
    assert release(room).publication_id == second["publication_id"]


def test_a_rollback_goes_to_the_latest_version_of_the_run(room: Newsroom) -> None:
    published(room, "first")
    again = published(room, "first")
    room.add("solar 2")
    published(room, "second")
    assert rollback(room, again["run_id"]).version == 2


def test_a_held_page_may_be_taken_further_back(room: Newsroom) -> None:
    first, second = two_runs(room)
    rollback(room, second["run_id"])
    assert rollback(room, first["run_id"]).run_id == first["run_id"]
    assert release(room).run_id == second["run_id"]


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_move_by_hand_needs_a_reason(room: Newsroom, reason: str) -> None:
    first, _ = two_runs(room)
    with pytest.raises(InputError, match="needs a reason"):
        rollback(room, first["run_id"], reason)
    assert len(room.page()) == 2


def test_a_run_that_was_never_published_cannot_be_the_page(room: Newsroom) -> None:
    two_runs(room)
    open_run = room.until("recall", "open")
    for run_id in (open_run.run_id, 4711):
        with pytest.raises(
            InputError, match=f"run {run_id} has no publication in pipeline news; `rerank runs`"
        ):
            rollback(room, run_id)
    assert len(moves(room)) == 2


def test_a_run_of_another_pipeline_cannot_be_the_page(room: Newsroom) -> None:
    first, _ = two_runs(room)
    with pytest.raises(InputError, match="has no publication in pipeline shadow"):
        rollback(room.tuned(pipeline="shadow"), first["run_id"])


@pytest.mark.parametrize("damage", ["gone", "altered"])
def test_a_run_whose_file_is_not_what_was_published_cannot_be_the_page(room: Newsroom, damage: str) -> None:
    first, second = two_runs(room)
    file = Path(first["parquet"])
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"cannot be the page any more: artifact .*; choose a later run"):
        rollback(room, first["run_id"])
    assert room.standing().publication_id == second["publication_id"]
    assert room.value("SELECT held FROM rerank.pointer") is False


def test_what_nothing_holds_cannot_be_released(room: Newsroom) -> None:
    with pytest.raises(InputError, match="nothing holds the page of pipeline news"):
        release(room)
    two_runs(room)
    with pytest.raises(InputError, match="nothing holds the page of pipeline news"):
        release(room)


def test_the_rerun_of_a_run_behind_a_held_page_does_not_move_it(room: Newsroom) -> None:
    first, _ = two_runs(room)
    rollback(room, first["run_id"])
    assert not published(room, "first")["is_current"]
    assert not published(room, "second")["is_current"]
    assert room.standing().publication_id == first["publication_id"]


def test_the_commands_say_where_the_page_is(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = two_runs(room)
    monkeypatch.setenv("RERANK_DATABASE_URL", room.settings.database_url)
    monkeypatch.setenv("RERANK_STORE_URL", room.settings.store_url)

    def command(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["publish", *arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), " ".join((said.out + said.err).split())

    def shown(what: str) -> str:
        with pytest.raises(SystemExit):
            main([what])
        return " ".join(capsys.readouterr().out.split())

    assert "current" in shown("runs")
    code, said = command("--rollback", str(first["run_id"]), "--reason", "wrong")
    assert code == 0
    assert f"is at run {first['run_id']}, version 1" in said
    assert "stays there until `rerank publish --release`" in said
    assert first["parquet"] in said
    assert "a rollback holds the page here" in shown("show")
    assert " held " in shown("runs")
    published(room, "first")
    assert "held, version 1" in shown("runs")
    code, said = command("--release")
    assert (code, f"is at run {second['run_id']}" in said, "follows the runs again" in said) == (
        0,
        True,
        True,
    )
    assert command("--rollback", str(first["run_id"]))[0] == 1  # no reason
    assert command()[0] == 2
    assert command("--release", "--rollback", "1")[0] == 2


class TestOneKey:
    """Manual runs, partitions and two dag runs with one key are what their key says."""

    def test_two_that_run_at_once_with_one_key_are_one_run_and_one_whole_page(self, room: Newsroom) -> None:
        room.add(*(f"solar {number}" for number in range(2, 30)))

        def attempt() -> str:
            try:
                return str(room.run("at-once")["publish"]["rows_sha256"])
            except FencedError:
                return "fenced off"

        with ThreadPoolExecutor(2) as threads:
            ended = [attempts.result() for attempts in [threads.submit(attempt) for _ in range(2)]]
        whole = {one for one in ended if one != "fenced off"}
        assert len(whole) == 1
        assert room.value("SELECT count(*) FROM rerank.run") == 1
        assert room.value("SELECT count(*) FROM rerank.revision") == 29
        assert len(room.page()) == 20
        assert {row.rows_sha256 for row in room.sql("SELECT rows_sha256 FROM rerank.publication")} == whole

    def test_a_manual_run_beside_a_partition_of_the_same_time_takes_nothing_of_it(
        self, room: Newsroom
    ) -> None:
        until = room.ago(minutes=1)
        first = published(room, "2026-11-22T16:00:00Z", until=until)
        manual = room.run("manual__2026-11-22T17:00:00+00:00", until=until)
        assert manual["extract"]["claimed"] == 0
        assert manual["publish"]["rows"] == first["rows"] == 1
        assert manual["publish"]["is_current"]  # of two with one as-of time, the one that claimed later

    def test_a_manual_run_without_a_key_is_a_run_of_its_own_each_time(self, room: Newsroom) -> None:
        room.run()
        room.run()
        assert room.value("SELECT count(DISTINCT key) FROM rerank.run WHERE key LIKE 'manual\\_\\_%'") == 2

    def test_a_rerun_limited_to_some_topics_carries_the_others_forward_with_their_own_rows(
        self, room: Newsroom
    ) -> None:
        room.follow("solar", "wind")
        room.add("wind 1")
        published(room, "all")
        before = [row.logit for row in room.ranking("wind")]
        room.add("wind solar 2")
        found = room.run("limited", topics=("solar",))
        assert found["rerank[0]"]["pairs"] == 1
        assert (room.standing("wind").state, room.standing("solar").state) == ("stale", "full")
        assert [row.logit for row in room.ranking("wind")] == before
        assert "wind solar 2" in room.page("solar")
        room.run("all again")
        assert "wind solar 2" in room.page("wind")
