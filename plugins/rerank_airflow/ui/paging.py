"""Long lists, shown one part at a time. The address calls the number of a part `page`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Query

ROWS = 50
PartNumber = Annotated[int, Query(ge=1, le=100_000)]


class Counted(Protocol):
    """A row that knows how many rows the whole list has."""

    @property
    def total(self) -> int: ...


@dataclass(frozen=True)
class Part:
    """A part of a list: number `at` of `last`, rows `first` to `until` of `total`."""

    at: int
    size: int
    total: int

    @property
    def last(self) -> int:
        return max(1, -(-self.total // self.size))

    @property
    def first(self) -> int:
        return min(self.total, (self.at - 1) * self.size + 1)

    @property
    def until(self) -> int:
        return min(self.total, self.at * self.size)


def part(rows: Sequence[Counted], *, at: int, size: int = ROWS) -> Part:
    """The part that a query with LIMIT and OFFSET has read."""
    return Part(at=at, size=size, total=rows[0].total if rows else 0)
