"""What the contract says of one column."""

from dataclasses import dataclass
from typing import Literal

# fixed     name, type, meaning and nulls stay
# grows     as fixed, and further values may come
# relative  as fixed, but numbers are comparable only within one scorer, or within one page
# open      for people who look for a fault: may change or go
Promise = Literal["fixed", "grows", "relative", "open"]


@dataclass(frozen=True)
class Column:
    """A column of a view or a file, or a key of a JSON object."""

    name: str
    type: str  # as Postgres names it; "object", or "list of objects", in JSON alone
    meaning: str  # Markdown
    null: str = ""  # what null means; empty: the value is never null
    unit: str = ""  # empty: the value has no unit
    promise: Promise = "fixed"
