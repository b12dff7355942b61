"""What precision, int8, company in the batch, a cached prefix and a pleading article do to logits and to the order.

    PYTHONPATH=tests python -m benchmarks.measure_effects            # precision and pleas: two or three minutes
    PYTHONPATH=tests python -m benchmarks.measure_effects speed      # the 0.6B shape with random weights: minutes, 6 GB

Sections not asked for keep the figures of the last run in results/effects.json; effects.md is written from it.

The demonstration checkpoint judges by words alone, by construction: it shows that an order survives a precision, and
what an added text does to a lexical judge, not what a trained model does. Random weights have logits without meaning:
they show the size of an error at the real shape, and no order.
"""

import argparse
import json
import math
import os
import platform
import random
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from benchmarks.effects_speed import MAX_DOCUMENT_TOKENS, differences, kendall, measure_speed
from benchmarks.pleas import additions
from benchmarks.reporting.effects import markdown
from rerank_core.models.quantise import quantise
from rerank_core.models.vllm import VllmScorer
from rerank_core.prepare.documents import Unpreparable, to_document
from rerank_core.records import Document, Pair, Topic
from rerank_core.settings import DEMO_CHECKPOINT
from rerank_core.storage.topics_file import load_topics

SAMPLE = DEMO_CHECKPOINT.parent / "sample"
RESULTS = Path(__file__).parent / "results"
SECTIONS = ("precision", "pleas", "speed")
SEED = 20_261_122
MONTH = date(2026, 11, 1)
TOP = 10
OTHERS = 30  # articles a topic beside those with a grade above 0
ORDERED = 20  # first places of the float32 order, over which tau is taken: the rest is noise about irrelevant articles

Logits = dict[tuple[int, int], float]  # by query_id and document_id


@dataclass(frozen=True)
class Sample:
    """The bundled articles against the bundled topics; ids are places in the two lists."""

    topics: list[Topic]
    names: list[str]
    documents: list[Document]
    grades: dict[tuple[str, str], int]

    def pair(self, topic: int, place: int, text: str | None = None) -> Pair:
        """The pair of a topic and an article, or of a topic and an altered text of the article."""
        asked, document = self.topics[topic], self.documents[place]
        query = asked.query_for(document.lang)
        return Pair(topic, place, MONTH, asked.instruction, query, document.text if text is None else text)

    def places(self, topic: int, *, others: int) -> list[int]:
        """Articles with a grade above 0 for the topic, and `others` drawn from the rest, always the same."""
        slug = self.topics[topic].slug
        relevant = [d for d, name in enumerate(self.names) if self.grades.get((slug, name), 0) > 0]
        rest = sorted(set(range(len(self.names))) - set(relevant))
        return sorted([*relevant, *random.Random(f"{SEED} {slug}").sample(rest, others)])

    def pairs(self, *, others: int = OTHERS) -> list[Pair]:
        """Every topic with its places."""
        return [self.pair(t, d) for t in range(len(self.topics)) for d in self.places(t, others=others)]


def load_sample() -> Sample:
    """All articles that have a text."""
    names, documents = [], []
    for line in (SAMPLE / "articles.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        try:
            fields = {name: row.get(name) for name in ("title", "summary", "body", "lang")}
            documents.append(to_document(**fields))
        except Unpreparable:
            continue
        names.append(row["article_id"])
    lines = [line.split() for line in (SAMPLE / "qrels.tsv").read_text(encoding="utf-8").splitlines()]
    grades = {(topic, name): int(grade) for topic, _, name, grade in lines}
    return Sample(load_topics(SAMPLE / "topics.yaml"), names, documents, grades)


# --- precision


def score(scorer: VllmScorer, pairs: Sequence[Pair], *, cold: bool) -> list[float]:
    """Logits in the order given; `cold` empties the prefix cache first."""
    if cold:
        scorer._llm.reset_prefix_cache()
    found = [s for chunk in scorer.score(pairs, flush_seconds=math.inf) for s in chunk.scores]
    assert [s.pair for s in found] == list(pairs)
    return [s.logit for s in found]


def in_every_state(scorer: VllmScorer, pairs: list[Pair]) -> tuple[list[float], dict[str, float]]:
    """Logits of cold batches, and by how much at most other states differ from them.

    The states with one pair at a time look at every sixteenth pair.
    """
    base = score(scorer, pairs, cold=True)
    few = range(0, len(pairs), 16)
    reverse = score(scorer, pairs[::-1], cold=True)[::-1]
    states = {
        "prefix cached before": (range(len(pairs)), score(scorer, pairs, cold=False)),
        "batches in reverse order": (range(len(pairs)), reverse),
        "one at a time, prefix cached": (few, [score(scorer, [pairs[n]], cold=False)[0] for n in few]),
        "one at a time, nothing cached": (few, [score(scorer, [pairs[n]], cold=True)[0] for n in few]),
    }
    return base, {
        name: max(abs(got - base[n]) for n, got in zip(places, logits, strict=True))
        for name, (places, logits) in states.items()
    }


def measure_precision(sample: Sample) -> dict[str, Any]:
    """Every precision of the demonstration checkpoint, and its int8 copy, against float32."""
    pairs = sample.pairs()
    keys = [(pair.query_id, pair.document_id) for pair in pairs]
    rows: list[dict[str, Any]] = []
    reference: list[float] = []
    with tempfile.TemporaryDirectory() as temporary:
        int8 = quantise(DEMO_CHECKPOINT, Path(temporary) / "int8").folder
        for name, folder, precision in (
            ("float32", DEMO_CHECKPOINT, "float32"),
            ("bfloat16", DEMO_CHECKPOINT, "bfloat16"),
            ("float16", DEMO_CHECKPOINT, "float16"),
            ("int8, rest float32", int8, "float32"),
            ("int8, rest bfloat16", int8, "bfloat16"),
        ):
            scorer = VllmScorer(
                folder, precision=precision, max_document_tokens=MAX_DOCUMENT_TOKENS, run_canary=False
            )
            logits, states = in_every_state(scorer, pairs)
            scorer.close()
            reference = reference or logits
            rows.append(
                {
                    "precision": name,
                    **differences(logits, reference),
                    **order_effect(
                        sample, dict(zip(keys, logits, strict=True)), dict(zip(keys, reference, strict=True))
                    ),
                    "ndcg@10": ndcg(sample, dict(zip(keys, logits, strict=True))),
                    "states": states,
                }
            )
    return {"pairs": len(pairs), "topics": len(sample.topics), "others": OTHERS, "rows": rows}


def order_effect(sample: Sample, logits: Logits, reference: Logits) -> dict[str, float]:
    """Means over topics: share of the first ten that stays, and Kendall's tau-a over the first twenty of the reference."""
    taus, overlaps = [], []
    for topic in range(len(sample.topics)):
        places = sample.places(topic, others=OTHERS)
        by_reference = sorted(places, key=lambda d: (-reference[topic, d], d))
        by_logits = sorted(places, key=lambda d: (-logits[topic, d], d))
        overlaps.append(len({*by_reference[:TOP]} & {*by_logits[:TOP]}) / TOP)
        first = by_reference[:ORDERED]
        taus.append(kendall([reference[topic, d] for d in first], [logits[topic, d] for d in first]))
    return {"tau@20": statistics.fmean(taus), "overlap@10": statistics.fmean(overlaps)}


def ndcg(sample: Sample, logits: Logits) -> float:
    """Mean nDCG@10 over topics, by ir_measures."""
    import ir_measures

    measure = ir_measures.nDCG @ TOP
    qrels = [ir_measures.Qrel(t, a, g) for (t, a), g in sample.grades.items() if a in set(sample.names)]
    run = [
        ir_measures.ScoredDoc(sample.topics[t].slug, sample.names[d], logit)
        for (t, d), logit in logits.items()
    ]
    return float(ir_measures.calc_aggregate([measure], qrels, run)[measure])


# --- pleas


def measure_pleas(sample: Sample, *, articles: int = 4) -> dict[str, Any]:
    """Shift of the logit when a text is set before or after articles that are irrelevant to a topic."""
    choose = random.Random(SEED)
    scorer = VllmScorer(
        DEMO_CHECKPOINT, precision="float32", max_document_tokens=MAX_DOCUMENT_TOKENS, run_canary=False
    )
    plain_pairs = sample.pairs()
    plain = {
        (pair.query_id, pair.document_id): logit
        for pair, logit in zip(plain_pairs, score(scorer, plain_pairs, cold=True), strict=True)
    }
    shifts: dict[tuple[str, str], list[float]] = defaultdict(list)
    entered: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for number, topic in enumerate(sample.topics):
        places = sample.places(number, others=OTHERS)
        tenth = sorted((plain[number, d] for d in places), reverse=True)[TOP - 1]
        irrelevant = [
            d
            for d in places
            if sample.grades.get((topic.slug, sample.names[d]), 0) == 0 and plain[number, d] < tenth
        ]
        kinds: list[tuple[str, str]] = []
        pairs: list[Pair] = []
        for place in choose.sample(irrelevant, articles):
            text = sample.documents[place].text
            for kind, added in additions(sample.pair(number, place).query):
                kinds += [(kind, "before"), (kind, "after")]
                pairs += [
                    sample.pair(number, place, f"{added}\n{text}"),
                    sample.pair(number, place, f"{text}\n{added}"),
                ]
        for kind_and_side, pair, logit in zip(kinds, pairs, score(scorer, pairs, cold=False), strict=True):
            shifts[kind_and_side].append(logit - plain[pair.query_id, pair.document_id])
            entered[kind_and_side].append(logit > tenth)
    scorer.close()
    rows = [
        {
            "added": kind,
            "side": side,
            "pairs": len(found),
            "mean": statistics.fmean(found),
            "largest_rise": max(found),
            "largest_fall": min(found),
            "into_top_10": statistics.fmean(entered[kind, side]),
        }
        for (kind, side), found in shifts.items()
    ]
    return {"articles_per_topic": articles, "topics": len(sample.topics), "rows": rows}


# --- results


def machine() -> str:
    """Processor and number of cores."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{name or platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def main() -> None:
    """Measure the sections asked for, and write both files."""
    parser = argparse.ArgumentParser(description="Measure what precision, int8 and pleas do to logits.")
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; none: precision pleas")
    parser.add_argument("--rounds", type=int, default=8, help="of speed (default 8)")
    parser.add_argument("--topics", type=int, default=4, help="of speed (default 4)")
    parser.add_argument("--articles", type=int, default=6, help="a topic, of speed (default 6)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of effects.json and effects.md")
    given = parser.parse_args()
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    wanted = given.sections or ["precision", "pleas"]
    if unknown := set(wanted) - set(SECTIONS):
        parser.error(f"unknown section {', '.join(sorted(unknown))}")
    file = given.out / "effects.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for section in wanted:
        if section == "speed":
            part = measure_speed(rounds=given.rounds, topics=given.topics, articles=given.articles)
        elif section == "precision":
            part = measure_precision(load_sample())
        else:
            part = measure_pleas(load_sample())
        from vllm import __version__

        about = {
            "machine": machine(),
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "engine": f"vLLM {__version__} cpu",
        }
        found[section] = {**about, **part}
        given.out.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        (given.out / "effects.md").write_text(markdown(found), encoding="utf-8")


if __name__ == "__main__":
    main()
