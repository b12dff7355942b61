"""A newsroom for a test: its own database and store, and a fake engine in the model's place."""

import pytest
from factories import FakeEngines, Newsroom

from rerank_core.settings import Settings


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> FakeEngines:
    found = FakeEngines()
    found.install(monkeypatch)
    return found


@pytest.fixture
def room(database_url: str, store_url: str, engines: FakeEngines) -> Newsroom:
    return Newsroom(Settings.load(database_url=database_url, store_url=store_url), engines)
