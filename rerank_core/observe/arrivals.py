"""Which sources, languages or volume are silent at a run: what arrived is counted, judged and kept with the run."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection, RowMapping

from rerank_core.observe import silence
from rerank_core.observe.silence import Kind, Silence, Stream
from rerank_core.records import Run
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.languages import UNKNOWN

HISTORY = timedelta(weeks=silence.WEEKS + 4)  # the rhythm, and a silence after it


@dataclass(frozen=True)
class Quiet:
    """A silence as it is told to people. Times are in UTC."""

    kind: Kind
    name: str
    collapsed: bool
    since: datetime  # of its latest article, by the hour; if it has collapsed, when its last day began
    usual_hours: float | None  # between two hours with an article, the median; None: it has collapsed
    longest_hours: float | None
    articles: int  # of the last 24 hours
    usual_articles: float  # of the same day in the weeks before
    days: tuple[int, ...]  # articles of each of the last 28 days, the latest last

    @property
    def who(self) -> str:
        """The stream as a sentence names it."""
        return {
            "source": f"source {self.name!r}",
            "language": f"language {self.name}",
            "volume": "the whole intake",
        }[self.kind]

    @property
    def sentence(self) -> str:
        """What is wrong, since when, and what is usual."""
        if self.collapsed:
            return (
                f"{self.who} has collapsed: {self.articles:,} articles in the 24 hours since"
                f" {self.since:%Y-%m-%d %H:%M} UTC, usually about {self.usual_articles:,.0f}"
            )
        return (
            f"{self.who} has sent nothing since {self.since:%Y-%m-%d %H:%M} UTC; its usual gap is"
            f" {self.usual_hours:,.0f} h, its longest {self.longest_hours:,.0f} h"
        )


def look(connection: Connection, run: Run, settings: Settings) -> tuple[list[Quiet], list[Quiet]]:
    """What is silent at the run's as-of time, kept with the run; and what of it nobody was told.

    Told is what was silent at the run before, and what an earlier look at this run found. Of a past run nothing is told.
    """
    until = run.window.until
    since = until - HISTORY
    span: dict[str, Any] = {"pipeline": run.pipeline, "since": since, "until": until}
    db.execute(connection, "arrivals.tally", **span)
    # An older run that is run again must not take the counts that the latest needs.
    db.execute(connection, "arrivals.trim", pipeline=run.pipeline, since=since - HISTORY)
    streams = _streams(db.rows(connection, "arrivals.counts", **span), settings)
    now_hour = math.ceil(until.timestamp() / 3600) - 1  # the hour that the run's time ends, or is in
    found = [
        _quiet(each) for each in silence.find(streams, now_hour=now_hour, told_days=settings.silence_days)
    ]
    told = db.rows(connection, "arrivals.told", pipeline=run.pipeline, run_id=run.run_id, until=until)
    known = {(each["kind"], each["name"]) for row in told for each in row["silences"]}
    is_past = db.the(connection, "arrivals.later", pipeline=run.pipeline, until=until)["found"]
    db.execute(
        connection, "arrivals.keep", run_id=run.run_id, silences=json.dumps(list(map(_to_json, found)))
    )
    return found, [each for each in found if not is_past and (each.kind, each.name) not in known]


def latest(connection: Connection, pipeline: str) -> tuple[datetime, list[Quiet]] | None:
    """As of when the latest run has looked, and what was silent; None: no run has looked yet."""
    row = db.one(connection, "arrivals.latest", pipeline=pipeline)
    return None if row is None else (row["until"], [_of_json(each) for each in row["silences"]])


def _streams(rows: Sequence[RowMapping], settings: Settings) -> list[Stream]:
    """The streams of these counts, without the sources that may be silent."""
    counts: dict[tuple[Kind, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        hour, articles = row["hour"], row["articles"]
        counts["volume", ""][hour] += articles
        if row["source"] and row["source"] not in settings.quiet_sources:
            counts["source", row["source"]][hour] += articles
        if row["lang"] and row["lang"] != UNKNOWN:
            counts["language", row["lang"]][hour] += articles
    return [
        Stream(
            kind,
            name,
            np.asarray(sorted(by_hour), dtype=np.int64),
            np.asarray([by_hour[hour] for hour in sorted(by_hour)], dtype=np.int64),
        )
        for (kind, name), by_hour in counts.items()
    ]


def _quiet(found: Silence) -> Quiet:
    return Quiet(
        kind=found.kind,
        name=found.name,
        collapsed=found.collapsed,
        since=datetime.fromtimestamp(found.last_hour * 3600, UTC),
        usual_hours=None if found.collapsed else found.usual_hours,
        longest_hours=None if found.collapsed else found.longest_hours,
        articles=found.articles,
        usual_articles=found.usual_articles,
        days=found.days,
    )


def _to_json(found: Quiet) -> dict[str, Any]:
    return {**vars(found), "since": found.since.isoformat()}


def _of_json(stored: Mapping[str, Any]) -> Quiet:
    return Quiet(
        **{
            **stored,
            "since": datetime.fromisoformat(stored["since"]),
            "days": tuple(stored["days"]),
        }
    )
