"""Invented lists of pairs whose readers' taste is known: states, a base head, and opens under position bias."""

from dataclasses import dataclass

import numpy as np

from rerank_core.learning.tune import Floats, Lists

HIDDEN = 24


@dataclass(frozen=True)
class World:
    """What one newsroom's readers did with earlier articles, and with later ones of the same topics."""

    train: Lists
    held: Lists
    base: Floats
    taste: Floats  # what readers' log interest is, over the states


def make_world(
    seed: int,
    *,
    taste: float = 1.0,
    follows_base: float = 1.0,
    topics: int = 16,
    per_topic: int = 25,
    crowd: float = 2_000.0,
    debiased: bool = True,
    wrong_power: float = 0.0,
) -> World:
    """`taste` is how much readers like what the base does not see; 0: they like nothing of it. `follows_base`: what it does see.

    Examination falls as rank^−0.7. Without `debiased`, the exposure is impressions alone. `wrong_power`: examination was
    measured with an exponent that is wrong by so much, as an unlucky fit would.
    """
    rng = np.random.default_rng(seed)
    pairs = topics * per_topic
    states = rng.normal(size=(pairs, HIDDEN))
    states[:, 1] += 3.0  # states have a common part
    base, liked = np.zeros(HIDDEN), np.zeros(HIDDEN)
    base[0], base[1] = 2.0, 0.3
    liked[0], liked[2] = 0.4 * follows_base, 0.7 * taste
    number = np.repeat(np.arange(topics), per_topic)
    order = np.lexsort((-(states @ base), number))
    rank = np.empty(pairs)
    rank[order] = np.tile(np.arange(per_topic), topics) + 1.0
    impressions = rng.poisson(crowd, pairs) + 1.0
    later = rng.random(pairs) < 0.4
    opens = rng.poisson(impressions * rank**-0.7 * 0.03 * np.exp(states @ liked)).astype(float)
    exposure = impressions * rank ** -(0.7 + wrong_power) if debiased else impressions
    lists = Lists(states, number, opens, exposure, impressions)
    return World(lists.of(~later), lists.of(later), base, liked)


def agreement(lists: Lists, scores: Floats, truth: Floats) -> float:
    """Mean over topics of Spearman's correlation between these scores and what readers like."""
    found = []
    for number in np.unique(lists.topics):
        own = lists.topics == number
        ranks = [np.argsort(np.argsort(values[own])) for values in (scores, lists.states @ truth)]
        found.append(np.corrcoef(*ranks)[0, 1])
    return float(np.mean(found))
