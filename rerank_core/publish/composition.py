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
from collections.abc import Iterator, Mapping, Sequence
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
    near: "Near | None" = None,
) -> Composed:
    """Compose a topic's page.

    `blocks` are the falling scores of the model's rows and of the light rows; rows are numbered through both. `sources` has
    the number of each row's source (`source_numbers`), also of rows that were brought in; it is needed for a limit alone. `near`
    has the rows that may resemble others; it is needed for diversity alone.
    """
    starts = np.cumsum([0, *map(len, blocks)]).tolist()
    page = _Page(wishes, sources, near if wishes.diversity else None)
    for number, block in enumerate(blocks):
        start, most = starts[number], wishes.top_k - (0 if number else len(wishes.pins))
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
        self._limit = wishes.max_per_source or 0
        self._sources = sources if wishes.max_per_source is not None else None
        self._used = np.zeros(
            0 if self._sources is None else self._sources.max(initial=-1) + 2, dtype=np.int64
        )
        self._near = near
        self._left_out: dict[int, int] = {}
        self._fallen: set[int] = set()
        self._risen: list[Ids] = []  # rows below one that was left out
        self._nearest: dict[int, Resembles] = {}  # the row above; of a row on the page, when it got there
        self._placed: set[int] = set()  # of the rows that may resemble others
        pinned = np.asarray(list(wishes.pins), dtype=np.int64)
        if self._sources is not None:
            self._used += np.bincount(self._sources[pinned] + 1, minlength=len(self._used))
        for row in wishes.pins:
            self._place(row)

    def fill(self, order: Ids, relevance: Floats, most: int) -> None:
        """Take the next rows of a block, at most so many. `relevance` falls: that of each place of the order."""
        room, worst = max(0, most), -1  # worst: place in the order of the rows that were taken
        for places in self._candidates(order, relevance):
            if not room:
                break
            if not len(places):
                continue
            taken = self._take(order[places], room)
            room -= taken
            if taken and len(places) == 1 and places[0] < worst and int(order[places[0]]) in self._nearest:
                self._fallen.add(int(order[places[0]]))
            worst = max(worst, int(places[-1])) if taken else worst

    def _take(self, rows: Ids, room: int) -> int:
        """Take as many of these rows as there is room for, and leave out what is over its source's limit."""
        if len(rows) == 1:
            return self._take_one(int(rows[0]))
        end, over = len(rows), np.zeros(len(rows), dtype=bool)
        if self._sources is not None:
            own = self._sources[rows]
            numbers = _numbers_of(own) + self._used[own + 1]
            over = (own >= 0) & (numbers > self._limit)
        taken = np.flatnonzero(~over)
        if len(taken) >= room:
            taken, end = taken[:room], int(taken[room - 1]) + 1
        out = np.flatnonzero(over[:end])
        before = bool(self._left_out)
        if self._sources is not None:
            self._used += np.bincount(self._sources[rows[:end]] + 1, minlength=len(self._used))
            self._left_out |= zip(rows[out].tolist(), numbers[out].tolist(), strict=True)
        if before or len(out):
            self._risen.append(rows[taken if before else taken[taken > out[0]]])
        self.rows.append(rows[taken])
        return len(taken)

    def _take_one(self, row: int) -> int:
        """Take a row, which may resemble others."""
        if self._sources is not None and self._sources[row] >= 0:
            self._used[self._sources[row] + 1] += 1
            number = int(self._used[self._sources[row] + 1])
            if number > self._limit:
                self._left_out[row] = number
                return 0
        own = np.asarray([row])
        if self._left_out:
            self._risen.append(own)
        self.rows.append(own)
        self._place(row)
        return 1

    def _candidates(self, order: Ids, relevance: Floats) -> Iterator[Ids]:
        """Places in the order, the next best for the page first: by themselves if a row may resemble others, else together.

        A row that resembles no other waits for none, so all such rows are in their order.
        """
        everything = np.arange(len(order))
        size = POOL * self._wishes.top_k
        is_near = np.zeros(0, dtype=bool) if self._near is None else np.isin(order[:size], self._near.rows)
        if not is_near.any():
            yield everything
            return
        weight = self._wishes.diversity
        costs = _from_0_to_1(relevance[:size]) * (weight - 1)
        free = np.flatnonzero(~is_near)
        waiting = [(costs[place], place) for place in np.flatnonzero(is_near).tolist()]
        waiting = [(cost + weight * self._similarity(int(order[place])), place) for cost, place in waiting]
        heapq.heapify(waiting)
        at = 0
        while waiting:
            cost, place = waiting[0]
            now = costs[place] + weight * self._similarity(int(order[place]))
            if now > cost:  # a row that it resembles was placed meanwhile: costs only grow
                heapq.heapreplace(waiting, (now, place))
                continue
            same = slice(*(int(np.searchsorted(costs[free], now, side)) for side in ("left", "right")))
            until = same.start + int(np.searchsorted(free[same], place))
            if until > at:
                yield free[at:until]
                at = until
                continue  # nothing of that changes a cost
            heapq.heappop(waiting)
            yield everything[place : place + 1]
        yield np.concatenate([free[at:], everything[size:]])

    def _similarity(self, row: int) -> float:
        nearest = self._nearest.get(row)
        return 0.0 if nearest is None else nearest.similarity

    def _place(self, row: int) -> None:
        """The rows that resemble this one count from now on how much."""
        if self._near is None:
            return
        self._placed.add(row)
        for other in self._near.to(row):
            if other.row not in self._placed and other.similarity > self._similarity(other.row):
                self._nearest[other.row] = Resembles(row, other.similarity)

    def finish(self, plain: Ids) -> Composed:
        """Put the pinned rows in; `plain` is the place of each row without composition."""
        pins, shifts = self._wishes.pins, self._wishes.shifts
        listed: list[int] = np.concatenate([np.zeros(0, dtype=np.int64), *self.rows]).tolist()
        for row, place in sorted(pins.items(), key=lambda pin: (pin[1], pin[0])):
            listed.insert(place - 1, row)
        rows = np.asarray(listed, dtype=np.int64)
        in_order = rows < len(plain)
        moved = np.zeros(len(rows), dtype=np.int64)
        moved[in_order] = plain[rows[in_order]] - np.flatnonzero(in_order) - 1
        by = np.full(len(rows), None, dtype=object)
        by[moved != 0] = "shifted"
        if self._risen:
            by[(moved > 0) & np.isin(rows, np.concatenate(self._risen))] = "source_limit"
        for row in self._fallen:
            at = listed.index(row)
            by[at] = "diversity" if moved[at] < 0 else by[at]
        for row in (*shifts, *pins):
            if row in listed:
                by[listed.index(row)] = "pin" if row in pins else "boost" if shifts[row] > 0 else "demote"
        places: list[int | None] = [*moved.tolist()]
        for at in np.flatnonzero(~in_order).tolist():
            places[at] = None
        return Composed(listed, by.tolist(), places, self._left_out, self._nearest)


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
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    lengths = np.append(begins[1:], len(values)) - begins
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
        self._ids = np.asarray(sorted(signatures), dtype=np.int64)
        content = b"".join(signatures[document_id] for document_id in self._ids.tolist())
        self._values = np.frombuffer(content, dtype="<u4").reshape(len(self._ids), PLACES)
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
        self._starts = np.searchsorted(owners[by_owner], np.arange(len(self._ids) + 1))

    def among(self, rows: Ids, document_ids: Ids) -> "Near | None":
        """Those of these rows, with their documents, that may resemble one another; None if none do."""
        if not len(self._ids):
            return None
        at = np.minimum(np.searchsorted(self._ids, document_ids), len(self._ids) - 1)
        signed = self._ids[at] == document_ids
        rows, at = rows[signed], at[signed]
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
        return Near(rows[enough], self._values[at[enough]])


class Near:
    """Rows of a topic that may resemble one another."""

    def __init__(self, rows: Ids, values: npt.NDArray[np.uint32]) -> None:
        self.rows = rows
        self._values = np.ascontiguousarray(values.T)  # (PLACES, rows)
        self._at = {row: at for at, row in enumerate(rows.tolist())}

    def to(self, row: int) -> list[Resembles]:
        """The rows that a row resembles."""
        at = self._at.get(row)
        if at is None:
            return []
        same = self._values == self._values[:, at : at + 1]
        similarity = same.view(np.uint8).sum(axis=0, dtype=np.uint8) / PLACES
        near = np.flatnonzero(similarity >= LEAST_SIMILARITY)
        return [
            Resembles(int(self.rows[other]), float(similarity[other]))
            for other in near.tolist()
            if other != at
        ]
