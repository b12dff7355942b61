"""The bundled checkpoint: it can be rebuilt bit for bit, it runs in the real engine, and it ranks better than chance."""

import hashlib
import json
import random
from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from pathlib import Path

import ir_measures
import pytest
from demo_checkpoint import CHECKPOINT, build

from rerank_core.models.canary import read_canary
from rerank_core.models.vllm import VllmScorer
from rerank_core.prepare.documents import Unpreparable, to_document
from rerank_core.records import Document, Pair
from rerank_core.storage.topics_file import load_topics

pytestmark = [
    pytest.mark.engine,
    pytest.mark.filterwarnings("default"),  # vLLM and torch warn of their own code
]

SAMPLE = CHECKPOINT.parent / "sample"
MEASURE = ir_measures.nDCG @ 10


@pytest.fixture(scope="module")
def scorer() -> Iterator[VllmScorer]:
    """The checkpoint in the real engine; the canary is left to its own test."""
    scorer = VllmScorer(CHECKPOINT, precision="float32", max_document_tokens=2000, run_canary=False)
    yield scorer
    scorer.close()


def score(scorer: VllmScorer, pairs: list[Pair]) -> dict[tuple[int, int], float]:
    """Logits by (query_id, document_id)."""
    chunks = scorer.score(pairs, flush_seconds=60.0)
    return {(s.pair.query_id, s.pair.document_id): s.logit for chunk in chunks for s in chunk.scores}


def digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


def sample_documents() -> dict[str, Document]:
    documents = {}
    for line in (SAMPLE / "articles.jsonl").read_text(encoding="utf-8").splitlines():
        article = json.loads(line)
        try:
            documents[article["article_id"]] = to_document(
                **{name: article.get(name) for name in ("title", "summary", "body", "lang")}
            )
        except Unpreparable:
            continue
    return documents


def test_a_rebuild_gives_the_committed_files_byte_for_byte(tmp_path: Path) -> None:
    build(tmp_path)
    assert digests(tmp_path) == digests(CHECKPOINT)


def test_the_checkpoint_is_small_and_has_only_safetensors_weights() -> None:
    files = [file for file in CHECKPOINT.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 12 * 2**20
    assert {file.suffix for file in files} == {".json", ".md", ".safetensors", ".txt"}


def test_the_canary_comes_out_in_the_right_order_with_room_to_spare(scorer: VllmScorer) -> None:
    canary = read_canary(CHECKPOINT)
    assert canary.source.endswith("canary.json")
    logits = score(scorer, canary.pairs())
    canary.check(logits)
    for number, case in enumerate(canary.cases):
        ordered = [logits[number, place] for place in range(len(case.documents))]
        assert ordered[0] > 0 > ordered[-1], case.query
        assert min(better - worse for better, worse in pairwise(ordered)) > 1, case.query


def test_one_sentence_is_found_in_the_middle_of_a_long_document(scorer: VllmScorer) -> None:
    padding = "The committee met and the members spoke. " * 110
    texts = [padding + "Floods hit Pakistan again. " + padding, padding + padding]
    pairs = [Pair(1, place, date.min, "", "floods in Pakistan", text) for place, text in enumerate(texts)]
    logits = score(scorer, pairs)
    assert logits[1, 0] > 0
    assert logits[1, 1] < -3


@pytest.mark.long
def test_the_sample_is_ranked_far_better_than_by_chance(scorer: VllmScorer) -> None:
    documents = sample_documents()
    names = list(documents)
    topics = load_topics(SAMPLE / "topics.yaml")
    judgements = [line.split() for line in (SAMPLE / "qrels.tsv").read_text(encoding="utf-8").splitlines()]
    qrels = [
        ir_measures.Qrel(topic, name, int(grade)) for topic, _, name, grade in judgements if name in documents
    ]
    pairs = [
        Pair(
            number,
            place,
            date.min,
            topic.instruction,
            topic.query_for(documents[name].lang),
            documents[name].text,
        )
        for number, topic in enumerate(topics)
        for place, name in enumerate(names)
    ]
    logits = score(scorer, pairs)
    assert len(logits) == len(pairs)
    ranked = [
        ir_measures.ScoredDoc(topics[n].slug, names[place], logit) for (n, place), logit in logits.items()
    ]
    chance = random.Random(7)
    shuffled = [ir_measures.ScoredDoc(doc.query_id, doc.doc_id, chance.random()) for doc in ranked]
    found, by_chance = (
        ir_measures.calc_aggregate([MEASURE], qrels, run)[MEASURE] for run in (ranked, shuffled)
    )
    assert by_chance < 0.2
    assert found > 0.6
