"""Measure recall: what each strategy finds, how long it takes, and the stage over a large window.

    PYTHONPATH=tests python -m benchmarks.bench_recall table [--embedder FOLDER [--embed COLLECTION,…]] [--only COLLECTION,…]
    PYTHONPATH=tests python -m benchmarks.bench_recall scale [--documents 100000] [--topics 100]

`table`: recall@10 and recall@50 on xquad_multi (../shared/data) within each language and from Chinese to English, and on
the bundled sample. --embedder is the folder of a sentence-transformers model or of a Qwen3-Embedding checkpoint;
without it the rows that need one are left out. --embed names the collections that it is asked about (`en,zh → en,sample`),
for a model that knows one language; --only measures these, and keeps the last run's rows of the others.
`scale`: the stage `recall` over documents that are prepared, in a process of its own, against an embedded Postgres.

Figures go to tests/benchmarks/results/recall.json and recall.md; a part not asked for keeps those of its last run.
"""

import argparse
import json
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

from benchmarks.machine import apart, describe
from benchmarks.reporting import recall
from rerank_core import pipeline
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.prepare.documents import Unpreparable, to_document
from rerank_core.prepare.terms import terms
from rerank_core.recall import dense as dense_module
from rerank_core.recall.base import Asked, Retriever
from rerank_core.recall.bm25 import Bm25, Words
from rerank_core.recall.dense import Dense, Matrix, Vectors
from rerank_core.recall.exhaustive import Exhaustive
from rerank_core.recall.hybrid import Hybrid
from rerank_core.records import Document, Topic
from rerank_core.settings import DEMO_CHECKPOINT, Settings
from rerank_core.storage import migrations
from rerank_core.storage.artifacts import Ids
from rerank_core.storage.copy import copy_in
from rerank_core.storage.topics_file import load_topics

XQUAD = Path(__file__).resolve().parents[3] / "shared" / "data" / "relevance" / "xquad_multi"
SAMPLE = DEMO_CHECKPOINT.parent / "sample"
RESULTS = Path(__file__).parent / "results" / "recall.json"
DIRECTIONS = [*((one, one) for one in ("en", "zh", "de", "es", "ru", "ar")), ("zh", "en")]
CUTS = (10, 50)
DIGEST = "be" * 32
_TOPIC = Topic(slug="bench", query="-")

Embed = Callable[[Sequence[str], bool], Matrix]  # texts, whether they are queries


# ── What is searched ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Collection:
    """Documents, queries, and which documents each query should find."""

    name: str
    texts: list[str]
    langs: list[str]
    queries: list[dict[str, str]]  # document language → query; "" is any other's
    relevant: list[set[int]]  # places in `texts`


def xquad(asked_in: str, found_in: str) -> Collection:
    """Questions in one language, the passages that answer them in another."""
    corpus = [row for row in _rows(XQUAD / "corpus.jsonl") if row["id"].startswith(found_in)]
    place = {row["id"]: number for number, row in enumerate(corpus)}
    qrels: dict[str, set[int]] = defaultdict(set)
    for line in (XQUAD / "qrels.tsv").read_text().splitlines()[1:]:
        query, document, _ = line.split("\t")
        if document in place:
            qrels[query.partition("-")[2]].add(place[document])
    queries = [row for row in _rows(XQUAD / "queries.jsonl") if row["lang"] == asked_in]
    return Collection(
        name=asked_in if asked_in == found_in else f"{asked_in} → {found_in}",
        texts=[f"{row['title']}\n\n{row['text']}" if row.get("title") else row["text"] for row in corpus],
        langs=[found_in] * len(corpus),
        queries=[{"": row["text"]} for row in queries],
        relevant=[qrels[row["id"].partition("-")[2]] for row in queries],
    )


def sample() -> Collection:
    """The bundled sample as prepare leaves it: its topics, and the articles that were graded as relevant."""
    documents: dict[str, Document] = {}
    for row in [*_rows(SAMPLE / "articles.jsonl"), *_rows(SAMPLE / "more_articles.jsonl")]:
        with suppress(Unpreparable):
            documents[row["article_id"]] = to_document(
                title=row.get("title"), summary=row.get("summary"), body=row.get("body"), lang=row.get("lang")
            )
    place = {name: number for number, name in enumerate(documents)}
    qrels: dict[str, set[int]] = defaultdict(set)
    for line in (SAMPLE / "qrels.tsv").read_text().splitlines():
        slug, _, article, grade = line.split("\t")
        if int(grade) > 0 and article in place:
            qrels[slug].add(place[article])
    wanted = load_topics(SAMPLE / "topics.yaml")
    return Collection(
        name="sample",
        texts=[document.text for document in documents.values()],
        langs=[document.lang for document in documents.values()],
        queries=[{"": topic.query, **topic.queries} for topic in wanted],
        relevant=[qrels[topic.slug] for topic in wanted],
    )


def _rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]


# ── What each strategy finds ────────────────────────────────────────────────────────────────────────


def measure_table(embedder: Path | None, embedded: Sequence[str], only: Sequence[str]) -> dict[str, Any]:
    """Recall and time of each strategy on each collection."""
    collections = [xquad(*one) for one in DIRECTIONS] if XQUAD.is_dir() else []
    if not collections:
        print(f"{XQUAD} is absent: only the sample is measured")
    embed, name = _embedder(embedder) if embedder else (None, None)
    rows = []
    with EmbeddedPostgres(folder=Path(tempfile.mkdtemp(prefix="recall-")) / "postgres") as postgres:
        for collection in [*collections, sample()]:
            if only and collection.name not in only:
                continue
            wanted = not embedded or collection.name in embedded
            for row in _strategies(collection, embed if wanted else None, postgres):
                rows.append(row)
                shown = ", ".join(f"recall@{cut} {row[f'recall@{cut}']:.3f}" for cut in CUTS)
                print(f"{row['collection']:8} {row['strategy']:16} {shown}, {row['query_ms']:.2f} ms a query")
    return {"embedder": name, "rows": rows}


def _strategies(
    collection: Collection, embed: Embed | None, postgres: EmbeddedPostgres
) -> Iterator[dict[str, Any]]:
    ids = np.arange(1, len(collection.texts) + 1, dtype=np.int64)
    documents = [
        list(terms(text, lang=lang)) for text, lang in zip(collection.texts, collection.langs, strict=True)
    ]
    prepared = time.perf_counter()
    index = Bm25(documents)
    asked, query_texts = _asked(collection, index)
    indexed = time.perf_counter() - prepared
    yield _judged(collection, "bm25", Words(), asked, indexed)
    yield _judged(collection, "exhaustive", Exhaustive(), asked, indexed)
    if embed is None:
        return
    began = time.perf_counter()
    matrix = embed(collection.texts, False)
    queries = dict(enumerate(embed(query_texts, True), start=1))
    embedded = time.perf_counter() - began
    stores: dict[str, Callable[..., Any]] = {
        "dense": _in_postgres,
        "dense, by HNSW": _in_postgres,
        "hybrid": _in_postgres,
        "milvus": _in_milvus,
    }
    for name, opened in stores.items():
        if name == "milvus" and not _has_milvus():
            print("the extra `milvus` is not installed: milvus is not measured")
            continue
        exact = dense_module.EXACT_DOCUMENTS if name in {"dense", "hybrid"} else 0
        with (
            opened(postgres, ids, matrix) as vectors,
            mock.patch.object(dense_module, "EXACT_DOCUMENTS", exact),
        ):
            dense = Dense(
                embedder="bench",
                vectors=vectors,
                document_ids=ids,
                claimed=np.zeros(0, dtype=np.int64),
                queries=queries,
                asked=set(queries),
            )
            strategy: Retriever = Hybrid(dense) if name == "hybrid" else dense
            yield _judged(collection, name, strategy, asked, embedded)


def _asked(collection: Collection, index: Bm25) -> tuple[list[Asked], list[str]]:
    """Each query as strategies are asked it, and the texts that query ids 1, 2, … stand for."""
    langs = np.asarray(collection.langs)
    texts: dict[str, int] = {}
    asked = []
    for queries in collection.queries:
        query_ids = np.zeros(len(langs), dtype=np.int64)
        light = np.zeros(len(langs), dtype=np.float32)
        for lang in sorted(set(collection.langs)):
            query = queries.get(lang, queries[""])
            here = langs == lang
            query_ids[here] = texts.setdefault(query, len(texts) + 1)
            light[here] = index.scores(terms(query, lang=lang))[here]
        asked.append(Asked(_TOPIC, query_ids, light))
    return asked, list(texts)


def _judged(
    collection: Collection, name: str, strategy: Retriever, asked: Sequence[Asked], prepared: float
) -> dict[str, Any]:
    """Mean recall over the queries, and the time of one; `prepare_s`: BM25's index and scores, or all embeddings."""
    everything = np.arange(len(collection.texts), dtype=np.int64)
    hits: dict[int, list[float]] = {cut: [] for cut in CUTS}
    began = time.perf_counter()
    found = [strategy.best(one, everything, max(CUTS)).positions for one in asked]
    seconds = time.perf_counter() - began
    for positions, relevant in zip(found, collection.relevant, strict=True):
        for cut in CUTS:
            kept = positions if name == "exhaustive" else positions[:cut]
            hits[cut].append(len(relevant & set(kept.tolist())) / len(relevant))
    return {
        "collection": collection.name,
        "strategy": name,
        "documents": len(collection.texts),
        "queries": len(asked),
        **{f"recall@{cut}": round(float(np.mean(hits[cut])), 4) for cut in CUTS},
        "query_ms": round(1000 * seconds / len(asked), 3),
        "prepare_s": round(prepared, 2),
    }


@contextmanager
def _in_postgres(postgres: EmbeddedPostgres, ids: Ids, matrix: Matrix) -> Iterator[Vectors]:
    from rerank_core.models import embedders
    from rerank_core.models.embedding import FakeEmbedder
    from rerank_core.recall import pgvector
    from rerank_core.storage import database as db

    if not postgres.exists("template_bench"):
        migrations.upgrade(postgres.create("template_bench"))
    database = db.Database(postgres.create("bench", template="template_bench"))
    with database.transaction() as connection:
        connection.exec_driver_sql(
            "INSERT INTO rerank.document (document_id, digest, month, lang, length, text, terms) OVERRIDING SYSTEM VALUE"
            " SELECT n, sha256(CAST(CAST(n AS text) AS bytea)), '2026-01-01', 'en', 1, 'x', 'x'"
            f" FROM generate_series(1, {len(ids)}) n"
        )
        identity = FakeEmbedder(dimensions=matrix.shape[1]).identity
        number = embedders.register(connection, identity)
        pgvector.ensure(connection, embedder_id=number, dimensions=matrix.shape[1])
    with pgvector.PgVectors(database, embedder_id=number) as vectors:
        vectors.add(ids, matrix)
        yield vectors
    postgres.drop("bench")


@contextmanager
def _in_milvus(_: EmbeddedPostgres, ids: Ids, matrix: Matrix) -> Iterator[Vectors]:
    from rerank_core.recall.milvus import MilvusVectors

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        url = str(Path(folder) / "vectors.db")
        vectors = stack.enter_context(MilvusVectors(url, digest=DIGEST, dimensions=matrix.shape[1]))
        vectors.add(ids, matrix)
        yield vectors


def _has_milvus() -> bool:
    from importlib.util import find_spec

    return find_spec("pymilvus") is not None and find_spec("milvus_lite") is not None


def _embedder(folder: Path) -> tuple[Embed, str]:
    """What embeds, and its name."""
    if (folder / "modules.json").exists() and json.loads((folder / "config.json").read_text())[
        "model_type"
    ] == "bert":
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(folder), device="cpu", trust_remote_code=False)
        return (
            lambda texts, _: np.asarray(
                model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False),
                dtype=np.float16,
            ),
            "all-MiniLM-L6-v2 (English), by sentence-transformers",
        )
    from rerank_core.models.vllm_embedder import VllmEmbedder

    engine = VllmEmbedder(folder)
    instruction = "Given a web search query, retrieve relevant passages that answer the query"

    def embed(texts: Sequence[str], queries: bool) -> Matrix:
        if queries:
            return engine.embed_queries([(instruction, text) for text in texts])
        return engine.embed_documents(texts)

    return embed, f"{folder.name}, by vLLM"


# ── The stage over a large window ───────────────────────────────────────────────────────────────────


def measure_scale(documents: int, topics: int, words: int) -> dict[str, Any]:
    """Seconds and peak memory of the stage `recall` by BM25, where every topic is new and searches the whole window."""
    with EmbeddedPostgres(folder=Path(tempfile.mkdtemp(prefix="recall-")) / "postgres") as postgres:
        url = postgres.create("scale")
        migrations.upgrade(url)
        with tempfile.TemporaryDirectory() as store:
            settings = Settings.load(database_url=url, store_url=Path(store).as_uri())
            run_id = _fill(settings, documents, topics, words)
            print(f"{documents:,} documents and {topics} topics are prepared")
            found: dict[str, Any] = apart(_recall, url, Path(store).as_uri(), run_id)
    print(f"recall: {found['seconds']:.1f} s, {found['peak_mib']:,} MiB, {found['candidates']:,} candidates")
    return {"documents": documents, "topics": topics, "mean_terms": words, **found}


def _fill(settings: Settings, documents: int, topics: int, words: int) -> int:
    """A run that has claimed and prepared documents of words that are as frequent as Zipf's law says."""
    from factories import make_topic

    from rerank_core.storage import topics as topic_store

    draw = np.random.default_rng(0)
    frequency = 1 / np.arange(1, 200_001) ** 1.0
    cumulated = np.cumsum(frequency / frequency.sum())

    def zipf(count: int) -> npt.NDArray[np.int64]:
        return np.minimum(np.searchsorted(cumulated, draw.random(count)), 199_999)

    resources = pipeline.Resources.of(settings)
    run = pipeline.open_run(resources, key="scale")
    lengths = np.maximum(20, draw.lognormal(np.log(words) - 0.32, 0.8, documents)).astype(int)
    with resources.database.transaction() as connection:
        wanted = [
            make_topic(slug=f"t{n}", query=" ".join(f"w{word}" for word in draw.integers(20, 20_000, 5)))
            for n in range(topics)
        ]
        topic_store.apply(connection, settings.pipeline, wanted)
        import pyarrow as pa

        for start in range(0, documents, 5_000):
            part = range(start, min(start + 5_000, documents))
            texts = [" ".join(map("w{}".format, zipf(lengths[n]).tolist())) for n in part]
            copy_in(
                connection,
                "rerank.document",
                pa.table(
                    {
                        "digest": pa.array([n.to_bytes(32, "big") for n in part], pa.binary()),
                        "month": pa.array([run.window.until.date().replace(day=1)] * len(part), pa.date32()),
                        "lang": ["en"] * len(part),
                        "length": [len(text) for text in texts],
                        "text": ["x"] * len(part),
                        "terms": texts,
                    }
                ),
            )
        connection.exec_driver_sql(
            "INSERT INTO rerank.revision (pipeline, article_id, number, version, run_id, ingested_at, first_ingested_at, began_at, title, document_id)"
            f" SELECT 'news', CAST(document_id AS text), 1, '1', {run.run_id}, at, at, at, 'x', document_id"
            f" FROM (SELECT document_id, (SELECT until FROM rerank.run WHERE run_id = {run.run_id})"
            "              - (1 + mod(document_id, 70)) * interval '1 hour' AS at FROM rerank.document) d"
        )
        connection.exec_driver_sql("UPDATE rerank.run SET claimed_at = now(), prepared_at = now()")
    with resources.database.transaction() as connection:
        connection.exec_driver_sql("ANALYZE rerank.document, rerank.revision")
    return run.run_id


def _recall(url: str, store: str, run_id: int) -> dict[str, Any]:
    from rerank_core.models import scorers
    from rerank_core.models.base import FakeScorer

    resources = pipeline.Resources.of(Settings.load(database_url=url, store_url=store))
    before = resource.getrusage(resource.RUSAGE_SELF)
    with mock.patch.object(scorers, "identity", return_value=FakeScorer().identity):
        result = pipeline.run_stage("recall", resources=resources, run_id=run_id)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": round(result["seconds"], 2),
        "processor_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
        "peak_mib": after.ru_maxrss // 1024,
        "candidates": result["candidates"],
        "not_recalled": result["not_recalled"],
    }


# ── Report ──────────────────────────────────────────────────────────────────────────────────────────


def main() -> None:
    """Measure one part and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(dest="part", required=True)
    quality = parts.add_parser("table")
    quality.add_argument("--embedder", type=Path)
    quality.add_argument("--only", type=lambda names: names.split(","), default=[])
    quality.add_argument("--embed", type=lambda names: names.split(","), default=[])
    scale = parts.add_parser("scale")
    scale.add_argument("--documents", type=int, default=100_000)
    scale.add_argument("--topics", type=int, default=100)
    scale.add_argument("--words", type=int, default=300)
    options = parser.parse_args()
    machine = describe(threads=1, gpu=False)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if options.part == "table":
        kept = [
            row
            for row in results.get("table", {}).get("rows", [])
            if options.only and row["collection"] not in options.only
        ]
        found = measure_table(options.embedder, options.embed, options.only)
        results["table"] = {**found, "rows": [*kept, *found["rows"]]}
        results["machine"] = machine
    else:
        found = measure_scale(options.documents, options.topics, options.words)
        results["scale"] = {**found, "machine": machine}
        results.setdefault("machine", machine)
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    RESULTS.with_suffix(".md").write_text(recall.markdown(results))


if __name__ == "__main__":
    main()
