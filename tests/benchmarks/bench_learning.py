"""What learning from simulated readers gives, and how honest its gate is.

    PYTHONPATH=tests python -m benchmarks.bench_learning states            # reads pairs with the engine, once
    PYTHONPATH=tests python -m benchmarks.bench_learning gain [--seeds 10]
    PYTHONPATH=tests python -m benchmarks.bench_learning honesty [--seeds 300]
    PYTHONPATH=tests python -m benchmarks.bench_learning teacher
    PYTHONPATH=tests python -m benchmarks.bench_learning cost [--model FOLDER] [--pairs 200]

`gain`: readers whose truth is known (tests/readers.py) see hourly pages of the bundled sample, and of topics that are made of XQuAD
(../shared/data, if it is there). nDCG@10 of each topic: of the base, and of heads that other topics taught: one takes opens an
impression at their word, one takes out rank and age, one knows the truth. Also, whether the gate lets the second pass.
`honesty`: readers who like every article alike, or like what the base likes, under position bias: how many of so many
newsrooms get a proposal. The gate was made on other seeds.
`teacher`: whether the ledger could teach a cheap order: a linear head a topic over embeddings, beside BM25.
`cost`: seconds to read pairs for learning, beside those to score the same pairs; and to learn from them.

Figures go to tests/benchmarks/results/learning.json and learning.md; a part not asked for keeps those of its last run.
"""

import argparse
import json
import resource
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from readers import Readers, Rows, falling, read

from benchmarks.machine import describe
from benchmarks.reporting.tables import table
from benchmarks.workloads import NEWS, SAMPLE
from rerank_core.evaluation.evaluate import Order, measure
from rerank_core.evaluation.judgements import read_file
from rerank_core.learning import gate, tune
from rerank_core.learning.positions import NAIVE, Positions, Seen, fit
from rerank_core.models.numpy_embedder import NumpyEmbedder
from rerank_core.prepare.documents import Unpreparable, to_document
from rerank_core.prepare.terms import terms
from rerank_core.recall.bm25 import Bm25
from rerank_core.records import Pair
from rerank_core.settings import DEMO_CHECKPOINT
from rerank_core.storage.topics_file import load_topics

RESULTS = Path(__file__).parent / "results" / "learning.json"
CACHE = Path("/tmp/news-rerank-learning-states.npz")
XQUAD = NEWS.parent / "relevance" / "xquad_multi"
HOURS, FRESH_HOURS, HALF_LIFE, TOP_K = 240, 72, 24.0, 20
LIKES = (
    0.03,
    0.6,
)  # chance that a pair of grade 0 is opened by who reads it fresh, and how its log rises with the grade


@dataclass(frozen=True)
class Corpus:
    """Judged pairs, and what the base makes of them."""

    name: str
    topics: tune.Numbers  # of each pair
    grades: tune.Floats
    states: tune.Floats
    base: tune.Floats  # the base's head

    @property
    def logits(self) -> tune.Floats:
        return np.asarray(self.states @ self.base)


# ── States ──────────────────────────────────────────────────────────────────────────────────────


def sample_pairs() -> tuple[list[Pair], list[int]]:
    """Every topic of the sample with every article in a language that it has a query in; and their grades."""
    judged = read_file(SAMPLE / "qrels.tsv")
    pairs, grades = [], []
    documents = {}
    for line in (SAMPLE / "articles.jsonl").read_text(encoding="utf-8").splitlines():
        article = json.loads(line)
        try:
            fields = {name: article.get(name) for name in ("title", "summary", "body", "lang")}
            documents[article["article_id"]] = to_document(**fields)
        except Unpreparable:
            continue
    for number, topic in enumerate(load_topics(SAMPLE / "topics.yaml")):
        for article_id, document in documents.items():
            query = topic.query_for(document.lang)
            pairs.append(Pair(number, len(pairs), date.min, topic.instruction, query, document.text))
            grades.append(judged[topic.slug].get(article_id, 0))
    return pairs, grades


def xquad_pairs(*, topics: int = 30, seed: int = 1) -> tuple[list[Pair], list[int]]:
    """English questions over paragraphs in four languages: the answer's paragraph has grade 3, the rest of its article 1."""
    corpus = [json.loads(line) for line in (XQUAD / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    texts = {entry["id"]: entry["text"] for entry in corpus}
    queries = [
        json.loads(line) for line in (XQUAD / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    answers = dict(
        line.split("\t")[:2] for line in (XQUAD / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]
    )
    english = [query for query in queries if query["lang"] == "en"]
    rng = np.random.default_rng(seed)
    places = sorted({name.partition("-")[2] for name in texts})
    pairs, grades = [], []
    for number, chosen in enumerate(rng.choice(len(english), topics, replace=False).tolist()):
        answer = answers[english[chosen]["id"]].partition("-")[2]
        article = answer.partition("p")[0]
        own = [place for place in places if place.partition("p")[0] == article]
        others = rng.choice([place for place in places if place not in own], 15, replace=False).tolist()
        for place in [*own, *others]:
            for lang in ("en", "zh", "es", "de"):
                text = texts.get(f"{lang}-{place}")
                if text is not None:
                    instruction = "Given a question, retrieve passages that answer it"
                    pairs.append(
                        Pair(number, len(pairs), date.min, instruction, english[chosen]["text"], text)
                    )
                    grades.append(3 if place == answer else 1 if place in own else 0)
    return pairs, grades


def read_all() -> None:
    """Read the states of all pairs into CACHE, with the engine."""
    from rerank_core.models.vllm_states import VllmStates

    found: dict[str, Any] = {}
    made = {"sample": sample_pairs()} | ({"xquad": xquad_pairs()} if XQUAD.is_dir() else {})
    with closing(VllmStates(DEMO_CHECKPOINT, precision="float32")) as engine:
        for name, (pairs, grades) in made.items():
            prompts = [engine.prompt_ids(pair) for pair in pairs]
            assert None not in prompts
            found[f"{name}_states"] = engine.states([ids for ids in prompts if ids is not None])
            found[f"{name}_topics"] = [pair.query_id for pair in pairs]
            found[f"{name}_grades"] = grades
        found["base"] = engine.head
    np.savez(CACHE, **{name: np.asarray(value) for name, value in found.items()})


def invented(*, topics: int = 24, per_topic: int = 60, hidden: int = 64) -> Corpus:
    """States with 64 live numbers, of which the base reads two and readers' taste reads others too; grades are its quartiles."""
    rng = np.random.default_rng(3)
    states = rng.normal(size=(topics * per_topic, hidden))
    base, taste = np.zeros(hidden), np.zeros(hidden)
    base[:2], taste[:8] = (2.0, 1.0), (1.0, 0.0, 0.6, 0.6, -0.6, 0.4, 0.4, -0.4)
    liked = states @ taste
    return Corpus("invented", np.repeat(np.arange(topics), per_topic), _grades(liked), states, base)


def live(states: tune.Floats, base: tune.Floats) -> tuple[tune.Floats, tune.Floats]:
    """States and head, turned so that dead numbers can be left out: the same logits, at a fraction of the work."""
    _, strength, axes = np.linalg.svd(states, full_matrices=False)
    axes = axes[strength > 1e-6 * strength[0]]
    return states @ axes.T, axes @ base


def with_taste(corpus: Corpus, name: str) -> Corpus:
    """The same pairs, for readers who like what the base sees and, as much, what the rest of the states says most about."""
    known = np.stack([np.ones(len(corpus.logits)), corpus.logits], axis=1)
    rest = corpus.states - known @ np.linalg.lstsq(known, corpus.states, rcond=None)[0]
    other = np.linalg.svd(rest, full_matrices=False)[0][:, 0]
    liked = corpus.logits / corpus.logits.std() + other / other.std()
    return replace(corpus, name=name, grades=_grades(liked))


def _grades(liked: tune.Floats) -> tune.Floats:
    return np.searchsorted(np.quantile(liked, (0.7, 0.85, 0.95)), liked).astype(np.float64)


def corpora() -> list[Corpus]:
    """What CACHE has, and invented states."""
    found = []
    with np.load(CACHE) as cache:
        for name in ("sample", "xquad"):
            if f"{name}_states" in cache:
                columns = [
                    cache[f"{name}_{column}"].astype(np.float64) for column in ("topics", "grades", "states")
                ]
                states, base = live(columns[2], cache["base"].astype(np.float64))
                found.append(Corpus(name, columns[0].astype(np.int64), columns[1], states, base))
    found += [with_taste(corpus, "xquad, taste in the states") for corpus in found if corpus.name == "xquad"]
    return [*found, invented()]


# ── Readers ─────────────────────────────────────────────────────────────────────────────────────


def pages(rng: np.random.Generator, corpus: Corpus) -> Rows:
    """Rows of hourly pages of the base: articles appear at any hour, fall as they age, and leave after three days."""
    born = rng.uniform(-FRESH_HOURS, HOURS, len(corpus.topics))
    parts = []
    for topic in np.unique(corpus.topics):
        own = np.flatnonzero(corpus.topics == topic)
        for hour in range(HOURS):
            age = hour - born[own]
            on = own[(age >= 0) & (age < FRESH_HOURS)]
            order = np.argsort((hour - born[on]) * np.log(2) / HALF_LIFE - corpus.logits[on], kind="stable")
            on = on[order][:TOP_K]
            parts.append((on, np.arange(len(on)) + 1, np.full(len(on), hour)))
    pair, rank, hours = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Rows(pair, rank, hours - born[pair], corpus.topics[pair], hours)


def newsroom(
    seed: int, corpus: Corpus, likes: tune.Floats, *, readers: float = 100.0
) -> dict[str, dict[str, tune.Lists]]:
    """What readers who open a pair with this chance give to learn from, with rank and age taken out, and without.

    Each way has the sides of a training: `train`, `held_out` (pairs that came in the second half), and `all`.
    """
    rng = np.random.default_rng(seed)
    rows = pages(rng, corpus)
    done = read(rng, rows, likes, Readers(falling(TOP_K), drift=0.05, readers=readers))
    on = done.impressions > 0
    seen = Seen(
        pair=rows.pair[on],
        group=rows.topic[on],
        rank=rows.rank[on],
        age=rows.age[on],
        impressions=done.impressions[on],
        opens=done.opens[on],
    )
    began = np.full(len(corpus.topics), HOURS)
    np.minimum.at(began, seen.pair, rows.hour[on])
    cut = HOURS // 2
    is_late = began[seen.pair] >= cut
    sides = {
        "train": ~is_late & (rows.hour[on] < cut),
        "held_out": is_late,
        "all": np.ones(len(is_late), dtype=bool),
    }
    ways: dict[str, Positions] = {"debiased": fit(seen), "naive": NAIVE}
    return {
        name: {side: _lists(corpus, seen, positions, mask) for side, mask in sides.items()}
        for name, positions in ways.items()
    }


def _lists(corpus: Corpus, seen: Seen, positions: Positions, mask: npt.NDArray[np.bool_]) -> tune.Lists:
    exposure = seen.impressions * positions.exposure(seen.rank, seen.age)
    opens, exposed, impressions = (
        np.bincount(seen.pair[mask], column[mask], minlength=len(corpus.topics)).astype(np.float64)
        for column in (seen.opens, exposure, seen.impressions)
    )
    return tune.Lists(corpus.states, corpus.topics, opens, exposed, impressions).of(exposed > 0)


def learned(lists: tune.Lists, base: tune.Floats) -> tune.Floats:
    """The change that a training would propose."""
    return tune.refit(lists, base, tune.cross_fit(lists, base))


def ndcg(corpus: Corpus, scores: tune.Floats, topics: Sequence[int]) -> list[float]:
    """nDCG@10 of each of these topics, over all of its pairs."""
    names = [str(topic) for topic in topics]
    own = {name: np.flatnonzero(corpus.topics == int(name)).tolist() for name in names}
    by_score = {name: {str(place): float(scores[place]) for place in places} for name, places in own.items()}
    judged = {
        name: {str(place): int(corpus.grades[place]) for place in places} for name, places in own.items()
    }
    values = measure(Order("", by_score, judged), names)
    return [values[name]["nDCG@10"] for name in names]


def folds(seed: int, corpus: Corpus, number: int = 12) -> list[tune.Numbers]:
    """Topics that are held out, a twelfth each time."""
    names = np.random.default_rng(seed).permutation(np.unique(corpus.topics))
    return [np.sort(part) for part in np.array_split(names, number)]


# ── Parts ───────────────────────────────────────────────────────────────────────────────────────


def measure_gain(seeds: int, only: str | None, *, first: int = 100) -> dict[str, Any]:
    """nDCG@10 of each way to learn, each topic by heads that learned from the others; and how often the gate proposes."""
    found: dict[str, Any] = {}
    for corpus in (each for each in corpora() if only in (None, each.name)):
        likes = LIKES[0] * np.exp(LIKES[1] * corpus.grades)
        by_seed = []
        for seed in range(first, first + seeds):
            lists = newsroom(seed, corpus, likes)
            certain = np.full(len(likes), 1e4)
            truth = tune.Lists(corpus.states, corpus.topics, likes * 1e4, certain, certain)
            ways: dict[str, list[float]] = {name: [] for name in ("base", "naive", "debiased", "truth")}
            for held in folds(seed, corpus):
                heads = {"base": np.zeros_like(corpus.base)}
                for name, given in (*((name, of["all"]) for name, of in lists.items()), ("truth", truth)):
                    heads[name] = learned(given.of(~np.isin(given.topics, held)), corpus.base)
                for name in ways:
                    ways[name] += ndcg(corpus, corpus.states @ (corpus.base + heads[name]), held.tolist())
            means = {name: float(np.mean(values)) for name, values in ways.items()}
            by_seed.append(means | {"proposed": int(_check(lists["debiased"], corpus).passed)})
            print(corpus.name, seed, by_seed[-1], flush=True)
        found[corpus.name] = {
            "topics": len(np.unique(corpus.topics)),
            "seeds": by_seed,
            "proposed": sum(one["proposed"] for one in by_seed),
            "debiased_over_base": sum(one["debiased"] > one["base"] for one in by_seed),
            "debiased_over_naive": sum(one["debiased"] > one["naive"] for one in by_seed),
        }
    return found


def _check(sides: Mapping[str, tune.Lists], corpus: Corpus) -> gate.Check:
    return gate.readers(sides["held_out"], corpus.base, tune.cross_fit(sides["train"], corpus.base))


def measure_honesty(seeds: int, only: str | None, *, first: int = 10_000) -> dict[str, Any]:
    """How many newsrooms get a proposal although readers prefer nothing that the base does not see."""
    found: dict[str, Any] = {}
    for corpus in (each for each in corpora() if only in (None, each.name)):
        spread = (corpus.logits - corpus.logits.mean()) / corpus.logits.std()
        tastes: Mapping[str, tune.Floats] = {
            "every article alike": np.full(len(spread), 0.05),
            "as the base has it": 0.05 * np.exp(0.5 * np.minimum(spread, 2.5)),
        }
        for name, likes in tastes.items():
            counts = dict.fromkeys(("proposed", "proposed_without_debiasing"), 0)
            for seed in range(first, first + seeds):
                lists = newsroom(seed, corpus, likes)
                counts["proposed"] += _check(lists["debiased"], corpus).passed
                counts["proposed_without_debiasing"] += _check(lists["naive"], corpus).passed
            found[f"{corpus.name}, {name}"] = {"newsrooms": seeds, **counts}
            print(corpus.name, name, found[f"{corpus.name}, {name}"], flush=True)
    return found


def measure_cost(model: Path, count: int) -> dict[str, Any]:
    """Seconds to score pairs, to read the same pairs for learning, and to learn from three times as many as there are."""
    from rerank_core.models.vllm import VllmScorer
    from rerank_core.models.vllm_states import VllmStates

    pairs = sample_pairs()[0]
    chosen = np.random.default_rng(0).choice(len(pairs), count, replace=False)
    pairs = sorted((pairs[place] for place in chosen), key=lambda pair: pair.query_id)
    with closing(VllmScorer(model, run_canary=False)) as scorer:
        list(scorer.score(pairs[:4], flush_seconds=600))
        scorer._llm.reset_prefix_cache()
        began = time.perf_counter()
        list(scorer.score(pairs, flush_seconds=600))
        scoring = time.perf_counter() - began
    with closing(VllmStates(model)) as engine:
        engine.states([ids for pair in pairs[:4] if (ids := engine.prompt_ids(pair))])
        engine._llm.reset_prefix_cache()
        began = time.perf_counter()
        prompts = [ids for pair in pairs if (ids := engine.prompt_ids(pair))]
        states = engine.states(prompts).astype(np.float64)
        reading = time.perf_counter() - began
    hidden = states.shape[1]
    rng = np.random.default_rng(0)
    many = rng.normal(size=(2_000, hidden))
    shown = np.full(2_000, 100.0)
    opens = rng.poisson(20, 2_000).astype(float)
    lists = tune.Lists(many, np.repeat(np.arange(40), 50), opens, shown, shown)
    began = time.perf_counter()
    with tune.one_thread():
        learned(lists, engine.head.astype(np.float64))
    learning = time.perf_counter() - began
    return {
        "model": model.name,
        "hidden": hidden,
        "pairs": count,
        "scoring_s": scoring,
        "reading_s": reading,
        "reading_over_scoring": reading / scoring,
        "learning_from_2000_pairs_s": learning,
        "all_over_scoring_at_2000_pairs": (reading * 2_000 / count + learning) / (scoring * 2_000 / count),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def measure_teacher(rounds: int = 10) -> dict[str, Any]:
    """The ledger as teacher: a linear head a topic over embeddings, learned from the logits of half of the sample's documents.

    nDCG@10 over the other half: of this head, of the model itself, of BM25, and of the embedder's own cosine.
    """
    pairs, graded = sample_pairs()
    topics = load_topics(SAMPLE / "topics.yaml")
    count = len(pairs) // len(topics)
    documents = [pair.document for pair in pairs[:count]]
    embedder = NumpyEmbedder()
    vectors = embedder.embed_documents(documents).astype(np.float64)
    asked = embedder.embed_queries([(pair.instruction, pair.query) for pair in pairs]).astype(np.float64)
    langs = [to_document(title=None, summary=None, body=text, lang=None).lang for text in documents]
    words = Bm25([terms(text, lang=lang) for text, lang in zip(documents, langs, strict=True)])
    sample = corpora()[0]
    ways: dict[str, list[float]] = {"taught head": [], "model": [], "BM25": [], "cosine": []}
    for seed in range(rounds):
        known = np.random.default_rng(seed).permutation(count) < count // 2
        for number in range(len(topics)):
            own = slice(number * count, (number + 1) * count)
            logits, grades = sample.logits[own], np.asarray(graded[own])
            if not (grades[~known] > 0).any():
                continue
            features = np.c_[vectors, (vectors * asked[own]).sum(axis=1)]
            middle = features[known].mean(axis=0)
            left = features[known] - middle
            bend = left.T @ left + 1.0 * np.eye(left.shape[1])
            head = np.linalg.solve(bend, left.T @ (logits[known] - logits[known].mean()))
            bm25 = [
                float(words.scores(terms(pairs[own.start + place].query, lang=langs[place]))[place])
                for place in range(count)
            ]
            orders = {
                "taught head": (features - middle) @ head,
                "model": logits,
                "BM25": np.asarray(bm25),
                "cosine": features[:, -1],
            }
            judged = {"t": {str(at): int(grades[at]) for at in np.flatnonzero(~known)}}
            for name, scores in orders.items():
                by_id = {"t": {str(at): float(scores[at]) for at in np.flatnonzero(~known)}}
                ways[name].append(measure(Order("", by_id, judged), ["t"])["t"]["nDCG@10"])
    return {
        "topics_times_rounds": len(ways["model"]),
        **{name: float(np.mean(of)) for name, of in ways.items()},
    }


def markdown(results: Mapping[str, Any]) -> str:
    """All parts as a page."""
    machine = results["machine"]
    lines = [
        "# Learning from simulated readers",
        "",
        f"{machine['processor']}, {machine['date']}, load {machine['load']}.",
        "",
    ]
    if "gain" in results:
        rows = []
        for name, part in results["gain"].items():
            means = {
                way: float(np.mean([one[way] for one in part["seeds"]]))
                for way in ("base", "naive", "debiased", "truth")
            }
            rows.append(
                [
                    f"{name}, {part['topics']} topics",
                    *(f"{means[way]:.4f}" for way in means),
                    f"{part['debiased_over_base']} and {part['debiased_over_naive']} of {len(part['seeds'])}",
                    f"{part.get('proposed', '–')} of {len(part['seeds'])}",
                ]
            )
        lines += [
            "nDCG@10 on topics that were not learned from, mean over seeds. Then seeds in which debiased is above base, and above naive,"
            " and seeds in which the gate proposes.",
            "",
        ]
        lines += [
            *table(["corpus", "base", "naive", "debiased", "truth", "debiased is above", "proposed"], rows),
            "",
        ]
    if "honesty" in results:
        lines += ["Newsrooms whose readers prefer nothing that the base does not see:", ""]
        lines += table(
            ["readers", "newsrooms", "proposed", "proposed without debiasing"],
            [[name, *part.values()] for name, part in results["honesty"].items()],
        )
        lines.append("")
    if "teacher" in results:
        lines += [
            "The ledger as teacher, nDCG@10 over the half of the sample whose logits are not known:",
            "",
        ]
        lines += [*table(list(results["teacher"]), [list(results["teacher"].values())]), ""]
    for name, part in results.get("cost", {}).items():
        lines += [f"Cost, {name}:", "", *table(list(part), [list(part.values())]), ""]
    return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench_learning", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", choices=("states", "gain", "honesty", "teacher", "cost"))
    parser.add_argument("--only", help="one corpus, by its name")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--model", type=Path, default=DEMO_CHECKPOINT)
    parser.add_argument("--pairs", type=int, default=200)
    options = parser.parse_args(given)
    if options.part == "states":
        read_all()
        return
    if options.part != "cost" and not CACHE.exists():
        print(f"{CACHE} is not there: run the part `states` first")
        return
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    results["machine"] = describe(threads=1, gpu=False)
    if options.part == "gain":
        results.setdefault("gain", {}).update(measure_gain(options.seeds, options.only))
    elif options.part == "honesty":
        results.setdefault("honesty", {}).update(measure_honesty(options.seeds, options.only))
    elif options.part == "teacher":
        results["teacher"] = measure_teacher()
    else:
        results.setdefault("cost", {})[options.model.name] = measure_cost(options.model, options.pairs)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    RESULTS.with_suffix(".md").write_text(markdown(results) + "\n", encoding="utf-8")
    print(markdown(results))


if __name__ == "__main__":
    main()
