"""What composition costs, and what it does to a page.

    PYTHONPATH=tests python -m benchmarks.bench_composition time [--topics 1000] [--rows 500] [--top-k 500]
    PYTHONPATH=tests python -m benchmarks.bench_composition news [--queries 200]

`time`: a run of so many topics with so many scored rows each is published with a limit of rows a source, diversity and a pin for
each topic, in an embedded Postgres, one text in five like another: seconds of composition, with reading its signatures, and their share of publish.
`news`: the news sets (../shared/data) and the bundled sample, ranked by BM25: nDCG@10, sources and the likeness of rows on the
first ten places, without composition and with it. The sample has judgements and sources of its own. The news sets have neither: a
query is the title of an article, which alone is relevant, and sources are drawn by a digest of the id (ten, Zipf).

Figures go to tests/benchmarks/results/composition.json and composition.md; a part not asked for keeps those of its last run.
"""

import argparse
import hashlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.machine import describe
from benchmarks.reporting.tables import table
from benchmarks.scale_page import Page
from benchmarks.workloads import NEWS, SAMPLE, raw_articles
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.evaluation.evaluate import Order, measure
from rerank_core.evaluation.judgements import read_file
from rerank_core.prepare.documents import Unpreparable, to_document
from rerank_core.prepare.terms import terms
from rerank_core.publish import editorial, publish
from rerank_core.publish.composition import PLACES, POOL, Likeness, Wishes, compose, source_numbers
from rerank_core.recall.bm25 import Bm25
from rerank_core.storage import runs
from rerank_core.storage.topics_file import load_topics

RESULTS = Path(__file__).parent / "results" / "composition.json"
FIRST = 10  # places that are looked at
WAYS = {
    "as ranked": {},
    "2 rows a source": {"max_per_source": 2},
    "diversity 0.3": {"diversity": 0.3},
    "diversity 0.5": {"diversity": 0.5},
    "2 rows a source, diversity 0.3": {"max_per_source": 2, "diversity": 0.3},
}

# ── Time ────────────────────────────────────────────────────────────────────────────────────────


def measure_time(*, topics: int, rows: int, top_k: int, rounds: int) -> dict[str, Any]:
    """Seconds of publish and of composition in it."""
    with tempfile.TemporaryDirectory(prefix="rerank-compose-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres runs as another user than root
        with EmbeddedPostgres(folder=folder / "postgres") as server:
            page = Page(server, folder, topics=topics, rows=rows, documents=max(2_000, 20 * rows))
            _prepare(page, top_k)
            figures = [_publish(page) for _ in range(rounds)]
    return {
        "topics": topics,
        "rows": rows,
        "top_k": top_k,
        "publish_s": [one["publish_s"] for one in figures],
        "composition_s": [one["composition_s"] for one in figures],
        "published_rows": figures[0]["rows"],
        "left_out": figures[0]["left_out"],
    }


def _prepare(page: Page, top_k: int) -> None:
    """Give the run's topics limits, its documents signatures, and each topic a pin."""
    room = page.world.room
    room.sql("ALTER TABLE rerank.topic_version DISABLE TRIGGER USER")
    room.sql(
        "UPDATE rerank.topic_version SET top_k = :top_k, max_per_source = :limit, diversity = 0.3",
        top_k=top_k,
        limit=max(1, top_k // 10),
    )
    document_ids = [
        row[0] for row in room.sql("SELECT document_id FROM rerank.document ORDER BY document_id")
    ]
    values = np.random.default_rng(1).integers(0, 2**32, (len(document_ids), PLACES), dtype="<u4")
    values[1::5, : PLACES // 3] = values[0:-1:5, : PLACES // 3]  # one in five resembles the one before
    room.sql(
        "UPDATE rerank.document d SET signature = s.signature"
        " FROM unnest(CAST(:ids AS bigint[]), CAST(:signatures AS bytea[])) AS s (document_id, signature)"
        " WHERE d.document_id = s.document_id",
        ids=document_ids,
        signatures=[value.tobytes() for value in values],
    )
    room.sql(
        "INSERT INTO rerank.editorial_act (pipeline, slug, article_id, kind, amount, ends_at, reason)"
        " SELECT 'news', slug, (SELECT article_id FROM rerank.revision WHERE revision_id ="
        " (SELECT max(revision_id) FROM rerank.revision) - t.topic_id % 500), 'pin', 1, now() + interval '1 day', 'bench'"
        " FROM rerank.topic t"
    )
    page.world.settle()


def _publish(page: Page) -> dict[str, Any]:
    room = page.world.room
    room.sql("TRUNCATE rerank.ranking")
    page.world.checkpoint()
    with room.database.transaction() as connection:
        fence = runs.take_fence(connection, page.run.run_id)
    with _timing() as spent:
        began = time.monotonic()
        done = publish.publish(
            database=room.database,
            store=room.resources.store,
            settings=room.settings,
            run=page.run,
            fence=fence,
        )
        seconds = time.monotonic() - began
    return {
        "publish_s": seconds,
        "composition_s": sum(spent),
        "rows": done.rows,
        "left_out": done.source_limited,
    }


@contextmanager
def _timing() -> Iterator[list[float]]:
    """Seconds of composition, with what it reads."""
    original, spent = editorial.Composer.compose, []

    def timed(composer: Any, orders: Any) -> Any:
        began = time.monotonic()
        try:
            return original(composer, orders)
        finally:
            spent.append(time.monotonic() - began)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(editorial.Composer, "compose", timed)
        yield spent


# ── News ────────────────────────────────────────────────────────────────────────────────────────


class Collection:
    """Prepared documents with their sources, and queries with what is relevant to them."""

    def __init__(self, articles: Sequence[Mapping[str, Any]]) -> None:
        self.ids: list[str] = []
        self.sources: list[str] = []
        self.signatures: list[bytes | None] = []
        words: list[list[str]] = []
        for article in articles:
            try:
                made = to_document(
                    title=article["title"],
                    summary=article.get("summary"),
                    body=article["body"],
                    lang=article["lang"],
                )
            except Unpreparable:
                continue
            self.ids.append(article["article_id"])
            self.sources.append(article.get("source") or drawn_source(article["article_id"]))
            self.signatures.append(made.signature)
            words.append(made.terms.split(" "))
        self.index = Bm25(words)

    def measured(
        self, queries: Mapping[str, Sequence[str]], judgements: Mapping[str, Mapping[str, int]]
    ) -> dict[str, dict[str, float]]:
        """Figures of each way; `queries` are lists of words by name."""
        found: dict[str, dict[str, float]] = {}
        for way, wishes in WAYS.items():
            pages = {name: self._page(words, wishes) for name, words in queries.items()}
            scores = {
                name: {self.ids[at]: -float(place) for place, at in enumerate(page)}
                for name, page in pages.items()
            }
            values = measure(Order(way, scores, judgements), sorted(queries))
            found[way] = {
                "nDCG@10": float(np.mean([one["nDCG@10"] for one in values.values()])),
                "sources": float(
                    np.mean([len({self.sources[at] for at in page}) for page in pages.values()])
                ),
                "most of one source": float(
                    np.mean(
                        [
                            max(Counter(self.sources[at] for at in page).values(), default=0)
                            for page in pages.values()
                        ]
                    )
                ),
                "likeness": float(np.mean([self._likeness(page) for page in pages.values()])),
                "rows": float(np.mean([len(page) for page in pages.values()])),
            }
        return found

    def _page(self, words: Sequence[str], wishes: Mapping[str, Any]) -> list[int]:
        scores = self.index.scores(words)
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] > 0][: 10 * POOL * FIRST]
        signatures = {
            row: signature
            for row, at in enumerate(order[: POOL * FIRST].tolist())
            if (signature := self.signatures[at]) is not None
        }
        composed = compose(
            [scores[order].astype(np.float64)],
            Wishes(top_k=FIRST, **wishes),
            sources=source_numbers([self.sources[at] for at in order.tolist()]),
            near=Likeness(signatures).among(np.asarray(list(signatures)), np.asarray(list(signatures))),
        )
        return [int(order[row]) for row in composed.rows]

    def _likeness(self, page: Sequence[int]) -> float:
        """Of the most similar two rows."""
        signed = [np.frombuffer(self.signatures[at] or b"", dtype="<u4") for at in page]
        pairs = [(one, other) for one, other in combinations(signed, 2) if len(one) and len(other)]
        return max((float((one == other).mean()) for one, other in pairs), default=0.0)


def drawn_source(article_id: str) -> str:
    """One of ten invented sources; the first has a third of all articles."""
    share = int.from_bytes(hashlib.sha256(article_id.encode()).digest()[:4]) / 2**32
    weights = np.cumsum([1 / rank for rank in range(1, 11)])
    return f"source {int(np.searchsorted(weights / weights[-1], share)) + 1}"


def measure_news(queries: int) -> dict[str, Any]:
    """Figures of the sample and of the news sets, by collection and way."""
    found = {"sample": _sample()}
    if NEWS.is_dir():
        for lang in ("zh", "en"):
            found[lang] = _known_items([row for row in raw_articles() if row["lang"] == lang], queries)
    else:
        print(f"{NEWS} is not there: the sample alone is measured")
    return found


def _sample() -> dict[str, dict[str, float]]:
    with (SAMPLE / "articles.jsonl").open(encoding="utf-8") as lines:
        collection = Collection([json.loads(line) for line in lines])
    topics = load_topics(SAMPLE / "topics.yaml")
    queries = {
        topic.slug: [word for lang in ("en", "zh") for word in terms(topic.query_for(lang), lang=lang)]
        for topic in topics
    }
    return collection.measured(queries, read_file(SAMPLE / "qrels.tsv"))


def _known_items(articles: Sequence[Mapping[str, Any]], queries: int) -> dict[str, dict[str, float]]:
    collection = Collection(articles)
    known = {article["article_id"]: article for article in articles}
    step = max(1, len(collection.ids) // queries)
    asked = {
        article_id: list(terms(known[article_id]["title"], lang=known[article_id]["lang"]))
        for article_id in collection.ids[::step]
    }
    return collection.measured(asked, {article_id: {article_id: 1} for article_id in asked})


# ── The page ────────────────────────────────────────────────────────────────────────────────────


def markdown(results: Mapping[str, Any]) -> str:
    """Everything that was measured, as Markdown."""
    machine = results["machine"]
    lines = [
        "# Composition",
        "",
        f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}; {machine['date']}; load average before the"
        f" start {machine['load']}. Made by `PYTHONPATH=tests python -m benchmarks.bench_composition`.",
    ]
    if parts := results.get("time"):
        head = ["topics × rows, top_k", "publish, s", "composition, s", "share"]
        lines += ["", "## Time", "", *table(head, [_times(part) for part in parts.values()])]
    if found := results.get("news"):
        lines += ["", "## The first ten places", "", *_pages(found)]
    return "\n".join([*lines, ""])


def _times(part: Mapping[str, Any]) -> list[str | int | float | None]:
    whole, own = (float(np.median(part[name])) for name in ("publish_s", "composition_s"))
    return [f"{part['topics']:,} × {part['rows']:,}, {part['top_k']:,}", whole, own, f"{own / whole:.1%}"]


def _pages(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    names = ("nDCG@10", "sources", "most of one source", "likeness", "rows")
    rows: list[list[str | int | float | None]] = [
        [
            f"{collection}: {way}",
            *(
                f"{figures[name]:.3f}" if name in ("nDCG@10", "likeness") else f"{figures[name]:.1f}"
                for name in names
            ),
        ]
        for collection, ways in found.items()
        for way, figures in ways.items()
    ]
    return table(["", *names], rows)


def main(given: Sequence[str] | None = None) -> None:
    """Measure the parts that are asked for, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="part", help="time, news")
    parser.add_argument("--topics", type=int, default=1_000)
    parser.add_argument("--rows", type=int, default=500, help="scored, of a topic")
    parser.add_argument("--top-k", type=int, action="append", help="20 and 500, if left out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--queries", type=int, default=200, help="of a news set")
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args(given)
    results = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.exists() else {}
    results["machine"] = describe(threads=1, gpu=False)
    for part in asked.parts or ("time", "news"):
        if part == "time":
            sizes = {"topics": asked.topics, "rows": asked.rows, "rounds": asked.rounds}
            results["time"] = {
                str(top_k): measure_time(top_k=top_k, **sizes) for top_k in asked.top_k or (20, 500)
            }
        else:
            results["news"] = measure_news(asked.queries)
    asked.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    page = asked.out.with_suffix(".md")
    page.write_text(markdown(results), encoding="utf-8")
    print(page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
