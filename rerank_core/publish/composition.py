"""From an order to a page: what an editor and a topic's limits change. Pure functions over one topic's rows.

    boost and demote → diversity → at most N rows a source → pin → top_k

These steps follow the order of `ranking.py`. Nothing is scored for them. Each step is off unless the topic or an act asks
for it. A row is never lost in silence: `Composed` says of each row what moved it, and of each row that is left out why.

boost, demote   The row goes up or down by a number of places, within its block, and takes the relevance of its new place.
diversity       Maximal marginal relevance of `diversity.py`, λ = 1 − diversity. Relevance is the rank score, or the light score, from 0 (the last row of the pool) to 1 (the best row). The
                pool is the first 4 × top_k rows of a block. Similarity is the share of equal places of two near-copy
                signatures, an estimate of the shingles that two texts share; below 0.1 it counts as 0.
source limit    A row is left out if N rows above it, or pinned, are of its source. A row without a source is never left out.
pin             The row takes its place, whatever its score, and the others make way. Pinned rows count for top_k.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from rerank_core.diversity import MarginalRelevance, Resembles
from rerank_core.storage.artifacts import find_ids

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]
Near = Mapping[int, Sequence[tuple[int, float]]]  # row → the rows that it resembles, and how much
MovedBy = Literal["pin", "boost", "demote", "diversity", "source_limit", "shifted"]

PLACES = 128  # of a signature
POOL = 4  # times top_k: the rows of a block that diversity may bring up
PAIRS = 1 << 20  # that are counted at once: some 50 MB
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
class Composed:
    """The rows of the page in order, by their numbers in the topic's order."""

    rows: list[int]
    moved_by: list[MovedBy | None]  # of each row; None: it stands where the order has it
    moved: list[int | None]  # of each row: places up (+) or down (−); None: it has no place in the order
    left_out: Mapping[
        int, int
    ]  # row that its source's limit keeps away → which row of its source it would be: N + 1, …
    resembles: Mapping[
        int, Resembles
    ]  # of rows that diversity compared: the nearest row above, if one is near


def compose(
    blocks: Sequence[Floats],
    wishes: Wishes,
    *,
    sources: Ids | None = None,
    near: Near | None = None,
) -> Composed:
    """Compose a topic's page.

    `blocks` are the falling scores of the model's rows and of the light rows; rows are numbered through both. `sources` has
    the number of each row's source (`source_numbers`), also of rows that were brought in; it is needed for a limit alone. `near`
    has the rows that may resemble others; it is needed for diversity alone.
    """
    starts = np.cumsum([0, *map(len, blocks)]).tolist()
    page = _Page(wishes, sources, near if near and wishes.diversity else {})
    for number, block in enumerate(blocks):
        start, most = starts[number], wishes.top_k - (0 if number else len(wishes.pins))
        if wishes.are_none:
            page.rows += range(start, start + min(len(block), most))
            continue
        order = _shifted(start, len(block), wishes.shifts)
        pinned = [row - start for row in wishes.pins if start <= row < start + len(block)]
        page.fill(
            [row for row in order if row not in wishes.pins] if pinned else order,
            np.delete(block, pinned) if pinned else block,
            most,
        )
    return page.finish(starts)


class _Page:
    """A page while it is filled from above."""

    def __init__(self, wishes: Wishes, sources: Ids | None, near: Near) -> None:
        self.rows: list[int] = []
        self._wishes = wishes
        self._limit = wishes.max_per_source
        self._sources = [] if sources is None or self._limit is None else sources.tolist()
        self._used: Counter[int] = Counter()
        self._near = near
        self._left_out: dict[int, int] = {}
        self._fallen: set[int] = set()
        self._risen: set[int] = set()  # rows below one that was left out
        self._marginal = MarginalRelevance(wishes.diversity, self._near.__getitem__, self._near)
        for row in wishes.pins:
            if self._sources:
                self._used[self._sources[row]] += 1
            self._marginal.place(row)

    def fill(self, order: Sequence[int], relevance: Floats, most: int) -> None:
        """Take the next rows of a block, at most so many. `relevance` falls: that of each place of the order."""
        end = len(self.rows) + max(0, most)
        worst = -1  # place in the order of the rows that were taken
        for place in self._candidates(order, relevance):
            if len(self.rows) == end:
                break
            row = order[place]
            if self._limit is not None and (source := self._sources[row]) >= 0:
                self._used[source] += 1
                if self._used[source] > self._limit:
                    self._left_out[row] = self._used[source]
                    continue
            if self._left_out:
                self._risen.add(row)
            if place > worst:
                worst = place
            elif row in self._marginal.nearest:
                self._fallen.add(row)
            self.rows.append(row)
            self._marginal.place(row)

    def _candidates(self, order: Sequence[int], relevance: Floats) -> Iterator[int]:
        """Places in the order, the next best for the page first."""
        pool = order[: POOL * self._wishes.top_k]
        if not any(row in self._near for row in pool):
            yield from range(len(order))
            return
        yield from self._marginal.order(pool, _from_0_to_1(relevance[: len(pool)]).tolist())
        yield from range(len(pool), len(order))

    def finish(self, starts: Sequence[int]) -> Composed:
        """Put the pinned rows in, and say what moved each row; `starts` are the first rows of the blocks, and their end."""
        rows = self.rows
        for row, place in sorted(self._wishes.pins.items(), key=lambda pin: (pin[1], pin[0])):
            rows.insert(place - 1, row)
        moved_by: list[MovedBy | None] = []
        moved: list[int | None] = []
        for place, row in enumerate(rows, 1):
            up = None if row >= starts[-1] else _plain_place(row, starts, self._wishes.top_k) - place
            moved.append(up)
            moved_by.append(self._moved_by(row, up))
        return Composed(rows, moved_by, moved, self._left_out, self._marginal.nearest)

    def _moved_by(self, row: int, up: int | None) -> MovedBy | None:
        """What moved a row by so many places; None: it stands where the order has it."""
        if row in self._wishes.pins:
            return "pin"
        if row in self._wishes.shifts:
            return "boost" if self._wishes.shifts[row] > 0 else "demote"
        if not up:
            return None
        if up < 0 and row in self._fallen:
            return "diversity"
        return "source_limit" if up > 0 and row in self._risen else "shifted"


def _plain_place(row: int, starts: Sequence[int], top_k: int) -> int:
    """The place of a row without composition: the light block follows the model's top_k."""
    return row + 1 if row < starts[1] else min(starts[1], top_k) + row - starts[1] + 1


def source_numbers(sources: Sequence[str | None]) -> Ids:
    """A number for each source; case and white space make no other source. −1: no source."""
    known: dict[str, int] = {}
    numbers: dict[str | None, int] = {None: -1}
    for source in dict.fromkeys(sources):
        name = " ".join((source or "").split()).casefold()
        numbers[source] = known.setdefault(name, len(known)) if name else -1
    return np.asarray([numbers[source] for source in sources], dtype=np.int64)


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


class Likeness:
    """The near-copy signatures of all documents of a page's pools. What two of them share is found once for all topics."""

    def __init__(self, signatures: Mapping[int, bytes]) -> None:
        self._ids = np.asarray(sorted(signatures), dtype=np.int64)
        content = b"".join(signatures[document_id] for document_id in self._ids.tolist())
        values = np.frombuffer(content, dtype="<u4").reshape(len(self._ids), PLACES)
        # Two texts seldom have one value in one place: of all values few are shared, and sorting brings them together.
        keys = ((np.arange(PLACES, dtype=np.uint64) << np.uint64(32)) | values.astype(np.uint64)).ravel()
        order = np.argsort(keys)
        equal = np.diff(keys[order], prepend=np.uint64(0)) == 0
        equal[:1] = False
        shared = equal | np.append(equal[1:], False)
        owners, groups = order[shared] // PLACES, np.cumsum(~equal)[shared]
        by_owner = np.argsort(owners, kind="stable")
        self._groups = groups[by_owner]
        self._starts = np.searchsorted(owners[by_owner], np.arange(len(self._ids) + 1))

    def among(self, rows: Ids, document_ids: Ids) -> Near:
        """Which of these rows, with their documents, resemble one another."""
        at = find_ids(self._ids, document_ids)
        rows, at = rows[at >= 0], at[at >= 0]
        counts = self._starts[at + 1] - self._starts[at]
        groups, owners = (
            self._groups[_ranges(self._starts[at], counts)],
            np.repeat(np.arange(len(at)), counts),
        )
        order = np.argsort(groups)
        groups, owners = groups[order], owners[order]
        meets = _sizes(groups)[1] > 1
        least = LEAST_SIMILARITY * PLACES
        enough = np.bincount(owners[meets], minlength=len(at)) >= least
        own = meets & enough[owners]
        places = _shared_places((np.cumsum(enough) - 1)[owners[own]], groups[own], int(enough.sum()))
        np.fill_diagonal(places, 0)
        near: dict[int, list[tuple[int, float]]] = {}
        numbers = rows[enough].tolist()
        ones, others = np.nonzero(places >= least)
        found = zip(ones.tolist(), others.tolist(), (places[ones, others] / PLACES).tolist(), strict=True)
        for one, other, similarity in found:
            near.setdefault(numbers[one], []).append((numbers[other], similarity))
        return near


def _sizes(groups: Ids) -> tuple[Ids, Ids]:
    """Of each value of a rising row of values: where its equals begin, and how many they are."""
    begins = np.flatnonzero(np.diff(groups, prepend=-1))
    sizes = np.diff(begins, append=len(groups))
    return np.repeat(begins, sizes), np.repeat(sizes, sizes)


def _ranges(begins: Ids, sizes: Ids) -> Ids:
    """From each beginning, so many numbers that follow one another: all of them in a row."""
    return np.arange(sizes.sum()) + np.repeat(begins - np.cumsum(sizes) + sizes, sizes)


def _shared_places(owners: Ids, groups: Ids, count: int) -> Ids:
    """In how many places two owners have one value: (count, count). `groups` rise: equal ones stand for one value in one place."""
    begins, sizes = _sizes(groups)
    shared = np.zeros(count * count, dtype=np.int64)
    for part in np.array_split(np.arange(len(owners)), 1 + int(sizes.sum()) // PAIRS):
        own = sizes[part]
        others = _ranges(begins[part], own)
        shared += np.bincount(np.repeat(owners[part], own) * count + owners[others], minlength=len(shared))
    return shared.reshape(count, count)
