"""Drift of a run's logits against those of earlier runs, as the stage observe finds and keeps it."""

import logging

import pytest
from factories import Newsroom, make_topic

from rerank_core import pipeline
from rerank_core.observe import drift

TOPICS = ("solar", "wind", "tide", "wave", "heat", "grid", "coal", "peat")  # eight: 500 pairs are 63 articles


@pytest.fixture
def fed(room: Newsroom) -> Newsroom:
    """A newsroom whose first run scored 560 pairs."""
    room.follow(*(make_topic(slug=slug, candidate_limit=100) for slug in TOPICS))
    room.flood("first", hours_ago=2.5)
    room.engines.options = {"pairs_per_chunk": 100}
    room.run("first", until=room.ago(hours=2))
    return room


def psis(room: Newsroom, run_id: int) -> dict[str, float | None]:
    return {
        row.slug: row.psi
        for row in room.sql("SELECT slug, psi FROM rerank.run_topic WHERE run_id = :run_id", run_id=run_id)
    }


def test_a_first_run_has_nothing_to_be_compared_with(fed: Newsroom) -> None:
    observed = fed.stage("observe", fed.open("first"))
    assert (observed["drift_psi"], observed["drift_pairs"], observed["drift_baseline_pairs"]) == (
        None,
        560,
        0,
    )


def test_the_same_kind_of_articles_has_not_drifted(fed: Newsroom, caplog: pytest.LogCaptureFixture) -> None:
    fed.flood("second")
    with caplog.at_level(logging.WARNING):
        observed = fed.run("second")["observe"]
    assert (observed["drift_pairs"], observed["drift_baseline_pairs"]) == (560, 560)
    assert observed["drift_psi"] < drift.SHIFT
    assert "drifted" not in caplog.text
    assert set(psis(fed, observed["run_id"])) == set(TOPICS)
    assert None not in psis(fed, observed["run_id"]).values()


def test_other_scores_are_said_to_have_drifted_and_gate_nothing(
    fed: Newsroom, caplog: pytest.LogCaptureFixture
) -> None:
    fed.sql(
        "INSERT INTO rerank.article (article_id, title, ingested_at, lang)"
        " SELECT 'other' || n, 'about something else ' || n, :at, 'en' FROM generate_series(1, 70) n",
        at=fed.ago(minutes=5),
    )
    with caplog.at_level(logging.WARNING):
        results = fed.run("second")
    observed = results["observe"]
    assert observed["drift_psi"] >= drift.SHIFT
    assert f"run {observed['run_id']}: its 560 logits have drifted from the 560 before" in caplog.text
    assert results["publish"]["blocked"] is None
    stored = fed.value(
        "SELECT value FROM rerank.run_metric WHERE run_id = :id AND stage = 'observe' AND name = 'drift_psi'",
        id=observed["run_id"],
    )
    assert stored == observed["drift_psi"]


def test_too_few_pairs_have_no_drift(fed: Newsroom) -> None:
    fed.flood("few", articles=62)  # 496 pairs
    observed = fed.run("second")["observe"]
    assert (observed["drift_pairs"], observed["drift_psi"]) == (496, None)
    assert None not in psis(fed, observed["run_id"]).values()  # of a topic there are 62


def test_a_blocked_run_has_a_drift_and_is_no_baseline(fed: Newsroom) -> None:
    fed.flood("bad", hours_ago=1.5)
    fed.engines.options = {"constant": 3.0, "pairs_per_chunk": 100}
    run = fed.until("publish", "bad", until=fed.ago(hours=1))
    assert fed.stage("publish", run)["blocked"]
    observed = fed.stage("observe", run)
    assert (observed["drift_pairs"], observed["drift_psi"] >= drift.SHIFT) == (560, True)
    fed.engines.options = {"pairs_per_chunk": 100}
    after = fed.run("next")["observe"]
    assert (after["drift_pairs"], after["drift_baseline_pairs"]) == (560, 560)
    assert after["drift_psi"] < drift.SHIFT
    pipeline.approve(fed.resources, run_id=run.run_id, reason="fine")
    assert fed.stage("observe", fed.open("next"))["drift_psi"] is not None


def test_another_scorer_is_no_baseline(fed: Newsroom) -> None:
    fed.flood("second")
    fed.engines.name = "another"
    observed = fed.run("second")["observe"]
    assert (observed["drift_psi"], observed["drift_baseline_pairs"]) == (None, 0)


def test_the_baseline_is_the_latest_runs_that_have_enough(
    fed: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed.flood("second", hours_ago=1.5)
    fed.run("second", until=fed.ago(hours=1))
    fed.flood("third")
    monkeypatch.setattr(drift, "ENOUGH", 500)
    assert fed.run("third")["observe"]["drift_baseline_pairs"] == 560
    monkeypatch.setattr(drift, "ENOUGH", 600)
    assert fed.stage("observe", fed.open("third"))["drift_baseline_pairs"] == 1120
