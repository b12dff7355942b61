"""Simulated readers whose truth is known: what they like, how far they read, and how an article's interest fades.

Pure numpy. `pages` makes the rows of many hourly pages whose ranks fall as articles age; rows of a real page do as well.
`read` gives what readers did with rows. `as_events` writes that down as `rerank feedback load` reads it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TYPICAL = 0.05  # chance that a fresh pair of middling relevance is opened by who reads it


@dataclass(frozen=True)
class Rows:
    """Rows of pages, as arrays of one length."""

    pair: Ints  # from 0
    rank: Ints  # from 1
    age: Floats  # hours
    topic: Ints  # from 0
    hour: Ints  # of the page, from 0


@dataclass(frozen=True)
class Readers:
    """What is true of the readers."""

    examination: (
        Floats  # chance that a row on screen is read, by rank from 1; the last holds for all after it
    )
    decay: float = 0.03  # an hour takes this share of the log interest in an article
    drift: float = 0.0  # standard deviation of a topic's log interest from one hour to the next
    readers: float = 100.0  # who see a topic's page in an hour, on average
    scroll: float = 0.03  # share of them that each further rank loses
    hides: float = 0.0  # chance that a row which is read and not opened is hidden


@dataclass(frozen=True)
class Done:
    """What readers did with each row."""

    impressions: Ints
    opens: Ints
    hides: Ints


def falling(ranks: int = 20, power: float = 0.7) -> Floats:
    """An examination that falls with the rank as 1 / rank ^ power."""
    return np.asarray(np.arange(1, ranks + 1) ** -power)


def pages(
    rng: np.random.Generator,
    *,
    topics: int = 12,
    hours: int = 240,
    articles_an_hour: float = 0.5,
    top_k: int = 20,
    half_life: float = 24.0,
    fresh_hours: int = 72,
    skill: float = 0.7,
) -> tuple[Rows, Floats]:
    """Rows of hourly pages, ordered as pages are, and the true relevance of each pair: a chance to be opened.

    `skill` is the correlation of the model's logit with the log of relevance.
    """
    parts: list[tuple[Ints, ...]] = []
    ages: list[Floats] = []
    relevances: list[Floats] = []
    pairs = 0
    for topic in range(topics):
        born = np.flatnonzero(rng.random(hours * 4) < articles_an_hour / 4) / 4
        taste = rng.normal(0, 1, len(born))
        logit = 2 * (skill * taste + np.sqrt(1 - skill**2) * rng.normal(0, 1, len(born)))
        relevances.append(np.clip(TYPICAL * np.exp(0.9 * taste), 0, 0.9))
        for hour in range(1, hours):
            age = hour - born
            on = np.flatnonzero((age >= 0) & (age < fresh_hours))
            best = on[np.argsort(age[on] * np.log(2) / half_life - logit[on], kind="stable")][:top_k]
            count = np.arange(len(best))
            parts.append((best + pairs, count + 1, np.full_like(count, topic), np.full_like(count, hour)))
            ages.append(age[best])
        pairs += len(born)
    pair, rank, topic_of, hour_of = (
        np.concatenate(column).astype(np.int64) for column in zip(*parts, strict=True)
    )
    return Rows(pair, rank, np.concatenate(ages), topic_of, hour_of), np.concatenate(relevances)


def read(rng: np.random.Generator, rows: Rows, relevance: Floats, readers: Readers) -> Done:
    """What readers did: `relevance` is each pair's chance to be opened by who reads it fresh."""
    ranks = np.minimum(rows.rank, len(readers.examination)) - 1
    topics, hours = int(rows.topic.max(initial=0)) + 1, int(rows.hour.max(initial=0)) + 1
    mood = (
        np.cumsum(rng.normal(0, readers.drift, (topics, hours)), axis=1)
        if readers.drift
        else np.zeros((topics, hours))
    )
    crowd = rng.poisson(readers.readers, (topics, hours))
    impressions = rng.binomial(crowd[rows.topic, rows.hour], np.exp(-readers.scroll * (rows.rank - 1)))
    reading = rng.binomial(impressions, readers.examination[ranks])
    likes = relevance[rows.pair] * np.exp(mood[rows.topic, rows.hour] - readers.decay * rows.age)
    opens = rng.binomial(reading, np.clip(likes, 0, 1))
    return Done(impressions, opens, rng.binomial(reading - opens, readers.hides))


def as_events(shown: Sequence[Mapping[str, Any]], done: Done, start: datetime) -> Iterator[str]:
    """A JSON line for each event. `shown` are the rows in the order of `done`: run_id, topic, rank and revision_id.

    Events are a millisecond apart, so that no two of them are equal.
    """
    at = start
    for place, row in enumerate(shown):
        named = {name: row[name] for name in ("run_id", "topic", "rank", "revision_id")}
        for event, counts in (("impression", done.impressions), ("open", done.opens), ("hide", done.hides)):
            for _ in range(int(counts[place])):
                at += timedelta(milliseconds=1)
                yield json.dumps({**named, "event": event, "time": at.isoformat()})
