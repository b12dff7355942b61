"""Drawn addresses of the views: none is answered with an error of the server, and none shows markup of its own."""

import json
from random import Random
from typing import Any

import pytest
from fastapi.testclient import TestClient
from fuzz import addresses
from fuzz.targets import READ_SECONDS, Finding, Target
from view_reader import ROUTES

from rerank_airflow.ui import articles, render


@pytest.fixture
def views(client: TestClient, news: Any) -> Target:
    found = addresses.Views(client, addresses.known(news.room))
    return Target("ui", found.draw, found.ask, READ_SECONDS)


def test_drawn_addresses_are_answered(views: Target) -> None:
    for number in range(200):
        views.run(views.draw(Random(f"1:{number}")))


def test_every_route_is_drawn(views: Target) -> None:
    drawn = {json.loads(views.draw(Random(number)))["path"].partition("/static/")[0] for number in range(300)}
    assert drawn >= set(ROUTES) - {"/static/ui.css"}


def asked(path: str, **query: str) -> bytes:
    address = {"method": "GET", "path": path, "query": [[*one] for one in query.items()], "headers": {}}
    return json.dumps(address).encode()


def test_control_a_parameter_that_postgres_refuses_is_found(
    views: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(articles, "clean", str.strip)  # keeps NUL characters
    with pytest.raises(Exception, match="NUL|500|503"):
        views.run(asked("/article", id="a\0b"))


def test_control_text_that_becomes_markup_is_found(views: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render.environment(), "autoescape", False)
    render.environment().cache.clear()  # type: ignore[union-attr]
    try:
        with pytest.raises(Finding, match="it shows"):
            views.run(asked("/article", id="<img src=x>"))
    finally:
        render.environment().cache.clear()  # type: ignore[union-attr]
