"""Drift: whether a run's logits are spread like those of earlier runs under the same scorer.

The population stability index (Siddiqi, *Credit Risk Scorecards*, 2006, ch. 11; its distribution in Yurdakul, *Statistical
Properties of Population Stability Index*, 2018). The baseline's quantiles cut the line into bins; with p the share of the
baseline in a bin and q that of the run,

    PSI = Σ (q − p) · ln(q / p)

A share of zero is taken as EPSILON, so that an empty bin counts much and not infinitely. Equal distributions give
about (BINS − 1) · (1/n + 1/m) by chance: 0.04 with 500 pairs a side. Drift only warns, because news changes, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rerank_core.storage.artifacts import Ids

BINS = 10
EPSILON = 1e-4  # least share of a bin
LEAST_PAIRS = 500  # a side, of all topics together
TOPIC_BINS = 5
TOPIC_PAIRS = 50  # a side, of one topic: enough for a coarse chart
ENOUGH = 20_000  # pairs of a baseline; its last run may exceed them
SHIFT = 0.25  # an index of at least this means that the distribution has shifted (Siddiqi)

Logits = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Drift:
    """How far a run's logits are from the baseline."""

    psi: float | None  # over all topics; None: too few pairs on a side
    pairs: int  # of the run
    baseline_pairs: int
    topics: Mapping[str, float | None]  # by slug; None: too few pairs on a side


def index(baseline: Logits, found: Logits, *, bins: int = BINS) -> float:
    """The population stability index of `found` against `baseline`. Both are finite, in any order, and not empty."""
    inner = np.unique(np.quantile(baseline, np.linspace(0, 1, bins + 1)[1:-1]))
    shares = [
        np.maximum(
            np.bincount(np.searchsorted(inner, logits, side="left"), minlength=len(inner) + 1) / len(logits),
            EPSILON,
        )
        for logits in (baseline, found)
    ]
    before, now = shares
    return float(((now - before) * np.log(now / before)).sum())


def measure(
    *,
    baseline_query_ids: Ids,
    baseline: Logits,
    query_ids: Ids,
    found: Logits,
    topics: Mapping[str, list[int]],
) -> Drift:
    """The drift of all topics together and of each topic.

    The two arrays of a side are aligned. `topics` gives the query ids of each topic, by slug.
    """
    before_of, now_of = _by_query(baseline_query_ids, baseline), _by_query(query_ids, found)
    each: dict[str, float | None] = {}
    for slug, queries in topics.items():
        before, now = (
            np.concatenate([np.zeros(0), *(side[query] for query in queries if query in side)])
            for side in (before_of, now_of)
        )
        few = min(len(before), len(now)) < TOPIC_PAIRS
        each[slug] = None if few else index(before, now, bins=TOPIC_BINS)
    few = min(len(baseline), len(found)) < LEAST_PAIRS
    return Drift(None if few else index(baseline, found), len(found), len(baseline), each)


def _by_query(query_ids: Ids, logits: Logits) -> dict[int, Logits]:
    order = np.argsort(query_ids, kind="stable")
    queries, starts = np.unique(query_ids[order], return_index=True)
    return dict(zip(queries.tolist(), np.split(logits[order], starts[1:]), strict=True)) if len(order) else {}
