"""A page of a million rows: publishing it beside raw COPY, and reading it meanwhile."""

import io
import random
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from benchmarks.scale_world import World, made_topics, stub_engines
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.observe import observe
from rerank_core.publish import publications, publish
from rerank_core.records import Run
from rerank_core.storage import runs, schemas
from rerank_core.storage.copy import copy_in

READER = """
SELECT rank, title, url, probability, ranked_by
FROM rerank.current_ranking
WHERE pipeline = 'news' AND topic = :topic
ORDER BY rank
LIMIT 20
"""


class Page:
    """A frozen run whose page has so many topics with so many rows each, all of them scored."""

    def __init__(
        self, server: EmbeddedPostgres, folder: Path, *, topics: int, rows: int, documents: int
    ) -> None:
        store = folder / "page" / "store"
        store.mkdir(parents=True)
        self.url = server.create("page")
        self.world = World(self.url, store.as_uri(), stub_engines(), max_pairs=2 * topics * rows)
        self.topics = made_topics(topics, candidate_limit=max(1, rows // 10), top_k=rows)
        self.rows = topics * rows
        self.world.past(documents, days=2.9, topics=self.topics)
        self.run = self._scored(self.world.room.until("rerank", "page"))
        self.world.settle()

    def _scored(self, run: Run) -> Run:
        """The run, when its pairs have a score."""
        room = self.world.room
        pairs = room.resources.store.read(str(run.pairs_path), schema=schemas.PAIRS)
        logits = np.random.default_rng(1).normal(0, 3, pairs.num_rows).astype(np.float32)
        names = ["month", "document_id", "query_id", "scorer_id"]
        constants = {
            "truncated": False,
            "run_id": run.run_id,
            "shard": 0,
            "latency_ms": 10.0,
            "engine": "fake 1",
            "device": "none",
        }
        table = pairs.select(names).append_column("logit", pa.array(logits))
        for name, value in constants.items():
            table = table.append_column(name, pa.array([value] * pairs.num_rows))
        with room.database.transaction() as connection:
            copy_in(connection, "rerank.pair_score", table)
            observe.record(connection, run_id=run.run_id, stage="rerank[0]", values={"canary_margin": 1.0})
        return room.again(run)

    def publish(self) -> dict[str, float]:
        """Publish the page as a new version; seconds of its parts, and when they were."""
        room = self.world.room
        with room.database.transaction() as connection:
            fence = runs.take_fence(connection, self.run.run_id)
        with _drafting() as drafted:
            began = monotonic()
            done = publish.publish(
                database=room.database,
                store=room.resources.store,
                settings=room.settings,
                run=self.run,
                fence=fence,
            )
            ended = monotonic()
        if done.rows != self.rows:
            raise RuntimeError(f"expected {self.rows} rows on the page, found {done.rows}")
        return {
            "rank_s": drafted["began"] - began,
            "file_s": drafted["ended"] - drafted["began"],
            "database_s": ended - drafted["ended"],
            "began": began,
            "committing": drafted["ended"],
            "ended": ended,
        }

    def copied(self) -> bytes:
        """The published rows as CSV, ready for COPY."""
        room = self.world.room
        with room.database.transaction() as connection:
            raw: Any = connection.connection.cursor()
            sink = io.BytesIO()
            raw.copy_expert(
                f"COPY (SELECT {_columns(connection)} FROM rerank.ranking ORDER BY slug, rank) TO STDOUT (FORMAT csv)",
                sink,
            )
        return sink.getvalue()

    def copy(self, content: bytes) -> float:
        """Seconds of a transaction that copies these rows in, and does nothing else."""
        with self.world.room.database.transaction() as connection:
            names = _columns(connection)
        began = monotonic()
        with self.world.room.database.transaction() as connection:
            raw: Any = connection.connection.cursor()
            raw.copy_expert(f"COPY rerank.ranking ({names}) FROM STDIN (FORMAT csv)", io.BytesIO(content))
        return monotonic() - began

    def empty(self) -> None:
        """Take all ranking rows away: the next one to write finds the table as the last one did."""
        self.world.room.sql("TRUNCATE rerank.ranking")
        self.world.checkpoint()


def measure_publish(page: Page, *, rounds: int) -> dict[str, Any]:
    """Seconds to publish a page, part by part, and to COPY its rows into the same empty table."""
    page.publish()
    content = page.copied()
    parts: list[dict[str, float]] = []
    raw, copied = [], []
    for number in range(rounds):
        for ours in (True, False) if number % 2 else (False, True):
            page.empty()
            if ours:
                parts.append(page.publish())
            else:
                raw.append(page.copy(content))
                copied.append(page.world.count("ranking"))
    return {
        "rows": page.rows,
        "topics": len(page.topics),
        "copied_rows": copied,
        "csv_mib": len(content) / 2**20,
        "raw_s": raw,
        **{name: [one[name] for one in parts] for name in ("database_s", "file_s", "rank_s")},
    }


def measure_readers(page: Page, *, rounds: int, seconds: float, pause_ms: float) -> dict[str, Any]:
    """Milliseconds of a reader's queries, while nothing happens and while pages are published."""
    page.empty()
    page.publish()
    page.world.settle()
    idle: list[list[float]] = []
    busy: list[list[float]] = []
    committing: list[list[float]] = []
    with _reader(page.url, [topic.slug for topic in page.topics], pause_ms / 1000) as samples:
        sleep(min(2.0, seconds))  # warms up
        for _ in range(rounds):
            page.world.checkpoint()
            start = monotonic()
            sleep(seconds)
            quiet = (start, monotonic())
            publishing, writing = [], []
            while not publishing or sum(end - begin for begin, end in publishing) < seconds:
                done = page.publish()
                publishing.append((done["began"], done["ended"]))
                writing.append((done["committing"], done["ended"]))
            taken = samples()
            idle.append(_within(taken, [quiet]))
            busy.append(_within(taken, publishing))
            committing.append(_within(taken, writing))
            page.world.room.sql(
                "DELETE FROM rerank.ranking WHERE publication_id NOT IN (SELECT publication_id FROM rerank.pointer)"
            )
            page.world.settle()
    return {
        "rows": page.rows,
        "pause_ms": pause_ms,
        "queries": [len(one) for one in (*idle, *busy)],
        "idle_p50_ms": [_percentile(one, 50) for one in idle],
        "busy_p50_ms": [_percentile(one, 50) for one in busy],
        "idle_p99_ms": [_percentile(one, 99) for one in idle],
        "busy_p99_ms": [_percentile(one, 99) for one in busy],
        "committing_p99_ms": [_percentile(one, 99) for one in committing],
    }


def _columns(connection: Any) -> str:
    found = connection.execute(
        text(
            "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
            " WHERE attrelid = 'rerank.ranking'::regclass AND attnum > 0 AND NOT attisdropped"
        )
    )
    return str(found.scalar_one())


@contextmanager
def _drafting() -> Iterator[dict[str, float]]:
    """When the file of a publication was begun and done."""
    times: dict[str, float] = {}
    draft = publications.draft

    def timed(*arguments: Any, **named: Any) -> Any:
        times["began"] = monotonic()
        made = draft(*arguments, **named)
        times["ended"] = monotonic()
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publications, "draft", timed)
        yield times


def _within(samples: list[tuple[float, float]], spans: list[tuple[float, float]]) -> list[float]:
    """Milliseconds of the queries that began in one of these spans."""
    return [1000 * took for at, took in samples if any(begin <= at < end for begin, end in spans)]


def _percentile(milliseconds: list[float], percent: float) -> float:
    return float(np.percentile(milliseconds, percent)) if milliseconds else float("nan")


@contextmanager
def _reader(url: str, slugs: list[str], pause: float) -> Iterator[Any]:
    """A process that asks for one topic after the other; the function gives (when, seconds) of each since it was last called."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_read, args=(url, slugs, pause, theirs), daemon=True)
    process.start()

    def samples() -> list[tuple[float, float]]:
        ours.send("give")
        found: list[tuple[float, float]] = ours.recv()
        return found

    try:
        samples()
        yield samples
    finally:
        ours.send("stop")
        process.join(10)


def _read(url: str, slugs: list[str], pause: float, pipe: Any) -> None:
    """The reader: one connection, one query at a time."""
    draw = random.Random(2)
    found: list[tuple[float, float]] = []
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        while True:
            if pipe.poll():
                if pipe.recv() == "stop":
                    return
                pipe.send(found)
                found = []
            began = monotonic()
            rows = connection.execute(text(READER), {"topic": draw.choice(slugs)}).all()
            found.append((began, monotonic() - began))
            if not rows:
                raise RuntimeError("a reader found an empty page")
            sleep(pause)
