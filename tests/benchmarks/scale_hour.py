"""A whole hour without the model: every task of a run in a process of its own, at four sizes.

The window is full, and each topic has the scores of three days. So an hour searches its new documents, writes their scores,
and ranks and publishes a page of which most rows stay.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.scale_runs import new_world, task
from benchmarks.scale_world import World, made_topics
from rerank_core.demo.postgres import EmbeddedPostgres

HOURS = 72  # of the window
PARAGRAPHS = 50_000  # different ones: a text shares a paragraph with 14 of the window
LIMIT = 50  # candidates of a topic and hour, and rows of its page
STAGES = ("extract", "prepare", "embed", "recall", "rerank", "degrade", "publish", "observe")
NAMES = ("small", "topics", "articles", "design")
FIGURES = ("seconds", "processor_seconds", "peak_mb")


@dataclass(frozen=True)
class Size:
    """A newsroom's size."""

    name: str
    topics: int
    new: int  # articles of an hour

    @property
    def documents(self) -> int:
        return self.new * HOURS


def sizes(*, topics: int, new: int, times: int) -> list[Size]:
    """The design's size last; before it, what is missing to it in topics, in articles and in both."""
    return [
        Size("small", topics // times, new // times),
        Size("topics", topics, new // times),
        Size("articles", topics // times, new),
        Size("design", topics, new),
    ]


def measure_hour(
    server: EmbeddedPostgres,
    folder: Path,
    *,
    topics: int,
    new: int,
    times: int,
    rounds: int,
    names: Sequence[str] = NAMES,
) -> dict[str, Any]:
    """Seconds, processor time and peak memory of each task, round by round, at each size."""
    found = {}
    for size in sizes(topics=topics, new=new, times=times):
        if size.name not in names:
            continue
        found[size.name] = _measure(server, folder, size, rounds)
        print(json.dumps({size.name: found[size.name]["rounds"]}), flush=True)
    return {"topics": topics, "new": new, "times": times, "sizes": found}


def _measure(server: EmbeddedPostgres, folder: Path, size: Size, rounds: int) -> dict[str, Any]:
    world = new_world(server, folder, f"hour_{size.name}", paragraphs=PARAGRAPHS)
    made = made_topics(size.topics, candidate_limit=LIMIT, top_k=LIMIT)
    world.past(
        size.documents, days=HOURS / 24 - 0.1, topics=made, scores=max(1, size.topics * LIMIT // size.new)
    )
    world.fill(made)
    hours = [_hour(world, size, f"hour-{number}") for number in range(rounds + 1)]
    rows = world.room.value("SELECT count(*) FROM rerank.current_ranking")
    return {
        "topics": size.topics,
        "documents": size.documents,
        "new": size.new,
        "ledger_rows": world.count("pair_score"),
        "rows": rows,
        "index_mb": float(
            world.room.value("SELECT pg_total_relation_size('rerank.term_segment') / 1048576.0")
        ),
        "first": hours[0],  # it builds the index
        "rounds": hours[1:],
    }


def _hour(world: World, size: Size, key: str) -> dict[str, dict[str, float]]:
    world.add_articles(size.new)
    world.settle()
    world.checkpoint()
    figures = {}
    for stage in STAGES:
        done = task(world, stage, key)
        figures[stage] = {name: float(done[name]) for name in FIGURES}
        if stage == "recall" and done["result"]["candidates"] != size.topics * min(LIMIT, size.new):
            raise RuntimeError(f"expected {LIMIT} candidates of each topic, found {done['result']}")
    return figures
