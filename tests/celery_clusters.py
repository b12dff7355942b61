"""Airflow with CeleryExecutor and Redis: the scheduler here, the workers on hosts (celery_hosts.py) that score by sleeping."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from celery_hosts import DAG_FILE, LOG, SECONDS, UNEXAMINED, WIRE, Host
from faults.network import Network
from redis_servers import RedisServer

from rerank_core.demo.airflow import REPOSITORY, AirflowSandbox
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.frontends import contract
from rerank_core.records import Topic
from rerank_core.settings import DEMO_CHECKPOINT
from rerank_core.storage import migrations, topics
from rerank_core.storage.database import Database

DAG = "rank_new_articles"
TOPICS = ("solar", "wind", "tide", "coal")
ARTICLES = 40  # a run: 160 pairs
MAIN = "main"  # the host of the tasks that need no GPU
PAGE = """
SELECT p.publication_id, p.version, p.degraded, p.published_at FROM rerank.publication p JOIN rerank.run USING (run_id)
WHERE run.key = %s ORDER BY p.publication_id
"""


class RemotePostgres(EmbeddedPostgres):
    """The embedded Postgres, which hosts reach by their wires."""

    addresses: tuple[str, ...] = ()
    port = 5432

    def server_settings(self) -> dict[str, str]:
        return {**super().server_settings(), "listen_addresses": ", ".join(self.addresses)}

    def start(self) -> None:
        super().start()
        with (self.folder / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 198.18.0.0/15 trust\n")
        self._run("SELECT pg_reload_conf()")

    def dsn(self, name: str) -> str:
        """How psycopg2 reaches one of its databases from here."""
        return f"dbname={name} user=postgres host={self._socket}"

    def remote_url(self, name: str, address: str) -> str:
        """How a host reaches one of its databases, if it sees this machine under this address."""
        return f"postgresql+psycopg2://postgres@{address}:{self.port}/{name}"


class Cluster:
    """Airflow with its scheduler here and its workers on hosts: MAIN, and those that score."""

    def __init__(
        self,
        folder: Path,
        networks: Sequence[Network],
        *,
        seconds_per_pair: float = 0.3,
        shards: int = 2,
        examined: bool = True,
    ) -> None:
        """Describe it; nothing runs yet. The first network is that of MAIN, each other one that of a host gpu1, gpu2, …"""
        self.examined = examined
        self.folder, self.shards_of_run, self.seconds_per_pair = folder, shards, seconds_per_pair
        self.shared = {name: folder / "shared" / name for name in ("store", "model")}
        self.mounted = {name: folder / "mounted" / name for name in ("store", "model")}
        for place in (*self.shared.values(), *self.mounted.values()):
            place.mkdir(parents=True)
        for file in DEMO_CHECKPOINT.iterdir():
            (self.shared["model"] / file.name).write_bytes(file.read_bytes())
        names = [MAIN, *(f"gpu{number}" for number in range(1, len(networks)))]
        self.hosts = {
            name: Host(name, folder / name, network) for name, network in zip(names, networks, strict=True)
        }
        (folder / "dags").mkdir()
        for file in sorted((REPOSITORY / "dags").glob("*.py")):
            if not file.name.startswith("example"):
                (folder / "dags" / file.name).write_text(DAG_FILE.format(file=str(file)), encoding="utf-8")
        self.postgres = RemotePostgres(folder=folder / "postgres")
        self.postgres.addresses = tuple(host.address for host in self.hosts.values())
        self.log = folder / "engine.log"
        self.log.touch()
        self.articles = self._seen = 0

    def start(self) -> None:
        """Start Postgres, Redis, Airflow and the worker of MAIN."""
        self.postgres.start()
        migrations.upgrade(self.postgres.create("news"), comments=contract.comments())
        self.news = Database(self.postgres.url("news"))
        with self.news.transaction() as connection:
            wanted = [
                Topic(slug=name, query=name, half_life_hours=1e9, candidate_limit=5000) for name in TOPICS
            ]
            topics.apply(connection, "news", wanted)
        bound = ("--bind", "0.0.0.0", "--protected-mode", "no", "--appendonly", "yes")
        self.redis = RedisServer(self.folder, *bound)
        self.airflow = AirflowSandbox(
            home=self.folder / "airflow",
            database_url=self.postgres.create("airflow"),
            dags_folder=self.folder / "dags",
            environment=self.environment("127.0.0.1"),
        )
        self.airflow.environment |= self.of_airflow("127.0.0.1")
        self.airflow.migrate()
        self.airflow.start()
        self.airflow.wait_healthy()
        self.airflow.wait_dag(DAG)
        self.airflow.wait_dag("publish_overdue_rankings")
        self.start_worker(MAIN, queues="default", concurrency=3)

    def environment(self, address: str) -> dict[str, str]:
        """What tasks need, on a host that sees this machine under this address."""
        here = address == "127.0.0.1"
        paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        return {
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "RERANK_DATABASE_URL": self.news.url if here else self.postgres.remote_url("news", address),
            "RERANK_STORE_URL": self.mounted["store"].as_uri(),
            "RERANK_MODEL": str(self.mounted["model"]),
            "RERANK_SHARDS": str(self.shards_of_run),
            "RERANK_GPU_QUEUE": "gpu",
            "RERANK_AIRFLOW_POOL_SLOTS": "16",  # dead tasks of earlier runs hold some
            LOG: str(self.log),
            SECONDS: str(self.seconds_per_pair),
            UNEXAMINED: "" if self.examined else "1",
        }

    def of_airflow(self, address: str) -> dict[str, str]:
        """Airflow's own settings, on such a host."""
        metadata = self.postgres.url("airflow")
        if address != "127.0.0.1":
            metadata = self.postgres.remote_url("airflow", address)
        return {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__PARALLELISM": "32",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{address}:{self.airflow.port}/execution/",
            "AIRFLOW__API__HOST": "0.0.0.0",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata,
            "AIRFLOW__CELERY__BROKER_URL": f"redis://{address}:{self.redis.port}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{metadata}",
        }

    def start_worker(
        self,
        name: str,
        *,
        queues: str = "gpu",
        concurrency: int = 1,
        store: str = "shared",
        model: str = "shared",
    ) -> None:
        """Start the worker of a host; an `empty` store or model is the host's own, with nothing in it."""
        host = self.hosts[name]
        there = {"shared": self.shared, "empty": dict.fromkeys(self.shared, host.folder / "empty")}
        host.start(
            {
                **self.airflow.environment,
                **self.environment(host.address),
                **self.of_airflow(host.address),
            },
            mounts={
                self.mounted["store"]: there[store]["store"],
                self.mounted["model"]: there[model]["model"],
            },
            options=["-q", queues, "-c", str(concurrency), "--skip-serve-logs", "--without-mingle"],
        )

    def stop(self) -> None:
        """End everything that runs."""
        for host in self.hosts.values():
            host.kill()
        for part in ("airflow", "redis", "postgres"):
            if hasattr(self, part):
                getattr(self, part).stop()

    def trigger(self, *, articles: int = ARTICLES) -> str:
        """A dag run with articles that nobody has scored; returns its id."""
        first, self.articles = self.articles, self.articles + articles
        with self.news.transaction() as connection:
            connection.exec_driver_sql(
                "INSERT INTO rerank.article (article_id, title, lang, ingested_at)"
                " SELECT n::text, 'solar wind tide coal ' || md5(n::text), 'en', now() - interval '1 minute'"
                " FROM generate_series(%s, %s) n",
                (first, self.articles - 1),
            )
        self._seen = self.log.stat().st_size
        return self.airflow.trigger(DAG)

    def scored(self) -> dict[str, list[str]]:
        """Host → pairs that went into its engine since the latest trigger."""
        found: dict[str, list[str]] = {}
        for line in self.log.read_text(encoding="utf-8")[self._seen :].splitlines():
            host, *pairs = line.split()
            found.setdefault(host, []).extend(pairs)
        return found

    def pages(self, run_id: str) -> list[Any]:
        """The publications of a dag run's run, the oldest first."""
        with self.news.transaction(read_only=True) as connection:
            return list(connection.exec_driver_sql(PAGE, (run_id,)).all())

    def wait(self, condition: Callable[[], Any], *, seconds: float = 600) -> Any:
        """Wait until the condition holds; returns what it gave."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            self.airflow.check()
            assert time.monotonic() < deadline, {host: len(pairs) for host, pairs in self.scored().items()}
            time.sleep(0.5)
        return found

    def await_hosts(self, *names: str, pairs: int = 12) -> None:
        """Wait until each of these hosts has scored so many pairs of the latest run."""
        self.wait(lambda: all(len(self.scored().get(name, ())) >= pairs for name in names))

    def shards(self, run_id: str) -> list[str | None]:
        """States of the scoring tasks."""
        return [task.state for task in self.airflow.tasks(DAG, run_id) if task.task_id == "rerank"]

    def mend(self) -> None:
        """No wire is cut any more."""
        for host in self.hosts.values():
            if not host.network.whole:
                host.network.mend(WIRE)

    def hosts_of(self, run_id: str) -> set[str]:
        """The hosts that the ledger names for a run."""
        with self.news.transaction(read_only=True) as connection:
            rows = connection.exec_driver_sql(
                "SELECT DISTINCT host FROM rerank.pair_score JOIN rerank.run USING (run_id) WHERE key = %s",
                (run_id,),
            ).all()
        return {row[0] for row in rows}

    def scores(self) -> int:
        """How many scores the ledger has."""
        with self.news.transaction(read_only=True) as connection:
            (row,) = connection.exec_driver_sql("SELECT count(*) FROM rerank.pair_score").all()
        return int(row[0])

    def faults(self) -> dict[str, str | None]:
        """Host → what is wrong with it, as the table of hosts tells."""
        with self.news.transaction(read_only=True) as connection:
            rows = connection.exec_driver_sql("SELECT host, fault FROM rerank.scoring_host").all()
        return dict(tuple(row) for row in rows)
