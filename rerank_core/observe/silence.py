"""Silence: whether a source, a language or the whole intake has sent nothing for longer than it used to. Pure functions.

A stream is judged by its own rhythm of the WEEKS weeks before its latest article, in hours in which it sent at least one article. Nights and
weekends pass slowly: each hour of the week has a weight of mean 1, in UTC,

    weight(day, hour) ∝ (n_day + K) / (n / 7 + K) · (n_hour + K) / (n / 24 + K)

n_day and n_hour count the stream's hours of that day of the week and hour of the day (the mean of three neighbours), K = 2
pulls a stream with few of them towards an even rhythm. A gap is the sum of the weights between two hours of the stream. With
the median and the longest of its n past gaps, the stream is silent when its present gap exceeds

    limit = max(2 · longest, median + k · (longest − median), 3),   k = ln(1 / 2α) / (ln n + γ − ln 2),   α = 10⁻⁶

For gaps as of a Poisson process, ln n + γ mean gaps are the expected longest of n, ln 2 is their median, and the limit is
passed by one gap in a million. A stream as regular as a clock has a longest gap near the median, so it is told early.

A stream of many articles has also collapsed when its last day has under a third of the least of the same days of the week.

What it cannot tell: a stream with fewer than LEAST_VISITS such hours or a shorter history than LEAST_DAYS; a holiday from a
fault; a source that sends less, and something. Who stops for good is told for some days, and then no more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

WEEK = 168  # hours
WEEKS = 8  # of history
SMOOTHING = 2.0  # K
ALPHA = 1e-6
EULER = 0.5772  # γ
LEAST_FACTOR = 2.0  # of the longest gap
LEAST_HOURS = 3.0  # hours of a mean weight
LEAST_VISITS = 7  # hours with an article
LEAST_DAYS = 14  # from the first of them to the last: two weekends
LEAST_DAY = 20  # articles of a usual day; with fewer, chance alone may make a day of few
COLLAPSE = 1 / 3  # of the least day
LEAST_WEEKS = 3  # that a day is compared with
SHOWN_DAYS = 28

Kind = Literal["source", "language", "volume"]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stream:
    """The articles of one source, of one language, or all of them."""

    kind: Kind
    name: str
    hours: Ints  # since 1970, UTC; ascending, each once, with at least one article
    articles: Ints  # first ingested in each of these hours


@dataclass(frozen=True)
class Silence:
    """One stream that has sent nothing, or far too little, for longer than it used to."""

    kind: Kind
    name: str
    collapsed: bool  # it sends a little still
    last_hour: int  # since 1970: of its latest article; if it has collapsed, the hour when the last day began
    usual_hours: float  # the median of its gaps by the clock; if it has collapsed, nan
    longest_hours: float  # the longest of them; if it has collapsed, nan
    articles: int  # of the last 24 hours
    usual_articles: float  # of the same day in the weeks before, their median
    days: tuple[int, ...]  # articles of each of the last 28 days, the latest last


def find(streams: Sequence[Stream], *, now_hour: int, told_days: float) -> list[Silence]:
    """The streams that are silent or have collapsed at the end of this hour, sources last.

    Of a stream that is silent, nothing is found `told_days` after it could first be told: it has stopped. If the whole
    intake is silent, its parts are not told. With `told_days` 0 nothing is found.
    """
    if not told_days:
        return []
    volume = [found for found in _find(streams, "volume", now_hour, told_days) if found]
    if any(not found.collapsed for found in volume):
        return volume
    return [
        *volume,
        *_find(streams, "language", now_hour, told_days),
        *_find(streams, "source", now_hour, told_days),
    ]


def _find(streams: Sequence[Stream], kind: Kind, now_hour: int, told_days: float) -> list[Silence]:
    found = []
    for stream in sorted(streams, key=lambda stream: stream.name):
        if stream.kind == kind:
            silence = find_silent(stream, now_hour=now_hour, told_days=told_days)
            if silence is None and kind != "source":
                silence = find_collapsed(stream, now_hour=now_hour)
            found += [silence] if silence else []
    return found


def find_silent(stream: Stream, *, now_hour: int, told_days: float) -> Silence | None:
    """Whether the stream is silent at the end of this hour, and can be told."""
    hours = _history(stream, now_hour)
    if len(hours) < LEAST_VISITS or hours[-1] - hours[0] < LEAST_DAYS * 24:
        return None
    weights = hour_weights(hours)
    passed = np.cumsum(weights[np.arange(hours[0] + 1, hours[-1] + 1) % WEEK])
    gaps = np.diff(passed[hours[1:] - hours[0] - 1], prepend=0.0)
    quiet = np.cumsum(weights[np.arange(hours[-1] + 1, now_hour + 1) % WEEK])
    late = np.flatnonzero(quiet > limit(gaps))
    if not len(late) or now_hour - (hours[-1] + 1 + late[0]) > told_days * 24:
        return None
    by_clock = np.diff(hours)
    return _silence(
        stream,
        now_hour,
        collapsed=False,
        last_hour=int(hours[-1]),
        usual_hours=float(np.median(by_clock)),
        longest_hours=float(by_clock.max()),
    )


def find_collapsed(stream: Stream, *, now_hour: int) -> Silence | None:
    """Whether the last 24 hours of a stream have far fewer articles than the same hours of each week before."""
    days = _same_days(stream, now_hour)
    if len(days) < LEAST_WEEKS or np.median(days) < LEAST_DAY:
        return None
    if _between(stream, now_hour - 23, now_hour) >= COLLAPSE * min(days):
        return None
    return _silence(
        stream,
        now_hour,
        collapsed=True,
        last_hour=now_hour - 23,
        usual_hours=math.nan,
        longest_hours=math.nan,
    )


def hour_weights(hours: Ints) -> Floats:
    """How much each of the 168 hours of the week counts, from the hours with an article: their mean is 1."""
    by_hour = np.bincount(hours % 24, minlength=24).astype(np.float64)
    by_hour = (np.roll(by_hour, 1) + by_hour + np.roll(by_hour, -1)) / 3
    by_day = np.bincount(hours // 24 % 7, minlength=7)
    days = (by_day + SMOOTHING) / (len(hours) / 7 + SMOOTHING)
    times = (by_hour + SMOOTHING) / (len(hours) / 24 + SMOOTHING)
    weights = np.multiply.outer(days, times).ravel()
    return np.asarray(weights / weights.mean())


def limit(gaps: Floats) -> float:
    """The gap that a stream with these gaps exceeds only if something is wrong."""
    median, longest = float(np.median(gaps)), float(gaps.max())
    factor = math.log(1 / (2 * ALPHA)) / (math.log(len(gaps)) + EULER - math.log(2))
    return max(LEAST_FACTOR * longest, median + factor * (longest - median), LEAST_HOURS)


def _history(stream: Stream, now_hour: int) -> Ints:
    """The hours with an article in the WEEKS weeks that end with the latest of them."""
    hours = stream.hours[stream.hours <= now_hour]
    return hours[hours > hours[-1] - WEEKS * WEEK] if len(hours) else hours


def _between(stream: Stream, first: int, last: int) -> int:
    return int(stream.articles[(stream.hours >= first) & (stream.hours <= last)].sum())


def _same_days(stream: Stream, now_hour: int) -> list[int]:
    """Articles of the 24 hours that ended one week ago, two weeks ago …, as far as the stream goes back."""
    if not len(stream.hours):
        return []
    ends = [now_hour - week * WEEK for week in range(1, WEEKS + 1)]
    return [_between(stream, end - 23, end) for end in ends if end - 23 >= stream.hours[0]]


def _silence(stream: Stream, now_hour: int, **values: Any) -> Silence:
    return Silence(
        kind=stream.kind,
        name=stream.name,
        articles=_between(stream, now_hour - 23, now_hour),
        usual_articles=float(np.median(_same_days(stream, now_hour) or [0])),
        days=tuple(
            _between(stream, now_hour - 24 * day - 23, now_hour - 24 * day)
            for day in reversed(range(SHOWN_DAYS))
        ),
        **values,
    )
