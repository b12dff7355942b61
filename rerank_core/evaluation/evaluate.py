"""How well an order agrees with judgements: nDCG@10, RR and R@50 by topic and by language; and two orders compared.

An order sorts the pairs that a run has scored by their raw logits, so age plays no part. The articles of a cluster count
once: as the article that stands for the cluster, with the best of their grades. Every judgement is in one bucket: ranked,
a copy, not ranked, or absent from the run's window. A ranked article without a judgement counts as not relevant, and
these articles are counted.

Measures by ir_measures. nDCG: Järvelin and Kekäläinen 2002. Two orders are compared topic by topic with a paired
randomisation test (Smucker, Allan and Carterette 2007); intervals are bootstrap percentiles over topics.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rerank_core.errors import InputError, SettingsError
from rerank_core.evaluation.judgements import RELEVANT, Judgements
from rerank_core.models.embedding import Embedder
from rerank_core.models.numpy_embedder import NumpyEmbedder
from rerank_core.records import Pair
from rerank_core.storage import artifacts, ledger, runs
from rerank_core.storage import database as db
from rerank_core.storage.artifacts import Ids, clusters_of
from rerank_core.storage.database import Database
from rerank_core.storage.pair_texts import PairTexts, read_pair_texts
from rerank_core.storage.store import Store

MEASURES = ("nDCG@10", "RR", "R@50")
RESAMPLES = 2_000  # of the topics, for an interval
SHUFFLES = 10_000  # of the signs, for a p value
SEED = 20_261_122

Floats = npt.NDArray[np.float64]
Scores = Mapping[str, Mapping[str, float]]  # topic → document → score
Values = Mapping[str, Mapping[str, float]]  # topic → measure → value


@dataclass(frozen=True)
class Tally:
    """Where each judgement of a ranked topic went."""

    judged: int
    ranked: int
    copies: int  # in one cluster with another judged article of the topic
    not_ranked: int  # in the window, not among what was scored for the topic
    absent: int  # not in the run's window
    unjudged: int  # beyond these: ranked, and not judged


@dataclass(frozen=True)
class Order:
    """One order of documents for each topic, with the judgements that it is compared with."""

    name: str
    scores: Scores
    judgements: Judgements  # of the same topics, by the same document ids
    langs: Mapping[str, str] = field(default_factory=dict)  # document → language
    tally: Tally | None = None


@dataclass(frozen=True)
class Mean:
    """A mean over topics with its 95 % interval."""

    value: float
    low: float
    high: float
    topics: int


@dataclass(frozen=True)
class Comparison:
    """The first order's mean minus the second's."""

    difference: Mean
    p: float  # two-sided: how often swapping the two by chance gives a difference at least as large


@dataclass(frozen=True)
class Report:
    """One or two orders, measured over the topics that both have."""

    orders: tuple[Order, ...]
    topics: tuple[str, ...]
    values: tuple[Values, ...]  # of each order
    means: tuple[Mapping[str, Mean], ...]  # of each order: measure → mean
    languages: Mapping[str, tuple[Mapping[str, Mean], ...]]  # language of the documents → as `means`
    compared: Mapping[str, Comparison] | None  # measure → first against second; None: there is one order
    passed_over: int  # judged topics that are not ranked, or have no relevant article


def report(orders: Sequence[Order]) -> Report:
    """Measure one order, or compare two. Raises InputError if no judged topic with a relevant article is ranked."""
    judged = {topic for order in orders for topic in order.judgements}
    wanted = tuple(
        sorted(
            topic
            for topic in judged
            if all(
                topic in order.scores and _has_relevant(order.judgements.get(topic, {})) for order in orders
            )
        )
    )
    if not wanted:
        names = ", ".join(sorted(judged)[:5])
        raise InputError(
            f"the judgements ({names}, …) name no topic that is ranked here and has a relevant article;"
            " their topics are those of `rerank topics list`, their articles the source's"
        )
    values = tuple(measure(order, wanted) for order in orders)
    rng = np.random.default_rng(SEED)
    compared = None
    if len(orders) == 2:
        first, second = values
        compared = {
            name: compare(_column(first, wanted, name) - _column(second, wanted, name), rng)
            for name in MEASURES
        }
    return Report(
        orders=tuple(orders),
        topics=wanted,
        values=values,
        means=tuple(_means(value, wanted, rng) for value in values),
        languages=_by_language(orders, wanted, rng),
        compared=compared,
        passed_over=len(judged) - len(wanted),
    )


def measure(order: Order, topics: Sequence[str]) -> dict[str, dict[str, float]]:
    """Every measure of each of these topics; 0 if nothing relevant is ranked."""
    try:
        import ir_measures
    except ImportError as error:
        raise SettingsError(
            "ir_measures is not installed: pip install 'news-rerank[eval]' brings it"
        ) from error
    tools: Any = ir_measures
    qrels = [
        tools.Qrel(topic, document, grade)
        for topic in topics
        for document, grade in order.judgements.get(topic, {}).items()
    ]
    ranked = [
        tools.ScoredDoc(topic, document, float(score))
        for topic in topics
        for document, score in order.scores.get(topic, {}).items()
    ]
    values = {topic: dict.fromkeys(MEASURES, 0.0) for topic in topics}
    for found in tools.iter_calc([tools.parse_measure(name) for name in MEASURES], qrels, ranked):
        if found.query_id in values:
            values[found.query_id][str(found.measure)] = float(found.value)
    return values


def interval(values: Floats, rng: np.random.Generator) -> Mean:
    """The mean over topics, and the 2.5 and 97.5 percentiles of it over resamples of the topics."""
    means = np.concatenate(
        [rng.choice(values, size=(100, len(values))).mean(axis=1) for _ in range(RESAMPLES // 100)]
    )
    low, high = np.percentile(means, [2.5, 97.5])
    return Mean(float(values.mean()), float(low), float(high), len(values))


def compare(differences: Floats, rng: np.random.Generator) -> Comparison:
    """A paired randomisation test on the differences of each topic: exact up to 13 topics, else by 10,000 draws of signs."""
    count = len(differences)
    observed = abs(differences.sum()) - 1e-12  # sums of the same numbers in another order may differ by that
    if 2**count <= SHUFFLES:
        signs = np.array(np.meshgrid(*[[-1, 1]] * count)).reshape(count, -1).T
        p = float((np.abs(signs @ differences) >= observed).mean())
    else:
        extreme = 0
        for _ in range(SHUFFLES // 100):
            signs = rng.integers(0, 2, size=(100, count), dtype=np.int8) * 2 - 1
            extreme += int((np.abs(signs @ differences) >= observed).sum())
        p = (extreme + 1) / (SHUFFLES + 1)
    return Comparison(interval(differences, rng), p)


def _has_relevant(judgements: Mapping[str, int]) -> bool:
    return any(grade >= RELEVANT for grade in judgements.values())


def _column(values: Values, topics: Sequence[str], name: str) -> Floats:
    return np.asarray([values[topic][name] for topic in topics], dtype=np.float64)


def _means(values: Values, topics: Sequence[str], rng: np.random.Generator) -> dict[str, Mean]:
    return {name: interval(_column(values, topics, name), rng) for name in MEASURES}


def _by_language(
    orders: Sequence[Order], topics: Sequence[str], rng: np.random.Generator
) -> dict[str, tuple[dict[str, Mean], ...]]:
    """The same means over documents of one language, for each language that has a relevant document."""
    langs = sorted({lang for order in orders for lang in order.langs.values()})
    found = {}
    for lang in langs:
        parts = [_in_language(order, lang) for order in orders]
        here = [t for t in topics if all(_has_relevant(part.judgements.get(t, {})) for part in parts)]
        if here:
            found[lang] = tuple(_means(measure(part, here), here, rng) for part in parts)
    return found


def _in_language(order: Order, lang: str) -> Order:
    def kept(by_topic: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        return {
            topic: {document: value for document, value in of.items() if order.langs.get(document) == lang}
            for topic, of in by_topic.items()
        }

    return Order(order.name, kept(order.scores), kept(order.judgements), order.langs)


class RunPairs:
    """The pairs that a frozen run has scored, by the articles that stand for their clusters."""

    def __init__(self, database: Database, store: Store, run_id: int) -> None:
        """Raises InputError if there is no such run, CorruptError if its artifacts are gone."""
        self._database = database
        with database.transaction(read_only=True) as connection:
            self.run = runs.get(connection, run_id)
            self.topics = [row["slug"] for row in db.rows(connection, "evaluate.topics", run_id=run_id)]
        pairs = artifacts.read_pairs(store, self.run)
        own = pc.equal(pairs.column("scorer_id"), pa.scalar(self.run.scorer_id, pa.int32()))
        self._pairs = pairs.filter(pc.fill_null(own, False))
        members = artifacts.read_members(store, self.run)
        texts = members.take(pa.array(clusters_of(members)[0]))
        scored_ids, standing = (
            texts.column(name).to_pylist() for name in ("scored_document_id", "article_id")
        )
        # Scored text → the article that stands for its cluster; and each text of a cluster → the same.
        self._article = dict(zip(scored_ids, standing, strict=True))
        own, clusters = (members.column(name).to_pylist() for name in ("document_id", "scored_document_id"))
        self._stands = {text: self._article[cluster] for text, cluster in zip(own, clusters, strict=True)}
        self._lang = dict(
            zip(members.column("article_id").to_pylist(), members.column("lang").to_pylist(), strict=True)
        )

    def by_model(self, *, scorer_id: int | None = None) -> Scores:
        """topic → article → logit, by the run's scorer or by another scorer of these pairs."""
        logit = self._logits(self.run.scorer_id if scorer_id is None else scorer_id)
        return self._by_topic(logit, ~np.isnan(logit))

    def by_light(self) -> Scores:
        """topic → article → BM25, of the pairs that the run's scorer has scored."""
        light = self._pairs.column("light_score").to_numpy().astype(np.float64)
        return self._by_topic(light, ~np.isnan(self._logits(self.run.scorer_id)))

    def by_meaning(self, embedder: Embedder) -> Scores:
        """topic → article → cosine of query and document. Raises EngineError if the embedder fails."""
        return self.again(
            lambda texts: texts.cosines(
                embedder.embed_queries(texts.queries), embedder.embed_documents(texts.documents)
            )
        )

    def again(self, score: Callable[[PairTexts], npt.NDArray[np.floating]]) -> Scores:
        """topic → article → what `score` gives, one a pair, to the pairs that the run's scorer has scored. NaN: nothing."""
        scored = ~np.isnan(self._logits(self.run.scorer_id))
        with self._database.transaction(read_only=True) as connection:
            texts = read_pair_texts(connection, self._pairs.filter(pa.array(scored)))
        given = np.full(len(scored), np.nan)
        given[scored] = score(texts)
        return self._by_topic(given, ~np.isnan(given))

    def texts(self) -> dict[tuple[str, str], Pair]:
        """(topic, article) → the pair as a scorer reads it."""
        with self._database.transaction(read_only=True) as connection:
            texts = read_pair_texts(connection, self._pairs)
        topics, ids = (self._pairs.column(name).to_pylist() for name in ("topic", "document_id"))
        found = zip(topics, ids, texts.pairs(), strict=True)
        return {(topic, self._article[number]): pair for topic, number, pair in found}

    def order(self, name: str, scores: Scores, judgements: Judgements) -> Order:
        """These scores with the judgements of the run's topics, each by the article that stands for its cluster."""
        judged_ids = sorted({article for of in judgements.values() for article in of})
        with self._database.transaction(read_only=True) as connection:
            found = db.rows(
                connection,
                "evaluate.documents",
                pipeline=self.run.pipeline,
                run_id=self.run.run_id,
                until=self.run.window.until,
                article_ids=judged_ids,
            )
        stands = {row["article_id"]: self._stands.get(row["document_id"]) for row in found}
        folded: dict[str, dict[str, int]] = {}
        judged = copies = absent = 0
        for topic in (topic for topic in self.topics if topic in judgements):
            here = folded.setdefault(topic, {})
            for article, grade in judgements[topic].items():
                judged += 1
                leader = stands.get(article)
                if leader is None:
                    absent += 1
                    continue
                copies += leader in here
                here[leader] = max(grade, here.get(leader, grade))
        ranked = sum(article in scores.get(topic, {}) for topic, of in folded.items() for article in of)
        unjudged = sum(article not in of for topic, of in folded.items() for article in scores.get(topic, {}))
        tally = Tally(judged, ranked, copies, judged - ranked - copies - absent, absent, unjudged)
        complete = {topic: scores.get(topic, {}) for topic in self.topics}
        return Order(name, complete, folded, self._lang, tally)

    def _logits(self, scorer_id: int | None) -> Floats:
        """One a pair; NaN: this scorer has not scored it."""
        query_ids: Ids = self._pairs.column("query_id").to_numpy()
        logit = np.full(len(query_ids), np.nan)
        if scorer_id is None or not len(query_ids):
            return logit
        with self._database.transaction(read_only=True) as connection:
            found = ledger.lookup_pairs(connection, scorer_id, self._pairs)
        places = found.positions(query_ids, self._pairs.column("document_id").to_numpy())
        logit[places >= 0] = found.logit[places[places >= 0]]
        return logit

    def _by_topic(self, score: Floats, keep: npt.NDArray[np.bool_]) -> Scores:
        scores: dict[str, dict[str, float]] = {}
        columns = (self._pairs.column(name).to_pylist() for name in ("topic", "document_id"))
        for topic, document_id, value, kept in zip(*columns, score.tolist(), keep.tolist(), strict=True):
            if kept:
                scores.setdefault(topic, {})[self._article[document_id]] = value
        return scores


def orders(
    database: Database,
    store: Store,
    judgements: Judgements,
    *,
    pipeline: str,
    run_id: int | None = None,
    against: str | None = "bm25",
) -> list[Order]:
    """The order of a run, and the order that it is compared with. `run_id` None means the run behind the page.

    `against`: bm25 (the same pairs in the light order), meaning (the same pairs by the embedder that needs no GPU),
    scorer:N (the same pairs as another scorer scored them), run:N, the name of another pipeline, or None for nothing.
    Raises InputError if it is none of these, or has no score, ModelError if that embedder is not installed.
    """
    first = RunPairs(database, store, run_id or runs.current_run(database, pipeline))
    if run_id is not None and first.run.pipeline != pipeline:
        raise InputError(f"run {run_id} belongs to pipeline {first.run.pipeline!r}, not {pipeline!r}")
    name = f"{first.run.pipeline}, run {first.run.run_id}"
    made = [first.order(name, _some(first.by_model(), name), judgements)]
    if against == "bm25":
        made.append(first.order("BM25", first.by_light(), judgements))
    elif against == "meaning":
        made.append(first.order("meaning", first.by_meaning(NumpyEmbedder()), judgements))
    elif against is not None and against.startswith("scorer:"):
        number = _number(against)
        with database.transaction(read_only=True) as connection:
            if db.one(connection, "evaluate.scorer", scorer_id=number) is None:
                raise InputError(
                    f"scorer {number} is not registered; `rerank scorer list` shows those that are"
                )
        scores = _some(first.by_model(scorer_id=number), f"scorer {number}")
        made.append(first.order(f"scorer {number}", scores, judgements))
    elif against is not None:
        other = _number(against) if against.startswith("run:") else _run_of(database, against)
        second = RunPairs(database, store, other)
        name = f"{second.run.pipeline}, run {second.run.run_id}"
        made.append(second.order(name, _some(second.by_model(), name), judgements))
    return made


def _run_of(database: Database, against: str) -> int:
    try:
        return runs.current_run(database, against)
    except InputError as error:
        raise InputError(
            f"against {against!r} is not bm25, meaning, none, scorer:N or run:N; {error}"
        ) from None


def _some(scores: Scores, name: str) -> Scores:
    if not scores:
        raise InputError(
            f"{name} has not scored any of these pairs; choose one of `rerank scorer list`, or another run"
        )
    return scores


def _number(text: str) -> int:
    kind, _, number = text.partition(":")
    if not number.isdecimal() or len(number) > 18:
        raise InputError(f"{text!r} names no {kind}; write e.g. {kind}:3")
    return int(number)
