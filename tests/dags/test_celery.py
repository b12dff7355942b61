"""CeleryExecutor with Redis and two hosts: a lost or wrong host costs no score, and the page is full all the same.

Each host is a set of namespaces of this machine; the devices are simulated by a scorer that sleeps. Heartbeats and retries
are Airflow's and the settings' own.
"""

import time
from collections import Counter

import pytest
from celery_hosts import DAG_FILE, LOG, PAIRS_PER_CHUNK, SECONDS, WIRE, Host
from factories import make_topic
from faults.network import Network
from redis_servers import RedisServer, needs_redis

from rerank_core.demo.airflow import REPOSITORY, AirflowSandbox
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.frontends import contract
from rerank_core.settings import DEMO_CHECKPOINT
from rerank_core.storage import migrations, topics
from rerank_core.storage.database import Database

DAG = "rank_new_articles"
TOPICS = ("solar", "wind", "tide", "coal")
ARTICLES = 40  # a run: 160 pairs
PAGE = """
SELECT p.publication_id, p.version, p.degraded, p.published_at FROM rerank.publication p JOIN rerank.run USING (run_id)
WHERE run.key = %s ORDER BY p.publication_id
"""

pytestmark = [
    pytest.mark.scheduler,
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(1200),
    needs_redis,
]


class RemotePostgres(EmbeddedPostgres):
    """The embedded Postgres, which hosts reach by their wires."""

    addresses: tuple[str, ...] = ()
    port = 5432

    def server_settings(self):
        return {**super().server_settings(), "listen_addresses": ", ".join(self.addresses)}

    def start(self):
        super().start()
        with (self.folder / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 198.18.0.0/15 trust\n")
        self._run("SELECT pg_reload_conf()")

    def remote_url(self, name, address):
        return f"postgresql+psycopg2://postgres@{address}:{self.port}/{name}"


class Cluster:
    """Airflow with its scheduler here and its workers on hosts."""

    def __init__(self, folder, networks):
        self.folder = folder
        self.shared = {name: folder / "shared" / name for name in ("store", "model")}
        self.mounted = {name: folder / "mounted" / name for name in ("store", "model")}
        for place in (*self.shared.values(), *self.mounted.values()):
            place.mkdir(parents=True)
        for file in DEMO_CHECKPOINT.iterdir():
            (self.shared["model"] / file.name).write_bytes(file.read_bytes())
        self.hosts = {
            name: Host(name, folder / name, network)
            for name, network in zip(("main", "gpu1", "gpu2"), networks, strict=True)
        }
        (folder / "dags").mkdir()
        for file in sorted((REPOSITORY / "dags").glob("*.py")):
            if not file.name.startswith("example"):
                (folder / "dags" / file.name).write_text(DAG_FILE.format(file=str(file)), encoding="utf-8")
        self.postgres = RemotePostgres(folder=folder / "postgres")
        self.postgres.addresses = tuple(host.address for host in self.hosts.values())
        self.log = folder / "scored.log"
        self.log.touch()
        self.articles = 0

    def start(self):
        self.postgres.start()
        migrations.upgrade(self.postgres.create("news"), comments=contract.comments())
        self.news = Database(self.postgres.url("news"))
        with self.news.transaction() as connection:
            topics.apply(connection, "news", [make_topic(slug=topic) for topic in TOPICS])
        self.redis = RedisServer(
            self.folder, "--bind", "0.0.0.0", "--protected-mode", "no", "--appendonly", "yes"
        )
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
        self.start_worker("main", queues="default", concurrency=3)

    def environment(self, address):
        """What tasks need, on a host that sees this machine under this address."""
        here = address == "127.0.0.1"
        return {
            "RERANK_DATABASE_URL": self.news.url if here else self.postgres.remote_url("news", address),
            "RERANK_STORE_URL": self.mounted["store"].as_uri(),
            "RERANK_MODEL": str(self.mounted["model"]),
            "RERANK_SHARDS": "2",
            "RERANK_GPU_QUEUE": "gpu",
            "RERANK_AIRFLOW_POOL_SLOTS": "8",  # dead tasks of other tests hold some
            LOG: str(self.log),
            SECONDS: "0.3",
        }

    def of_airflow(self, address):
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

    def start_worker(self, name, *, queues="gpu", concurrency=1, store="shared", model="shared"):
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

    def stop(self):
        for host in self.hosts.values():
            host.kill()
        for part in ("airflow", "redis", "postgres"):
            if hasattr(self, part):
                getattr(self, part).stop()

    def trigger(self):
        """A dag run with articles that nobody has scored."""
        first, self.articles = self.articles, self.articles + ARTICLES
        with self.news.transaction() as connection:
            connection.exec_driver_sql(
                "INSERT INTO rerank.article (article_id, title, lang, ingested_at)"
                " SELECT n::text, 'solar wind tide coal ' || md5(n::text), 'en', now() - interval '1 minute'"
                " FROM generate_series(%s, %s) n",
                (first, self.articles - 1),
            )
        self.log.write_text("")
        return self.airflow.trigger(DAG)

    def scored(self):
        """Host → pairs that went into its engine in this run."""
        found = {}
        for line in self.log.read_text(encoding="utf-8").splitlines():
            host, *pairs = line.split()
            found.setdefault(host, []).extend(pairs)
        return found

    def pages(self, run_id):
        with self.news.transaction(read_only=True) as connection:
            return connection.exec_driver_sql(PAGE, (run_id,)).all()

    def wait(self, condition, *, seconds=600):
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            self.airflow.check()
            assert time.monotonic() < deadline, self.scored()
            time.sleep(0.5)
        return found

    def shards(self, run_id):
        """States of the scoring tasks."""
        return [task.state for task in self.airflow.tasks(DAG, run_id) if task.task_id == "rerank"]

    def check_page(self, run_id, *, twice):
        """The page is full, every pair has one score, and at most so many chunks went into an engine twice."""
        (page, *_) = self.wait(lambda: self.pages(run_id))
        assert not page.degraded
        given = Counter(pair for pairs in self.scored().values() for pair in pairs)
        assert len(given) == len(TOPICS) * ARTICLES
        assert sum(given.values()) - len(given) <= twice * PAIRS_PER_CHUNK
        with self.news.transaction(read_only=True) as connection:
            (row,) = connection.exec_driver_sql("SELECT count(*) FROM rerank.pair_score").all()
        assert row[0] == len(TOPICS) * self.articles
        return page

    def hosts_of(self, run_id):
        """The hosts that the ledger names for a run."""
        with self.news.transaction(read_only=True) as connection:
            rows = connection.exec_driver_sql(
                "SELECT DISTINCT host FROM rerank.pair_score JOIN rerank.run USING (run_id) WHERE key = %s",
                (run_id,),
            ).all()
        return {row[0] for row in rows}

    def faults(self):
        with self.news.transaction(read_only=True) as connection:
            rows = connection.exec_driver_sql("SELECT host, fault FROM rerank.scoring_host").all()
        return dict(tuple(row) for row in rows)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    pytest.importorskip(
        "airflow.providers.celery.executors.celery_executor",
        reason="Airflow's Celery provider is not installed here",
    )
    networks = [Network() for _ in range(3)]
    folder = tmp_path_factory.mktemp("celery")
    for above in (folder, *folder.parents[:-2]):
        above.chmod(above.stat().st_mode | 0o055)  # Postgres runs as another user
    try:
        for network in networks:
            network.open()
            if network.why_none:
                pytest.skip(network.why_none)
        found = Cluster(folder, networks)
        try:
            found.start()
            yield found
        finally:
            found.stop()
    finally:
        for network in networks:
            network.close()


@pytest.fixture
def alone():
    """A test that starts the GPU hosts itself."""


@pytest.fixture(autouse=True)
def both_hosts(cluster, request):
    """Both GPU hosts are up and right at first, unless a test starts them itself."""
    if "alone" not in request.fixturenames:
        for name in ("gpu1", "gpu2"):
            if not cluster.hosts[name].is_up:
                cluster.start_worker(name)
    yield
    for host in cluster.hosts.values():
        if not host.network.whole:
            host.network.mend(WIRE)
    for name in ("gpu1", "gpu2"):
        cluster.hosts[name].kill()


def await_both(cluster):
    """Both hosts score."""
    cluster.wait(lambda: all(len(cluster.scored().get(name, ())) >= 12 for name in ("gpu1", "gpu2")))


def since(page, moment, what, record_property):
    seconds = page.published_at.timestamp() - moment
    record_property(what, round(seconds, 1))
    print(f"{what}: page after {seconds:.0f} s")


def test_a_killed_worker_holds_the_page_back_no_longer_than_its_work(cluster, record_property):
    run_id = cluster.trigger()
    await_both(cluster)
    cluster.hosts["gpu2"].kill()
    moment = time.time()
    page = cluster.check_page(run_id, twice=2)
    assert "running" in cluster.shards(run_id)  # nobody has noticed so far that the task is dead
    since(page, moment, "SIGKILL of a worker", record_property)
    assert set(cluster.hosts_of(run_id)) == {"gpu1", "gpu2"}


def test_two_hosts_score_at_once_and_nothing_twice(cluster):
    run_id = cluster.trigger()
    await_both(cluster)
    assert cluster.airflow.wait_run(DAG, run_id) == "success"
    cluster.check_page(run_id, twice=2)
    assert cluster.hosts_of(run_id) == {"gpu1", "gpu2"}
    assert [page.version for page in cluster.pages(run_id)] == [1]


def test_a_broker_that_crashes_meanwhile_costs_nothing(cluster):
    run_id = cluster.trigger()
    await_both(cluster)
    cluster.redis.kill()
    time.sleep(10)
    cluster.redis.start()
    cluster.check_page(run_id, twice=2)


def test_a_host_that_loses_the_network_costs_its_work_in_flight(cluster, record_property):
    run_id = cluster.trigger()
    await_both(cluster)
    cluster.hosts["gpu2"].network.cut(WIRE)
    moment = time.time()
    page = cluster.check_page(run_id, twice=2)
    since(page, moment, "network of a worker cut", record_property)


@pytest.mark.usefixtures("alone")
def test_a_host_that_joins_late_takes_its_part_and_one_that_leaves_loses_nothing(cluster):
    cluster.start_worker("gpu1")
    run_id = cluster.trigger()
    cluster.wait(lambda: len(cluster.scored().get("gpu1", ())) >= 12)
    cluster.start_worker("gpu2")
    await_both(cluster)
    cluster.hosts["gpu1"].kill()
    cluster.check_page(run_id, twice=2)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("wrong", ["model", "store"])
def test_a_wrong_host_scores_nothing_and_degrades_no_page_while_another_is_free(cluster, wrong):
    with cluster.news.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM rerank.scoring_host")
    cluster.start_worker("gpu2", **{wrong: "empty"})
    run_id = cluster.trigger()
    cluster.wait(lambda: cluster.faults().get("gpu2"))  # it is hungry, and takes a shard first
    cluster.start_worker("gpu1")
    cluster.check_page(run_id, twice=2)
    assert cluster.hosts_of(run_id) == {"gpu1"}
    assert wrong == "model" or "the store is not shared" in cluster.faults()["gpu2"]
    assert cluster.faults()["gpu1"] is None
