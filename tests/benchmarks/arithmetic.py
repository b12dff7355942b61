"""From timed rounds to the numbers of the table; pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.contenders import Result


@dataclass
class Measured:
    """All rounds of one contender on one workload."""

    contender: str
    workload: str
    seconds: list[float] = field(default_factory=list)  # a round
    cpu_seconds: list[float] = field(default_factory=list)
    prompt_tokens: int = 0
    computed_tokens: int = 0  # padding included
    cached_tokens: int = 0
    flops: float = 0.0
    logits: list[float] = field(default_factory=list)  # of the last round

    def add(self, result: Result) -> None:
        """Take one round in; counts are the last round's, they do not change between rounds."""
        self.seconds.append(result.seconds)
        self.cpu_seconds.append(result.cpu_seconds)
        self.prompt_tokens = sum(result.prompt_tokens)
        self.cached_tokens = sum(result.cached_tokens)
        self.computed_tokens = self.prompt_tokens - self.cached_tokens + result.padding
        self.logits = result.logits


@dataclass(frozen=True)
class Row:
    """One contender on one workload, beside ours."""

    workload: str
    contender: str
    pairs: int
    pairs_per_second: float  # median of the rounds
    prompt_tokens: int
    computed_tokens: int
    cached_tokens: int
    ratio: float  # ours ÷ theirs in pairs per second, median over the rounds
    ratio_low: float
    ratio_high: float
    cpu_ratio: (
        float | None
    )  # theirs ÷ ours in processor time, median over the rounds; none where it was not taken
    allowed: float  # theirs ÷ ours in computed tokens: the ratio if every token cost the same
    ceiling_share: float | None  # of the machine's matrix-multiply speed in this precision
    difference: float | None  # largest in logit from the float32 reference


def compare(
    measured: Sequence[Measured], *, ceiling: float | None, reference: Mapping[str, Mapping[int, float]]
) -> list[Row]:
    """Rows in the given order. `ceiling` in operations a second; `reference`: workload → place → logit."""
    ours = {entry.workload: entry for entry in measured if entry.contender == "ours"}
    rows = []
    for entry in measured:
        mine = ours[entry.workload]
        low, middle, high = spread(ratios(mine.seconds, entry.seconds))
        seconds = median(entry.seconds)
        pairs = len(entry.logits)
        known = reference.get(entry.workload, {})
        rows.append(
            Row(
                workload=entry.workload,
                contender=entry.contender,
                pairs=pairs,
                pairs_per_second=pairs / seconds,
                prompt_tokens=entry.prompt_tokens,
                computed_tokens=entry.computed_tokens,
                cached_tokens=entry.cached_tokens,
                ratio=middle,
                ratio_low=low,
                ratio_high=high,
                cpu_ratio=median(ratios(mine.cpu_seconds, entry.cpu_seconds))
                if all(mine.cpu_seconds)
                else None,
                allowed=entry.computed_tokens / mine.computed_tokens,
                ceiling_share=entry.flops / seconds / ceiling if ceiling and entry.flops else None,
                difference=max((abs(entry.logits[n] - v) for n, v in known.items()), default=None),
            )
        )
    return rows


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """How many times faster ours was, round by round."""
    return [their / our for our, their in zip(ours, theirs, strict=True)]


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Least, median and largest."""
    return min(values), median(values), max(values)
