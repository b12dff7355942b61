"""Measure what captions change in the order of the sample, by its judgements.

    PYTHONPATH=tests python -m benchmarks.measure_captions

Each article is prepared with the captions of `make demo MEDIA=1` and without them, and each topic's queries are asked of both, by the
demonstration checkpoint in plain transformers, whose logits are those of vLLM within 1e-4. Only the articles that have a caption
differ. Figures go to tests/benchmarks/results/captions.json and captions.md. They show what the mechanism does: captions and
judgements are of one author, and the checkpoint compares words.
"""

import json
import statistics
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.contenders import Options, Transformers
from benchmarks.machine import describe
from benchmarks.reporting.tables import table
from rerank_core.demo.media import CLIPS, DRAWINGS
from rerank_core.evaluation.evaluate import Order, measure
from rerank_core.evaluation.judgements import read_file
from rerank_core.prepare.documents import Unpreparable, to_document
from rerank_core.records import Pair
from rerank_core.settings import DEMO_CHECKPOINT
from rerank_core.storage.languages import comparable
from rerank_core.storage.topics_file import load_topics

SAMPLE = DEMO_CHECKPOINT.parent / "sample"
RESULTS = Path(__file__).parent / "results" / "captions.json"
TOLD = {**{article: ("picture", caption) for article, (_, caption) in DRAWINGS.items()}, **{article: ("video", caption) for article, (_, caption) in CLIPS.items()}}  # fmt: skip


def main() -> None:
    options = Options(
        DEMO_CHECKPOINT,
        precision="float32",
        max_document_tokens=512,
        max_prompt_tokens=1024,
        threads=1,
        batch_size=16,
    )
    model = Transformers(options)
    judged = read_file(SAMPLE / "qrels.tsv")
    topics = {topic.slug: topic for topic in load_topics(SAMPLE / "topics.yaml")}
    articles = [
        json.loads(line) for line in (SAMPLE / "articles.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for way in ("without captions", "with captions"):
        documents = {}
        for article in articles:
            told = None
            if way == "with captions":
                told = [TOLD[article["article_id"]]] if article["article_id"] in TOLD else []
            fields = {name: article.get(name) for name in ("title", "summary", "body", "lang")}
            with suppress(Unpreparable):  # the sample has some
                documents[article["article_id"]] = to_document(**fields, told=told)
        pairs = [
            (slug, article, Pair(0, 0, date.min, topic.instruction, topic.query_for(comparable(document.lang)), document.text))
            for slug, topic in topics.items()
            for article, document in documents.items()
            if article in judged.get(slug, {})
        ]  # fmt: skip
        logits = model.forward([pair for _, _, pair in pairs]).logits
        scores[way] = {slug: {} for slug in topics}
        for (slug, article, _), logit in zip(pairs, logits, strict=True):
            scores[way][slug][article] = logit
    results = {"machine": describe(threads=1, gpu=False), **_compared(scores, judged)}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    RESULTS.with_suffix(".md").write_text(_markdown(results), encoding="utf-8")
    print(_markdown(results))


def _compared(scores: dict[str, dict[str, dict[str, float]]], judged: Any) -> dict[str, Any]:
    ndcg = {}
    for way, of in scores.items():
        qrels = {
            slug: {article: judged[slug][article] for article in found} for slug, found in of.items() if found
        }
        values = measure(Order("", {slug: of[slug] for slug in qrels}, qrels), sorted(qrels))
        ndcg[way] = statistics.mean(found["nDCG@10"] for found in values.values())
    before, after = scores["without captions"], scores["with captions"]
    moved: dict[str, list[float]] = {"relevant": [], "not relevant": []}
    for slug, found in after.items():
        for article in TOLD:
            if article in found:
                kind = "relevant" if judged[slug][article] > 0 else "not relevant"
                moved[kind].append(found[article] - before[slug][article])
    unmoved = max(
        abs(after[slug][article] - before[slug][article])
        for slug in after
        for article in after[slug]
        if article not in TOLD
    )
    return {
        "ndcg": ndcg,
        "moved": {kind: {"pairs": len(changes), "mean": statistics.mean(changes), "least": min(changes), "most": max(changes)} for kind, changes in moved.items()},
        "others": unmoved,
    }  # fmt: skip


def _markdown(results: dict[str, Any]) -> str:
    ndcg, moved = results["ndcg"], results["moved"]
    lines = [
        "# Captions",
        "",
        f"The sample with {len(TOLD)} captions, the demonstration checkpoint, {results['machine']['date']}. Captions and judgements are of one"
        " author, and the checkpoint compares words: this shows what the mechanism does, and not what captions are worth.",
        "",
        *table(("order", "nDCG@10"), [(way, f"{value:.4f}") for way, value in ndcg.items()]),
        "",
        *table(
            ("pairs of articles with a caption", "pairs", "mean change of the logit", "least", "most"),
            [(kind, row["pairs"], row["mean"], row["least"], row["most"]) for kind, row in moved.items()],
        ),
        "",
        f"The logits of the other articles change by at most {results['others']:.1g}: alt texts of bodies, of which the sample has none.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
