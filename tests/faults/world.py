"""What a scenario stands on: a database and a store, tries, orders, writers and readers; and what all scenarios share.

Tries are forked from a process that has the library imported and nothing open, so that one costs some tens
of milliseconds; they are processes like any other, killed and frozen by their pid.
"""

import json
import math
import multiprocessing
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Lock
from typing import TYPE_CHECKING, Any

import psycopg2
from nursery import Nursery

from faults import attempt, editors, traffic
from faults.attempt import MINUTE, TIMES, Try
from faults.clocks import Clocks
from faults.mounts import RemoteStore, SmallFilesystem, keep_to_itself, why_no_remote_store
from faults.network import Network
from faults.notes import Notes
from faults.postgres import CrashingPostgres
from rerank_core.records import Topic
from rerank_core.storage import database, migrations, topics

if TYPE_CHECKING:
    from redis_servers import RedisServer

AUDIT = Path(__file__).with_name("audit.sql")
TEMPLATE = "template_fire"
TABLE_SPACE = "fire_tables"
SMALL_BYTES = 6 << 20  # of the filesystem of the store that gets full
TABLES_BYTES = 128 << 20  # of that of the database
LATE_PAGE = ("recall", "degrade", "publish")  # what a late page takes
TOPICS = tuple(
    Topic(slug=subject, query=f"{subject} energy", candidate_limit=500, top_k=25, max_per_source=limit)
    for subject, limit in zip(traffic.SUBJECTS, (None, None, 2), strict=True)
)


class Fire:
    """What all scenarios share: the Postgres, a template with a published page, and what faults are made with."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rerank-fire-"))
        self.folder.chmod(0o755)
        self.network = Network()
        self.clocks = Clocks(self.folder)
        self.small = SmallFilesystem(self.folder / "small", SMALL_BYTES)
        self.tables = SmallFilesystem(self.folder / "tables", TABLES_BYTES)
        self.nursery = Nursery("faults.pathology")
        self.postgres: CrashingPostgres
        self._redis: RedisServer | None = None
        # Children find this package; the library is imported once, by the process that they are forked from.
        os.environ["PYTHONPATH"] = os.pathsep.join(
            [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        ).rstrip(os.pathsep)
        self.processes = multiprocessing.get_context("forkserver")
        self.processes.set_forkserver_preload(["faults.warm"])

    def __enter__(self) -> "Fire":
        keep_to_itself()
        self.network.open()
        self.postgres = CrashingPostgres(folder=self.folder / "postgres", network=self.network)
        self.postgres.start()
        self.small.open()
        self.tables.open()
        self.why_no_remote_store = why_no_remote_store(self.folder)
        first = self.processes.Process(target=int)  # the imports are not to count as time of a stage
        first.start()
        self.nursery.open()
        first.join()
        self._make_template()
        return self

    def __exit__(self, *_: object) -> None:
        self.nursery.close()
        if self._redis is not None:
            self._redis.stop()
        self.postgres.stop()
        self.network.close()
        self.small.close()
        self.tables.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def why_not(self, needs: frozenset[str]) -> str:
        """Why a scenario that needs this cannot be played here; "" if it can."""
        from redis_servers import BINARY

        reasons = {
            "network": self.network.why_none,
            "clocks": self.clocks.why_none,
            "tables": self.tables.why_none,
            "remote store": self.why_no_remote_store,
            "redis": "" if BINARY else "redis-server is not installed here (apt-get install redis-server)",
        }
        return "; ".join(reason for name in sorted(needs) if (reason := reasons.get(name, "")))

    @property
    def redis(self) -> "RedisServer":
        """A Redis that this machine reaches, and the workers' host by its wire."""
        if self._redis is None:
            from redis_servers import RedisServer

            (self.folder / "redis").mkdir()
            bound = ("--bind", "127.0.0.1", self.network.address("redis"))
            self._redis = RedisServer(self.folder / "redis", *bound, password=secrets.token_hex(8))
        return self._redis

    @property
    def deadline_seconds(self) -> float:
        """When a page is due: after twice the time that an ordinary run takes on this machine."""
        return 1 + 2 * sum(self.seconds.values())

    @property
    def grace_seconds(self) -> float:
        """How late a late page may be: a minute of this tier, and what this machine takes for making one."""
        return MINUTE + 2 * sum(self.seconds[stage] for stage in LATE_PAGE)

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
        folder = self.folder / "template"
        world = World(self, folder, "draft_fire", folder / "store", deadline_seconds=600, grace_seconds=0)
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
        needs: frozenset[str] = frozenset(),
        control: str | None = None,
        deadline_seconds: float | None = None,
        grace_seconds: float | None = None,
        **settings: Any,
    ) -> Iterator["World"]:
        """A world of its own for one scenario; gone afterwards."""
        folder = Path(tempfile.mkdtemp(prefix="scenario-", dir=self.folder))
        name = folder.name.replace("-", "_")
        in_space = "tables" in needs
        if in_space:
            self.postgres.make_space(TABLE_SPACE, self.tables.folder)
        self.postgres.copy(name, template=TEMPLATE, space=TABLE_SPACE if in_space else "pg_default")
        # A sequence that was copied logs its next values only after a checkpoint; a crash would take them back.
        self.postgres.checkpoint()
        small = "small store" in needs and not self.small.why_none
        store = (self.small.folder if small else folder) / "store"
        shutil.copytree(self.folder / "template" / "store", store)
        shutil.copy(self.folder / "template" / "engine.log", folder)
        if "redis" in needs:
            self.redis.client().flushall()
        world = World(
            self,
            folder,
            name,
            store,
            needs=needs,
            control=control,
            deadline_seconds=self.deadline_seconds if deadline_seconds is None else deadline_seconds,
            grace_seconds=self.grace_seconds if grace_seconds is None else grace_seconds,
            settings=settings,
        )
        try:
            with self.postgres.with_clock(self.clocks) if "clocks" in needs else nullcontext():
                yield world
        finally:
            world.end()
            self.postgres.drop(name)
            if in_space:
                self.postgres.drop_space(TABLE_SPACE)
                shutil.rmtree(self.tables.folder / "space", ignore_errors=True)
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
    stalled: bool = False  # it stood still, and nobody noticed

    @property
    def pid(self) -> int:
        return int(self.process.pid)


@dataclass
class World(Notes):
    """One scenario's database, store and processes."""

    fire: Fire
    folder: Path
    name: str
    store: Path
    deadline_seconds: float  # of the page of a run
    grace_seconds: float  # that a late page may take
    needs: frozenset[str] = frozenset()
    control: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    tries: list[Running] = field(default_factory=list)
    others: list[Any] = field(default_factory=list)
    _beginning: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        for part in ("orders", "tries"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        self.store.mkdir(parents=True, exist_ok=True)
        self.remote_store = (
            RemoteStore(self.store, self.folder / "mount") if "remote store" in self.needs else None
        )

    @property
    def dsn(self) -> str:
        return self.fire.postgres.dsn(self.name)

    @property
    def orders(self) -> Path:
        return self.folder / "orders"

    def begin(self, stage: str, *, key: str, shard: int | None = None) -> Running:
        """Start a try of a stage."""
        # What is late is published by another host than the one that a wire leads to.
        apart = "network" in self.needs and stage != attempt.OVERDUE and self.fire.network.whole
        store = self.store if self.remote_store is None else self.remote_store.mount
        settings = {
            "database_url": (self.fire.postgres.remote_url if apart else self.fire.postgres.url)(self.name),
            "store_url": store.as_uri(),
            "redis_url": self._redis_url(apart) if "redis" in self.needs else None,
            "redis_timeout_seconds": 8 / TIMES,
            "light_seconds": 120 / TIMES,
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
                self.fire.network.namespace if apart else None,
                self.fire.clocks.file("workers") if "clocks" in self.needs else None,
            )
            process = self.fire.processes.Process(target=attempt.perform, args=(asked,))
            running = Running(asked, process, began=time.monotonic())
            self.tries.append(running)
        process.start()
        return running

    def _redis_url(self, apart: bool) -> str:
        url = self.fire.redis.url
        return url.replace("127.0.0.1", self.fire.network.address("redis")) if apart else url

    def note_deadline(self, key: str) -> None:
        """A run begins: keep, for the oracle, when its page is due."""
        self._note(
            "deadlines.log", key=key, due=time.monotonic() + self.deadline_seconds, grace=self.grace_seconds
        )

    def note_wait(self, key: str, seconds: float) -> None:
        """A try of the run was ready for so long since the look before, and had no processor."""
        if seconds > 0:
            self._note("waits.log", key=key, moment=time.monotonic(), seconds=seconds)

    def is_out(self, key: str) -> bool:
        """Whether the run has a page, as somebody who looks has seen."""
        log = self.folder / "runs.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return any((told["key"], told["what"]) == (key, "page") for told in map(json.loads, lines))

    def start_traffic(self, seed: int, *, writers: int = 2) -> None:
        """Start writers and readers."""
        bodies = [(traffic.write, (self.dsn, seed * 10 + number, self.folder)) for number in range(writers)]
        bodies += [
            (editors.steer, (self.dsn, seed, self.folder)),
            (traffic.read_views, (self.dsn, self.folder)),
            (traffic.read_files, (self.dsn, self.store, self.folder)),
            (traffic.watch_runs, (self.dsn, self.folder)),
        ]
        for body, arguments in bodies:
            process = self.fire.processes.Process(target=body, args=arguments)
            process.start()
            self.others.append(process)

    def quiet(self) -> None:
        """End the writers."""
        (self.folder / "quiet").touch()
        for process in self.others[:-3]:
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
        if self.remote_store is not None:
            self.remote_store.close()

    def query(self, statement: str, *values: Any) -> list[Any]:
        """Rows of a statement, on a connection of its own."""
        with closing(psycopg2.connect(self.dsn, application_name="fire")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return cursor.fetchall() if cursor.description else []
