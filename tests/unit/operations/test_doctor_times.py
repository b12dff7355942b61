"""Settings that leave one another no room are told before they cost a page."""

from typing import Any

import pytest

from rerank_core.operations.doctor.finding import Finding
from rerank_core.operations.doctor.times import check_times
from rerank_core.settings import Settings


def check(**settings: Any) -> Finding:
    return check_times(Settings.load(**settings))


def test_the_defaults_fit_together() -> None:
    found = check()
    assert (found.state, found.advice) == ("ok", "")
    assert found.found == "a run every 60 min, scoring for 20 at most, a late page out after 30"


@pytest.mark.parametrize("deadline", [1, 20, 25])
def test_a_page_deadline_that_a_long_scoring_cannot_keep_is_told_with_what_to_set(deadline: float) -> None:
    found = check(scoring_minutes=20, page_deadline_minutes=deadline)
    assert found.state == "warn"
    assert (
        f"the page deadline ({deadline:g} min) comes before the end of a long scoring (20 min" in found.found
    )
    assert "set RERANK_PAGE_DEADLINE_MINUTES above 25" in found.advice


@pytest.mark.parametrize(
    ("deadline", "advice"),
    [
        (10, "set RERANK_PAGE_DEADLINE_MINUTES above 25, or RERANK_SCORING_MINUTES below 5"),
        (5, "set RERANK_PAGE_DEADLINE_MINUTES above 25"),
        (1, "set RERANK_PAGE_DEADLINE_MINUTES above 25"),
    ],
)
def test_no_scoring_is_short_enough_for_a_deadline_within_the_start(deadline: float, advice: str) -> None:
    assert check(scoring_minutes=20, page_deadline_minutes=deadline).advice == advice


@pytest.mark.parametrize("deadline", [0, 25.1, 600])
def test_one_that_leaves_room_and_none_at_all_are_fine(deadline: float) -> None:
    assert check(scoring_minutes=20, page_deadline_minutes=deadline).state == "ok"


@pytest.mark.parametrize(
    ("settings", "said", "advice"),
    [
        ({"lookback_days": 2}, "articles in between are too late", "RERANK_LOOKBACK_DAYS"),
        ({"freshness_hours": 60}, "some are never ranked", "RERANK_FRESHNESS_HOURS"),
        (
            {"redis_url": "redis://cache.example", "redis_ttl_hours": 48},
            "the hot copy expires after 48 h",
            "RERANK_REDIS_TTL_HOURS",
        ),
    ],
)
def test_what_does_not_last_over_a_weekend_without_runs_is_told(
    settings: dict[str, Any], said: str, advice: str
) -> None:
    weekdays = "*/5 9-17 * * 1-5"
    found = check(schedule=weekdays, **settings)
    assert found.state == "warn"
    assert said in found.found
    assert advice in found.advice
    assert check(**settings).state == "ok"
    assert check(schedule=weekdays).state == "ok"


def test_a_yearly_schedule_has_a_pause_of_a_year() -> None:
    found = check(schedule="0 0 1 1 *")
    assert "runs are up to 8784 h apart, and claim what came within 7 days" in found.found


def test_an_alert_that_healthy_dag_runs_set_off_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_AIRFLOW_DEADLINE_MINUTES", "20")
    assert check().found == "a dag run is told as late after 20 min, and may score for 20"
    monkeypatch.setenv("RERANK_AIRFLOW_DEADLINE_MINUTES", "50")
    assert check().state == "ok"
    monkeypatch.setenv("RERANK_AIRFLOW_DEADLINE_MINUTES", "soon")  # told by the check of the variables
    assert check().state == "ok"
