"""From an order to a page: what an editor and a topic's limits change. Pure functions over one topic's rows.

    boost and demote → diversity → at most N rows a source → pin → top_k

These steps follow the order of `ranking.py`. Nothing is scored for them. Each step is off unless the topic or an act asks
for it. A row is never lost in silence: `Composed` says of each row what moved it, and of each row that is left out why.

boost, demote   The row goes up or down by a number of places, within its block, and takes the relevance of its new place.
diversity       Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): the next row is the one with the highest
                    λ × relevance − (1 − λ) × similarity to the most similar row above it,  λ = 1 − diversity
                Relevance is the rank score, or the light score, from 0 (the last row of the pool) to 1 (the best row). The
                pool is the first 4 × top_k rows of a block. Similarity is the share of equal places of two near-copy
                signatures, an estimate of the shingles that two texts share; below 0.1 it counts as 0.
source limit    A row is left out if N rows above it, or pinned, are of its source. A row without a source is never left out.
pin             The row takes its place, whatever its score, and the others make way. Pinned rows count for top_k.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
MovedBy = Literal["pin", "boost", "demote", "diversity", "source_limit", "shifted"]

PLACES = 128  # of a signature
POOL = 4  # times top_k: the rows of a block that diversity may bring up
LEAST_SIMILARITY = 0.1  # of two signatures; the standard error of the estimate is 0.03 there


@dataclass(frozen=True)
class Wishes:
    """What a topic and an editor ask for. Rows are numbers in the topic's order."""

    top_k: int
    max_per_source: int | None = None
    diversity: float = 0.0  # 1 − λ; 0: off
    pins: Mapping[int, int] = field(
        default_factory=dict
    )  # row → place, from 1; of a row after the last: brought in
    shifts: Mapping[int, int] = field(default_factory=dict)  # row → places, up if positive

    @property
    def are_none(self) -> bool:
        return not (self.max_per_source or self.diversity or self.pins or self.shifts)


@dataclass(frozen=True)
class LeftOut:
    """A row that would be on the page if its source had fewer rows there."""

    row: int
    number: int  # which row of its source it would be: the limit and 1, 2, …


@dataclass(frozen=True)
class Resembles:
    """The row above that a row is most similar to."""

    row: int
    similarity: float


@dataclass(frozen=True)
class Composed:
    """The rows of the page in order, by their numbers in the topic's order."""

    rows: list[int]
    moved_by: list[MovedBy | None]  # of each row; None: it stands where the order has it
    moved: list[int | None]  # of each row: places up (+) or down (−); None: it has no place in the order
    left_out: list[LeftOut]
    resembles: Mapping[
        int, Resembles
    ]  # of rows that diversity compared: the nearest row above, if one is near


def compose(
    blocks: Sequence[Floats],
    wishes: Wishes,
    *,
    sources: Sequence[str | None] = (),
    signatures: Mapping[int, bytes] | None = None,
) -> Composed:
    """Compose a topic's page.

    `blocks` are the falling scores of the model's rows and of the light rows; rows are numbered through both. `sources` has
    an entry for each row, also for those that were brought in. `signatures` has those of rows that may resemble others.
    """
    starts = np.cumsum([0, *map(len, blocks)]).tolist()
    if wishes.are_none:
        rows = [
            start + row
            for start, block in zip(starts, blocks, strict=False)
            for row in range(len(block))[: wishes.top_k]
        ]
        return Composed(rows, [None] * len(rows), [0] * len(rows), [], {})
    page = _Page(wishes, sources, _alike(signatures or {}) if wishes.diversity else {})
    for start, block in zip(starts, blocks, strict=False):
        order = [row for row in _shifted(start, len(block), wishes.shifts) if row not in wishes.pins]
        pinned = [row - start for row in wishes.pins if start <= row < start + len(block)]
        most = wishes.top_k - (len(wishes.pins) if start == 0 else 0)
        page.fill(order, np.delete(block, pinned), most)
    return page.finish(_plain_places(blocks, wishes.top_k))


class _Page:
    """A page while it is filled from above."""

    def __init__(
        self, wishes: Wishes, sources: Sequence[str | None], alike: Mapping[int, Sequence[Resembles]]
    ) -> None:
        self._wishes = wishes
        self._sources = sources
        self._alike = alike
        self._rows: list[int] = []
        self._left_out: list[LeftOut] = []
        self._placed: set[int] = set()
        self._fallen: set[int] = set()
        self._risen: set[int] = set()  # rows below one that was left out
        self._of_source: Counter[str] = Counter()
        self._nearest: dict[int, Resembles] = {}  # the row above; of a row on the page, when it got there
        for row in wishes.pins:
            self._place(row)

    def fill(self, order: Sequence[int], relevance: Floats, most: int) -> None:
        """Take the next rows of a block, at most so many. `relevance` falls: that of each place of the order."""
        wanted = len(self._rows) + most
        worst = -1  # place in the order of the rows that were taken
        for place, row in self._candidates(order, relevance):
            if len(self._rows) >= wanted:
                break
            source = self._source(row)
            limit = self._wishes.max_per_source
            if limit is not None and source is not None and self._of_source[source] >= limit:
                self._of_source[source] += 1
                self._left_out.append(LeftOut(row, self._of_source[source]))
                continue
            if place < worst and row in self._nearest:
                self._fallen.add(row)
            if self._left_out:
                self._risen.add(row)
            worst = max(worst, place)
            self._rows.append(row)
            self._place(row)

    def _candidates(self, order: Sequence[int], relevance: Floats) -> Iterable[tuple[int, int]]:
        """(place in the order, row) of each row, the next best for the page first."""
        weight = self._wishes.diversity
        pool = POOL * self._wishes.top_k if weight else 0
        waiting = []
        parts = _from_0_to_1(relevance[:pool]) * (1 - weight)
        for place, (row, part) in enumerate(zip(order[:pool], parts.tolist(), strict=True)):
            waiting.append((weight * self._similarity(row) - part, place, row, part))
        heapq.heapify(waiting)
        while waiting:
            cost, place, row, part = waiting[0]
            now = weight * self._similarity(row) - part
            if now > cost:  # a row that it resembles was placed meanwhile: costs only grow
                heapq.heapreplace(waiting, (now, place, row, part))
                continue
            heapq.heappop(waiting)
            yield place, row
        yield from enumerate(order[pool:], pool)

    def _similarity(self, row: int) -> float:
        nearest = self._nearest.get(row)
        return 0.0 if nearest is None else nearest.similarity

    def _source(self, row: int) -> str | None:
        source = self._sources[row] if self._sources else None
        return " ".join(source.split()).casefold() or None if source else None

    def _place(self, row: int) -> None:
        source = self._source(row)
        if source is not None:
            self._of_source[source] += 1
        self._placed.add(row)
        for other in self._alike.get(row, ()):
            if other.row not in self._placed and other.similarity > self._similarity(other.row):
                self._nearest[other.row] = Resembles(row, other.similarity)

    def finish(self, plain: Sequence[int]) -> Composed:
        """Put the pinned rows in; `plain` is the place of each row without composition."""
        pins, shifts = self._wishes.pins, self._wishes.shifts
        rows = list(self._rows)
        for row, place in sorted(pins.items(), key=lambda pin: (pin[1], pin[0])):
            rows.insert(place - 1, row)
        moved = [plain[row] - rank if row < len(plain) else None for rank, row in enumerate(rows, 1)]
        moved_by: list[MovedBy | None] = []
        for row, places in zip(rows, moved, strict=True):
            by: MovedBy | None = "shifted" if places else None
            if row in pins:
                by = "pin"
            elif row in shifts:
                by = "boost" if shifts[row] > 0 else "demote"
            elif places and row in self._fallen and places < 0:
                by = "diversity"
            elif places and row in self._risen and places > 0:
                by = "source_limit"
            moved_by.append(by)
        return Composed(rows, moved_by, moved, self._left_out, self._nearest)


def _plain_places(blocks: Sequence[Floats], top_k: int) -> list[int]:
    """The place of each row without composition: the light block follows the model's top_k."""
    places: list[int] = []
    before = 0
    for block in blocks:
        places += range(before + 1, before + len(block) + 1)
        before += min(len(block), top_k)
    return places


def _shifted(start: int, count: int, shifts: Mapping[int, int]) -> list[int]:
    """The rows of a block in order, those that an editor moved at their new places."""
    rows = range(start, start + count)
    if not any(row in shifts for row in rows):
        return list(rows)
    # Half a place more, so that the row passes the row whose place it takes.
    keys = {row: row - shifts[row] - (0.5 if shifts[row] > 0 else -0.5) for row in rows if row in shifts}
    return sorted(rows, key=lambda row: (keys.get(row, row), row))


def _from_0_to_1(scores: Floats) -> Floats:
    """Falling scores from 1 to 0; all 1 if they are equal."""
    if not len(scores) or scores[0] == scores[-1]:
        return np.ones(len(scores))
    return np.asarray((scores - scores[-1]) / (scores[0] - scores[-1]), dtype=np.float64)


def _alike(signatures: Mapping[int, bytes]) -> dict[int, list[Resembles]]:
    """The rows that each row resembles."""
    rows = list(signatures)
    if len(rows) < 2:
        return {}
    values = np.frombuffer(b"".join(signatures.values()), dtype="<u4").reshape(len(rows), PLACES)
    # Two texts seldom have one value in one place. So equal values are brought together by sorting, and counted.
    keys = ((np.arange(PLACES, dtype=np.uint64) << np.uint64(32)) | values.astype(np.uint64)).ravel()
    order = np.argsort(keys, kind="stable")
    keys, owners = keys[order], order // PLACES
    pairs = []
    for step in range(1, len(rows)):
        same = keys[step:] == keys[:-step]
        if not same.any():
            break
        pairs.append(owners[:-step][same] * len(rows) + owners[step:][same])
    found: dict[int, list[Resembles]] = defaultdict(list)
    if pairs:
        codes, counts = np.unique(np.concatenate(pairs), return_counts=True)
        near = counts >= LEAST_SIMILARITY * PLACES
        for code, count in zip(codes[near].tolist(), counts[near].tolist(), strict=True):
            one, other = (rows[at] for at in divmod(code, len(rows)))
            found[one].append(Resembles(other, count / PLACES))
            found[other].append(Resembles(one, count / PLACES))
    return dict(found)
