"""The story of `make demo ARGS=--learn`: simulated readers, a training, what the gate says of the head, and a trial of it.

Readers are simulated: they like what the sample's judgements grade. So the demo shows that the loop works, and not how much a
model gains from real readers. If the gate refuses the head, the demo says why, and tries nothing. It needs no Airflow.
"""

from __future__ import annotations

import json
import os
import shutil
import time
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
TOP_K = 40  # rows of a topic: readers must see more than the best ten
# Below it the demonstration checkpoint has found next to no word of the query: without it each topic shows nearly every article.
MIN_SCORE = -3.0
OPENED = 0.1  # chance that a fresh article of grade 0 is opened by who looks at it
SEED = 20_261_129
EXAMINATION = -0.7  # the chance that a row is looked at is rank to the power of this


def learn(teller: Teller, sitting: Sitting) -> None:
    """Play it; prints each step."""
    began = time.monotonic()
    learned = sitting.folder / "learned"
    shutil.rmtree(learned, ignore_errors=True)  # of a demo before
    os.environ |= {
        "RERANK_LEARNING_FOLDER": str(learned),
        "RERANK_RECALL": "exhaustive",
        "RERANK_FILL_FACTOR": "1000",
    }
    teller.say("  readers simulated: they like what the sample's judgements grade; nobody read anything")
    database, settings, before = start(teller, sitting)
    read(teller, sitting, database, settings)
    teller.head("Learning: a vector in place of the model's last one")
    with teller.step("rerank learn run"):
        said = sitting.rerank("learn", "run")
    teller.say("\n".join(f"  {line}" for line in said.splitlines() if not line.endswith("pairs are read")))
    with database.transaction(read_only=True) as connection:
        scorer_id = db.the(connection, "learn.training", pipeline=settings.pipeline)["scorer_id"]
    if scorer_id is None:
        teller.say(
            "  So nothing changes: the page keeps its scorer. Two days of 167 articles are little to learn from."
        )
    else:
        try_it(teller, sitting, database, settings, scorer_id=scorer_id, before=before)
    teller.head(f"Done in {time.monotonic() - began:.0f} s. To try next")
    teller.say(
        "  make ui      # in Airflow: the views Feedback and Scorers; it prints what a shell needs for the next command"
    )
    if scorer_id is not None:
        teller.say(
            f'  .venv/bin/rerank learn promote {scorer_id} --reason "…"   # a person decides; nothing is promoted by itself'
        )


def start(teller: Teller, sitting: Sitting) -> tuple[Database, Settings, int]:
    """A page for each hour of two days; returns also the number of the run that scored every pair."""
    teller.head("Two days of news, ranked for 12 topics")
    with teller.step("Postgres, schema, topics, articles"):
        sitting.start_databases(fresh=True)
        sitting.rerank("db", "upgrade")
        os.environ |= sitting.settings
        settings = Settings.load()
        database = Database(sitting.database_url)
        wanted = [
            replace(topic, top_k=TOP_K, min_score=MIN_SCORE)
            for topic in topics.load_topics(SAMPLE / "topics.yaml")
        ]
        with database.transaction() as connection:
            topics.apply(connection, settings.pipeline, wanted)
        sitting.rerank("articles", "load", str(SAMPLE / "articles.jsonl"), "--published-now")
        with database.transaction() as connection:
            db.execute(connection, "learn.arrive")
            hours = db.the(connection, "learn.pages")
    with teller.step("rerank run: the model scores every pair"):
        sitting.rerank("run")
    run_id = show.last_run(database, pipeline=settings.pipeline)
    assert run_id is not None
    count = (hours["last"] - hours["first"]) // timedelta(hours=1) + 1
    with teller.step(f"a page for each of {count} hours; every pair has its score by now"):
        _rank_hours(settings, hours["first"], hours["last"])
    return database, settings, run_id


def read(teller: Teller, sitting: Sitting, database: Database, settings: Settings) -> None:
    """Readers look at the pages, and what they did is kept and measured."""
    teller.head("Simulated readers")
    events = sitting.folder / "events.jsonl"
    with teller.step("rerank feedback load"):
        seen, opened = _read_pages(database, settings.pipeline, events)
        sitting.rerank("feedback", "load", str(events))
    teller.say(f"  {seen:,} impressions, {opened:,} opens")
    with teller.step("rerank feedback report"):
        report = json.loads(sitting.rerank("feedback", "report", "--json"))
    tenth = min(report["positions"]["examination"], key=lambda effect: abs(effect["at"] - 10))
    teller.say(
        f"  If all else is equal, rank {tenth['at']:g} is opened {tenth['factor']:.2f} times as often as rank 1"
        f" (95 %: {tenth['low']:.2f} to {tenth['high']:.2f}). The readers' own figure is {tenth['at'] ** EXAMINATION:.2f}."
    )


def try_it(
    teller: Teller, sitting: Sitting, database: Database, settings: Settings, *, scorer_id: int, before: int
) -> None:
    """A second pipeline ranks by the proposed scorer; its order stands beside the one before."""
    teller.head("A trial beside the page")
    trial = f"{settings.pipeline}-try-{scorer_id}"
    with teller.step(f"rerank learn try {scorer_id}, and the first page of pipeline {trial}"):
        sitting.rerank("learn", "try", str(scorer_id), "--reason", "the demo tries it")
        os.environ["RERANK_PIPELINE"] = trial
        sitting.rerank("run")
    after = show.last_run(database, pipeline=trial)
    assert after is not None
    teller.head("How good is it? 12 topics of invented news, by the logits alone")
    found = [
        evaluate(
            database=database,
            store=Store(settings.store_url),
            run_id=run_id,
            qrels_file=SAMPLE / "qrels.tsv",
        )[0]
        for run_id in (before, after)
    ]
    show.quality(
        teller, [replace(each, order=name) for each, name in zip(found, ("before", "after"), strict=True)]
    )
    teller.say("  Readers liked what these judgements grade, and most of these topics were learned from.")
    teller.say("  It shows that the loop works, and not what real readers would bring.")


def _rank_hours(settings: Settings, first: datetime, last: datetime) -> None:
    """Pages of past hours. Every pair has its score, so no engine starts."""
    resources = pipeline.Resources.of(settings)
    until = first
    while until <= last:
        pipeline.run_all(resources, key=f"hour {until:%d %H}", until=until, as_claimed_now=True)
        until += timedelta(hours=1)


def _read_pages(database: Database, name: str, events: Path) -> tuple[int, int]:
    """Write what simulated readers did with every page; returns how many rows they saw and opened.

    A row is looked at with the chance rank^EXAMINATION; interest in an article falls by 3 % an hour.
    """
    with database.transaction(read_only=True) as connection:
        rows = db.rows(connection, "learn.rows", pipeline=name)
    judged = read_file(SAMPLE / "qrels.tsv")
    rng = np.random.default_rng(SEED)
    now = datetime.now(UTC).isoformat()
    rank = np.asarray([row["rank"] for row in rows], dtype=np.float64)
    age = np.asarray([float(row["age"]) for row in rows])
    likes = OPENED * np.exp(0.6 * np.asarray([_grade(judged, row) for row in rows]) - 0.03 * age)
    seen = rng.poisson(READERS, len(rows))
    opened = rng.binomial(seen, np.clip(rank**EXAMINATION * likes, 0, 1))
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
