"""A past hour that later runs have claimed: its page says so, and shows it on demand."""

import logging

import pytest
from factories import Newsroom


@pytest.fixture
def claimed(room: Newsroom) -> Newsroom:
    """Two articles of past hours and one of now, all claimed, scored and published by one run of now."""
    room.follow("solar")
    room.add("solar 1", ingested_at=room.ago(hours=6))
    room.add("solar 2", ingested_at=room.ago(hours=4))
    room.add("solar 3", ingested_at=room.ago(minutes=5))
    assert room.run("now")["publish"]["rows"] == 3
    return room


def test_a_past_hour_that_a_later_run_has_claimed_is_not_empty_in_silence(
    claimed: Newsroom, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        results = claimed.run("past", until=claimed.ago(hours=3))
    assert (results["publish"]["rows"], results["recall"]["claimed_later"]) == (0, 2)
    assert "later runs have claimed 2 articles of this window" in caplog.text
    assert "--as-claimed-now" in caplog.text
    kept = claimed.value(
        "SELECT value FROM rerank.run_metric WHERE stage = 'recall' AND name = 'claimed_later' AND value > 0"
    )
    assert kept == 2


def test_on_demand_it_ranks_them_with_the_scores_that_the_ledger_has(
    claimed: Newsroom, caplog: pytest.LogCaptureFixture
) -> None:
    asked = len(claimed.engines.asked)
    run = claimed.until("publish", "past", until=claimed.ago(hours=3), as_claimed_now=True)
    published = claimed.stage("publish", run)
    shown = claimed.parquet(published).column("article_id").to_pylist()
    assert sorted(shown) == ["solar 1", "solar 2"], "nothing that came after the hour"
    assert len(claimed.engines.asked) == asked, "nothing is scored again"
    assert claimed.page() != shown, "the page of now stays"
    assert "later runs have claimed" not in caplog.text
    again = claimed.stage("publish", claimed.until("publish", "past"))
    assert again["rows_sha256"] == published["rows_sha256"], "a rerun repeats it without being asked again"


def test_a_text_that_came_after_the_hour_is_not_of_the_hour(claimed: Newsroom) -> None:
    claimed.edit("solar 1", title="solar 1 corrected", version="2", ingested_at=claimed.ago(minutes=1))
    claimed.run("later")
    run = claimed.until("publish", "past", until=claimed.ago(hours=3), as_claimed_now=True)
    titles = claimed.parquet(claimed.stage("publish", run)).column("title").to_pylist()
    assert sorted(titles) == ["solar 1", "solar 2"]


def test_an_hour_whose_articles_nobody_has_claimed_says_nothing(
    claimed: Newsroom, caplog: pytest.LogCaptureFixture
) -> None:
    claimed.add("solar 0", ingested_at=claimed.ago(hours=5))
    results = claimed.tuned(pipeline="other").run("past", until=claimed.ago(hours=3))
    assert results["recall"]["claimed_later"] == 0
    assert "later runs" not in caplog.text
