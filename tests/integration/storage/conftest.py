"""A database with the four roles, and a newsroom that works as them."""

import itertools
from collections.abc import Callable, Iterator

import pytest
from factories import FakeEngines, Newsroom
from role_office import (
    Office,
    printed,
)

from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.settings import Settings
from rerank_core.storage import migrations
from rerank_core.storage.roles import Roles

_numbers = itertools.count(1)


@pytest.fixture
def office(
    postgres: EmbeddedPostgres, empty_database_url: str, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Office]]:
    """Makes a database with roles of its own: script, migrations as the owner, script."""
    number = next(_numbers)
    # Names that need every kind of quoting.
    roles = Roles(
        owner=f"Owner {number}",
        source=f'so"ur\\ce {number}',
        writer=f"wri'ter % {number}",
        frontend=f"前端;-- {number}",
    )
    made = Office(empty_database_url, roles)

    def make(*options: str) -> Office:
        text = printed(roles, capsys, *options)
        made.sql("postgres", text)
        migrations.upgrade(made.url_of(roles.owner))
        made.sql("postgres", text)
        return made

    yield make
    made.remove_roles()


@pytest.fixture
def newsroom(store_url: str, engines: FakeEngines) -> Callable[[Office], Newsroom]:
    """A newsroom that works as the writer, and claims as the source reader."""

    def make(office: Office, **settings: object) -> Newsroom:
        values = {
            "database_url": office.url_of(office.roles.writer),
            "source_url": office.url_of(office.roles.source),
            "store_url": store_url,
        }
        return Newsroom(Settings.load(**{**values, **settings}), engines)

    return make
