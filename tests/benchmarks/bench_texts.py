"""Measure what pictures cost a pipeline that uses none: extract and prepare of texts alone, beside the code before pictures came.

    git worktree add --detach ../before 26461c9
    PYTHONPATH=tests:. python -m benchmarks.bench_texts ../before [--articles 1500] [--rounds 5]

Each round runs both trees in turn, each in a process and on an embedded Postgres of its own, with the same invented articles. The digests of
all documents must be equal. Figures go to tests/benchmarks/results/texts.json and texts.md.
"""

import argparse
import hashlib
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).parent / "results" / "texts.json"
STAGES = ("extract", "prepare")


def articles(number: int) -> list[dict[str, str]]:
    """Articles of the sample, with paragraphs of other articles of their language, so that no two are alike."""
    lines = (
        (HERE / "rerank_core" / "demo" / "sample" / "articles.jsonl").read_text(encoding="utf-8").splitlines()
    )
    sample, rng = [json.loads(line) for line in lines], random.Random(number)
    made = []
    for place in range(number):
        article = sample[place % len(sample)]
        others = [other for other in sample if other["lang"] == article["lang"]]
        body = "\n\n".join(other["body"] for other in rng.sample(others, 3))
        made.append({"id": f"a-{place}", "title": article["title"], "body": body, "lang": article["lang"]})
    return made


def measure(file: Path) -> dict[str, Any]:
    """Seconds by the clock and of the processor that each stage takes in this tree, and the digest of all documents."""
    from rerank_core import pipeline
    from rerank_core.demo.postgres import EmbeddedPostgres
    from rerank_core.extract.articles import load_articles
    from rerank_core.frontends import contract
    from rerank_core.settings import Settings
    from rerank_core.storage import migrations

    found: dict[str, Any] = {}
    folder = file.parent
    with EmbeddedPostgres(folder=folder / "postgres") as server:
        url = server.create("news")
        migrations.upgrade(url, comments=contract.comments())
        settings = Settings.load(database_url=url, store_url=(folder / "store").as_uri(), prepare_workers=1)
        resources = pipeline.Resources.of(settings)
        load_articles(resources.database, file)
        run = pipeline.open_run(resources)
        for stage in STAGES:
            clock, processor = time.perf_counter(), used()
            pipeline.run_stage(stage, resources=resources, run_id=run.run_id)
            found[stage] = [time.perf_counter() - clock, used() - processor]
        import sqlalchemy

        with resources.database.transaction(read_only=True) as connection:
            rows = connection.execute(sqlalchemy.text("SELECT digest FROM rerank.document ORDER BY digest"))
            digests = [bytes(row.digest) for row in rows]
    return found | {"documents": len(digests), "digest": hashlib.sha256(b"".join(digests)).hexdigest()}


def used() -> float:
    """Processor seconds of this process and of its children that have ended."""
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def in_tree(tree: Path, number: int) -> dict[str, Any]:
    """`measure` in a process that runs a tree's code."""
    with tempfile.TemporaryDirectory(prefix="rerank-texts-") as folder:
        Path(folder).chmod(0o755)  # Postgres may run as another user
        file = Path(folder) / "articles.jsonl"
        file.write_text("".join(json.dumps(each) + "\n" for each in articles(number)), encoding="utf-8")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RERANK_")}
        environment["PYTHONPATH"] = f"{tree}{os.pathsep}{tree / 'tests'}"
        done = subprocess.run(
            [sys.executable, "-P", __file__, "--measure", str(file)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"{tree}: {done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def markdown(results: dict[str, Any]) -> str:
    """The results as a page."""
    from benchmarks.reporting.tables import table

    machine = results["machine"]
    rows = []
    for stage in STAGES:
        for place, kind in enumerate(("by the clock", "of the processor")):
            before, now = (
                statistics.median(each[stage][place] for each in results[tree]) for tree in ("before", "now")
            )
            ratio = statistics.median(
                new[stage][place] / old[stage][place]
                for old, new in zip(results["before"], results["now"], strict=True)
            )
            rows.append((f"{stage}, seconds {kind}", before, now, ratio))
    lines = [
        "# Texts alone, before and since pictures",
        "",
        f"{machine['processor']}, Python {machine['python']}, {machine['date']}; load average before the start {machine['load']}."
        f" {results['articles']:,} articles without pictures, one helper, median of {results['rounds']} rounds in turn."
        f" All {results['documents']:,} documents have the same digests.",
        "",
        *table(("stage", "before", "now", "now ÷ before"), rows),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", nargs="?", type=Path)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--articles", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(measure(asked.measure)))
        return
    if asked.before is None:
        parser.error("name the folder with the code before pictures")
    from benchmarks.machine import describe

    results: dict[str, Any] = {
        "machine": describe(threads=1, gpu=False),
        "articles": asked.articles,
        "rounds": asked.rounds,
    }
    trees = {"before": asked.before.resolve(), "now": HERE}
    for number in range(asked.rounds):
        for name in sorted(trees, reverse=number % 2 == 1):
            results.setdefault(name, []).append(in_tree(trees[name], asked.articles))
    digests = {each["digest"] for name in trees for each in results[name]}
    if len(digests) != 1:
        raise SystemExit("the two trees make other documents of the same texts")
    results["documents"] = results["now"][0]["documents"]
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    RESULTS.with_suffix(".md").write_text(markdown(results), encoding="utf-8")
    print(markdown(results))


if __name__ == "__main__":
    main()
