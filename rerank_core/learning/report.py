"""What readers opened, by topic, source, rank and scorer, and what rank and age did to it. The latest report is kept."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection

from rerank_core.learning import rows as reader_rows
from rerank_core.learning.positions import Effect, Floats, Ints, Positions, fit
from rerank_core.learning.rows import ReaderRows
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.database import Database

DAYS = 30
MOST_GROUPS = 200  # of a kind, those with the most impressions


@dataclass(frozen=True)
class Group:
    """Rows that have something in common."""

    name: str
    impressions: int
    opens: int
    hides: int
    exposure: float  # how many impressions at rank 1 at age 0 theirs were worth

    @property
    def rate(self) -> float:
        """Opens an impression."""
        return self.opens / self.impressions

    @property
    def debiased(self) -> float:
        """Opens an impression at rank 1 at age 0."""
        return self.opens / self.exposure


@dataclass(frozen=True)
class Report:
    """The report of one pipeline."""

    made_at: datetime
    since: datetime
    rows: Mapping[str, int]  # of pages: counted here, and left out for a reason
    groups: Mapping[
        str, Sequence[Group]
    ]  # topic, source, rank, scorer → groups, most impressions first; ranks in order
    positions: Positions

    @property
    def total(self) -> Group:
        """All rows that are counted."""
        ranks = self.groups["rank"]
        return Group(
            name="all",
            impressions=sum(group.impressions for group in ranks),
            opens=sum(group.opens for group in ranks),
            hides=sum(group.hides for group in ranks),
            exposure=sum(group.exposure for group in ranks),
        )


def make(database: Database, settings: Settings, *, days: float = DAYS) -> Report:
    """Count what readers did with the pages of the last days, and keep the report in place of the one before."""
    with database.transaction() as connection:
        db.may_idle(connection)
        made_at = db.the(connection, "runs.now")["now"]
        since = made_at - timedelta(days=days)
        rows = reader_rows.read(connection, settings.pipeline, since=since)
        positions = fit(rows.seen(rows.pairs()[1]))
        report = Report(
            made_at=made_at,
            since=since,
            rows={
                "counted": len(rows.rank),
                "not by the model": rows.not_by_model,
                "not seen": rows.unseen,
                "past retention": rows.past_retention,
            },
            groups=_groups(rows, rows.impressions * positions.exposure(rows.rank, rows.age)),
            positions=positions,
        )
        content = json.dumps(asdict(report), default=str)
        db.execute(connection, "report.keep", pipeline=settings.pipeline, content=content)
    return report


def latest(connection: Connection, pipeline: str) -> Report | None:
    """The report that was made last; None if none was made."""
    row = db.one(connection, "report.latest", pipeline=pipeline)
    if row is None:
        return None
    content: dict[str, Any] = row["content"]
    curves = {
        name: tuple(Effect(**each) for each in effects) for name, effects in content["positions"].items()
    }
    return Report(
        made_at=datetime.fromisoformat(content["made_at"]),
        since=datetime.fromisoformat(content["since"]),
        rows=content["rows"],
        groups={kind: [Group(**each) for each in groups] for kind, groups in content["groups"].items()},
        positions=Positions(**curves),
    )


def _groups(rows: ReaderRows, exposure: Floats) -> dict[str, list[Group]]:
    found = {
        "topic": _counted(rows, exposure, rows.topic.of_row, rows.topic.names),
        "source": _counted(rows, exposure, rows.source.of_row + 1, ["none", *rows.source.names]),
        "rank": _counted(rows, exposure, rows.rank, range(int(rows.rank.max(initial=0)) + 1)),
        "scorer": _counted(rows, exposure, rows.scorer, range(int(rows.scorer.max(initial=0)) + 1)),
    }
    for kind, groups in found.items():
        if kind != "rank":
            groups.sort(key=lambda group: -group.impressions)
        del groups[MOST_GROUPS:]
    return found


def _counted(rows: ReaderRows, exposure: Floats, of_row: Ints, names: Sequence[object]) -> list[Group]:
    """A group for each name that has rows, in order of the names."""
    sums = [
        np.bincount(of_row, column, minlength=len(names)).tolist()
        for column in (rows.impressions, rows.opens, rows.hides, exposure)
    ]
    return [
        Group(str(name), int(impressions), int(opens), int(hides), worth)
        for name, impressions, opens, hides, worth in zip(names, *sums, strict=True)
        if impressions
    ]
