"""Fixtures that every test may use: a Postgres of its own, a database and a store per test, no network.

The Postgres is the embedded one; it starts in half a second, at the first test that asks for it. Each
`database_url` is a copy of one migrated template, made in about 30 ms. `airflow_database_url` is such a copy for a
real Airflow, whose own migration takes seconds.
"""

import ipaddress
import itertools
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from nursery import Nursery
from open_folders import open_folder

from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.frontends import contract
from rerank_core.storage import migrations

if TYPE_CHECKING:
    from redis_servers import RedisServer

# Before anything imports vllm, transformers or Airflow: nothing is fetched and nothing is reported.
for name in [name for name in os.environ if name.startswith(("RERANK_", "AIRFLOW_"))]:
    del os.environ[name]
os.environ.update(
    HF_HUB_OFFLINE="1",
    VLLM_NO_USAGE_STATS="1",
    DO_NOT_TRACK="1",
    VLLM_ENABLE_V1_MULTIPROCESSING="0",
    VLLM_CPU_KVCACHE_SPACE="1",
)

# How busy the machine is says nothing of the code, and fixtures here are the same for every example.
hypothesis_settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
hypothesis_settings.load_profile("any machine")

_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests that are marked `long`, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long variants unless --long asks for them, or the command names one."""
    if config.getoption("--long") or any("::" in argument for argument in config.args):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


@pytest.fixture(scope="session", autouse=True)
def _only_this_machine() -> Iterator[None]:
    """Tests reach this machine alone: any other address is refused at once."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = "127.0.0.1" if address[0] == "localhost" else address[0]
            if not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
                raise PermissionError(f"tests reach only this machine, not {address[0]}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


@pytest.fixture(scope="session", autouse=True)
def nursery() -> Iterator[Nursery]:
    """Helpers of prepare start at once. A test of how the library starts them puts `watch.start` back."""
    from rerank_core.prepare import watch

    found = Nursery()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "start", found.start)
        yield found
    found.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One Postgres for the whole session."""
    # Postgres runs as `nobody` when the tests run as root, and has to get to its folder.
    with open_folder() as folder, EmbeddedPostgres(folder=folder / "postgres") as server:
        yield server


@pytest.fixture(scope="session")
def _migrated_template(postgres: EmbeddedPostgres) -> str:
    migrations.upgrade(postgres.create("template_news"), comments=contract.comments())
    return "template_news"


@pytest.fixture(scope="session")
def _airflow_template(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    from rerank_core.demo.airflow import AirflowSandbox

    home = tmp_path_factory.mktemp("airflow-template")
    AirflowSandbox(home=home, database_url=postgres.create("template_airflow"), environment={}).migrate()
    return "template_airflow"


@pytest.fixture(scope="module")
def airflow_database_url(
    request: pytest.FixtureRequest, postgres: EmbeddedPostgres, _airflow_template: str
) -> Iterator[str]:
    """Airflow's metadata database at its newest schema, for a module that starts an Airflow of its own."""
    name = f"airflow_of_{request.path.stem}"
    yield postgres.create(name, template=_airflow_template)
    postgres.drop(name)


@pytest.fixture
def empty_database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A fresh database without any schema."""
    name = f"empty_{next(_numbers)}"
    yield postgres.create(name)
    postgres.drop(name)


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, _migrated_template: str) -> Iterator[str]:
    """A fresh database at the head of the migrations."""
    name = f"news_{next(_numbers)}"
    yield postgres.create(name, template=_migrated_template)
    postgres.drop(name)


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """An empty store in a folder of its own."""
    folder = tmp_path / "store"
    folder.mkdir()
    return folder.as_uri()


@pytest.fixture
def start_redis() -> Iterator[Callable[..., "RedisServer"]]:
    """Starts Redis servers, which end with the test."""
    from redis_servers import RedisServer

    folder = Path(tempfile.mkdtemp(prefix="rerank-redis-"))
    servers: list[RedisServer] = []

    def start(*options: str, password: str = "") -> RedisServer:
        servers.append(RedisServer(folder, *options, password=password))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def redis_server(start_redis: Callable[..., "RedisServer"]) -> "RedisServer":
    """One Redis server."""
    return start_redis()
