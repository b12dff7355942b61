"""CeleryExecutor with Redis and two hosts: a lost or wrong host costs no score, and the page is full all the same.

Each host is a set of namespaces of this machine; the devices are simulated by a scorer that sleeps. Heartbeats and retries
are Airflow's and the settings' own.
"""

import time
from collections import Counter

import pytest
from celery_clusters import ARTICLES, DAG, TOPICS, Cluster
from celery_hosts import PAIRS_PER_CHUNK, WIRE
from faults.network import Network
from open_folders import open_folder
from redis_servers import needs_redis

pytestmark = [
    pytest.mark.scheduler,
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(1200),
    needs_redis,
]


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip(
        "airflow.providers.celery.executors.celery_executor",
        reason="Airflow's Celery provider is not installed here",
    )
    networks = [Network() for _ in range(3)]
    try:
        for network in networks:
            network.open()
            if network.why_none:
                pytest.skip(network.why_none)
        with open_folder() as folder:  # Postgres runs as another user
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
    cluster.mend()
    for name in ("gpu1", "gpu2"):
        cluster.hosts[name].kill()


def check_page(cluster, run_id, *, twice):
    """The page is full, every pair has one score, and at most so many chunks went into an engine twice."""
    (page, *_) = cluster.wait(lambda: cluster.pages(run_id))
    assert not page.degraded
    given = Counter(pair for pairs in cluster.scored().values() for pair in pairs)
    assert len(given) == len(TOPICS) * ARTICLES
    assert sum(given.values()) - len(given) <= twice * PAIRS_PER_CHUNK
    assert cluster.scores() == len(TOPICS) * cluster.articles
    print(f"{sum(given.values()) - len(given)} of {len(given)} pairs went into an engine again")
    return page


def since(page, moment, what, record_property):
    seconds = page.published_at.timestamp() - moment
    record_property(what, round(seconds, 1))
    print(f"{what}: page after {seconds:.0f} s")


def test_a_killed_worker_holds_the_page_back_no_longer_than_its_work(cluster, record_property):
    run_id = cluster.trigger()
    cluster.await_hosts("gpu1", "gpu2")
    cluster.hosts["gpu2"].kill()
    moment = time.time()
    page = check_page(cluster, run_id, twice=2)
    assert "running" in cluster.shards(run_id)  # nobody has noticed so far that the task is dead
    since(page, moment, "SIGKILL of a worker", record_property)
    assert set(cluster.hosts_of(run_id)) == {"gpu1", "gpu2"}


def test_two_hosts_score_at_once_and_nothing_twice(cluster):
    run_id = cluster.trigger()
    cluster.await_hosts("gpu1", "gpu2")
    assert cluster.airflow.wait_run(DAG, run_id) == "success"
    check_page(cluster, run_id, twice=2)
    assert cluster.hosts_of(run_id) == {"gpu1", "gpu2"}
    assert [page.version for page in cluster.pages(run_id)] == [1]


def test_a_broker_that_crashes_meanwhile_costs_nothing(cluster):
    run_id = cluster.trigger()
    cluster.await_hosts("gpu1", "gpu2")
    cluster.redis.kill()
    time.sleep(10)
    cluster.redis.start()
    check_page(cluster, run_id, twice=2)


def test_a_host_that_loses_the_network_costs_its_work_in_flight(cluster, record_property):
    run_id = cluster.trigger()
    cluster.await_hosts("gpu1", "gpu2")
    cluster.hosts["gpu2"].network.cut(WIRE)
    moment = time.time()
    page = check_page(cluster, run_id, twice=2)
    since(page, moment, "network of a worker cut", record_property)


@pytest.mark.usefixtures("alone")
def test_a_host_that_joins_late_takes_its_part_and_one_that_leaves_loses_nothing(cluster):
    cluster.start_worker("gpu1")
    run_id = cluster.trigger()
    cluster.await_hosts("gpu1")
    cluster.start_worker("gpu2")
    cluster.await_hosts("gpu1", "gpu2")
    cluster.hosts["gpu1"].kill()
    check_page(cluster, run_id, twice=2)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("wrong", ["model", "store"])
def test_a_wrong_host_scores_nothing_and_degrades_no_page_while_another_is_free(cluster, wrong):
    with cluster.news.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM rerank.scoring_host")
    cluster.start_worker("gpu2", **{wrong: "empty"})
    run_id = cluster.trigger()
    cluster.wait(lambda: cluster.faults().get("gpu2"))  # it is hungry, and takes a shard first
    cluster.start_worker("gpu1")
    check_page(cluster, run_id, twice=2)
    assert cluster.hosts_of(run_id) == {"gpu1"}
    assert wrong == "model" or "the store is not shared" in cluster.faults()["gpu2"]
    assert cluster.faults()["gpu1"] is None
