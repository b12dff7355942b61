"""Propose a `min_score` for each topic from judgements.

The rule looks at a topic's judged pairs that have a logit. It takes the threshold with the best F1, halfway between two
neighbouring logits. If a precision is asked for, it takes the lowest threshold at which the judged pairs at or above it
reach that precision. The interval is the 2.5 and 97.5 percentile over resamples of the judged pairs. If too few pairs are
judged, nothing is proposed: a threshold from a handful of pairs says more about the handful.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rerank_core.errors import InputError
from rerank_core.evaluation.evaluate import RESAMPLES, SEED, Order
from rerank_core.evaluation.judgements import RELEVANT

LEAST_EACH = 5  # judged pairs that are relevant, and as many that are not

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Proposal:
    """A topic's threshold, or the reason why none is proposed."""

    topic: str
    relevant: int  # judged pairs with a logit
    other: int  # of these, not relevant
    min_score: float | None = None
    low: float | None = None  # of the 95 % interval
    high: float | None = None
    precision: float | None = None  # of the judged pairs at or above min_score
    recall: float | None = None  # of the relevant judged pairs
    reason: str | None = None  # why none is proposed


def calibrate(order: Order, *, precision: float | None = None) -> list[Proposal]:
    """One proposal for each judged topic, in order of the slugs.

    Raises InputError if `precision` is not in (0, 1], or if no topic has enough judgements.
    """
    if precision is not None and not 0 < precision <= 1:
        raise InputError(f"precision {precision} is not above 0 and at most 1; give a share such as 0.8")
    rng = np.random.default_rng(SEED)
    found = [
        _propose(topic, order.scores.get(topic, {}), judged, precision, rng)
        for topic, judged in sorted(order.judgements.items())
    ]
    if not any(proposal.min_score is not None for proposal in found):
        reasons = (
            "; ".join(f"{proposal.topic}: {proposal.reason}" for proposal in found[:3])
            or "no topic is judged"
        )
        raise InputError(f"nothing can be proposed: {reasons}")
    return found


def _propose(
    topic: str,
    scores: Mapping[str, float],
    judged: Mapping[str, int],
    precision: float | None,
    rng: np.random.Generator,
) -> Proposal:
    articles = [article for article in judged if article in scores]
    logit = np.asarray([scores[article] for article in articles], dtype=np.float64)
    relevant = np.asarray([judged[article] >= RELEVANT for article in articles], dtype=bool)
    counts = int(relevant.sum()), int((~relevant).sum())
    if min(counts) < LEAST_EACH:
        reason = f"{counts[0]} relevant and {counts[1]} other judged pairs have a score; {LEAST_EACH} of each are needed"
        return Proposal(topic, *counts, reason=reason)
    threshold = _threshold(logit, relevant, precision)
    if threshold is None:
        return Proposal(topic, *counts, reason=f"no threshold reaches a precision of {precision:g}")
    resampled = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(0, len(logit), len(logit))
        again = _threshold(logit[drawn], relevant[drawn], precision)
        if again is not None:
            resampled.append(again)
    low, high = np.percentile(resampled, [2.5, 97.5])
    kept = logit >= threshold
    hits = int((kept & relevant).sum())
    return Proposal(
        topic,
        *counts,
        min_score=threshold,
        low=float(low),
        high=float(high),
        precision=hits / int(kept.sum()),
        recall=hits / counts[0],
    )


def _threshold(logit: Floats, relevant: Mask, precision: float | None) -> float | None:
    """The threshold that the rule names, rounded to 0.01 within its gap; None if no threshold reaches the precision."""
    if not relevant.any():
        return None
    order = np.argsort(-logit, kind="stable")
    falling = logit[order]
    hits = np.cumsum(relevant[order])
    kept = np.arange(1, len(order) + 1)
    ends = np.append(falling[1:] < falling[:-1], True)  # pairs with one logit are kept or cut together
    if precision is None:
        value = np.where(ends, 2 * hits / (kept + hits[-1]), -1.0)
        place = int(value.argmax())
    else:
        enough = np.flatnonzero(ends & (hits / kept >= precision))
        if not len(enough):
            return None
        place = int(enough[-1])
    above = float(falling[place])
    below = float(falling[place + 1]) if place + 1 < len(falling) else above - 1.0
    middle = (above + below) / 2
    rounded = round(middle, 2)
    return rounded if below < rounded <= above else middle


def snippet(proposals: Sequence[Proposal], *, rule: str) -> str:
    """Lines for topics.yaml: the min_score of each topic, to put beside the topic's other fields."""
    lines = [f"# min_score (logit) by {rule}", "topics:"]
    for proposal in proposals:
        lines.append(f"  - slug: {proposal.topic}")
        if proposal.min_score is None:
            lines.append(f"    # min_score: none proposed: {proposal.reason}")
            continue
        lines.append(
            f"    min_score: {round(proposal.min_score, 4):g}   # 95 % interval {proposal.low:.2f} to {proposal.high:.2f}; precision"
            f" {proposal.precision:.2f}, recall {proposal.recall:.2f} of {proposal.relevant} relevant and {proposal.other} other pairs"
        )
    return "\n".join(lines)
