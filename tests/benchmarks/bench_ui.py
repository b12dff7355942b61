"""How long the pages take, as a ratio to a route of the same server that does nothing.

    PYTHONPATH=tests python -m benchmarks.bench_ui            # a minute; results/ui.md and ui.json
    PYTHONPATH=tests python -m benchmarks.bench_ui --topics 1000 --rounds 5

A real api-server of Airflow on an embedded Postgres, one worker. A pipeline of 200 topics with 50 rows each has two
publications; run, health and article pages are those of the sample. In each round every address is asked for once, in
turn, over one connection; a ratio is the median over the rounds of page ÷ no-op of the same round. The no-op is a
route of the pages' own app: behind the same login, it answers a few bytes from memory.
"""

import argparse
import http.client
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import newsrooms

from benchmarks.machine import describe
from benchmarks.reporting import ui
from rerank_core.demo.airflow import AirflowSandbox
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.storage import migrations

RESULTS = Path(__file__).parent / "results"
NOOP = "/static/icon.svg"
FIRST, OTHER, SECONDS = 10.0, 15.0, 2.0  # what must be reached: ratios, and the longest time


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--topics", type=int, default=200)
    parser.add_argument("--rows", type=int, default=50, help="rows a topic")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args(arguments)
    machine = describe(threads=1, gpu=False)
    with tempfile.TemporaryDirectory(prefix="rerank-bench-ui-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres runs as another user than root
        with EmbeddedPostgres(folder=folder / "postgres") as postgres:
            rows = measure(postgres, folder, topics=asked.topics, rows=asked.rows, rounds=asked.rounds)
    results = {
        "machine": machine,
        "topics": asked.topics,
        "rows": asked.rows,
        "rounds": asked.rounds,
        "pages": rows,
    }
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "ui.json").write_text(json.dumps(results, indent=1) + "\n")
    (asked.out / "ui.md").write_text(ui.markdown(results))
    print(ui.markdown(results))
    return 0 if all(row["reached"] for row in rows) else 1


def measure(
    postgres: EmbeddedPostgres, folder: Path, *, topics: int, rows: int, rounds: int
) -> list[dict[str, Any]]:
    """One row a page: its median time and its ratio to the no-op."""

    news = postgres.create("news")
    migrations.upgrade(news)
    store = folder / "store"
    store.mkdir()
    engines, undo = newsrooms.installed_engines()
    room = newsrooms.sample_room(news, store.as_uri(), engines)
    newsrooms.wide_room(room, topics_wanted=topics, rows=rows)
    undo()
    room.sql("ANALYZE")
    article = room.ranking("ai-policy")[0]
    pages = {
        "no-op": NOOP,
        "Rankings, first view": "/rankings?pipeline=wide",
        "Rankings, last page": f"/rankings?pipeline=wide&page={-(-topics // 20)}",
        "Rankings, search": "/rankings?pipeline=wide&q=Article%2017",
        "Rankings, a language": "/rankings?pipeline=wide&lang=zh&page=3",
        "Topic": "/topic?pipeline=wide&slug=topic-0001",
        "Compare, all topics": "/compare?pipeline=wide",
        "Compare, one topic": "/compare?pipeline=wide&slug=topic-0001",
        "Health of many topics": "/health?pipeline=wide",
        "Health": "/health",
        "Runs": "/runs",
        "Run": f"/run?run_id={article.run_id}",
        "Article": f"/article?id={quote(article.article_id)}",
    }
    with AirflowSandbox(
        home=folder / "airflow",
        database_url=postgres.create("airflow"),
        environment={
            "RERANK_DATABASE_URL": news,
            "RERANK_STORE_URL": store.as_uri(),
            "RERANK_AIRFLOW_PIPELINES": '{"news": {}, "wide": {}}',
        },
    ) as airflow:
        airflow.migrate()
        airflow.start(("api-server",))
        wait(airflow)
        times = _interleaved(airflow, pages, rounds=rounds)
    noop = times.pop("no-op")
    return [
        {
            "page": name,
            "median_ms": round(1000 * statistics.median(taken), 2),
            "worst_ms": round(1000 * max(taken), 1),
            "ratio": round(statistics.median(a / b for a, b in zip(taken, noop, strict=True)), 2),
            "at_most": FIRST if name == "Rankings, first view" else OTHER,
            "reached": statistics.median(a / b for a, b in zip(taken, noop, strict=True))
            <= (FIRST if name == "Rankings, first view" else OTHER)
            and max(taken) <= SECONDS,
        }
        for name, taken in ({"no-op": noop} | times).items()
    ]


def wait(airflow: AirflowSandbox, *, seconds: float = 90.0) -> None:
    """Until the API server answers."""
    deadline = time.monotonic() + seconds
    while True:
        airflow.check()
        try:
            airflow.token()
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _interleaved(airflow: AirflowSandbox, pages: dict[str, str], *, rounds: int) -> dict[str, list[float]]:
    headers = {"Authorization": f"Bearer {airflow.token()}"}
    connection = http.client.HTTPConnection("127.0.0.1", airflow.port, timeout=30)
    times: dict[str, list[float]] = {name: [] for name in pages}
    for number in range(rounds + 3):  # the first three warm up
        for name, path in pages.items():
            started = time.perf_counter()
            connection.request("GET", f"/news-rerank{path}", headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            taken = time.perf_counter() - started
            if answer.status != 200:
                raise RuntimeError(f"{path}: {answer.status}: {body[:500]!r}")
            if number >= 3:
                times[name].append(taken)
    connection.close()
    return times


if __name__ == "__main__":
    raise SystemExit(main())
