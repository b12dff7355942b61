"""Whether a learned head may be proposed. Each check has a sentence that says by how much it passed or failed.

**Readers.** Heads that learned from earlier pages are asked about articles that came later, each topic by a head that has not learned
from it (cross-fitting: Chernozhukov et al., Econometrics Journal 21, 2018). Does the change of a logit go with opens that the base
does not explain? Of a topic that is the effective score U = Σ (opens − expected opens) × change. The expected opens follow from
exposure, from a bent line over the base's logits, and from examination; what these explain is taken out of the change, too. So a
wrongly measured position, which goes with the base's rank, is no preference.

A topic's opens go together, so topics are the units. Under no preference the sign of each U is chance, whatever its size. So the sum of
U is tested by flipped signs: it must be above 0 at p ≤ 0.05, two-sided as everywhere here (sign-flipped scores: Hemerik, Goeman and
Finos, JRSS B 82, 2020; over topics: Smucker, Allan and Carterette 2007). The likelihood of the opens must rise.

**Canary.** It keeps its order, with half the base's least margin. **Judgements** at hand: nDCG@10 is at most 0.01 worse.
**Spread.** Logits keep their meaning: their standard deviation is half to twice the base's, and their mean moves by half of it at most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rerank_core.evaluation.evaluate import SEED, Order, compare, measure
from rerank_core.evaluation.judgements import Judgements
from rerank_core.learning.tune import Floats, Folds, Lists, told

P_VALUE = 0.05
KNOTS = 4  # of the bent line over the base's logits
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


def readers(held: Lists, base: Floats, folds: Folds) -> Check:
    """Whether readers of articles that were not learned from like the change. `base` has shape (hidden,)."""
    held = told(held)
    topics = held.topics[held.starts].tolist()
    if len(topics) < 2 or not folds.anchor:
        why = "the base explains the opens best: nothing was learned"
        if folds.anchor:
            why = f"{len(topics)} topics have held-out opens on two articles"
        return Check("readers", False, f"{why}; 2 topics and a change are needed", {"topics": len(topics)})
    heads = folds.changes[[folds.of_topic.get(topic, 0) for topic in held.topics.tolist()]]
    scores, gain = _beyond_base(held, held.states @ base, folds.slope * (held.states * heads).sum(axis=1))
    p, difference = compare(scores, np.random.default_rng(SEED)).p, float(scores.sum() / held.opens.sum())
    above = int((scores > 0).sum())
    return Check(
        "readers",
        bool(difference > 0 and p <= P_VALUE and gain > 0),
        f"in {above} of {len(topics)} topics readers follow what other topics taught; the difference is {difference:+.4f} an open,"
        f" p = {p:.4f}, log-likelihood {gain:+.4f} an open; needed are above 0, p ≤ {P_VALUE:g}, and above 0",
        {
            "topics": len(topics),
            "topics_above": above,
            "difference": difference,
            "p": p,
            "gain_an_open": gain,
        },
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


def _beyond_base(held: Lists, logits: Floats, moves: Floats) -> tuple[Floats, float]:
    """U of each topic, and the log-likelihood for each open that the moves add to what is known without them."""
    starts, sizes = held.starts, np.diff(np.r_[held.starts, len(logits)])
    opens = np.repeat(np.add.reduceat(held.opens, starts), sizes)
    known = _known(held, logits)
    explained = np.zeros(known.shape[1])
    for _ in range(50):  # Newton's method
        share = _share(np.log(held.exposure) + known @ explained, starts, sizes)
        centred = known - np.repeat(np.add.reduceat(share[:, None] * known, starts, axis=0), sizes, axis=0)
        expected = opens * share
        bend = (centred.T * expected) @ centred + 1e-6 * np.eye(len(explained)) * max(held.opens.sum(), 1.0)
        step = np.linalg.solve(bend, known.T @ (held.opens - expected))
        explained = explained + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-7:
            break
    moves = moves - np.repeat(np.add.reduceat(share * moves, starts), sizes)
    moves = moves - centred @ np.linalg.solve(bend, (centred.T * expected) @ moves)
    moved = _share(np.log(np.maximum(share, 1e-300)) + moves, starts, sizes)
    gain = float((held.opens * np.log(np.maximum(moved, 1e-300) / np.maximum(share, 1e-300))).sum())
    scores = np.asarray(np.add.reduceat((held.opens - expected) * moves, starts))
    return scores, gain / max(float(held.opens.sum()), 1.0)


def _known(held: Lists, logits: Floats) -> Floats:
    """What is known of a pair without the change, as columns: a line over its logit that bends at KNOTS, and its examination."""
    order = np.argsort(logits, kind="stable")
    seen = np.cumsum(held.exposure[order])
    places = np.searchsorted(seen, np.arange(1, KNOTS + 1) / (KNOTS + 1) * seen[-1])
    bends = [np.maximum(logits - knot, 0) for knot in logits[order[places]]]
    known = np.stack([logits, *bends, np.log(held.exposure / held.impressions)], axis=1)
    return np.asarray((known - known.mean(axis=0)) / np.maximum(known.std(axis=0), 1e-9))


def _share(raised: Floats, starts: np.ndarray, sizes: np.ndarray) -> Floats:
    raised = np.exp(raised - np.repeat(np.maximum.reduceat(raised, starts), sizes))
    return np.asarray(raised / np.repeat(np.add.reduceat(raised, starts), sizes))
