"""The doctor's check of times: settings that are each right, but leave one another no room."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from rerank_core.airflow_settings import AirflowSettings
from rerank_core.errors import SettingsError
from rerank_core.operations.doctor.finding import Finding
from rerank_core.settings import Settings

START_MINUTES = 5.0  # of a run, before its scoring: claim, texts, recall, the engine's start
WEEK = timedelta(days=8)  # of the schedule that is checked; a sparser schedule is checked for three runs
MINUTE = timedelta(minutes=1)


def check_times(settings: Settings) -> Finding:
    """Whether the schedule, the scoring time, the page's deadline and what must last until the next run fit together."""
    found = list(_contradictions(settings))
    if found:
        return Finding(
            "times", "warn", "; ".join(what for what, _ in found), "; ".join(advice for _, advice in found)
        )
    deadline = settings.page_deadline_minutes
    page = f"a late page out after {deadline:g}" if deadline else "no page deadline"
    return Finding(
        "times",
        "ok",
        f"a run every {longest_pause(settings) / MINUTE:g} min, scoring for {settings.scoring_minutes:g} at most, {page}",
    )


def _contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    """Each contradiction: what is wrong, and what to do."""
    scoring, deadline = settings.scoring_minutes, settings.page_deadline_minutes
    needed = scoring + START_MINUTES
    if 0 < deadline <= needed:
        advice = f"set RERANK_PAGE_DEADLINE_MINUTES above {needed:g}"
        if deadline > START_MINUTES:
            advice += f", or RERANK_SCORING_MINUTES below {deadline - START_MINUTES:g}"
        yield (
            f"the page deadline ({deadline:g} min) comes before the end of a long scoring ({scoring:g} min, and about"
            f" {START_MINUTES:g} before it): such a run's page comes out degraded first, and again when it is scored",
            advice,
        )
    pause = longest_pause(settings)
    if settings.lookback_days * timedelta(days=1) < pause:
        yield (
            f"runs are up to {_shown(pause)} apart, and claim what came within {settings.lookback_days:g} days:"
            " articles in between are too late",
            "raise RERANK_LOOKBACK_DAYS",
        )
    if settings.freshness_hours * timedelta(hours=1) < pause:
        yield (
            f"runs are up to {_shown(pause)} apart, and articles are fresh for {settings.freshness_hours:g} h:"
            " some are never ranked",
            "raise RERANK_FRESHNESS_HOURS",
        )
    if settings.redis_url is not None and settings.redis_ttl_hours * timedelta(hours=1) <= pause:
        yield (
            f"the hot copy expires after {settings.redis_ttl_hours:g} h, and runs are up to {_shown(pause)} apart",
            "raise RERANK_REDIS_TTL_HOURS",
        )
    late = _late_minutes()
    if late is not None and late <= needed:
        yield (
            f"a dag run is told as late after {late:g} min, and may score for {scoring:g}",
            f"set RERANK_AIRFLOW_DEADLINE_MINUTES above {needed:g}",
        )


def longest_pause(settings: Settings) -> timedelta:
    """The longest time between two runs in a row, by the schedule."""
    from croniter import croniter  # type: ignore[import-untyped, unused-ignore]

    start = datetime(2026, 1, 1, tzinfo=UTC)
    schedule = croniter(settings.schedule, start)
    ticks = [schedule.get_next(datetime)]
    while len(ticks) < 3 or ticks[-1] < start + WEEK:
        ticks.append(schedule.get_next(datetime))
    longest: timedelta = max(after - before for before, after in pairwise(ticks))
    return longest


def _shown(span: timedelta) -> str:
    return f"{span / timedelta(hours=1):g} h" if span >= timedelta(hours=2) else f"{span / MINUTE:g} min"


def _late_minutes() -> float | None:
    try:
        return AirflowSettings.load().deadline_minutes
    except SettingsError:  # check_variables says so
        return None
