"""Claiming, a long history and an idle rerun: what the stages cost beside bare SQL, beside a tenth, beside nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

from sqlalchemy import text

from benchmarks.scale_world import World, made_topics, stub_engines
from rerank_core import pipeline
from rerank_core.demo.postgres import EmbeddedPostgres

# The least that must be read and written to claim what is new and keep its text: an anti-join and three inserts.
BARE_CLAIM = """
WITH changed AS (
    SELECT s.* FROM rerank.source_article s
    WHERE s.ingested_at >= :since AND s.ingested_at < :until
      AND NOT EXISTS (SELECT FROM rerank.claim c
                      WHERE c.pipeline = :pipeline AND c.article_id = s.article_id AND c.version = s.version)
), claimed AS (
    INSERT INTO rerank.claim (pipeline, article_id, version, number, first_ingested_at)
    SELECT :pipeline, article_id, version, 1, ingested_at FROM changed
), staged AS (
    INSERT INTO rerank.revision (pipeline, article_id, number, version, run_id, ingested_at, first_ingested_at, published_at, began_at, url, source, lang)
    SELECT :pipeline, article_id, 1, version, :run_id, ingested_at, ingested_at, published_at, least(published_at, ingested_at), url, source, lang FROM changed
    RETURNING revision_id, article_id
)
INSERT INTO rerank.revision_text (revision_id, title, summary, body)
SELECT staged.revision_id, changed.title, changed.summary, changed.body FROM staged JOIN changed USING (article_id)
"""

TASKS = ("doctor", "extract", "prepare", "embed", "recall", "degrade", "publish", "observe")


def measure_claim(
    server: EmbeddedPostgres, folder: Path, *, articles: int, new: int, rounds: int
) -> dict[str, Any]:
    """Seconds to claim `new` of `articles` in the lookback: the whole stage, and the bare statement."""
    world = new_world(server, folder, "claim")
    world.past(articles, days=6.5, documents=False)
    ours, bare = [], []
    for number in range(rounds + 1):  # the first one warms up
        takers = [(ours, _claim), (bare, _claim_bare)]
        for seconds, claim in takers if number % 2 else reversed(takers):
            world.add_articles(new)
            run = world.room.open(f"{claim.__name__}-{number}")
            world.checkpoint()
            before = world.count("revision_text")
            began = perf_counter()
            claim(world, run.run_id)
            taken = perf_counter() - began
            claimed = world.count("revision_text") - before
            if claimed != new:
                raise RuntimeError(f"{claim.__name__} took {claimed} of {new} new articles")
            if number:
                seconds.append(taken)
    return {"articles": articles, "new": new, "stage_s": ours, "bare_s": bare}


def _claim(world: World, run_id: int) -> None:
    pipeline.run_stage("extract", resources=world.room.resources, run_id=run_id)


def _claim_bare(world: World, run_id: int) -> None:
    settings = world.room.settings
    with world.room.database.transaction() as connection:
        now = connection.execute(text("SELECT now()")).scalar_one()
        values = {"since": now - timedelta(days=settings.lookback_days), "until": now, "run_id": run_id}
        connection.execute(text(BARE_CLAIM), {**values, "pipeline": settings.pipeline})


def measure_history(
    server: EmbeddedPostgres,
    folder: Path,
    *,
    revisions: int,
    times: int,
    a_day: int,
    new: int,
    topics: int,
    scores: int,
    rounds: int,
) -> dict[str, Any]:
    """Seconds of each stage of a run with the same new work, over a history and over one `times` as long."""
    worlds = {}
    for factor in (1, times):
        world = worlds[factor] = new_world(server, folder, f"history{factor}")
        count = revisions * factor
        made = made_topics(topics, candidate_limit=50, top_k=50)
        world.past(count, days=count / a_day, topics=made, scores=scores)
    stages: dict[int, list[dict[str, float]]] = {1: [], times: []}
    for number in range(rounds + 1):  # the first one fills the topics
        for factor in (1, times) if number % 2 else (times, 1):
            world = worlds[factor]
            world.add_articles(new)
            world.checkpoint()
            done = world.room.run(f"round-{number}")
            _same(done["extract"]["claimed"], new, "articles claimed")
            if number == 0:
                world.settle()
            else:
                stages[factor].append({stage: result["seconds"] for stage, result in done.items()})
    pages = [
        world.room.sql("SELECT sum(candidates), sum(scored) FROM rerank.current_topic")[0]
        for world in worlds.values()
    ]
    return {
        "revisions": [world.count("revision") for world in worlds.values()],
        "ledger_rows": [world.count("pair_score") for world in worlds.values()],
        "new": new,
        "topics": topics,
        "window": int(a_day * world.room.settings.freshness_hours / 24),
        "candidates": [int(candidates) for candidates, _ in pages],
        "scored": [int(scored) for _, scored in pages],
        "stages_s": {f"{factor}": one for factor, one in stages.items()},
    }


def measure_rerun(
    server: EmbeddedPostgres,
    folder: Path,
    *,
    articles: int,
    topics: int,
    rounds: int,
    tasks: Sequence[str] = TASKS,
) -> dict[str, Any]:
    """Seconds of every task of a run that is cleared, and of a new run that finds nothing new; a process each."""
    world = new_world(server, folder, "rerun")
    world.past(articles, days=3, topics=made_topics(topics, top_k=20), scores=5)
    world.add_articles(100)
    first = world.room.run("first")
    _same(first["extract"]["claimed"], 100, "articles claimed")
    world.settle()
    found: dict[str, list[dict[str, float]]] = {"the same run again": [], "a new run, nothing new": []}
    processor: dict[str, list[float]] = {kind: [] for kind in found}
    for number in range(rounds):
        for kind, key in zip(found, ("first", f"later-{number}"), strict=True):
            figures = {name: _idle_task(world, name, key) for name in tasks}
            found[kind].append({name: one["seconds"] for name, one in figures.items()})
            processor[kind].append(sum(one["processor_seconds"] for one in figures.values()))
    return {
        "articles": articles,
        "topics": topics,
        "first_run_pairs": len(world.room.engines.asked),
        "tasks_s": found,
        "processor_s": processor,
    }


def task(world: World, stage: str, key: str) -> dict[str, Any]:
    """Figures of a task in a fresh process, from its first import of the library on, and its result."""
    settings = world.room.settings
    environment = {
        **os.environ,
        "RERANK_DATABASE_URL": settings.database_url,
        "RERANK_STORE_URL": settings.store_url,
        "PYTHONPATH": os.pathsep.join(map(str, (Path(__file__).parents[1], Path(__file__).parents[2]))),
        "AIRFLOW_HOME": str(Path(settings.store_url.removeprefix("file://")).parent / "airflow"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale_task", stage, key],
        env=environment,
        cwd=Path(__file__).parents[2],
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"task {stage} failed:\n{done.stderr[-3000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _idle_task(world: World, stage: str, key: str) -> dict[str, float]:
    """The figures of a task that has nothing to score."""
    figures = task(world, stage, key)
    if stage == "recall" and figures["result"]["shards"]:
        raise RuntimeError(f"a run with nothing new has pairs to score: {figures['result']}")
    return {name: float(figures[name]) for name in ("seconds", "processor_seconds")}


def _same(found: int, wanted: int, what: str) -> None:
    if found != wanted:
        raise RuntimeError(f"expected {wanted} {what}, found {found}")


def new_world(server: EmbeddedPostgres, folder: Path, name: str, **settings: Any) -> World:
    """A newsroom with a database and a store of its own."""
    store = folder / name / "store"
    store.mkdir(parents=True)
    return World(server.create(name), store.as_uri(), stub_engines(), **settings)
