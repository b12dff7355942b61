"""Measure syndication: how long near-copies take to find, and what they are in real news.

    PYTHONPATH=tests python -m benchmarks.bench_syndication speed [--documents 100000]
    PYTHONPATH=tests python -m benchmarks.bench_syndication window [--leaders 360000] [--new 5000]
    PYTHONPATH=tests python -m benchmarks.bench_syndication news [--only zh] [--show 20]
    PYTHONPATH=tests python -m benchmarks.bench_syndication stories [--rounds 20]

`speed`: signatures and places of so many documents that come at once, in a process of its own. They are made of
real sentences, shuffled: one in five is a reprint of an earlier one, with some words changed or its end cut.
`window`: what a run of so many new texts adds to prepare where so many leaders stand in an embedded Postgres.
`news`: the stages extract, prepare and recall over the news sets (../shared/data), each article ingested as long after
the first of its set as it was published; clusters, and the pairs of twelve topics that they save. --show prints clusters,
for a person to judge; they are not kept, for the texts are their publishers'.
`stories`: invented stories (invented.py) that differ in names alone, and reprints of them: how many pairs merge.

Figures go to tests/benchmarks/results/syndication.json and syndication.md; a part not asked for keeps those of its last run.
"""

import argparse
import gzip
import json
import random
import re
import resource
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import text

from benchmarks.bench_prepare import DATA
from benchmarks.invented import LANGUAGES, Pair, reprints, two_stories
from benchmarks.machine import apart, describe
from benchmarks.reporting import syndication
from benchmarks.workloads import SAMPLE, corpus, raw_articles
from rerank_core import pipeline
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.prepare import clusters, near_copies
from rerank_core.prepare.documents import Unpreparable, to_document
from rerank_core.prepare.near_copies import BANDS, PLACES, Texts
from rerank_core.prepare.story import Story
from rerank_core.settings import Settings
from rerank_core.storage import migrations, schemas, topics
from rerank_core.storage.copy import copy_in
from rerank_core.storage.topics_file import load_topics

NEWS = ("zh_broadcast_2024-10_2025-10.jsonl.gz", "en_reuters21578.jsonl.gz")
RESULTS = Path(__file__).parent / "results" / "syndication.json"
NAME = "bench"
HOUR = timedelta(hours=1)

Figures = dict[str, Any]


# ── Speed ───────────────────────────────────────────────────────────────────────────────────────


def made_texts(wanted: int, *, seed: int = 1) -> Iterator[tuple[str, str]]:
    """(language, text): as long as real texts, of real sentences in another order; one in five reprints an earlier text."""
    rng = random.Random(seed)
    sentences: dict[str, list[str]] = defaultdict(list)
    lengths: list[tuple[str, int]] = []
    for row in islice(raw_articles(), 4_000):
        try:
            document = to_document(title=row["title"], summary=None, body=row["body"], lang=row["lang"])
        except Unpreparable:
            continue
        found = re.findall(r"[^。.\n]+[。.\n]", document.text + "\n")
        sentences[row["lang"]] += found
        lengths.append((row["lang"], len(found)))
    made: list[tuple[str, str]] = []
    for number in range(wanted):
        if made and number % 5 == 4:
            lang, original = rng.choice(made)
            yield lang, _reprint(rng, original)
            continue
        lang, length = rng.choice(lengths)
        made.append((lang, " ".join(rng.choices(sentences[lang], k=max(1, length)))))
        yield made[-1]


def _reprint(rng: random.Random, original: str) -> str:
    words = original.split(" ")
    for _ in range(len(words) // 40):
        words[rng.randrange(len(words))] = "reportedly"
    return " ".join(words[: len(words) - rng.randrange(1 + len(words) // 12)])


def measure_speed(documents: int) -> Figures:
    """In a process of its own, for the memory."""
    figures: Figures = apart(_speed, documents)
    return figures


def _speed(documents: int) -> Figures:
    made = list(made_texts(documents))
    near_copies.signature(made[0][1], lang="zh")  # imports
    before = _peak_mib()
    signatures, signing = _timed(lambda: [near_copies.signature(one, lang=lang) for lang, one in made])
    every = _as_texts(
        [(*one, sketch) for one, sketch in zip(made, signatures, strict=True) if sketch is not None]
    )
    joined, joining = _timed(lambda: near_copies.join(_as_texts([]), every, similarity=0.7, hours=72.0))
    return {
        "documents": documents,
        "mean_characters": round(sum(len(one) for _, one in made) / documents),
        "too_short": documents - len(every),
        "near_copies": int((joined.joined != np.arange(len(every))).sum()),
        "vetoed": int(joined.vetoed.sum()),
        "signatures": signing,
        "places": joining,
        "all": {name: round(signing[name] + joining[name], 1) for name in signing},
        "memory_mib": round(_peak_mib() - before),
    }


def _as_texts(rows: Sequence[tuple[str, str, Any]]) -> Texts:
    """(language, text, signature) of texts that came at one time."""
    return Texts(
        np.asarray([signature for _, _, signature in rows], dtype=np.uint32).reshape(len(rows), PLACES),
        [text for _, text, _ in rows],
        [lang for lang, _, _ in rows],
        np.zeros(len(rows)),
        np.full(len(rows), np.nan),
    )


# ── Invented stories ────────────────────────────────────────────────────────────────────────────


def measure_stories(rounds: int, *, seed: int = 1) -> Figures:
    """How many pairs merge, by kind and language: of stories that differ in names alone, and of reprints."""
    figures: Figures = {}
    for name, pairs in (("two_stories", two_stories), ("reprints", reprints)):
        kinds: dict[str, Counter[str]] = defaultdict(Counter)
        languages: dict[str, Counter[str]] = defaultdict(Counter)
        for lang in LANGUAGES:
            for pair in pairs(lang, rounds=rounds, seed=seed):
                found = _compared(pair)
                kinds[pair.kind].update(found)
                languages[lang].update(found)
        figures[name] = {
            "kinds": {kind: dict(kinds[kind]) for kind in sorted(kinds)},
            "languages": dict(languages),
        }
    return figures


def _compared(pair: Pair) -> dict[str, int]:
    lang = pair.one.lang
    both = [str(pair.one), str(pair.other)]
    rows = [(lang, one, near_copies.signature(one, lang=lang)) for one in both]
    joined = near_copies.join(_as_texts([]), _as_texts(rows), similarity=0.7, hours=72.0)
    one, other = (Story(text, lang=lang) for text in both)
    return {"pairs": 1, "alike": int(one.similarity(other) >= 0.7), "merged": int(joined.joined[1] == 0)}


def _timed(work: Any) -> tuple[Any, dict[str, float]]:
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    return found, {
        "seconds": round(time.perf_counter() - wall, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
    }


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# ── A large window ──────────────────────────────────────────────────────────────────────────────


@contextmanager
def _resources(**settings: Any) -> Iterator[pipeline.Resources]:
    with tempfile.TemporaryDirectory(prefix="rerank-bench-") as name:
        work = Path(name)
        work.chmod(0o755)  # Postgres runs as another user where this runs as root
        with EmbeddedPostgres(folder=work / "postgres") as server:
            url = server.create(NAME)
            migrations.upgrade(url)
            (work / "store").mkdir()
            yield pipeline.Resources.of(
                Settings(database_url=url, store_url=(work / "store").as_uri(), **settings)
            )


def measure_window(leaders: int, new: int) -> Figures:
    """What placing new texts costs a run, without preparing them."""
    with _resources() as resources:
        _fill(resources, leaders, new)
        figures: Figures = apart(_place, resources.settings, leaders, new)
    return figures


def _fill(resources: pipeline.Resources, leaders: int, new: int) -> None:
    """Leaders of the last three days with random signatures, and new texts: one in ten is like a leader."""
    rng = np.random.default_rng(1)
    with resources.database.transaction() as connection:
        connection.exec_driver_sql("SELECT set_config('idle_in_transaction_session_timeout', '0', true)")
        connection.exec_driver_sql(
            "INSERT INTO rerank.run (pipeline, key, since, fresh_since, until, rescore)"
            " SELECT 'news', 'k', now() - interval '7 days', now() - interval '3 days', now(), false"
        )
        for first in range(0, leaders + new, 20_000):
            numbers = np.arange(first, min(first + 20_000, leaders + new))
            signatures = rng.integers(0, 2**32, size=(len(numbers), PLACES), dtype=np.uint32)
            told = numbers.tolist()  # the story of each text
            for row, number in enumerate(numbers.tolist()):
                if number >= leaders and number % 10 == 0:  # shares 0.8 with an earlier one
                    like = int(np.random.default_rng(number).integers(0, row or 1))
                    signatures[row, : PLACES * 4 // 5] = signatures[like, : PLACES * 4 // 5]
                    told[row] = told[like]
            _copy(connection, numbers, signatures, told, leaders)
        connection.execute(text("ANALYZE rerank.near_copy, rerank.document, rerank.revision"))


def _copy(connection: Any, numbers: Any, signatures: Any, told: Sequence[int], leaders: int) -> None:
    now = datetime.now(UTC)
    ids = (numbers + 1).tolist()
    at = [
        now - HOUR * (72 * (1 - number / (leaders + 1)) if number < leaders else 0.1)
        for number in numbers.tolist()
    ]
    rows = {
        "document_id": ids,
        "digest": pa.array([number.to_bytes(32, "big") for number in ids], pa.binary()),
        "month": [now.date().replace(day=1)] * len(ids),
        "lang": ["en"] * len(ids),
        "length": [1_000] * len(ids),
        "text": [" ".join(f"w{story}x{place}" for place in range(100)) for story in told],
        "terms": ["-"] * len(ids),
        "signature": pa.array([row.astype("<u4").tobytes() for row in signatures], pa.binary()),
    }
    copy_in(connection, "rerank.document", pa.table(rows))
    revisions = {
        "pipeline": ["news"] * len(ids),
        "article_id": [f"a{number}" for number in ids],
        "number": [1] * len(ids),
        "version": ["1"] * len(ids),
        "run_id": [1] * len(ids),
        "ingested_at": at,
        "first_ingested_at": at,
        "document_id": ids,
    }
    copy_in(connection, "rerank.revision", pa.table(revisions))
    old = numbers < leaders
    bands = near_copies.bands(signatures).astype("<u4")
    if old.any():
        places = {
            "pipeline": ["news"] * int(old.sum()),
            "document_id": [number for number, is_old in zip(ids, old, strict=True) if is_old],
            "bands": pa.array([row.tobytes() for row in bands[old]], pa.binary()),
            "article_id": [f"a{number}" for number, is_old in zip(ids, old, strict=True) if is_old],
            "first_ingested_at": [one for one, is_old in zip(at, old, strict=True) if is_old],
        }
        places |= {"leader_document_id": places["document_id"], "began_at": places["first_ingested_at"]}
        places["similarity"] = [1.0] * int(old.sum())
        copy_in(connection, "rerank.near_copy", pa.table(places))


def _place(settings: Settings, leaders: int, new: int) -> Figures:
    resources = pipeline.Resources.of(settings)
    with resources.database.transaction(read_only=True) as connection:
        run = pipeline.runs.get(connection, 1)
    before = _peak_mib()

    def find() -> Any:
        with resources.database.transaction(read_only=True) as connection:
            return clusters.find_unplaced(connection, settings=settings, run=run)

    def keep() -> bool:
        with resources.database.transaction() as connection:
            return clusters.keep(connection, pipeline="news", unplaced=found, joined=joined)

    found, finding = _timed(find)
    joined, placing = _timed(lambda: clusters.place(found, settings=settings))
    kept, keeping = _timed(keep)
    assert kept
    return {
        "leaders": leaders,
        "new": len(found.texts),
        "read_with_text": len(found.leaders) + len(found.contents),
        "joined": int(
            (joined.joined != np.arange(len(found.leaders), len(found.leaders) + len(found.texts))).sum()
        ),
        "read": finding["seconds"],
        "compared": placing["seconds"],
        "written": keeping["seconds"],
        "memory_mib": round(_peak_mib() - before),
        "memory_of_bands_mib": round(leaders * BANDS * 4 / 2**20),
    }


# ── Real news ───────────────────────────────────────────────────────────────────────────────────


def measure_news(show: int, only: str | None = None) -> Figures:
    """Each set by itself: what syndication finds, and the pairs that it saves beside exact copies."""
    figures = {}
    for file in NEWS:
        name = file.partition("_")[0]
        if only not in (None, name):
            continue
        with _resources(freshness_hours=80_000.0, lookback_days=3_650.0, fill_factor=1) as resources:
            with resources.database.transaction() as connection:
                topics.apply(connection, "news", load_topics(SAMPLE / "topics.yaml"))
                rows = list(_articles(DATA / "news" / file, name))
                copy_in(connection, "rerank.article", pa.Table.from_pylist(rows))
            figures[name] = _stages(resources, show)
    return figures


def _articles(file: Path, lang: str) -> Iterator[dict[str, Any]]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    times = [datetime.fromisoformat(record["published_at"]).astimezone(UTC) for record in records]
    shift = datetime.now(UTC) - HOUR - max(times)
    for record, at in zip(records, times, strict=True):
        yield {
            "article_id": f"{lang}-{record['id']}",
            "title": record["title"] or "",
            "body": record.get("body_html") or record.get("text"),
            "lang": lang,
            "source": lang,
            "ingested_at": at + shift,
        }


def _stages(resources: pipeline.Resources, show: int) -> Figures:
    run = pipeline.open_run(resources)
    results = {
        stage: pipeline.run_stage(stage, resources=resources, run_id=run.run_id)
        for stage in ("extract", "prepare", "recall")
    }
    with resources.database.transaction(read_only=True) as connection:
        frozen = pipeline.runs.get(connection, run.run_id)
        short = connection.execute(
            text("SELECT COALESCE(sum(value), 0) FROM rerank.run_metric WHERE name = 'signature_short'")
        ).scalar()
    members = resources.store.read(str(frozen.members_path), schema=schemas.MEMBERS).to_pylist()
    sizes = Counter(row["scored_document_id"] for row in members)
    texts = {
        cluster: len({row["document_id"] for row in rows}) for cluster, rows in _grouped(members).items()
    }
    pairs = (
        resources.store.read(str(frozen.pairs_path), schema=schemas.PAIRS).column("document_id").to_pylist()
    )
    if show:
        _show(resources, members, show)
    prepared = results["prepare"]
    return {
        "articles": len(members),
        "texts": prepared["documents"],
        "too_short": int(short or 0),
        "vetoed": prepared["vetoed"],
        "clusters_of_several_texts": sum(count > 1 for count in texts.values()),
        "texts_in_them": sum(count for count in texts.values() if count > 1),
        "largest": max(sizes.values()),
        "rows": len(sizes),
        "pairs_without_memory": sum(sizes[document] for document in pairs),
        "pairs_of_exact_texts": sum(texts[document] for document in pairs),
        "pairs": len(pairs),
        "saved_by_exact_copies": sum(sizes[document] - texts[document] for document in pairs),
        "saved_by_near_copies": sum(texts[document] - 1 for document in pairs),
        "prepare_seconds": round(prepared["seconds"], 1),
    }


def _grouped(members: Sequence[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
    found: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in members:
        found[row["scored_document_id"]].append(row)
    return found


def _show(resources: pipeline.Resources, members: Sequence[Mapping[str, Any]], wanted: int) -> None:
    """Print some clusters: a line a text, with its likeness to the one that is scored."""
    several = [rows for rows in _grouped(members).values() if len({row["document_id"] for row in rows}) > 1]
    for rows in random.Random(1).sample(several, min(wanted, len(several))):
        with resources.database.transaction(read_only=True) as connection:
            for row in rows:
                found = connection.execute(
                    text(
                        "SELECT left(replace(text, chr(10), ' '), 150) FROM rerank.document WHERE document_id = :id"
                    ),
                    {"id": row["document_id"]},
                ).scalar()
                print(f"{row['similarity']:.2f}  {row['first_ingested_at']:%m-%d %H:%M}  {found}")
        print()


# ── Report ──────────────────────────────────────────────────────────────────────────────────────


def main(given: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench_syndication", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", choices=("speed", "window", "news", "stories"))
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--leaders", type=int, default=360_000)
    parser.add_argument("--new", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--show", type=int, default=0)
    parser.add_argument("--only", choices=[file.partition("_")[0] for file in NEWS])
    parser.add_argument(
        "--judged", help="a sentence: what a person found who read the clusters that --show prints"
    )
    options = parser.parse_args(given)
    if options.part == "news" and not (DATA / "news").is_dir():
        print("news: skipped, the news sets are not beside this repository")
        return
    machine = describe(threads=1, gpu=False)
    measured: Figures
    if options.part == "speed":
        measured = {"corpus": corpus(), **measure_speed(options.documents)}
    elif options.part == "window":
        measured = measure_window(options.leaders, options.new)
    elif options.part == "stories":
        measured = measure_stories(options.rounds)
    else:
        measured = measure_news(options.show, options.only)
    # Read now: another part may have been measured meanwhile.
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    if options.part == "news":
        measured = results.get("news", {}) | measured
    results |= {"machine": machine, options.part: measured}
    if options.judged:
        results["judged"] = options.judged
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    RESULTS.with_suffix(".md").write_text(syndication.markdown(results), encoding="utf-8")
    print(syndication.markdown({"machine": results["machine"], options.part: results[options.part]}))


if __name__ == "__main__":
    main()
