"""What a row's place does to its opens: examination by rank and freshness by age, fitted from readers' events."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Effect:
    """A factor on the opens per impression of one rank, or of one span of ages."""

    start: float  # a rank, or the least age in hours
    factor: float  # beside the first rank or span, whose factor is 1
    low: float  # of the 95 % interval
    high: float
    impressions: int
    opens: int


@dataclass(frozen=True)
class Positions:
    """The factors of ranks, from rank 1, and of spans of ages, from age 0. Both are in order, and none is empty."""

    examination: Sequence[Effect]
    freshness: Sequence[Effect]

    def exposure(self, rank: Ints, age_hours: Floats) -> Floats:
        """How many impressions at rank 1 at age 0 one impression at each of these ranks and ages is worth."""
        return _factors(self.examination, rank) * _factors(self.freshness, age_hours)


def _factors(effects: Sequence[Effect], values: npt.NDArray[np.generic]) -> Floats:
    """The factor of each value; a value over the last start has the last factor."""
    starts = np.array([effect.start for effect in effects])
    places = np.searchsorted(starts, values, side="right") - 1
    return np.array([effect.factor for effect in effects])[np.maximum(places, 0)]


NAIVE = Positions(  # as if each rank were read alike
    examination=(Effect(1, 1.0, 1.0, 1.0, 0, 0),), freshness=(Effect(0, 1.0, 1.0, 1.0, 0, 0),)
)
