"""How well the scorer of a run orders the sample, against its judgements: nDCG@10 beside BM25 and random order.

nDCG: Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002; computed by
ir_measures. Intervals are the 2.5 and 97.5 percentiles of the mean over 2,000 resamples of the topics.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rerank_core import frozen, ledger, runs
from rerank_core.database import Database
from rerank_core.errors import InputError
from rerank_core.store import Store

RESAMPLES = 2_000
SEED = 20_261_122
RANDOM_ORDERS = 50  # whose mean stands for random order

Scores = Mapping[str, Mapping[str, float]]  # topic → article → score


@dataclass(frozen=True)
class Quality:
    """nDCG@10 of one order, averaged over topics."""

    order: str
    ndcg: float
    low: float  # of the 95 % interval
    high: float
    topics: int


def evaluate(*, database: Database, store: Store, run_id: int, qrels_file: Path) -> list[Quality]:
    """The run's scorer, BM25 and random order, over the judged pairs that the run wanted scored.

    Copies of a text count once, by the article that came first. Age plays no part: raw logits are
    compared. Raises InputError where the run scored none of the judged pairs.
    """
    import ir_measures

    measures: Any = ir_measures  # comes without types
    qrels = list(measures.read_trec_qrels(str(qrels_file)))
    model, light = _scores(database, store, run_id)
    judged = {(qrel.query_id, qrel.doc_id) for qrel in qrels}
    model = {t: {a: s for a, s in of.items() if (t, a) in judged} for t, of in model.items()}
    light = {t: {a: light[t][a] for a in of} for t, of in model.items()}
    topics = sorted(topic for topic, of in model.items() if of)
    if not topics:
        raise InputError(f"run {run_id} scored none of the pairs judged in {qrels_file}")
    qrels = [qrel for qrel in qrels if qrel.doc_id in model.get(qrel.query_id, {})]
    rng = np.random.default_rng(SEED)
    shuffled = [
        _ndcg(qrels, {t: {a: rng.random() for a in of} for t, of in model.items()}, topics)
        for _ in range(RANDOM_ORDERS)
    ]
    by_order = {
        "model": _ndcg(qrels, model, topics),
        "BM25": _ndcg(qrels, light, topics),
        "random order": np.mean(shuffled, axis=0),
    }
    return [_quality(order, values, rng) for order, values in by_order.items()]


def _ndcg(qrels: list[object], scores: Scores, topics: list[str]) -> np.ndarray:
    from ir_measures import ScoredDoc, iter_calc, nDCG

    def run() -> Iterator[ScoredDoc]:
        for topic, of in scores.items():
            for article, score in of.items():
                yield ScoredDoc(topic, article, float(score))

    found = {metric.query_id: metric.value for metric in iter_calc([nDCG @ 10], qrels, list(run()))}
    return np.asarray([found[topic] for topic in topics])


def _quality(order: str, values: np.ndarray, rng: np.random.Generator) -> Quality:
    means = rng.choice(values, size=(RESAMPLES, len(values))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Quality(order, float(values.mean()), float(low), float(high), len(values))


def _scores(
    database: Database, store: Store, run_id: int
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """The logit and the BM25 score of each pair that the run wanted scored and that has a score."""
    with database.transaction(read_only=True) as connection:
        run = runs.get(connection, run_id)
        pairs = frozen.read_pairs(store, run)
        work = pairs.filter(pairs.column("work"))
        if run.scorer_id is None:
            return {}, {}
        found = ledger.lookup_pairs(connection, run.scorer_id, work)
    places = found.positions(work.column("query_id").to_numpy(), work.column("document_id").to_numpy())
    scored = work.filter(pa.array(places >= 0))
    logits = found.logit[places[places >= 0]]
    members = frozen.read_members(store, run)
    article = dict(
        zip(members.column("document_id").to_pylist(), members.column("article_id").to_pylist(), strict=True)
    )
    model: dict[str, dict[str, float]] = {}
    light: dict[str, dict[str, float]] = {}
    for topic, document_id, bm25, logit in zip(
        scored.column("topic").to_pylist(),
        scored.column("document_id").to_pylist(),
        scored.column("light_score").to_pylist(),
        logits.tolist(),
        strict=True,
    ):
        model.setdefault(topic, {})[article[document_id]] = logit
        light.setdefault(topic, {})[article[document_id]] = bm25
    return model, light
