"""Opens per impression of two pipelines, with an interval that stays valid however often somebody looks.

Each pipeline's rate gets a confidence sequence: with a chance of 97.5 % it holds the mean rate at all times at once, so to stop when
it looks good is allowed. The interval of the difference holds both. It is the empirical-Bernstein confidence sequence of Howard,
Ramdas, McAuliffe and Sekhon (2021, *Time-uniform, nonparametric, nonasymptotic confidence sequences*, Theorem 4) with their
stitched boundary (equation 10, scale c = 1). Rates may change from hour to hour: it is about their mean so far.

It asks of the newsroom: that chance alone decides which pipeline a reader gets, and that how many readers see an hour's page does
not depend on what they open there. Opens count for the run of their row. The newest run may still get opens: it is left out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rerank_core.errors import InputError
from rerank_core.storage import database as db
from rerank_core.storage.database import Database

ALPHA = 0.05  # of the difference, both sides
ETA, POWER = 2.0, 1.4  # of the stitched boundary: ratio of its epochs, and how fast their share of α falls
ZETA = 3.105547  # Riemann's ζ(1.4)
LEAST_VARIANCE = 1.0  # where its epochs begin, in squared opens


@dataclass(frozen=True)
class Rate:
    """Opens per impression of one pipeline."""

    pipeline: str
    impressions: int
    opens: int
    excess: int  # opens beyond one an impression, which are left out
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """The first pipeline's rate minus the second's."""

    first: Rate
    second: Rate
    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """What may be said now."""
        if self.low > 0:
            return f"readers of {self.first.pipeline} open more"
        if self.high < 0:
            return f"readers of {self.second.pipeline} open more"
        return "nothing can be said yet: the interval holds 0"


def compare(database: Database, *, first: str, second: str, alpha: float = ALPHA) -> Comparison:
    """Compare two pipelines by what readers did since both have had a page.

    Raises InputError if one of them has no impression from two runs or more.
    """
    with database.transaction(read_only=True) as connection:
        found = db.rows(connection, "compare.runs", first=first, second=second)
    rates = []
    for pipeline in (first, second):
        runs = [row for row in found if row["pipeline"] == pipeline][:-1]
        if not runs:
            raise InputError(
                f"pipeline {pipeline} has impressions of less than two runs since both have had a page; load their events"
            )
        counts = [(int(row["impressions"]), int(row["opens"])) for row in runs]
        low, high = sequence(counts, alpha=alpha / 2)
        seen, opened = (sum(column) for column in zip(*counts, strict=True))
        excess = sum(int(row["excess"]) for row in runs)
        rates.append(Rate(pipeline, seen, opened, excess, opened / seen, low, high))
    one, two = rates
    return Comparison(one, two, one.rate - two.rate, low=one.low - two.high, high=one.high - two.low)


def sequence(counts: Sequence[tuple[int, int]], *, alpha: float) -> tuple[float, float]:
    """The interval of a mean rate after these runs, in order: (impressions, opens). It is valid at all times with 1 − alpha.

    An open is guessed, before each run, as the mean of the runs before it; the squared errors of the guesses are the variance.
    """
    seen = opened = 0
    variance = 0.0
    for impressions, opens in counts:
        guess = (opened + 0.5) / (seen + 1)
        variance += opens * (1 - guess) ** 2 + (impressions - opens) * guess**2
        seen, opened = seen + impressions, opened + opens
    if not seen:
        return 0.0, 1.0
    width = boundary(variance, alpha=alpha / 2) / seen
    rate = opened / seen
    return max(0.0, rate - width), min(1.0, rate + width)


def boundary(variance: float, *, alpha: float) -> float:
    """The stitched sub-gamma boundary, Howard et al. 2021, equation 10: crossed at any time with chance `alpha` at most."""
    variance = max(variance, LEAST_VARIANCE)
    level = POWER * math.log(1 + math.log(variance / LEAST_VARIANCE, ETA)) + math.log(ZETA / alpha)
    one = (ETA**0.25 + ETA**-0.25) / math.sqrt(2)
    two = (math.sqrt(ETA) + 1) / 2
    return math.sqrt(one**2 * variance * level + two**2 * level**2) + two * level
