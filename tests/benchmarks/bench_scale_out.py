"""How much sooner a run is scored by two workers than by one, with devices that are simulated by sleep.

    PYTHONPATH=tests python -m benchmarks.bench_scale_out       # ten minutes; results/scale_out.md and scale_out.json

A worker is a process that scores the shards of one frozen run, on an embedded Postgres. Its engine sleeps for each pair and takes
no processor, so that two of them are two devices on any machine. The clock starts when the workers have imported what they need.
Each round plays every way in turn; the way without help scores as if each task ended with its own shard.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from factories import FakeEngines, Newsroom

from benchmarks.machine import describe
from rerank_core import pipeline
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.models import scorers
from rerank_core.models.base import FakeScorer
from rerank_core.rerank.rounds import ShardTask
from rerank_core.settings import Settings
from rerank_core.storage import migrations

RESULTS = Path(__file__).parent / "results"
TOPICS, ARTICLES, PAIRS_PER_CHUNK = 16, 20, 10
ONE = "one worker, both shards"
# Way → the shards of each worker, how slow each is, whether it helps, and the least ratio to ONE that is allowed for.
WAYS: dict[str, tuple[list[list[int]], list[float], bool, float | None]] = {
    ONE: ([[0, 1]], [1.0], True, None),
    "two workers": ([[0], [1]], [1.0, 1.0], True, 1.8),
    "two workers, one at a third of the speed": ([[0], [1]], [1.0, 3.0], True, None),
    "the same without help": ([[0], [1]], [1.0, 3.0], False, None),
}
IDEAL = {ONE: 1.0, **{way: sum(1 / slow for slow in WAYS[way][1]) for way in WAYS if way != ONE}}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.2, help="of a pair")
    parser.add_argument("--ways", type=int, default=len(WAYS), help="the first so many")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.worker:
        return work(**json.loads(asked.worker))
    machine = describe(threads=1, gpu=False)
    with tempfile.TemporaryDirectory(prefix="rerank-bench-scale-out-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres runs as another user than root
        with EmbeddedPostgres(folder=folder / "postgres") as postgres:
            chosen = dict(list(WAYS.items())[: asked.ways])
            ways = measure(postgres, folder, chosen, rounds=asked.rounds, seconds=asked.seconds)
    results = {"machine": machine, "rounds": asked.rounds, "seconds_per_pair": asked.seconds, "ways": ways}
    (asked.out / "scale_out.json").write_text(json.dumps(results, indent=1) + "\n")
    (asked.out / "scale_out.md").write_text(markdown(results))
    print(markdown(results))
    return 0


def measure(
    postgres: EmbeddedPostgres, folder: Path, ways: dict[str, Any], *, rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """For each way: seconds until the run is complete, pairs that an engine scored again, and the ratio to one worker."""
    url, store = postgres.create("news"), folder / "store"
    migrations.upgrade(url)
    store.mkdir()
    scorers.identity = lambda *_, **__: FakeScorer().identity
    settings = Settings.load(database_url=url, store_url=store.as_uri(), shards=2)
    room = Newsroom(settings, FakeEngines())
    names = [f"topic{number}" for number in range(TOPICS)]
    room.follow(*names)
    room.add(*(f"{' '.join(names)} {number}" for number in range(ARTICLES)))
    run = room.until("rerank", "k")
    taken: dict[str, list[tuple[float, int]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, (shards, slow, helps, _least) in ways.items():
            room.sql("TRUNCATE rerank.pair_score, rerank.scoring_attempt")
            asked = {"url": url, "store": store.as_uri(), "run_id": run.run_id, "helps": helps}
            own = [
                {**asked, "shards": these, "seconds": seconds * factor}
                for these, factor in zip(shards, slow, strict=True)
            ]
            length, given = play(own)
            scored = room.value("SELECT count(*) FROM rerank.pair_score")
            assert scored == TOPICS * ARTICLES, f"{way}: {scored} pairs have a score"
            taken[way].append((length, given - scored))
    one = [length for length, _ in taken[ONE]]
    return [
        {
            "way": way,
            "median_s": round(statistics.median(length for length, _ in found), 1),
            "ratio": round(
                statistics.median(o / length for o, (length, _) in zip(one, found, strict=True)), 2
            ),
            "ideal": round(IDEAL[way], 2),
            "least": WAYS[way][3],
            "again": max(again for _, again in found),
        }
        for way, found in taken.items()
    ]


def play(workers: Sequence[dict[str, Any]]) -> tuple[float, int]:
    """Seconds until the last worker has ended, and the pairs that went into all engines."""
    command = [sys.executable, "-m", "benchmarks.bench_scale_out", "--worker"]
    running = [
        subprocess.Popen(
            [*command, json.dumps(own)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for own in workers
    ]
    for worker in running:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    began = time.monotonic()
    for worker in running:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    told = [worker.communicate()[0] for worker in running]
    return time.monotonic() - began, sum(map(int, told))


def work(url: str, store: str, run_id: int, helps: bool, shards: list[int], seconds: float) -> int:
    """Score these shards, one after the other; prints how many pairs went into the engine."""
    given = 0

    class Sleeping(FakeScorer):
        def score(self, pairs: Any, **how: Any) -> Any:
            nonlocal given
            for chunk in super().score(pairs, **how):
                given += len(chunk.scores)
                yield chunk

    scorers.identity = lambda *_, **__: FakeScorer().identity
    scorers.load = lambda *_, **__: Sleeping(pairs_per_chunk=PAIRS_PER_CHUNK, seconds_per_pair=seconds)
    if not helps:
        ShardTask.rest = lambda task: []  # type: ignore[method-assign]
    chunk = PAIRS_PER_CHUNK * seconds
    resources = pipeline.Resources.of(Settings.load(database_url=url, store_url=store, flush_seconds=chunk))
    pipeline.get_run(resources, run_id)
    print("ready", flush=True)
    sys.stdin.readline()
    for shard in shards:
        pipeline.run_stage("rerank", resources=resources, run_id=run_id, shard=shard)
    print(given)
    return 0


def markdown(results: dict[str, Any]) -> str:
    """The page of the results."""
    machine = results["machine"]
    lines = [
        "# Scoring by several workers",
        "",
        f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}, {machine['date']}; load average before the"
        f" start {machine['load']}. {TOPICS * ARTICLES} pairs in two shards, {results['rounds']} rounds, all ways in turn. Devices are"
        f" simulated: an engine sleeps {results['seconds_per_pair'] * 1000:g} ms a pair. *Ideal* is the sum of the speeds. *Again* are pairs"
        f" that went into a second engine, at most in a round; a chunk has {PAIRS_PER_CHUNK}.",
        "",
        "| workers | median s | times as fast as one | ideal | wanted | again |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for way in results["ways"]:
        wanted = "" if way["least"] is None else f"≥ {way['least']}"
        lines.append(
            f"| {way['way']} | {way['median_s']} | {way['ratio']} | {way['ideal']} | {wanted} | {way['again']} |"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    raise SystemExit(main())
