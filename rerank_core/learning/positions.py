"""What a row's place does to its opens: examination by rank and freshness by age, fitted from what readers did.

The model, for a row that shows pair p at rank r and at age t, with n impressions:

    opens ~ Poisson(n × exp(a(p) + b(r) + f(t)))

`b` and `f` are linear between knots, and are 0 at rank 1 and at age 0. The better pairs stand higher, and `a` keeps that
apart from what the place does: only the same pair, seen at several ranks, tells anything (Agarwal et al., Estimating
position bias without intrusive interventions, WSDM 2019; examination: Joachims et al., Unbiased learning-to-rank with
biased feedback, WSDM 2017). A pair falls as it ages; without `f`, the fall of interest would be taken for position.

At each step `a` has a closed form: what is left is a multinomial likelihood of the opens of each pair, which Newton's
method maximises (Hausman, Hall and Griliches, Econometrica 52, 1984). It is right for any spread of opens whose mean is
as above; the intervals allow for opens of one group that go together (Wooldridge, Journal of Econometrics 90, 1999).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RANK_KNOTS = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 30, 40, 50, 70, 100)
AGE_KNOTS = (0, 1, 2, 4, 6, 9, 12, 18, 24, 36, 48, 72, 96, 120, 168, 240, 336)  # hours
LEAST_OPENS = 20  # between a knot and the next one; else the knot is left out
PRIOR_WIDTH = 3.0  # standard deviation of a log factor that events tell nothing of
STEPS = 50
CHUNK_ROWS = 50_000

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Seen:
    """Rows that readers have seen, as arrays of one length."""

    pair: Ints
    group: Ints  # rows whose opens may go together: of one topic
    rank: Ints  # from 1
    age: Floats  # hours
    impressions: Ints  # over 0
    opens: Ints


@dataclass(frozen=True)
class Effect:
    """A factor on the opens per impression, at one rank or one age. Between two of them its logarithm is linear."""

    at: float  # a rank, or an age in hours
    factor: float  # beside the first, whose factor is 1
    low: float  # of the 95 % interval
    high: float
    impressions: int  # from here to the next
    opens: int


@dataclass(frozen=True)
class Positions:
    """The factors of ranks and of ages. Both are in order, and none is empty."""

    examination: Sequence[Effect]
    freshness: Sequence[Effect]

    def exposure(self, rank: Ints, age_hours: Floats) -> Floats:
        """How many impressions at rank 1 at age 0 one impression at each of these ranks and ages is worth."""
        return np.asarray(np.exp(_log(self.examination, rank) + _log(self.freshness, age_hours)))


def _log(effects: Sequence[Effect], values: npt.NDArray[np.generic]) -> Floats:
    knots, logs = [effect.at for effect in effects], [np.log(effect.factor) for effect in effects]
    return np.asarray(np.interp(values.astype(np.float64), knots, logs))


NAIVE = Positions(  # as if every row were read alike
    examination=(Effect(1, 1.0, 1.0, 1.0, 0, 0),), freshness=(Effect(0, 1.0, 1.0, 1.0, 0, 0),)
)


def fit(seen: Seen) -> Positions:
    """The examination of each rank and the freshness of each age, with 95 % intervals.

    What the rows do not tell stays near 1, with a wide interval. Pairs without an open tell nothing of rank and age.
    """
    ranks = _knots(RANK_KNOTS, seen.rank, seen.opens)
    ages = _knots(AGE_KNOTS, seen.age, seen.opens)
    told = _telling(seen)
    logs = np.zeros(len(ranks) + len(ages) - 2)
    here = _look(told, ranks, ages, logs)
    for _ in range(STEPS):
        step = np.linalg.solve(here.curvature, here.slope)
        there = _look(told, ranks, ages, logs + step)
        while there.likelihood < here.likelihood - 1e-9 * abs(here.likelihood):
            step = step / 2
            there = _look(told, ranks, ages, logs + step)
        logs, here = logs + step, there
        if np.abs(step).max(initial=0) < 1e-6:
            break
    inverse = np.linalg.inv(here.curvature)
    groups = len(here.group_slopes)
    spread = here.group_slopes.T @ here.group_slopes * (groups / max(groups - 1, 1))
    errors = np.sqrt(np.diag(inverse @ (spread + np.eye(len(logs)) / PRIOR_WIDTH**2) @ inverse))
    split = len(ranks) - 1
    return Positions(
        examination=_effects(ranks, seen.rank, seen, logs[:split], errors[:split]),
        freshness=_effects(ages, seen.age, seen, logs[split:], errors[split:]),
    )


def _knots(wanted: Sequence[int], values: npt.NDArray[np.generic], opens: Ints) -> Floats:
    """The knots up to the largest value, which is the last one; between two of them are enough opens."""
    largest = float(values.max(initial=0))
    inner = [knot for knot in wanted[1:] if knot < 0.9 * largest]
    ends = [*inner, largest] if largest > wanted[0] else []
    counts = np.bincount(_places(np.array([wanted[0], *inner]), values), opens, minlength=len(ends))
    kept, waiting = [float(wanted[0])], 0.0
    for end, count in zip(ends, counts, strict=False):
        waiting += count
        if waiting >= LEAST_OPENS:
            kept.append(float(end))
            waiting = 0.0
    if waiting and len(kept) > 1:
        kept[-1] = largest
    return np.array(kept)


def _places(knots: npt.NDArray[np.generic], values: npt.NDArray[np.generic]) -> Ints:
    """Of each value, the last knot that is not over it."""
    return np.asarray(np.maximum(np.searchsorted(knots, values, side="right") - 1, 0), dtype=np.int64)


def _telling(seen: Seen) -> Seen:
    """The rows of pairs that were opened and have several rows, in order of the pairs, which are numbered from 0."""
    _, pair = np.unique(seen.pair, return_inverse=True)
    tells = (np.bincount(pair, seen.opens) > 0) & (np.bincount(pair) > 1)
    chosen = np.flatnonzero(tells[pair]) if len(pair) else np.zeros(0, dtype=np.int64)
    chosen = chosen[np.argsort(pair[chosen], kind="stable")]
    numbers = [np.unique(column[chosen], return_inverse=True)[1] for column in (seen.pair, seen.group)]
    return Seen(
        pair=np.sort(numbers[0]),
        group=numbers[1],
        rank=seen.rank[chosen],
        age=seen.age[chosen],
        impressions=seen.impressions[chosen],
        opens=seen.opens[chosen],
    )


@dataclass(frozen=True)
class _Look:
    """The likelihood at some log factors, and what it tells of them."""

    likelihood: float
    slope: Floats  # [log factors]
    curvature: Floats  # [log factors, log factors]; positive definite
    group_slopes: Floats  # [groups, log factors]


def _look(told: Seen, ranks: Floats, ages: Floats, logs: Floats) -> _Look:
    size = len(logs)
    prior = 1 / PRIOR_WIDTH**2
    likelihood, curvature = -prior * float(logs @ logs) / 2, np.eye(size) * prior
    group_slopes = np.zeros((int(told.group.max(initial=-1)) + 1, size))
    for part in _parts(told.pair):
        slopes = np.hstack([_weights(ranks, told.rank[part]), _weights(ages, told.age[part])])
        begins = np.flatnonzero(np.diff(told.pair[part], prepend=-1))
        pair = told.pair[part] - told.pair[part.start]
        opens = told.opens[part].astype(np.float64)
        share = told.impressions[part] * np.exp(slopes @ logs)
        share /= np.add.reduceat(share, begins)[pair]  # of the pair's opens that this row should have
        pair_opens = np.add.reduceat(opens, begins)
        expected = share * pair_opens[pair]
        mean = np.add.reduceat(slopes * share[:, None], begins)
        likelihood += float(opens @ np.log(share))
        curvature += slopes.T @ (slopes * expected[:, None]) - mean.T @ (mean * pair_opens[:, None])
        np.add.at(group_slopes, told.group[part], slopes * (opens - expected)[:, None])
    return _Look(likelihood, group_slopes.sum(axis=0) - prior * logs, curvature, group_slopes)


def _parts(pair: Ints) -> Iterator[slice]:
    """Slices of whole pairs, of about CHUNK_ROWS rows each."""
    start = 0
    while start < len(pair):
        last = pair[min(start + CHUNK_ROWS, len(pair)) - 1]
        end = int(np.searchsorted(pair, last, side="right"))
        yield slice(start, end)
        start = end


def _weights(knots: Floats, values: npt.NDArray[np.generic]) -> Floats:
    """[rows, knots − 1]: what each knot but the first weighs in the log factor of each value."""
    units = np.eye(len(knots))[1:]
    columns = [np.interp(values.astype(np.float64), knots, unit) for unit in units]
    return np.column_stack(columns) if columns else np.zeros((len(values), 0))


def _effects(
    knots: Floats, values: npt.NDArray[np.generic], seen: Seen, logs: Floats, errors: Floats
) -> tuple[Effect, ...]:
    places = _places(knots, values)
    impressions = np.bincount(places, seen.impressions, minlength=len(knots))
    opens = np.bincount(places, seen.opens, minlength=len(knots))
    factors = np.exp(np.concatenate([[0.0], logs]))
    widths = np.exp(1.96 * np.minimum(np.concatenate([[0.0], errors]), 100))
    return tuple(
        Effect(
            float(at), float(factor), float(factor / width), float(factor * width), int(shown), int(opened)
        )
        for at, factor, width, shown, opened in zip(knots, factors, widths, impressions, opens, strict=True)
    )
