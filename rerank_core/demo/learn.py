"""The story of `make demo ARGS=--learn`: simulated readers, a training, a trial, and the order before and after.

Readers are simulated: they like what the sample's judgements grade. So the demo shows that the loop works, and not how much a
model gains from real readers. It needs no Airflow.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from rerank_core import pipeline
from rerank_core.demo import show
from rerank_core.demo.evaluate import evaluate
from rerank_core.demo.show import Teller
from rerank_core.demo.sitting import Sitting
from rerank_core.evaluation.judgements import Judgements, read_file
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import topics
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

SAMPLE = Path(__file__).parent / "sample"
READERS = 40  # who see a topic's page in an hour
TOP_K = 25  # rows of a topic: readers must see more than the best ten
SEED = 20_261_129


def learn(teller: Teller, sitting: Sitting) -> None:
    """Play it; prints each step."""
    os.environ["RERANK_LEARNING_FOLDER"] = str(sitting.folder / "learned")
    os.environ |= {"RERANK_RECALL": "exhaustive", "RERANK_FILL_FACTOR": "1000"}
    teller.head("Pages of two days, ranked for 12 topics by the bundled checkpoint")
    with teller.step("Postgres, schema, topics, articles"):
        sitting.start_databases(fresh=True)
        sitting.rerank("db", "upgrade")
        os.environ |= sitting.settings
        settings = Settings.load()
        database = Database(sitting.database_url)
        wanted = [replace(topic, top_k=TOP_K) for topic in topics.load_topics(SAMPLE / "topics.yaml")]
        with database.transaction() as connection:
            topics.apply(connection, settings.pipeline, wanted)
        sitting.rerank("articles", "load", str(SAMPLE / "articles.jsonl"), "--published-now")
        with database.transaction() as connection:
            db.execute(connection, "learn.arrive")
            hours = db.the(connection, "learn.pages")
    with teller.step("rerank run: scores every pair"):
        sitting.rerank("run")
    before = show.last_run(database, pipeline=settings.pipeline)
    with teller.step("a page for each hour, from the ledger"):
        _rank_hours(settings, hours["first"], hours["last"])
    with teller.step("simulated readers, and rerank feedback load"):
        events = sitting.folder / "events.jsonl"
        seen, opened = _read_pages(database, settings.pipeline, events)
        sitting.rerank("feedback", "load", str(events))
    teller.say(f"  {seen:,} impressions, {opened:,} opens; readers like what the sample's judgements grade")
    with teller.step("rerank learn run"):
        said = sitting.rerank("learn", "run")
    teller.say(said)
    with database.transaction(read_only=True) as connection:
        training = db.the(connection, "learn.training", pipeline=settings.pipeline)
    if training["scorer_id"] is None:
        return
    number = str(training["scorer_id"])
    with teller.step(f"rerank learn try {number}, and its first page"):
        sitting.rerank("learn", "try", number, "--reason", "the demo tries it")
        os.environ["RERANK_PIPELINE"] = trial = f"{settings.pipeline}-try-{number}"
        sitting.rerank("run")
    after = show.last_run(database, pipeline=trial)
    teller.head("nDCG@10 on the sample's judgements, by raw logits")
    for name, run_id in (("before", before), ("after", after)):
        assert run_id is not None
        found = evaluate(
            database=database,
            store=Store(settings.store_url),
            run_id=run_id,
            qrels_file=SAMPLE / "qrels.tsv",
        )[0]
        teller.say(
            f"  {name:<7} {found.ndcg:.3f}  ({found.low:.3f} to {found.high:.3f}, {found.topics} topics)"
        )
    teller.say(
        "  Readers were simulated, and most of these topics were learned from: it shows the loop, not a gain."
    )
    teller.say(f'  A person decides: rerank learn promote {number} --reason "…"')


def _rank_hours(settings: Settings, first: datetime, last: datetime) -> None:
    """Pages of past hours. Every pair has its score, so no engine starts."""
    resources = pipeline.Resources.of(settings)
    until = first
    while until <= last:
        pipeline.run_all(resources, key=f"hour {until:%d %H}", until=until, as_claimed_now=True)
        until += timedelta(hours=1)


def _read_pages(database: Database, name: str, events: Path) -> tuple[int, int]:
    """Write what simulated readers did with every page; returns how many rows they saw and opened.

    A row is looked at with the chance rank^−0.7; interest in an article falls by 3 % an hour.
    """
    with database.transaction(read_only=True) as connection:
        rows = db.rows(connection, "learn.rows", pipeline=name)
    judged = read_file(SAMPLE / "qrels.tsv")
    rng = np.random.default_rng(SEED)
    now = datetime.now(UTC).isoformat()
    rank = np.asarray([row["rank"] for row in rows], dtype=np.float64)
    age = np.asarray([float(row["age"]) for row in rows])
    likes = 0.03 * np.exp(0.6 * np.asarray([_grade(judged, row) for row in rows]) - 0.03 * age)
    seen = rng.poisson(READERS, len(rows))
    opened = rng.binomial(seen, np.clip(rank**-0.7 * likes, 0, 1))
    with events.open("w", encoding="utf-8") as stream:
        number = 0
        for row, impressions, opens in zip(rows, seen.tolist(), opened.tolist(), strict=True):
            named = {key: row[key] for key in ("run_id", "topic", "rank", "revision_id")}
            for event, count in (("impression", impressions), ("open", opens)):
                for _ in range(count):
                    number += 1
                    stream.write(
                        json.dumps({**named, "event": event, "event_id": f"demo-{number}", "time": now})
                        + "\n"
                    )
    return int(seen.sum()), int(opened.sum())


def _grade(judged: Judgements, row: Any) -> int:
    return judged.get(row["topic"], {}).get(row["article_id"], 0)
