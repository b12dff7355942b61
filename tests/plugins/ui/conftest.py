"""Airflow's API server with the plugin, and a news database with the history of four pipelines."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import newsrooms
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from view_reader import PREFIX, Reader


@pytest.fixture(scope="package")
def news(postgres, _migrated_template, tmp_path_factory) -> Iterator[Any]:
    """Four pipelines with a history."""
    store = tmp_path_factory.mktemp("store")
    url = postgres.create("news_of_test_ui", template=_migrated_template)
    rooms = newsrooms.every_room(url, store.as_uri())
    yield SimpleNamespace(**vars(rooms), url=url, store=store)
    postgres.drop("news_of_test_ui")


@pytest.fixture(scope="package")
def airflow(metadata) -> Iterator[FastAPI]:
    """Airflow's API server with the plugin, in this process."""
    from airflow.api_fastapi.app import create_app, purge_cached_app

    purge_cached_app()
    yield create_app(apps="core")
    purge_cached_app()


@pytest.fixture
def settings(news, monkeypatch) -> None:
    monkeypatch.setenv("RERANK_DATABASE_URL", news.url)
    monkeypatch.setenv("RERANK_STORE_URL", news.store.as_uri())
    monkeypatch.setenv(
        "RERANK_AIRFLOW_PIPELINES", '{"news": {}, "shadow": {}, "hostile": {}, "gated": {}, "empty": {}}'
    )


@pytest.fixture
def token() -> Callable[[str], str]:
    """The token of a user with a role."""

    def of_role(role: str) -> str:
        from airflow.api_fastapi.app import get_auth_manager
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

        return get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="someone", role=role))

    return of_role


@pytest.fixture
def anonymous(airflow, settings) -> TestClient:
    return TestClient(airflow, follow_redirects=False)


@pytest.fixture
def client(airflow, settings, token) -> TestClient:
    """A user who may see everything."""
    return TestClient(airflow, headers={"Authorization": f"Bearer {token('admin')}"}, follow_redirects=False)


@pytest.fixture
def get(client):
    """The text of a view, asked for by path and query."""

    def got(path: str, *, status: int = 200, **query: Any) -> str:
        answer = client.get(f"{PREFIX}{path}", params=query or None)
        assert answer.status_code == status, Reader(answer.text).text[-600:]
        return answer.text

    return got
