"""What a check of the doctor is, and what it finds: apart, because `examine.py` imports the checks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from rerank_core.settings import Settings

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    state: State  # fail: a run on this host would go wrong; warn: some stages would, or soon will
    found: str  # one sentence
    advice: str = ""  # what to do; empty if nothing is to be done
    stops_runs: bool = True  # of a failure; false: a run still makes a page, with something wrong on it


Check = Callable[[Settings], Finding | None]  # None: there is nothing to check
