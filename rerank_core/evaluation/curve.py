"""How many tokens a document deserves: quality and cost of one model at several token limits.

The same pairs are scored again at each limit. Nothing of that goes into the ledger.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from rerank_core.errors import InputError
from rerank_core.evaluation.evaluate import SEED, Comparison, Order, compare, report
from rerank_core.models.base import OnChunk, ScoredChunk, Scorer
from rerank_core.records import Pair
from rerank_core.storage.pair_texts import PairTexts

MEASURE = "nDCG@10"
LEAST_TOKENS, MOST_TOKENS = 8, 32_768
MOST_LIMITS = 12


@dataclass
class Cost:
    """What scoring took."""

    pairs: int = 0  # scored
    cut: int = 0  # pairs of these whose document did not fit
    prompt_tokens: int = 0
    cached_tokens: int = 0
    seconds: float = 0.0  # of wall time in the scorer

    def add(self, chunk: ScoredChunk) -> None:
        """Count a chunk of scores."""
        self.seconds += chunk.seconds
        self.pairs += len(chunk.scores)
        self.cut += sum(score.truncated for score in chunk.scores)
        self.prompt_tokens += sum(score.prompt_tokens for score in chunk.scores)
        self.cached_tokens += sum(score.cached_tokens for score in chunk.scores)


@dataclass(frozen=True)
class Point:
    """One token limit."""

    tokens: int  # of a document, at most
    ndcg: float
    low: float  # 95 % interval of the mean over topics
    high: float
    against_most: Comparison | None  # this limit minus the largest; None for the largest itself
    pairs: int
    cut_share: float  # of the pairs, 0 to 1
    computed_tokens: float  # a pair
    cached_tokens: float  # a pair
    pairs_per_second: float | None  # None if the engine does not tell its time


def parse_limits(text: str) -> tuple[int, ...]:
    """`tokens=64,128,256` → (64, 128, 256), each once, in order. Raises InputError for any other text."""
    name, _, listed = text.partition("=")
    numbers = [part.strip() for part in listed.split(",")]
    if name.strip() != "tokens" or not all(number.isdecimal() and len(number) < 7 for number in numbers):
        raise InputError(f"curve {text!r} is no list of token limits; write e.g. tokens=64,128,256,512")
    limits = tuple(sorted({int(number) for number in numbers}))
    if limits[0] < LEAST_TOKENS or limits[-1] > MOST_TOKENS or len(limits) > MOST_LIMITS:
        raise InputError(
            f"curve {text!r}: give at most {MOST_LIMITS} limits, from {LEAST_TOKENS} to {MOST_TOKENS:,} tokens"
        )
    return limits


def curve(
    limits: Sequence[int], load: Callable[[int], Scorer], order_by: Callable[[Scorer, OnChunk], Order]
) -> list[Point]:
    """Quality and cost at each limit, the smallest first.

    `load` opens the scorer of a limit. `order_by` scores the pairs with it, and tells of each chunk. Raises what these raise,
    and InputError if the judgements name no topic that is ranked.
    """
    orders, costs = [], []
    for limit in limits:
        cost = Cost()
        with closing(load(limit)) as scorer:
            orders.append(order_by(scorer, cost.add))
        costs.append(cost)
    reports = [report([order]) for order in orders]
    rng = np.random.default_rng(SEED)
    topics = reports[-1].topics
    last = np.array([reports[-1].values[0][topic][MEASURE] for topic in topics])
    points = []
    for limit, found, cost in zip(limits, reports, costs, strict=True):
        mean = found.means[0][MEASURE]
        own = np.array([found.values[0][topic][MEASURE] for topic in topics])
        pairs = max(cost.pairs, 1)
        points.append(
            Point(
                tokens=limit,
                ndcg=mean.value,
                low=mean.low,
                high=mean.high,
                against_most=None if limit == limits[-1] else compare(own - last, rng),
                pairs=cost.pairs,
                cut_share=cost.cut / pairs,
                computed_tokens=(cost.prompt_tokens - cost.cached_tokens) / pairs,
                cached_tokens=cost.cached_tokens / pairs,
                pairs_per_second=cost.pairs / cost.seconds if cost.seconds > 0 else None,
            )
        )
    return points


def logits(
    scorer: Scorer, texts: PairTexts, on_chunk: OnChunk = lambda chunk: None
) -> npt.NDArray[np.float64]:
    """The logit of each pair of a run's texts, in their order; NaN for a pair that the scorer refuses.

    Raises EngineError if the engine fails.
    """
    keys = list(zip(texts.query_places.tolist(), texts.document_places.tolist(), strict=True))
    pairs = []
    for query, document in sorted(set(keys)):
        instruction, asked = texts.queries[query]
        text, pictures = texts.documents[document], texts.pictures[document]
        pairs.append(Pair(query, document, date.min, instruction, asked, text, pictures))
    found: dict[tuple[int, int], float] = {}
    for chunk in scorer.score(pairs, flush_seconds=2.0):
        on_chunk(chunk)
        found |= {(score.pair.query_id, score.pair.document_id): score.logit for score in chunk.scores}
    return np.array([found.get(key, np.nan) for key in keys], dtype=np.float64)
