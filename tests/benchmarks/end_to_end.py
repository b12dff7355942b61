"""What deduplication and the ledger save: whole runs of the pipeline on real articles, one after the other.

Four runs on an embedded Postgres with the bundled checkpoint: a first one; one after every article was sent again (the
same text, another address) and new ones came in; one after a topic's page settings changed; one after one query did.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks import workloads
from rerank_core import pipeline
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.extract.articles import load_articles
from rerank_core.records import Run
from rerank_core.settings import Settings
from rerank_core.storage import migrations, schemas, topics
from rerank_core.storage.topics_file import load_topics


@dataclass(frozen=True)
class RunRow:
    """One run: what it was asked, and what it had to compute."""

    what: str
    revisions: int
    documents: int  # distinct texts among the claimed
    copies: int
    asked: int  # topic × article that the page is made from: what a ranking without memory scores
    candidates: int  # after deduplication, wanted by this run
    from_ledger: int
    carried: int  # ranked again without being asked for: scored before, and still fresh
    scored: int
    seconds: float
    rerank_seconds: float


def measure(articles: int, folder: Path | None = None) -> list[dict[str, Any]]:
    """The four runs. Run it in a process of its own: it loads the engine."""
    with tempfile.TemporaryDirectory(prefix="rerank-bench-", dir=folder) as name:
        work = Path(name)
        work.chmod(0o755)  # Postgres runs as another user where this runs as root
        with EmbeddedPostgres(folder=work / "postgres") as server:
            url = server.create("news")
            migrations.upgrade(url)
            (work / "store").mkdir()
            settings = Settings(
                database_url=url, store_url=(work / "store").as_uri(), fill_factor=1, retry_seconds=1
            )
            return [asdict(row) for row in _runs(pipeline.Resources.of(settings), work, articles)]


def _runs(resources: pipeline.Resources, work: Path, articles: int) -> list[RunRow]:
    wanted = load_topics(workloads.SAMPLE / "topics.yaml")
    rows = list(islice(workloads.raw_articles(), articles + articles // 4))
    older, newer = rows[:articles], rows[articles:]
    _load(resources, work, older)
    _follow(resources, wanted)
    first = _run(resources, f"first run, {len(older)} articles")
    _load(resources, work, [{**row, "url": f"https://example.org/{row['article_id']}"} for row in rows])
    again = _run(resources, f"all sent again, {len(newer)} new")
    _follow(resources, [replace(wanted[0], top_k=5, half_life_hours=6.0), *wanted[1:]])
    tuned = _run(resources, "one topic's top_k and half-life edited")
    asked = replace(wanted[0], top_k=5, half_life_hours=6.0, query=wanted[0].query + "?")
    _follow(resources, [asked, *wanted[1:]])
    edited = _run(resources, "one topic's query edited")
    return [first, again, tuned, edited]


def _load(resources: pipeline.Resources, work: Path, rows: list[dict[str, Any]]) -> None:
    file = work / "articles.jsonl"
    fields = ("article_id", "url", "title", "summary", "body", "lang")
    with file.open("w") as lines:
        lines.writelines(
            json.dumps({name: row.get(name) for name in fields}, ensure_ascii=False) + "\n" for row in rows
        )
    load_articles(resources.database, file)


def _follow(resources: pipeline.Resources, wanted: list[Any]) -> None:
    with resources.database.transaction() as connection:
        topics.apply(connection, resources.settings.pipeline, wanted)


def _run(resources: pipeline.Resources, what: str) -> RunRow:
    results: dict[str, Mapping[str, Any]] = {}
    began = perf_counter()
    run = pipeline.run_all(
        resources, key=what, on_stage=lambda stage, result: results.update({stage: result})
    )
    seconds = perf_counter() - began
    prepared, recalled, reranked = results["prepare"], results["recall"], results.get("rerank", {})
    return RunRow(
        what=what,
        revisions=prepared["revisions"],
        documents=prepared["documents"],
        copies=prepared["copies"],
        asked=_asked(resources, run),
        candidates=recalled["candidates"],
        from_ledger=recalled["from_ledger"],
        carried=recalled["carried"],
        scored=reranked.get("scored", 0),
        seconds=round(seconds, 2),
        rerank_seconds=round(reranked.get("seconds", 0.0), 2),
    )


def _asked(resources: pipeline.Resources, run: Run) -> int:
    members = resources.store.read(str(run.members_path), schema=schemas.MEMBERS)
    copies = Counter(members.column("scored_document_id").to_pylist())
    pairs = resources.store.read(str(run.pairs_path), schema=schemas.PAIRS)
    return sum(copies[document] for document in pairs.column("document_id").to_pylist())
