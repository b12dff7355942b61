"""How well the scorer of a run orders the sample, against its judgements: nDCG@10 beside meaning, BM25 and random order.

Only judged pairs that were scored are compared: the sample is judged whole.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rerank_core.errors import InputError
from rerank_core.evaluation.evaluate import SEED, Order, RunPairs, Scores, interval, measure
from rerank_core.evaluation.judgements import Judgements, read_file
from rerank_core.models.embedding import Embedder
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

RANDOM_ORDERS = 50  # whose mean stands for random order


@dataclass(frozen=True)
class Quality:
    """nDCG@10 of one order, averaged over topics."""

    order: str
    ndcg: float
    low: float  # of the 95 % interval
    high: float
    topics: int


def evaluate(
    *, database: Database, store: Store, run_id: int, qrels_file: Path, embedder: Embedder | None = None
) -> list[Quality]:
    """The run's scorer, the embedder if there is one, BM25 and random order, over the judged pairs that the run scored.

    Raises InputError if the run scored none of them, EngineError if the embedder fails.
    """
    pairs = RunPairs(database, store, run_id)
    order = pairs.order("model", pairs.by_model(), read_file(qrels_file))
    model = {t: {a: s for a, s in of.items() if a in order.judgements[t]} for t, of in order.scores.items()}
    others = {"BM25": pairs.by_light()}
    if embedder is not None:
        others = {"meaning": pairs.by_meaning(embedder), **others}
    topics = sorted(topic for topic, of in model.items() if of)
    if not topics:
        raise InputError(f"run {run_id} scored none of the pairs judged in {qrels_file}")
    qrels = {t: {a: order.judgements[t][a] for a in model[t]} for t in topics}
    rng = np.random.default_rng(SEED)
    shuffled = [
        _ndcg({t: {a: rng.random() for a in model[t]} for t in topics}, qrels) for _ in range(RANDOM_ORDERS)
    ]
    by_order = {
        "model": _ndcg(model, qrels),
        **{
            name: _ndcg({t: {a: scores[t][a] for a in model[t]} for t in topics}, qrels)
            for name, scores in others.items()
        },
        "random order": np.mean(shuffled, axis=0),
    }
    # Each interval draws for itself, so that it does not depend on which other orders there are.
    found = {name: interval(values, np.random.default_rng(SEED)) for name, values in by_order.items()}
    return [Quality(name, mean.value, mean.low, mean.high, mean.topics) for name, mean in found.items()]


def _ndcg(scores: Scores, qrels: Judgements) -> np.ndarray:
    topics = sorted(qrels)
    values = measure(Order("", scores, qrels), topics)
    return np.asarray([values[topic]["nDCG@10"] for topic in topics])
