"""What the demo prints: its progress, the page, the times.

Legible on a terminal (CJK titles line up; a line moves while the model scores) and in a file (plain lines, no
control codes).
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console, JustifyMethod
from rich.status import Status
from rich.table import Table
from rich.text import Text
from sqlalchemy import text

from rerank_core.demo.airflow import TaskState
from rerank_core.demo.evaluate import Quality
from rerank_core.storage.database import Database

WIDTH_OF_A_FILE = 110
ROWS_A_TOPIC = 5
# Airflow's own words for a task that is over.
OVER = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


class Teller:
    """Prints the story of one sitting."""

    def __init__(self) -> None:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace", line_buffering=True)
        terminal = sys.stdout.isatty()
        self.console = Console(width=None if terminal else WIDTH_OF_A_FILE, highlight=False, soft_wrap=False)

    def say(self, message: str = "") -> None:
        self.console.print(message, markup=False, soft_wrap=True)

    def head(self, message: str) -> None:
        self.console.print()
        self.console.print(Text(message, style="bold"))

    def done(self, message: str, *, seconds: float | None) -> None:
        """One finished step, with the time it took."""
        took = " " * 8 if seconds is None else f"{seconds:6.1f} s"
        self.console.print(f"{took}  {message}", markup=False, soft_wrap=True)

    @contextmanager
    def step(self, message: str) -> Iterator[None]:
        """A step that says on the terminal that it is under way, and everywhere what it took."""
        began = time.monotonic()
        with self.waiting(message):
            yield
        self.done(message, seconds=time.monotonic() - began)

    @contextmanager
    def waiting(self, message: str) -> Iterator[Status | None]:
        """A moving line on a terminal; nothing in a file."""
        if self.console.is_terminal:
            with self.console.status(Text(message)) as status:
                yield status
        else:
            yield None


class RunProgress:
    """Tells the tasks of one dag run as they end, and how far the scoring is."""

    def __init__(self, teller: Teller, status: Status | None, database: Database) -> None:
        self._teller = teller
        self._status = status
        self._database = database
        self._told: set[tuple[str, int, int]] = set()
        self._quarters = 0

    def __call__(self, tasks: Sequence[TaskState]) -> None:
        running = []
        for task in tasks:
            name = task.task_id if task.map_index < 0 else f"{task.task_id}, {task.label or task.map_index}"
            key = (task.task_id, task.map_index, task.try_number)
            if task.state in OVER and key not in self._told:
                self._told.add(key)
                note = {"success": "", "skipped": "  (nothing to do)"}.get(
                    task.state or "", f"  {task.state}"
                )
                self._teller.done(f"{name}{note}", seconds=None if task.state == "skipped" else task.seconds)
            elif task.state == "running":
                running.append(name)
        progress = ""
        if any(name.startswith("rerank") for name in running):
            wanted = sum(pairs_of(task) for task in tasks if task.task_id == "rerank")
            progress = self._scored(wanted)
        if self._status:
            self._status.update(Text(f"{'; '.join(running) or 'waiting for the scheduler'}{progress}"))

    def _scored(self, wanted: int) -> str:
        with self._database.transaction(read_only=True) as connection:
            scored = connection.execute(
                text(
                    "SELECT count(*) FROM rerank.pair_score WHERE run_id = (SELECT max(run_id) FROM rerank.run)"
                )
            ).scalar_one()
        if not scored:
            return ": the engine is starting"
        if not wanted:
            return f": {scored} scored"
        quarter = 4 * scored // wanted
        if self._status is None and self._quarters < quarter < 4:
            self._teller.done(f"rerank: {scored} of {wanted} pairs scored", seconds=None)
        self._quarters = max(self._quarters, quarter)
        return f": {scored} scored"


def pairs_of(task: TaskState) -> int:
    """How many pairs a scoring task has, as its label says; 0 where it does not say."""
    found = re.search(r"(\d+) pairs", task.label or "")
    return int(found[1]) if found else 0


def page(teller: Teller, database: Database, *, pipeline: str) -> None:
    """The first rows of every topic, as a frontend would read them."""
    with database.transaction(read_only=True) as connection:
        topics = connection.execute(
            text("""
                SELECT topic, query, state, ranked, as_of FROM rerank.current_topic
                WHERE pipeline = :pipeline ORDER BY topic
            """),
            {"pipeline": pipeline},
        ).all()
        rows = connection.execute(
            text("""
                SELECT topic, rank, title, source, copies, began_at, ranked_by, logit, is_new, as_of
                FROM rerank.current_ranking
                WHERE pipeline = :pipeline AND rank <= :rows ORDER BY topic, rank
            """),
            {"pipeline": pipeline, "rows": ROWS_A_TOPIC},
        ).all()
    for topic in topics:
        teller.console.print()
        heading = Text.assemble((topic.topic, "bold"), f"  {topic.query}")
        heading.append(f"  ({topic.state}, {topic.ranked} ranked)", style="dim")
        teller.console.print(heading, overflow="ellipsis", no_wrap=True)
        own = [row for row in rows if row.topic == topic.topic]
        teller.console.print(ranking_table(own, width=teller.console.width))


def ranking_table(rows: Sequence[Any], *, width: int) -> Table:
    """Rows of one topic; the columns are as wide under every topic, and the title takes what `width` leaves."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    fixed = {"rank": 4, "score": 6, "new": 3, "age": 9, "source": 18}
    for name, cells in fixed.items():
        justify: JustifyMethod = "right" if name in {"rank", "score", "age"} else "left"
        table.add_column(name, width=cells, justify=justify, no_wrap=True, overflow="ellipsis")
    title_cells = max(20, width - sum(fixed.values()) - 2 * len(fixed))
    table.add_column("title", width=title_cells, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(
            str(row.rank),
            "bm25" if row.logit is None else f"{row.logit:+.2f}",
            "new" if row.is_new else "",
            age(row.as_of, row.began_at),
            Text(one_line(row.source or "") + (f" +{row.copies - 1}" if row.copies > 1 else "")),
            Text(one_line(row.title)),
        )
    return table


def age(as_of: datetime, born: datetime) -> str:
    """`40 min`, `7 h`, `2 d 3 h`."""
    minutes = max(0, int((as_of - born) / timedelta(minutes=1)))
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def one_line(words: str) -> str:
    """Text of an article, without what would break or colour a line of the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in words)


def counts(teller: Teller, database: Database, *, run_id: int) -> None:
    """What one run claimed, scored and found in the ledger."""
    with database.transaction(read_only=True) as connection:
        claimed = connection.execute(
            text("SELECT count(*) FROM rerank.revision WHERE run_id = :run_id"), {"run_id": run_id}
        ).scalar_one()
        scored = connection.execute(
            text("SELECT count(*) FROM rerank.pair_score WHERE run_id = :run_id"), {"run_id": run_id}
        ).scalar_one()
        row = connection.execute(
            text("""
                SELECT sum(t.candidates) AS candidates, sum(t.from_ledger) AS from_ledger, sum(t.missing) AS missing,
                       sum(t.ranked) AS ranked
                FROM rerank.ranking_topic t JOIN rerank.publication p USING (publication_id)
                WHERE p.run_id = :run_id AND p.version = (SELECT max(version) FROM rerank.publication WHERE run_id = :run_id)
            """),
            {"run_id": run_id},
        ).one()
    teller.say(
        f"  articles claimed {claimed} · pairs {row.candidates}: scored now {scored}, from the ledger {row.from_ledger}, "
        f"left unscored {row.missing} · rows published {row.ranked}"
    )


def quality(teller: Teller, found: Sequence[Quality]) -> None:
    """How good an order is beside others, on the sample's own judgements."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for name in ("order", "nDCG@10", "95 % interval"):
        table.add_column(name, justify="left" if name == "order" else "right")
    for each in found:
        table.add_row(each.order, f"{each.ndcg:.3f}", f"{each.low:.3f} – {each.high:.3f}")
    teller.console.print(table)


def last_run(database: Database, *, pipeline: str) -> int | None:
    """Number of the run whose page is current; None where nothing is published yet."""
    with database.transaction(read_only=True) as connection:
        if connection.execute(text("SELECT to_regclass('rerank.current_topic')")).scalar_one() is None:
            return None
        found = connection.execute(
            text("SELECT run_id FROM rerank.current_topic WHERE pipeline = :pipeline LIMIT 1"),
            {"pipeline": pipeline},
        ).scalar_one_or_none()
    return None if found is None else int(found)


def parquet_paths(database: Database, *, pipeline: str) -> list[str]:
    """The files of all publications, oldest first, below the store's root."""
    with database.transaction(read_only=True) as connection:
        found = connection.execute(
            text(
                "SELECT parquet_path FROM rerank.publication WHERE pipeline = :pipeline ORDER BY publication_id"
            ),
            {"pipeline": pipeline},
        ).scalars()
        return [str(path) for path in found]


def stage_times(teller: Teller, runs: Sequence[tuple[str, Sequence[TaskState]]]) -> None:
    """The time of each stage of each run, side by side, as Airflow measured its tasks."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("stage")
    for name, _ in runs:
        table.add_column(name, justify="right")
    stages = list(dict.fromkeys(task.task_id for _, tasks in runs for task in tasks))
    for stage in stages:
        cells = []
        for _, tasks in runs:
            seconds = [task.seconds for task in tasks if task.task_id == stage and task.state != "skipped"]
            known = [each for each in seconds if each is not None]
            cells.append(f"{sum(known):.1f} s" if known else "–")
        table.add_row(stage, *cells)
    teller.console.print(table)
