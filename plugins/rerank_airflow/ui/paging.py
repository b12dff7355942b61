"""Cutting a long list into pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Query

ROWS = 50
Page = Annotated[int, Query(ge=1, le=100_000)]


class Counted(Protocol):
    """A row that knows how many there are on all pages."""

    @property
    def total(self) -> int: ...


@dataclass(frozen=True)
class Pages:
    """Where a list stands: page `at` of `last`, rows `first` to `until` of `total`."""

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


def pages(found: Sequence[Counted], *, at: int, size: int = ROWS) -> Pages:
    """The pages of what a query with LIMIT and OFFSET found."""
    return Pages(at=at, size=size, total=found[0].total if found else 0)
