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
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]
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
    sources: Ids | None = None,
    near: "Near | None" = None,
) -> Composed:
    """Compose a topic's page.

    `blocks` are the falling scores of the model's rows and of the light rows; rows are numbered through both. `sources` has
    the number of each row's source (`source_numbers`), also of rows that were brought in; it is needed for a limit alone. `near`
    has the rows that may resemble others; it is needed for diversity alone.
    """
    starts = np.cumsum([0, *map(len, blocks)]).tolist()
    page = _Page(wishes, sources, near if wishes.diversity else None)
    for start, block in zip(starts, blocks, strict=False):
        most = wishes.top_k - (len(wishes.pins) if start == 0 else 0)
        if wishes.are_none:
            page.rows.append(np.arange(start, start + min(len(block), most)))
            continue
        order = np.asarray(_shifted(start, len(block), wishes.shifts), dtype=np.int64)
        pinned = np.asarray([row for row in wishes.pins if start <= row < start + len(block)], dtype=np.int64)
        page.fill(order[~np.isin(order, pinned)], np.delete(block, pinned - start), most)
    return page.finish(_plain_places(blocks, wishes.top_k))


class _Page:
    """A page while it is filled from above."""

    def __init__(self, wishes: Wishes, sources: Ids | None, near: "Near | None") -> None:
        self.rows: list[Ids] = []
        self._wishes = wishes
        self._sources = sources if wishes.max_per_source is not None else None
        self._near = near
        self._left_out: list[LeftOut] = []
        self._fallen: set[int] = set()
        self._risen: list[Ids] = []  # rows below one that was left out
        self._of_source: Counter[int] = Counter()
        self._nearest: dict[int, Resembles] = {}  # the row above; of a row on the page, when it got there
        self._placed: set[int] = set()
        for row in wishes.pins:
            self._place(row)

    def fill(self, order: Ids, relevance: Floats, most: int) -> None:
        """Take the next rows of a block, at most so many. `relevance` falls: that of each place of the order."""
        if self._near is None:
            self._fill_in_order(order, max(0, most))
        else:
            self._fill_with_diversity(order, relevance, max(0, most))

    def _fill_in_order(self, order: Ids, most: int) -> None:
        over = np.zeros(len(order), dtype=bool)
        if self._sources is not None and len(order):
            own = self._sources[order]
            numbers = _numbers_of(own) + np.asarray([self._of_source[source] for source in own.tolist()])
            over = (own >= 0) & (numbers > (self._wishes.max_per_source or 0))
        taken = np.flatnonzero(~over)[:most]
        # Without a full page every row is looked at, so every row over the limit is left out.
        end = taken[-1] + 1 if len(taken) == most and most else len(order) if most else 0
        out = np.flatnonzero(over[:end])
        if len(out):
            rows = order[out]
            self._left_out += [
                LeftOut(int(row), int(number)) for row, number in zip(rows, numbers[out], strict=True)
            ]
        before = len(self._left_out) > len(out)
        self._risen.append(
            order[taken] if before else order[taken[taken > out[0]]] if len(out) else order[:0]
        )
        self.rows.append(order[taken])
        if self._sources is not None:
            self._of_source.update(self._sources[order[:end]].tolist())

    def _fill_with_diversity(self, order: Ids, relevance: Floats, most: int) -> None:
        limit = self._wishes.max_per_source
        rows: list[int] = []
        risen: list[int] = []
        worst = -1  # place in the order of the rows that were taken
        for place, row in self._candidates(order.tolist(), relevance):
            if len(rows) >= most:
                break
            source = -1 if self._sources is None else int(self._sources[row])
            if limit is not None and source >= 0 and self._of_source[source] >= limit:
                self._of_source[source] += 1
                self._left_out.append(LeftOut(row, self._of_source[source]))
                continue
            if place < worst and row in self._nearest:
                self._fallen.add(row)
            if self._left_out:
                risen.append(row)
            worst = max(worst, place)
            rows.append(row)
            self._place(row)
        self.rows.append(np.asarray(rows, dtype=np.int64))
        self._risen.append(np.asarray(risen, dtype=np.int64))

    def _candidates(self, order: Sequence[int], relevance: Floats) -> Iterable[tuple[int, int]]:
        """(place in the order, row) of each row, the next best for the page first."""
        weight, pool = self._wishes.diversity, POOL * self._wishes.top_k
        parts = (_from_0_to_1(relevance[:pool]) * (1 - weight)).tolist()
        waiting = [
            (weight * self._similarity(row) - part, place, row, part)
            for place, (row, part) in enumerate(zip(order[:pool], parts, strict=True))
        ]
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

    def _place(self, row: int) -> None:
        if self._sources is not None and self._sources[row] >= 0:
            self._of_source[int(self._sources[row])] += 1
        if self._near is None:
            return
        self._placed.add(row)
        for other in self._near.to(row):
            if other.row not in self._placed and other.similarity > self._similarity(other.row):
                self._nearest[other.row] = Resembles(row, other.similarity)

    def finish(self, plain: Ids) -> Composed:
        """Put the pinned rows in; `plain` is the place of each row without composition."""
        pins, shifts = self._wishes.pins, self._wishes.shifts
        rows = np.concatenate([np.zeros(0, dtype=np.int64), *self.rows])
        if not pins and not shifts and not self._left_out and not self._fallen:
            is_plain = bool((plain[rows] == np.arange(1, len(rows) + 1)).all())
            if is_plain:
                return Composed(rows.tolist(), [None] * len(rows), [0] * len(rows), [], self._nearest)
        listed: list[int] = rows.tolist()
        for row, place in sorted(pins.items(), key=lambda pin: (pin[1], pin[0])):
            listed.insert(place - 1, row)
        known = plain.tolist()
        moved = [known[row] - rank if row < len(known) else None for rank, row in enumerate(listed, 1)]
        risen = set(np.concatenate([np.zeros(0, dtype=np.int64), *self._risen]).tolist())
        moved_by: list[MovedBy | None] = []
        for row, places in zip(listed, moved, strict=True):
            by: MovedBy | None = "shifted" if places else None
            if row in pins:
                by = "pin"
            elif row in shifts:
                by = "boost" if shifts[row] > 0 else "demote"
            elif places and places < 0 and row in self._fallen:
                by = "diversity"
            elif places and places > 0 and row in risen:
                by = "source_limit"
            moved_by.append(by)
        return Composed(listed, moved_by, moved, self._left_out, self._nearest)


def _plain_places(blocks: Sequence[Floats], top_k: int) -> Ids:
    """The place of each row without composition: the light block follows the model's top_k."""
    before, places = 0, [np.zeros(0, dtype=np.int64)]
    for block in blocks:
        places.append(np.arange(before + 1, before + len(block) + 1))
        before += min(len(block), top_k)
    return np.concatenate(places)


def _numbers_of(values: Ids) -> Ids:
    """Of each value, how many equal ones there are up to it: 1, 2, …"""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    begins = np.flatnonzero(np.diff(ordered, prepend=ordered[0] - 1))
    lengths = np.diff(begins, append=len(values))
    numbers = np.empty(len(values), dtype=np.int64)
    numbers[order] = np.arange(len(values)) - np.repeat(begins, lengths) + 1
    return numbers


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
        self._at = {document_id: at for at, document_id in enumerate(signatures)}
        self._values = np.frombuffer(b"".join(signatures.values()), dtype="<u4").reshape(
            len(self._at), PLACES
        )
        # Two texts seldom have one value in one place: of all values few are shared, and sorting brings them together.
        keys = (
            (np.arange(PLACES, dtype=np.uint64) << np.uint64(32)) | self._values.astype(np.uint64)
        ).ravel()
        order = np.argsort(keys)
        equal = np.diff(keys[order], prepend=np.uint64(0)) == 0
        equal[:1] = False
        shared = equal | np.append(equal[1:], False)
        owners, groups = order[shared] // PLACES, np.cumsum(~equal)[shared]
        by_owner = np.argsort(owners, kind="stable")
        self._groups = groups[by_owner]
        self._starts = np.searchsorted(owners[by_owner], np.arange(len(self._at) + 1))

    def among(self, document_ids: Mapping[int, int]) -> "Near | None":
        """The rows (row → document) that may resemble one another; None if none do."""
        rows = [row for row, document_id in document_ids.items() if document_id in self._at]
        at = np.asarray([self._at[document_ids[row]] for row in rows], dtype=np.int64)
        if len(at) < 2:
            return None
        counts = self._starts[at + 1] - self._starts[at]
        ends = np.cumsum(counts)
        picked = (
            np.arange(counts.sum()) - np.repeat(ends - counts, counts) + np.repeat(self._starts[at], counts)
        )
        groups, owners = self._groups[picked], np.repeat(np.arange(len(at)), counts)
        order = np.argsort(groups)
        equal = np.diff(groups[order], prepend=-1) == 0
        meets = equal | np.append(equal[1:], False)
        enough = np.bincount(owners[order][meets], minlength=len(at)) >= LEAST_SIMILARITY * PLACES
        if not enough.any():
            return None
        return Near(
            [row for row, is_near in zip(rows, enough.tolist(), strict=True) if is_near],
            self._values[at[enough]],
        )


class Near:
    """Rows of a topic that may resemble one another."""

    def __init__(self, rows: Sequence[int], values: npt.NDArray[np.uint32]) -> None:
        self._rows = np.asarray(rows, dtype=np.int64)
        self._values = np.ascontiguousarray(values.T)  # (PLACES, rows)
        self._at = {row: at for at, row in enumerate(rows)}

    def to(self, row: int) -> list[Resembles]:
        """The rows that a row resembles."""
        at = self._at.get(row)
        if at is None:
            return []
        same = self._values == self._values[:, at : at + 1]
        similarity = same.view(np.uint8).sum(axis=0, dtype=np.uint8) / PLACES
        near = np.flatnonzero(similarity >= LEAST_SIMILARITY)
        return [
            Resembles(int(self._rows[other]), float(similarity[other]))
            for other in near.tolist()
            if other != at
        ]
