"""Measure recall: what each strategy finds, how long it takes, and the stage over a large window.

    PYTHONPATH=tests python -m benchmarks.bench_recall table [--embedder NAME] [--only COLLECTION,…]
    PYTHONPATH=tests python -m benchmarks.bench_recall lead [--articles 600]
    PYTHONPATH=tests python -m benchmarks.bench_recall scale [--documents 100000] [--topics 100]

`table`: recall@10, recall@50 and nDCG@10 on xquad (../shared/data), within each of twelve languages and across languages,
and on the bundled sample. --embedder is `use-multilingual` (the default), the folder of a sentence-transformers model or
that of a Qwen3-Embedding checkpoint. --only measures these collections, and keeps the last run's rows of the others.
`lead`: how much of a document `use-multilingual` should read: quality and time by the number of tokens, on the same data
and on news (titles of ../shared/data/news asked of the bodies). Also its start, memory and speed.
`scale`: the stage `recall` over documents that are prepared, in a process of its own, against an embedded Postgres.

Figures go to tests/benchmarks/results/recall.json and recall.md; a part not asked for keeps those of its last run.
"""

import argparse
import gzip
import json
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

from benchmarks.invented import converted
from benchmarks.machine import apart, describe
from benchmarks.reporting import recall
from rerank_core import pipeline
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.models import embedders, numpy_embedder
from rerank_core.models.embedding import FakeEmbedder
from rerank_core.prepare.documents import Unpreparable, to_document
from rerank_core.prepare.terms import terms
from rerank_core.recall import dense as dense_module
from rerank_core.recall import pgvector
from rerank_core.recall.base import Asked, Retriever
from rerank_core.recall.bm25 import Bm25, Words
from rerank_core.recall.dense import Dense, Vectors
from rerank_core.recall.exhaustive import Exhaustive
from rerank_core.recall.hybrid import Hybrid
from rerank_core.recall.strategy import KnownEmbedder
from rerank_core.records import DEFAULT_INSTRUCTION, Document, Topic
from rerank_core.settings import DEMO_CHECKPOINT, USE_MULTILINGUAL, Settings
from rerank_core.storage import database as db
from rerank_core.storage import migrations
from rerank_core.storage.artifacts import Ids
from rerank_core.storage.copy import copy_in
from rerank_core.storage.embeddings import Matrix
from rerank_core.storage.topics_file import load_topics

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
LANGUAGES = {
    "xquad_multi": ("en", "zh", "de", "es", "ru", "ar"),
    "xquad_more": ("th", "tr", "el", "hi", "ro", "vi"),
}
NEWS = {"news en": "en_reuters21578", "news zh": "zh_broadcast_2024-10_2025-10"}
SAMPLE = DEMO_CHECKPOINT.parent / "sample"
RESULTS = Path(__file__).parent / "results" / "recall.json"
DIRECTIONS = [
    *((one, one) for langs in LANGUAGES.values() for one in langs),
    *((one, "en") for one in ("zh", "de", "es", "ru", "ar", "th", "tr", "hi")),
    *(("en", one) for one in ("zh", "ar", "th", "hi")),
    ("zh", "ar"),
]
# Collection → what OpenCC makes of the Chinese questions, and of the passages: s2t converts characters, s2twp words of Taiwan too.
SCRIPTS = {
    "zh-Hant": ("s2t", "s2t"),
    "zh → zh-Hant": (None, "s2t"),
    "zh-Hant → zh": ("s2t", None),
    "zh → zh-TW": (None, "s2twp"),
    "zh-TW → zh": ("s2twp", None),
}
INDEXED = ("en", "zh → en", "sample")  # the collections that are searched by an index, too
CUTS = (10, 50)
TOKENS = (16, 32, 64, 128, 256)
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
    grades: list[dict[int, int]]  # place in `texts` → grade, of the relevant ones


def xquad(asked_in: str, found_in: str) -> Collection:
    """Questions in one language, the passages that answer them in another."""
    corpus = [row for row in _rows(_folder(found_in) / "corpus.jsonl") if row["lang"] == found_in]
    place = {row["id"]: number for number, row in enumerate(corpus)}
    grades: dict[str, dict[int, int]] = defaultdict(dict)
    for line in (_folder(found_in) / "qrels.tsv").read_text().splitlines()[1:]:
        query, document, _ = line.split("\t")
        if document in place:
            grades[query.partition("-")[2]][place[document]] = 1
    queries = [row for row in _rows(_folder(asked_in) / "queries.jsonl") if row["lang"] == asked_in]
    return Collection(
        name=asked_in if asked_in == found_in else f"{asked_in} → {found_in}",
        texts=[f"{row['title']}\n\n{row['text']}" if row.get("title") else row["text"] for row in corpus],
        langs=[found_in] * len(corpus),
        queries=[{"": row["text"]} for row in queries],
        grades=[grades[row["id"].partition("-")[2]] for row in queries],
    )


def pooled(asked_in: str) -> Collection:
    """Questions in one language, the passages that answer them in all six languages of xquad_multi."""
    parts = [xquad(asked_in, lang) for lang in LANGUAGES["xquad_multi"]]
    starts = np.cumsum([0, *(len(part.texts) for part in parts)]).tolist()
    return Collection(
        name=f"{asked_in} → six",
        texts=[text for part in parts for text in part.texts],
        langs=[lang for part in parts for lang in part.langs],
        queries=parts[0].queries,
        grades=[
            {
                start + place: grade
                for start, one in zip(starts, grades, strict=False)
                for place, grade in one.items()
            }
            for grades in zip(*(part.grades for part in parts), strict=True)
        ],
    )


def in_scripts() -> Iterator[Collection]:
    """The Chinese passages and questions, in both scripts."""
    chinese = xquad("zh", "zh")
    for name, (asked_in, found_in) in SCRIPTS.items():
        yield replace(
            chinese,
            name=name,
            texts=[converted(text, found_in) for text in chinese.texts],
            queries=[{"": converted(query[""], asked_in)} for query in chinese.queries],
        )


def _folder(lang: str) -> Path:
    return next(DATA / "relevance" / name for name, langs in LANGUAGES.items() if lang in langs)


def sample() -> Collection:
    """The bundled sample as prepare leaves it: its topics, and the articles that were graded as relevant."""
    documents: dict[str, Document] = {}
    for row in [*_rows(SAMPLE / "articles.jsonl"), *_rows(SAMPLE / "more_articles.jsonl")]:
        with suppress(Unpreparable):
            documents[row["article_id"]] = to_document(
                title=row.get("title"), summary=row.get("summary"), body=row.get("body"), lang=row.get("lang")
            )
    place = {name: number for number, name in enumerate(documents)}
    grades: dict[str, dict[int, int]] = defaultdict(dict)
    for line in (SAMPLE / "qrels.tsv").read_text().splitlines():
        slug, _, article, grade = line.split("\t")
        if int(grade) > 0 and article in place:
            grades[slug][place[article]] = int(grade)
    wanted = load_topics(SAMPLE / "topics.yaml")
    return Collection(
        name="sample",
        texts=[document.text for document in documents.values()],
        langs=[document.lang for document in documents.values()],
        queries=[{"": topic.query, **topic.queries} for topic in wanted],
        grades=[grades[topic.slug] for topic in wanted],
    )


def news(name: str, count: int) -> Collection:
    """Titles of articles, each asked of the articles' bodies, without the paragraph marks of their HTML."""
    queries, texts = [], []
    with gzip.open(DATA / "news" / f"{NEWS[name]}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in islice(lines, 0, None, 7):
            row = json.loads(line)
            title, body = row.get("title") or "", row.get("body_html") or row.get("text") or ""
            with suppress(Unpreparable):
                document = to_document(title=None, summary=None, body=body, lang=name[-2:])
                if len(title) >= 12 and len(document.text) >= 250:
                    queries.append({"": title.capitalize() if title.isupper() else title})
                    texts.append(document.text)
            if len(texts) == count:
                break
    return Collection(
        name, texts, [name[-2:]] * len(texts), queries, [{number: 1} for number in range(len(texts))]
    )


def _rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]


# ── What each strategy finds ────────────────────────────────────────────────────────────────────────


def measure_table(embedder: str, only: Sequence[str]) -> dict[str, Any]:
    """Quality and time of each strategy on each collection."""
    collections = [sample()]
    if DATA.is_dir():
        collections += [*(xquad(*one) for one in DIRECTIONS), pooled("zh"), pooled("en"), *in_scripts()]
    else:
        print(f"{DATA} is absent: only the sample is measured")
    embed, family, name = _embedder(embedder)
    rows = []
    with EmbeddedPostgres(folder=Path(tempfile.mkdtemp(prefix="recall-")) / "postgres") as postgres:
        for collection in collections:
            if only and collection.name not in only:
                continue
            for row in _strategies(collection, embed, KnownEmbedder(1, "bench", 1, family), postgres):
                rows.append(row)
                shown = ", ".join(f"{name} {row[name]:.3f}" for name in ("recall@10", "recall@50", "nDCG@10"))
                print(f"{row['collection']:8} {row['strategy']:16} {shown}, {row['query_ms']:.2f} ms a query")
    return {"embedder": name, "rows": rows}


def _strategies(
    collection: Collection, embed: Embed, embedder: KnownEmbedder, postgres: EmbeddedPostgres
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
    began = time.perf_counter()
    matrix = embed(collection.texts, False)
    queries = dict(enumerate(embed(query_texts, True), start=1))
    embedded = time.perf_counter() - began
    known = embedder.knows_documents(collection.langs)
    readable = embedder.knows_queries(
        {("", text): number for number, text in enumerate(query_texts, start=1)}
    )
    stores: dict[str, Callable[..., Any]] = {
        "dense": _in_postgres,
        "hybrid": _in_postgres,
        "dense, by HNSW": _in_postgres,
        "milvus": _in_milvus,
    }
    if not known.all() or len(readable) < len(queries) / 2:
        stores["vectors of any language"] = _in_postgres
    for name, opened in stores.items():
        if name in {"dense, by HNSW", "milvus"} and collection.name not in INDEXED:
            continue
        if name == "milvus" and not _has_milvus():
            print("the extra `milvus` is not installed: milvus is not measured")
            continue
        exact = 0 if name in {"dense, by HNSW", "milvus"} else dense_module.EXACT_DOCUMENTS
        whole = name == "vectors of any language"
        with (
            opened(postgres, ids, matrix) as vectors,
            mock.patch.object(dense_module, "EXACT_DOCUMENTS", exact),
        ):
            dense = Dense(
                embedder="bench",
                vectors=vectors,
                document_ids=ids,
                known=np.ones_like(known) if whole else known,
                claimed=np.zeros(0, dtype=np.int64),
                queries={number: vector for number, vector in queries.items() if whole or number in readable},
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
    """Means over the queries, and the time of one; `prepare_s`: BM25's index and scores, or all embeddings."""
    everything = np.arange(len(collection.texts), dtype=np.int64)
    began = time.perf_counter()
    found = [strategy.best(one, everything, max(CUTS)).positions.tolist() for one in asked]
    seconds = time.perf_counter() - began
    kept = [len(collection.texts)] * 2 if name == "exhaustive" else CUTS
    return {
        "collection": collection.name,
        "strategy": name,
        "documents": len(collection.texts),
        "queries": len(asked),
        **{
            f"recall@{cut}": _mean(
                _recall_at(order, grades, of) for order, grades in zip(found, collection.grades, strict=True)
            )
            for cut, of in zip(CUTS, kept, strict=True)
        },
        "nDCG@10": _mean(
            _ndcg(order, grades) for order, grades in zip(found, collection.grades, strict=True)
        ),
        "query_ms": round(1000 * seconds / len(asked), 3),
        "prepare_s": round(prepared, 2),
    }


def _recall_at(order: Sequence[int], grades: dict[int, int], cut: int) -> float:
    return len(grades.keys() & set(order[:cut])) / len(grades)


def _ndcg(order: Sequence[int], grades: dict[int, int]) -> float:
    """nDCG@10 of one query, with grades as gains."""

    def gain(values: Sequence[int]) -> float:
        return sum(value / float(np.log2(place + 2)) for place, value in enumerate(values[:10]))

    return gain([grades.get(document, 0) for document in order]) / gain(sorted(grades.values(), reverse=True))


def _mean(values: Iterable[float]) -> float:
    return round(float(np.mean(list(values))), 4)


@contextmanager
def _in_postgres(postgres: EmbeddedPostgres, ids: Ids, matrix: Matrix) -> Iterator[Vectors]:
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


def _embedder(name: str) -> tuple[Embed, str, str]:
    """What embeds, its family, and its name for people."""
    folder = Path(name)
    if (folder / "modules.json").exists():
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(folder), device="cpu", trust_remote_code=False)
        return (
            lambda texts, _: np.asarray(
                model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False),
                dtype=np.float16,
            ),
            "",
            f"{folder.name}, by sentence-transformers",
        )
    engine = embedders.load(Settings.load(embedding_model=name))

    def embed(texts: Sequence[str], queries: bool) -> Matrix:
        if queries:
            return engine.embed_queries([(DEFAULT_INSTRUCTION, text) for text in texts])
        return engine.embed_documents(texts)

    return embed, engine.identity.family, folder.name


# ── How much of a document the embedder on the CPU should read ──────────────────────────────────────


def measure_lead(articles: int) -> dict[str, Any]:
    """nDCG@10 of dense order by the tokens that are read of a document, the time of one, and the embedder's start."""
    collections = [sample()]
    if DATA.is_dir():
        collections += [xquad("en", "en"), xquad("zh", "en"), *(news(name, articles) for name in NEWS)]
    rows = []
    for limit in TOKENS:
        with mock.patch.object(numpy_embedder, "MOST_TOKENS", limit):
            embedder = numpy_embedder.NumpyEmbedder(max_document_tokens=limit)
        row: dict[str, Any] = {"tokens": limit}
        for collection in collections:
            began = time.process_time()
            documents = embedder.embed_documents(collection.texts).astype(np.float32)
            row[f"{collection.name}, ms"] = 1000 * (time.process_time() - began) / len(documents)
            texts = [queries[""] for queries in collection.queries]
            orders = np.argsort(
                -embedder.embed_documents(texts).astype(np.float32) @ documents.T, kind="stable"
            )
            row[collection.name] = _mean(map(_ndcg, orders.tolist(), collection.grades))
        rows.append(row)
        print(row)
    return {"rows": rows, "articles": articles, "start": apart(_start)}


def _start() -> dict[str, float]:
    """Seconds until the embedder is loaded, its memory, and titles and leads a second, in a process of its own."""
    before = _resident_mib()
    began = time.process_time()
    embedder = numpy_embedder.NumpyEmbedder()
    embedder.embed_documents(["x"])
    found = {"load_s": round(time.process_time() - began, 2), "memory_mib": _resident_mib() - before}
    texts = sample().texts
    titles = [text.partition("\n")[0] for text in texts]
    for name, wanted in (("titles_a_second", titles), ("articles_a_second", texts)):
        began = time.process_time()
        embedder.embed_documents(wanted)
        found[name] = round(len(wanted) / (time.process_time() - began), 1)
    began = time.process_time()
    for title in titles:
        embedder.embed_documents([title])
    return {**found, "titles_a_second_one_by_one": round(len(titles) / (time.process_time() - began), 1)}


def _resident_mib() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() >> 20


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
    quality.add_argument("--embedder", default=USE_MULTILINGUAL)
    quality.add_argument("--only", type=lambda names: names.split(","), default=[])
    lead = parts.add_parser("lead")
    lead.add_argument("--articles", type=int, default=600)
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
        found = measure_table(options.embedder, options.only)
        results["table"] = {**found, "rows": [*kept, *found["rows"]]}
        if not options.only or "en" in options.only:  # the times are those of `en`
            results["machine"] = machine
    elif options.part == "lead":
        results["lead"] = {**measure_lead(options.articles), "machine": machine}
        results.setdefault("machine", machine)
    else:
        found = measure_scale(options.documents, options.topics, options.words)
        results["scale"] = {**found, "machine": machine}
        results.setdefault("machine", machine)
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    RESULTS.with_suffix(".md").write_text(recall.markdown(results))


if __name__ == "__main__":
    main()
