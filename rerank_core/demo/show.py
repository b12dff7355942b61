"""What the demo prints: its progress, the page, the times.

A terminal shows a moving line while the model scores, and Chinese titles line up. A file gets plain lines without
control codes.
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

from rerank_core.demo.airflow import TaskState
from rerank_core.demo.evaluate import Quality
from rerank_core.storage import database as db
from rerank_core.storage.database import Database

WIDTH_OF_A_FILE = 110
ROWS_A_TOPIC = 5
# Airflow's own words for a task that has ended.
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
        """A step: a terminal shows that it is under way; its time is printed when it ends."""
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
    """Prints each task of one dag run when it ends, and how far the scoring is."""

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
            scored = db.the(connection, "show.scored")["pairs"]
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
    """How many pairs a scoring task has, by its label; 0 if the label does not say."""
    found = re.search(r"(\d+) pairs", task.label or "")
    return int(found[1]) if found else 0


def page(teller: Teller, database: Database, *, pipeline: str) -> None:
    """Print the first rows of every topic, as a frontend reads them."""
    with database.transaction(read_only=True) as connection:
        topics = db.rows(connection, "show.topics", pipeline=pipeline)
        rows = db.rows(connection, "show.ranking", pipeline=pipeline, rows=ROWS_A_TOPIC)
    for topic in topics:
        teller.console.print()
        heading = Text.assemble((topic["topic"], "bold"), f"  {topic['query']}")
        heading.append(f"  ({topic['state']}, {topic['ranked']} ranked)", style="dim")
        teller.console.print(heading, overflow="ellipsis", no_wrap=True)
        own = [row for row in rows if row["topic"] == topic["topic"]]
        teller.console.print(ranking_table(own, width=teller.console.width))


def pictures(teller: Teller, database: Database, *, pipeline: str) -> None:
    """Print the first picture of each article of the page that has one, with its caption."""
    with database.transaction(read_only=True) as connection:
        rows = db.rows(connection, "show.pictures", pipeline=pipeline)
    for row in rows:
        teller.console.print(
            Text(
                f"  {row['article_id']}  {row['path'][:24]}….{row['path'].rpartition('.')[2]}  {row['caption']}"
            ),
            no_wrap=True,
            overflow="ellipsis",
        )


def ranking_table(rows: Sequence[Any], *, width: int) -> Table:
    """A table of one topic's rows; columns have the same width in every topic, and the title takes what `width` leaves."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    fixed = {"rank": 4, "score": 6, "new": 3, "age": 9, "source": 18}
    for name, cells in fixed.items():
        justify: JustifyMethod = "right" if name in {"rank", "score", "age"} else "left"
        table.add_column(name, width=cells, justify=justify, no_wrap=True, overflow="ellipsis")
    title_cells = max(20, width - sum(fixed.values()) - 2 * len(fixed))
    table.add_column("title", width=title_cells, no_wrap=True, overflow="ellipsis")
    for row in rows:
        copies = f" +{row['copies'] - 1}" if row["copies"] > 1 else ""
        table.add_row(
            str(row["rank"]),
            row["ranked_by"] if row["logit"] is None else f"{row['logit']:+.2f}",
            "new" if row["is_new"] else "",
            age(row["as_of"], row["began_at"]),
            Text(one_line(row["source"] or "") + copies),
            Text(one_line(row["title"])),
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
    """Text of an article, without characters that would break or colour a line of the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in words)


def counts(teller: Teller, database: Database, *, run_id: int) -> None:
    """Print what a run claimed, scored and found in the ledger."""
    with database.transaction(read_only=True) as connection:
        row = db.the(connection, "show.counts", run_id=run_id)
    teller.say(
        f"  articles claimed {row['claimed']} · pairs {row['candidates']}: scored now {row['scored']}, from the ledger {row['from_ledger']}, "
        f"left unscored {row['missing']} · rows published {row['ranked']}"
    )


def quality(teller: Teller, found: Sequence[Quality]) -> None:
    """Print how good each order is, by the sample's own judgements."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for name in ("order", "nDCG@10", "95 % interval"):
        table.add_column(name, justify="left" if name == "order" else "right")
    for each in found:
        table.add_row(each.order, f"{each.ndcg:.3f}", f"{each.low:.3f} – {each.high:.3f}")
    teller.console.print(table)


def last_run(database: Database, *, pipeline: str) -> int | None:
    """Number of the run whose page is current; None if nothing is published yet."""
    with database.transaction(read_only=True) as connection:
        if not db.the(connection, "show.has_page")["found"]:
            return None
        found = db.one(connection, "show.last_run", pipeline=pipeline)
    return None if found is None else int(found["run_id"])


def parquet_paths(database: Database, *, pipeline: str) -> list[str]:
    """The Parquet files of all publications, oldest first, relative to the store."""
    with database.transaction(read_only=True) as connection:
        rows = db.rows(connection, "show.files", pipeline=pipeline)
    return [str(row["parquet_path"]) for row in rows]


def stage_times(teller: Teller, runs: Sequence[tuple[str, Sequence[TaskState]]]) -> None:
    """Print the time of each stage of each run, side by side, as Airflow measured its tasks."""
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
