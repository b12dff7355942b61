"""How long it takes to try twelve topics against the sample, without an engine.

    PYTHONPATH=tests python -m benchmarks.bench_preview       # half a minute; results/preview.md and preview.json

An embedded Postgres with the sample, ranked by four runs of a fake engine. Each round starts a process of its own for each
command, as a person or a test would, and looks once more in a process that is warm, as the API server is. Seconds by the
clock, and of the processor, which other work on the machine lengthens less.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import newsrooms

from benchmarks.machine import describe
from benchmarks.reporting import preview as reporting
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.operations.preview.preview import preview
from rerank_core.storage import migrations
from rerank_core.storage.topics import load_topics

RESULTS = Path(__file__).parent / "results"
TOPICS = newsrooms.SAMPLE / "topics.yaml"
COMMAND = "from rerank_core.cli import main; main()"
LOOK = """
import sys, time
began, worked = time.perf_counter(), time.process_time()
from rerank_core.operations.preview.preview import preview
from rerank_core.settings import Settings
from rerank_core.storage.database import Database
from rerank_core.storage.topics import load_topics
settings = Settings.load()
preview(Database(settings.database_url), settings, load_topics(sys.argv[1]))
print(time.perf_counter() - began, time.process_time() - worked)
"""
AT_MOST = 3.0  # seconds: what a preview of twelve topics must reach

Times = tuple[float, float]  # by the clock, of the processor


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args(arguments)
    machine = describe(threads=1, gpu=False)
    with tempfile.TemporaryDirectory(prefix="rerank-bench-preview-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres runs as another user than root
        with EmbeddedPostgres(folder=folder / "postgres") as postgres:
            found = measure(postgres, folder, rounds=asked.rounds)
    results = {"machine": machine, "rounds": asked.rounds, "at_most": AT_MOST, **found}
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "preview.json").write_text(json.dumps(results, indent=1) + "\n")
    (asked.out / "preview.md").write_text(reporting.markdown(results))
    print(reporting.markdown(results))
    return 0


def measure(postgres: EmbeddedPostgres, folder: Path, *, rounds: int) -> dict[str, Any]:
    """The times of each way to look, round by round; and what was looked at."""
    url = postgres.create("news")
    migrations.upgrade(url)
    store = folder / "store"
    store.mkdir()
    engines, undo = newsrooms.installed_engines()
    room = newsrooms.sample_room(url, store.as_uri(), engines)
    undo()
    environment = os.environ | {"RERANK_DATABASE_URL": url, "RERANK_STORE_URL": store.as_uri()}
    topics = load_topics(TOPICS)
    seen = preview(room.database, room.settings, topics)
    ways: dict[str, Callable[[], Times]] = {
        "preview, in a warm process": lambda: _here(lambda: preview(room.database, room.settings, topics)),
        "preview, in a fresh process, with its imports": lambda: _told(LOOK, environment),
        "`rerank topics preview`, the whole command": lambda: _command("preview", environment),
        "`rerank topics lint`, the whole command": lambda: _command("lint", environment),
    }
    times: dict[str, list[Times]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(way())
    return {
        "topics": len(topics),
        "documents": seen.documents,
        "ways": [
            {
                "way": name,
                "median_s": round(statistics.median(clock for clock, _ in taken), 2),
                "worst_s": round(max(clock for clock, _ in taken), 2),
                "processor_s": round(statistics.median(work for _, work in taken), 2),
            }
            for name, taken in times.items()
        ],
    }


def _here(work: Callable[[], object]) -> Times:
    began, worked = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - worked


def _told(script: str, environment: dict[str, str]) -> Times:
    done = subprocess.run(
        [sys.executable, "-c", script, str(TOPICS)],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    clock, work = done.stdout.split()
    return float(clock), float(work)


def _command(name: str, environment: dict[str, str]) -> Times:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-c", COMMAND, "topics", name, str(TOPICS)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    work = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, work


if __name__ == "__main__":
    raise SystemExit(main())
