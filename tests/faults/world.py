"""What a scenario stands on: a Postgres of the fire's own, a database and a store, tries, orders, writers and readers.

Tries are forked from a process that has the library imported and nothing open, so that one costs some tens
of milliseconds; they are processes like any other, killed and frozen by their pid.
"""

import json
import math
import multiprocessing
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Lock
from typing import Any

import psycopg2
from nursery import Nursery

from faults import attempt, traffic
from faults.attempt import Try
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.records import Topic
from rerank_core.storage import database, migrations, topics

AUDIT = Path(__file__).with_name("audit.sql")
TEMPLATE = "template_fire"
SMALL_BYTES = 6 << 20  # of the filesystem that gets full
TOPICS = tuple(
    Topic(slug=subject, query=f"{subject} energy", candidate_limit=500, top_k=25)
    for subject in traffic.SUBJECTS
)


class CrashingPostgres(EmbeddedPostgres):
    """A Postgres that can be cut off like a machine: an immediate stop, then recovery at the start.

    Commits wait for their log here, as on a real server: the embedded one's default would lose some.
    """

    def start(self) -> None:
        super().start()
        self._run("ALTER ROLE postgres SET synchronous_commit = on")

    def crash(self) -> None:
        """`pg_ctl stop -m immediate`; returns when it is gone."""
        pid = int((self.folder / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + 20
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        self.stop()

    def checkpoint(self) -> None:
        """Everything so far survives a crash."""
        self._run("CHECKPOINT")

    def dsn(self, name: str) -> str:
        """How psycopg2 reaches one of its databases."""
        return f"dbname={name} user=postgres host={self._socket}"


class Fire:
    """What all scenarios share: the Postgres, a template with a published page, a small filesystem."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rerank-fire-"))
        self.folder.chmod(0o755)
        self.postgres = CrashingPostgres(folder=self.folder / "postgres")
        self.nursery = Nursery("faults.pathology")
        self.small = self.folder / "small"
        self.why_no_small = ""
        # Children find this package; the library is imported once, by the process that they are forked from.
        os.environ["PYTHONPATH"] = os.pathsep.join(
            [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        ).rstrip(os.pathsep)
        self.processes = multiprocessing.get_context("forkserver")
        self.processes.set_forkserver_preload(["faults.warm"])

    def __enter__(self) -> "Fire":
        self.postgres.start()
        self.small.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SMALL_BYTES}", "tmpfs", str(self.small)],
            capture_output=True,
            text=True,
            check=False,
        )
        self.why_no_small = mounted.stderr.strip() if mounted.returncode else ""
        first = self.processes.Process(target=int)  # the imports are not to count as time of a stage
        first.start()
        self.nursery.open()
        first.join()
        self._make_template()
        return self

    def __exit__(self, *_: object) -> None:
        self.nursery.close()
        self.postgres.stop()
        if not self.why_no_small:
            subprocess.run(["umount", "-l", str(self.small)], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_template(self) -> None:
        """A database whose first run is published, with the oracle's triggers, and its store."""
        from faults.conductor import Conductor

        url = self.postgres.create("draft_fire")
        migrations.upgrade(url)
        db = database.Database(url)
        with db.transaction() as connection:
            migrations.run_script(connection, AUDIT)
            topics.apply(connection, "news", TOPICS)
        rng = Random(0)
        with closing(psycopg2.connect(self.postgres.dsn("draft_fire"))) as source, source.cursor() as cursor:
            for number in range(30):
                subject = traffic.SUBJECTS[number % 3]
                cursor.execute(
                    "INSERT INTO rerank.article (article_id, title, body, lang, ingested_at)"
                    " VALUES (%s, %s, %s, 'en', now() - interval '5 minutes')",
                    (f"a{number}", f"{subject} a{number}", traffic.text_of(rng, subject)),
                )
            source.commit()
        world = World(
            self, folder=self.folder / "template", name="draft_fire", store=self.folder / "template" / "store"
        )
        first = Conductor(world, key="first")
        first.play()
        assert not first.said, first.said
        self.points = first.points
        self.seconds = first.seconds
        self.postgres.create(TEMPLATE, template="draft_fire")

    @contextmanager
    def world(
        self,
        *,
        small: bool = False,
        control: str | None = None,
        deadline_seconds: float | None = None,
        **settings: Any,
    ) -> Iterator["World"]:
        """A world of its own for one scenario; gone afterwards."""
        folder = Path(tempfile.mkdtemp(prefix="scenario-", dir=self.folder))
        name = folder.name.replace("-", "_")
        self.postgres.create(name, template=TEMPLATE)
        # A sequence that was copied logs its next values only after a checkpoint; a crash would take them back.
        self.postgres.checkpoint()
        store = (self.small if small and not self.why_no_small else folder) / "store"
        shutil.copytree(self.folder / "template" / "store", store)
        shutil.copy(self.folder / "template" / "engine.log", folder)
        world = World(
            self,
            folder=folder,
            name=name,
            store=store,
            control=control,
            deadline_seconds=deadline_seconds,
            settings=settings,
        )
        try:
            yield world
        finally:
            world.end()
            self.postgres.drop(name)
            shutil.rmtree(store, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Running:
    """A try that has been started."""

    asked: Try
    process: Any  # of multiprocessing
    began: float = 0.0  # by time.monotonic()
    ended: float = math.inf  # the same; of one that was frozen, when that was
    lost: bool = False  # frozen: the scheduler has given it up

    @property
    def pid(self) -> int:
        return int(self.process.pid)


@dataclass
class World:
    """One scenario's database, store and processes."""

    fire: Fire
    folder: Path
    name: str
    store: Path
    control: str | None = None
    deadline_seconds: float | None = None  # of the page of a run; None: no deadline
    settings: dict[str, Any] = field(default_factory=dict)
    tries: list[Running] = field(default_factory=list)
    others: list[Any] = field(default_factory=list)
    _beginning: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        for part in ("orders", "tries"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        self.store.mkdir(parents=True, exist_ok=True)

    @property
    def dsn(self) -> str:
        return self.fire.postgres.dsn(self.name)

    @property
    def orders(self) -> Path:
        return self.folder / "orders"

    def begin(self, stage: str, *, key: str, shard: int | None = None) -> Running:
        """Start a try of a stage."""
        settings = {
            "database_url": self.fire.postgres.url(self.name),
            "store_url": self.store.as_uri(),
            "flush_seconds": 0.05,
            **self.settings,
        }
        with self._beginning:
            asked = Try(
                len(self.tries) + 1,
                stage,
                shard,
                key,
                settings,
                self.folder,
                self.control,
                self.fire.nursery.address,
            )
            process = self.fire.processes.Process(target=attempt.perform, args=(asked,))
            running = Running(asked, process, began=time.monotonic())
            self.tries.append(running)
        process.start()
        return running

    def note_deadline(self, key: str) -> None:
        """A run begins: keep, for the oracle, when its page is due."""
        if self.deadline_seconds is not None:
            due = {"key": key, "due": time.time() + self.deadline_seconds}
            with (self.folder / "deadlines.log").open("a") as log:
                log.write(json.dumps(due) + "\n")

    def start_traffic(self, seed: int, *, writers: int = 2) -> None:
        """Start writers and readers."""
        bodies = [(traffic.write, (self.dsn, seed * 10 + number, self.folder)) for number in range(writers)]
        bodies += [
            (traffic.read_views, (self.dsn, self.folder)),
            (traffic.read_files, (self.dsn, self.store, self.folder)),
        ]
        for body, arguments in bodies:
            process = self.fire.processes.Process(target=body, args=arguments)
            process.start()
            self.others.append(process)

    def quiet(self) -> None:
        """End the writers."""
        (self.folder / "quiet").touch()
        for process in self.others[:-2]:
            process.join(10)

    def close(self) -> None:
        """End the readers, too."""
        (self.folder / "closed").touch()
        for process in self.others:
            process.join(10)

    def end(self) -> None:
        """Leave no process behind."""
        self.quiet()
        self.close()
        for process in [*self.others, *(one.process for one in self.tries)]:
            if process.is_alive():
                os.kill(process.pid, signal.SIGKILL)
                process.join(10)

    def query(self, statement: str, *values: Any) -> list[Any]:
        """Rows of a statement, on a connection of its own."""
        with closing(psycopg2.connect(self.dsn, application_name="fire")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return cursor.fetchall() if cursor.description else []
