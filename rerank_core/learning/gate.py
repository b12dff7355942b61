"""Whether a learned head may be proposed. Each check has a sentence that says by how much it passed or failed.

**Readers.** Of pairs that the head has not learned from: does the change of a logit go with opens that the base does not explain? Per
topic that is the score U = Σ (opens − expected opens) × change, where the expected opens follow from exposure and from what the
base's logits explain, straight or bent. So a wrongly measured position, which goes with the base's rank, does not
count as a preference. The mean of U over topics must be above 0, by a paired randomisation test (Smucker, Allan and Carterette
2007) at p ≤ 0.05 and by 2.5 standard errors; and the likelihood of the opens must rise. This is Rao's score test, made robust
by its sum over topics (White 1982).

**Canary.** It keeps its order, with half the base's least margin. **Judgements** at hand: nDCG@10 is at most 0.01 worse.
**Spread.** Logits keep their meaning: their standard deviation is half to twice the base's, and their mean moves by half of it at most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rerank_core.evaluation.evaluate import SEED, Order, compare, measure
from rerank_core.evaluation.judgements import Judgements
from rerank_core.learning.tune import Floats, Lists, fit_slope, likelihood, told

P_VALUE = 0.05
STANDARD_ERRORS = 2.5
CANARY_SHARE = 0.5  # of the base's margin
WORSE_JUDGED = 0.01  # nDCG@10
LEAST_SPREAD, MOST_SPREAD = 0.5, 2.0  # standard deviation, beside the base's
MEAN_MOVE = 0.5  # of the mean, in the base's standard deviations


@dataclass(frozen=True)
class Check:
    """One question to a head, and the answer."""

    name: str
    passed: bool
    sentence: str  # which figure, and the figure that was needed
    figures: Mapping[str, float]


def readers(held: Lists, base: Floats, change: Floats) -> Check:
    """Whether readers of pairs that were not learned from like the change. `base` and `change` have shape (hidden,)."""
    held = told(held)
    scores = _topic_scores(held, base, change)
    count = len(scores)
    if count < 2 or not change.any():
        why = (
            "the base explains the opens best: nothing was learned"
            if count >= 2
            else f"{count} topic has opens"
        )
        return Check("readers", False, f"{why}; at least 2 topics and a change are needed", {"topics": count})
    error = float(scores.std(ddof=1) / np.sqrt(count))
    z = float(scores.mean() / error) if error else 0.0
    two_sided = compare(scores, np.random.default_rng(SEED)).p
    p = two_sided / 2 if z > 0 else 1 - two_sided / 2
    slope = fit_slope(held, held.states @ base)
    gain = likelihood(held, slope * (held.states @ (base + change))) - likelihood(
        held, slope * (held.states @ base)
    )
    gain /= max(held.opens.sum(), 1.0)
    passed = bool(z >= STANDARD_ERRORS and p <= P_VALUE and gain > 0)
    return Check(
        "readers",
        passed,
        f"over {count} topics the difference is {z:+.2f} standard errors, p = {p:.4f}, log-likelihood {gain:+.5f} an open;"
        f" needed are {STANDARD_ERRORS:g} or more, p ≤ {P_VALUE:g}, and above 0",
        {"topics": count, "standard_errors": z, "p": p, "gain_an_open": gain},
    )


def canary(cases: Sequence[Floats], base: Floats, change: Floats) -> Check:
    """`cases` are the states of each canary case, of shape (documents, hidden), from the best document to the worst."""
    before, after = (
        min(better - worse for case in cases for better, worse in pairwise((case @ head).tolist()))
        for head in (base, base + change)
    )
    needed = CANARY_SHARE * before
    return Check(
        "canary",
        bool(after > 0 and after >= needed),
        f"the least margin is {after:.3f}; needed is {max(needed, 0):.3f}, half the base's {before:.3f}",
        {"margin": after, "margin_before": before},
    )


def judgements(
    states: Mapping[str, Mapping[str, Floats]], judged: Judgements, base: Floats, change: Floats
) -> Check:
    """`states`: topic → article → state, of what judgements know. Without judgements the check passes, and says so."""
    topics = [topic for topic in sorted(states) if any(grade > 0 for grade in judged.get(topic, {}).values())]
    if not topics:
        return Check("judgements", True, "there are none at hand", {"topics": 0})
    means = []
    for head in (base, base + change):
        scores = {
            topic: {article: float(state @ head) for article, state in states[topic].items()}
            for topic in topics
        }
        values = measure(Order("", scores, judged), topics)
        means.append(float(np.mean([values[topic]["nDCG@10"] for topic in topics])))
    before, after = means
    return Check(
        "judgements",
        after - before >= -WORSE_JUDGED,
        f"nDCG@10 of {len(topics)} judged topics is {after:.4f}, the base's {before:.4f}: {after - before:+.4f}; needed is"
        f" −{WORSE_JUDGED:g} or more",
        {"topics": len(topics), "ndcg": after, "ndcg_before": before},
    )


def spread(states: Floats, base: Floats, change: Floats) -> Check:
    """`states` are those of all pairs, of shape (pairs, hidden)."""
    before, after = states @ base, states @ (base + change)
    scale = float(before.std()) or 1.0
    ratio, move = float(after.std()) / scale, float(after.mean() - before.mean()) / scale
    return Check(
        "spread",
        LEAST_SPREAD <= ratio <= MOST_SPREAD and abs(move) <= MEAN_MOVE,
        f"the standard deviation is {ratio:.2f} of the base's, the mean moves by {move:+.2f} of it; needed are"
        f" {LEAST_SPREAD:g} to {MOST_SPREAD:g}, and {MEAN_MOVE:g} at most",
        {"ratio": ratio, "move": move},
    )


def refusal(checks: Sequence[Check]) -> str | None:
    """A sentence that names each check that failed; None if all passed."""
    failed = [f"{check.name}: {check.sentence}" for check in checks if not check.passed]
    return "; ".join(failed) or None


def _topic_scores(held: Lists, base: Floats, change: Floats) -> Floats:
    """U of each topic: opens beyond what exposure and the base explain, times the change beyond the base's."""
    logits, moves = held.states @ base, held.states @ change
    starts, sizes = held.starts, np.diff(np.r_[held.starts, len(logits)])
    opens = np.repeat(np.add.reduceat(held.opens, starts), sizes)
    known = np.stack([logits, logits**2], axis=1)
    known = (known - known.mean(axis=0)) / np.maximum(known.std(axis=0), 1e-9)
    bent = np.zeros(2)
    for _ in range(50):  # the base's logits, straight and bent, as far as they explain the opens
        share = _share(np.log(held.exposure) + known @ bent, starts, sizes)
        centred = known - np.repeat(np.add.reduceat(share[:, None] * known, starts, axis=0), sizes, axis=0)
        weights = opens * share
        bend = (centred.T * weights) @ centred + 1e-6 * np.eye(2) * max(opens.sum(), 1.0)
        step = np.linalg.solve(bend, known.T @ (held.opens - weights))
        bent = bent + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-7:
            break
    moves = moves - np.repeat(np.add.reduceat(share * moves, starts), sizes)
    moves = moves - centred @ np.linalg.solve(bend, (centred.T * weights) @ moves)
    return np.asarray(np.add.reduceat((held.opens - weights) * moves, starts))


def _share(raised: Floats, starts: np.ndarray, sizes: np.ndarray) -> Floats:
    raised = np.exp(raised - np.repeat(np.maximum.reduceat(raised, starts), sizes))
    return np.asarray(raised / np.repeat(np.add.reduceat(raised, starts), sizes))
