"""Maximal marginal relevance: rows in an order that puts off what resembles the rows before it. It is pure.

The next row is the one with the highest

    λ × relevance − (1 − λ) × similarity to the most similar row that was placed,  λ = 1 − weight

(Carbonell and Goldstein, "The use of MMR, diversity-based reranking for reordering documents and producing summaries",
SIGIR 1998). Composition and briefs ask by it.
"""

import heapq
from bisect import bisect_left
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Resembles:
    """The row before that a row is most similar to."""

    row: int
    similarity: float  # 0..1


class MarginalRelevance:
    """What was placed so far, and what each row that is left resembles."""

    def __init__(
        self,
        weight: float,
        near: Callable[[int], Iterable[tuple[int, float]]],
        comparable: Container[int],
    ) -> None:
        """`weight` is 1 − λ. `near` gives the rows that a row resembles, and how much; it is asked once a placed row.

        A row that is not `comparable` resembles none, so it waits for none.
        """
        self.nearest: dict[int, Resembles] = {}  # the row before; of a placed row, when it was placed
        self._weight = weight
        self._near = near
        self._comparable = comparable
        self._placed: set[int] = set()

    def place(self, row: int) -> None:
        """The rows that resemble this one count from now on how much. Equal similarities keep the row that came first."""
        if row not in self._comparable:
            return
        self._placed.add(row)
        for other, similarity in self._near(row):
            known = self.nearest.get(other)
            if other not in self._placed and (known is None or similarity > known.similarity):
                self.nearest[other] = Resembles(row, similarity)

    def order(self, rows: Sequence[int], relevance: Sequence[float]) -> Iterator[int]:
        """Positions in `rows`, the best first; each comes once. `relevance` falls. Ties go to the earlier position.

        Whoever takes a row calls `place`; a row that nobody places puts off no other row.
        """
        costs = [(self._weight - 1) * value for value in relevance]
        waiting = [
            (self._cost(costs, rows, position), position)
            for position, row in enumerate(rows)
            if row in self._comparable
        ]
        own, at = {position for _, position in waiting}, 0
        heapq.heapify(waiting)
        free = [(cost, position) for position, cost in enumerate(costs) if position not in own]
        while waiting:
            cost, position = waiting[0]
            now = self._cost(costs, rows, position)
            if now > cost:  # a row that it resembles was placed meanwhile: costs only grow
                heapq.heapreplace(waiting, (now, position))
                continue
            until = bisect_left(free, (now, position), at)
            yield from (before for _, before in free[at:until])  # they change no cost
            at = until
            heapq.heappop(waiting)
            yield position
        yield from (after for _, after in free[at:])

    def _cost(self, costs: Sequence[float], rows: Sequence[int], position: int) -> float:
        """What speaks against the row at this position now."""
        nearest = self.nearest.get(rows[position])
        return costs[position] + (self._weight * nearest.similarity if nearest else 0.0)
