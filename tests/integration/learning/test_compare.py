"""Two pipelines compared by their readers' events, and what the command says of it."""

from collections.abc import Callable
from typing import Any

import pytest
from factories import Newsroom

from rerank_core.cli import main
from rerank_core.errors import InputError
from rerank_core.learning.compare import compare


@pytest.fixture
def events(room: Newsroom) -> Callable[..., None]:
    """Writes what readers of one run's first row did; the run's page came out an hour before the first of them."""

    def write(pipeline: str, run_id: int, impressions: int, opens: int, *, hours_ago: float = 1.0) -> None:
        room.sql(
            "INSERT INTO rerank.feedback (event_id, pipeline, run_id, slug, rank, revision_id, event, happened_at)"
            " SELECT concat_ws(' ', :p, :run, e.event, n), :p, :run, 'solar', 1, 1, e.event, :at"
            " FROM (VALUES ('impression', :seen), ('open', :opened)) e (event, count), generate_series(1, e.count) n",
            p=pipeline,
            run=run_id,
            seen=impressions,
            opened=opens,
            at=room.ago(hours=hours_ago),
        )

    return write


@pytest.fixture
def pages(room: Newsroom) -> None:
    """Both pipelines have had a page: news five hours ago, the trial three."""
    for pipeline, hours in (("news", 5), ("trial", 3)):
        own = room.tuned(pipeline=pipeline)
        own.follow("solar")
        own.run("first")
        room.sql(
            "UPDATE rerank.publication SET published_at = :at WHERE pipeline = :p",
            at=room.ago(hours=hours),
            p=pipeline,
        )


def test_rates_are_of_the_time_in_which_both_had_a_page_without_the_newest_run(
    room: Newsroom, pages: None, events: Callable[..., None]
) -> None:
    events("news", 1, 500, 400, hours_ago=4)  # before the trial began
    events("news", 2, 1000, 40, hours_ago=2)
    events("news", 3, 10, 10)  # its opens still come
    events("trial", 4, 1000, 160, hours_ago=2)
    events("trial", 5, 100, 160, hours_ago=1.5)  # some rows were opened twice
    events("trial", 6, 10, 0)
    found = compare(room.database, first="trial", second="news")
    assert (found.second.impressions, found.second.opens, found.second.excess) == (1000, 40, 0)
    assert (found.first.impressions, found.first.opens, found.first.excess) == (1100, 260, 60)
    assert found.low < found.difference < found.high
    assert found.low > 0
    assert found.verdict == "readers of trial open more"


def test_too_few_runs_are_no_comparison(room: Newsroom, pages: None, events: Callable[..., None]) -> None:
    events("news", 2, 100, 4, hours_ago=2)
    events("news", 3, 100, 4)
    with pytest.raises(InputError, match="pipeline trial has impressions of less than two runs"):
        compare(room.database, first="trial", second="news")


def test_the_command_prints_both_rates_and_what_may_be_said(
    room: Newsroom, pages: None, events: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    for run_id, (pipeline, opens) in enumerate(
        (("news", 4), ("news", 4), ("trial", 6), ("trial", 6)), start=2
    ):
        events(pipeline, run_id, 100, opens, hours_ago=2 - run_id / 10)
    monkeypatch.setenv("RERANK_DATABASE_URL", room.settings.database_url)
    for arguments, expected in (
        (("learn", "compare", "trial"), ("0.0600", "0.0400", "+0.0200", "nothing can be said yet")),
        (("learn", "list"), ("nothing was learned in pipeline news yet",)),
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code in (0, None)
        printed = capsys.readouterr().out
        assert all(words in printed for words in expected), printed
