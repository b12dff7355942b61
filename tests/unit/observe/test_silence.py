"""Silence is told by a stream's own rhythm: on simulated sources it comes in time, and nearly never without a cause."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from rerank_core.observe import silence
from rerank_core.observe.silence import Silence, Stream

WARM, WATCHED, SOURCES = 8, 10, 12  # weeks, weeks, streams of each kind
START = 24 * 7 * 2_900  # hours since 1970, at the beginning of a week
Hours = npt.NDArray[np.int64]

# How a source sends: articles an hour by day and hour of the week; and within how many hours its silence is told.
RHYTHMS: dict[str, tuple[Callable[[Hours, Hours], npt.NDArray[np.float64]], int]] = {
    "every minute": (lambda day, hour: 5 * (1 + 0.95 * np.cos(2 * np.pi * (hour - 14) / 24)), 24),
    "by day": (lambda day, hour: 0.5 * (1 + 0.95 * np.cos(2 * np.pi * (hour - 14) / 24)), 60),
    "office hours": (lambda day, hour: 1.0 * (day < 5) * ((hour >= 7) & (hour <= 19)), 120),
    "less at weekends": (
        lambda day, hour: np.where(day < 5, 1, 0.2) * (1 + 0.9 * np.cos(2 * np.pi * (hour - 14) / 24)),
        96,
    ),
    "few": (lambda day, hour: np.full(len(hour), 0.05), 480),
    "weekly": (lambda day, hour: 3.0 * (day == 2) * ((hour >= 8) & (hour <= 10)), 24 * 30),
    "every workday": (lambda day, hour: 3.0 * (day < 5) * (hour == 6), 24 * 10),
}  # fmt: skip


def sent(rhythm: str, number: int, *, weeks: int = WARM + WATCHED) -> Stream:
    """A source with this rhythm: a Poisson process whose rate goes by the hour of the week."""
    random = np.random.default_rng([number, sum(rhythm.encode())])
    hours = np.arange(weeks * silence.WEEK) + START
    counts = random.poisson(RHYTHMS[rhythm][0](hours // 24 % 7, hours % 24))
    return Stream("source", rhythm, hours[counts > 0], counts[counts > 0])


def until(stream: Stream, hour: int) -> Stream:
    """The stream as far as this hour, excluded."""
    there = stream.hours < hour
    return Stream(stream.kind, stream.name, stream.hours[there], stream.articles[there])


Judge = Callable[[Stream, int], bool]


def by_rhythm(stream: Stream, now: int) -> bool:
    return silence.find_silent(stream, now_hour=now, told_days=365) is not None


def by_fixed_threshold(hours: int) -> Judge:
    return lambda stream, now: now - int(stream.hours[-1]) > hours


def false_alarms_a_year(judge: Judge) -> float:
    """Gaps of sources that are well and that are told all the same, for each source and year."""
    alarms = 0
    for rhythm in RHYTHMS:
        for number in range(SOURCES):
            stream = sent(rhythm, number)
            for last, following in zip(stream.hours[:-1], stream.hours[1:], strict=True):
                # A gap is told at its end if at all; no rule here tells one of four hours or less.
                if last >= START + WARM * silence.WEEK and following - last > 4:
                    alarms += judge(until(stream, int(following)), int(following) - 1)
    return alarms / (len(RHYTHMS) * SOURCES * WATCHED / 52)


def late_silences(judge: Judge) -> list[str]:
    """Rhythms of which a real silence is not told in the stated time."""
    late = []
    for rhythm, (_, allowed) in RHYTHMS.items():
        for number in range(SOURCES):
            stream = sent(rhythm, number)
            cut = START + WARM * silence.WEEK + 37 * number
            if not judge(until(stream, cut), cut + allowed):
                late.append(rhythm)
    return late


def test_a_source_that_is_well_is_told_less_than_once_in_five_years() -> None:
    assert false_alarms_a_year(by_rhythm) < 0.2


def test_a_source_that_has_fallen_silent_is_told_in_the_stated_time() -> None:
    assert late_silences(by_rhythm) == []


@pytest.mark.parametrize("hours", [12, 24, 72, 24 * 8])
def test_control_no_fixed_threshold_does_both(hours: int) -> None:
    judge = by_fixed_threshold(hours)
    assert late_silences(judge) or false_alarms_a_year(judge) > 2


# ── What is not told ────────────────────────────────────────────────────────────────────────────


def every(hours: int, *, weeks: int = 9, articles: int = 1, kind: silence.Kind = "source") -> Stream:
    """One hour with articles in each span of hours."""
    found = np.arange(0, weeks * silence.WEEK, hours) + START
    return Stream(kind, "post", found, np.full(len(found), articles))


def told(stream: Stream, *, hours: int, days: float = 14) -> Silence | None:
    """What is found so many hours after the stream's last article."""
    return silence.find_silent(stream, now_hour=int(stream.hours[-1]) + hours, told_days=days)


def test_it_says_since_when_and_what_is_usual() -> None:
    stream = every(6)
    found = told(stream, hours=48)
    assert found is not None
    assert (found.last_hour, found.collapsed) == (int(stream.hours[-1]), False)
    assert (found.usual_hours, found.longest_hours, found.articles) == (6, 6, 0)
    assert (len(found.days), found.days[0], found.days[-1]) == (28, 4, 0)


def test_who_has_sent_too_little_yet_is_not_judged() -> None:
    assert told(every(silence.WEEK, weeks=6), hours=2_000) is None  # six articles
    assert told(every(6, weeks=1), hours=200) is None  # no second weekend
    assert told(every(silence.WEEK, weeks=8), hours=24 * 15) is not None


def test_who_has_stopped_is_told_for_some_days_and_then_no_more() -> None:
    stream = every(6)
    assert told(stream, hours=24 * 14) is not None
    assert told(stream, hours=24 * 17) is None
    assert told(stream, hours=24 * 17, days=30) is not None
    assert silence.find([stream], now_hour=int(stream.hours[-1]) + 48, told_days=0) == []


def test_who_sends_again_is_no_longer_silent() -> None:
    stream = every(6)
    again = Stream(
        stream.kind,
        stream.name,
        np.append(stream.hours, stream.hours[-1] + 48),
        np.append(stream.articles, 1),
    )
    assert silence.find_silent(again, now_hour=int(again.hours[-1]), told_days=14) is None


def test_a_longer_outage_before_makes_the_rule_patient_and_no_shorter_gap_is_told() -> None:
    stream = every(6)
    hole = (stream.hours < START + 4 * silence.WEEK) | (stream.hours > START + 4 * silence.WEEK + 60)
    patient = Stream("source", "post", stream.hours[hole], stream.articles[hole])
    assert told(stream, hours=60) is not None
    assert told(patient, hours=60) is None


def test_weights_have_the_mean_one_and_follow_day_and_night() -> None:
    weights = silence.hour_weights(sent("office hours", 1).hours)
    assert weights.mean() == pytest.approx(1)
    monday = int(np.flatnonzero(weights == weights.max())[0]) // 24
    assert monday < 5
    assert weights[monday * 24 + 13] > 5 * weights[monday * 24 + 2] > 0


# ── Languages and the whole intake ──────────────────────────────────────────────────────────────


def cut(stream: Stream, share: float, *, hours: int = 24) -> Stream:
    """The stream with this share of its articles in its last hours."""
    last = stream.hours > stream.hours[-1] - hours
    return Stream(
        stream.kind,
        stream.name,
        stream.hours,
        np.where(last, stream.articles * share, stream.articles).astype(int),
    )


@pytest.mark.parametrize(("share", "is_told"), [(1, False), (0.5, False), (0.25, True), (0.1, True)])
def test_a_language_that_sends_a_little_has_collapsed(share: float, is_told: bool) -> None:
    stream = cut(every(1, articles=20, kind="language"), share)
    found = silence.find([stream], now_hour=int(stream.hours[-1]), told_days=14)
    assert [(each.kind, each.collapsed) for each in found] == ([("language", True)] if is_told else [])
    if found:
        assert (found[0].articles, found[0].usual_articles) == (24 * 20 * share, 480)


def test_few_articles_or_a_short_history_are_no_collapse() -> None:
    few = cut(every(2, articles=1, kind="language"), 0)
    assert silence.find_collapsed(few, now_hour=int(few.hours[-1])) is None
    short = cut(every(1, weeks=3, articles=20, kind="volume"), 0.1)
    assert silence.find_collapsed(short, now_hour=int(short.hours[-1])) is None


def test_if_everything_is_silent_its_parts_are_not_told() -> None:
    streams = [every(1, kind="volume"), every(1, kind="language"), every(1)]
    now = int(streams[0].hours[-1]) + 48
    assert [each.kind for each in silence.find(streams, now_hour=now, told_days=14)] == ["volume"]
    assert [each.kind for each in silence.find(streams[1:], now_hour=now, told_days=14)] == [
        "language",
        "source",
    ]
