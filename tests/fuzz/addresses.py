"""Addresses of the views in Airflow: every route, with any parameters."""

import inspect
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote, quote_from_bytes

from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from view_reader import PREFIX, offences

from fuzz import drawn
from fuzz.targets import Finding

PIPELINES = ("news", "shadow", "hostile", "gated", "empty")
_NUMBERS = (
    *(
        "0",
        "1",
        "2",
        "-1",
        "100000",
        "100001",
        "4611686018427387904",
        "4611686018427387905",
        "9223372036854775808",
        "1" * 5000,
    ),
    *("1.0", "1e3", "٣", "0x1", "1_0", " 1", "", "NaN", "true", "null"),
)
_MOMENTS = (
    *(
        "2026-03-01T10:00",
        "2026-03-01",
        "0001-01-01",
        "0001-01-01T00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "20260301T100000Z",
        "2026-W09-1",
    ),
    *(
        "9999-12-31T23:59:59.999999",
        "1e9",
        "24:00",
        "2026-03-01T24:00",
        "٢٠٢٦-٠٣-٠١",
        "infinity",
        "-infinity",
        "epoch",
        "now",
        "4713-01-01 BC",
    ),
)
_HEADERS = {
    "range": (
        "bytes=0-",
        "bytes=-1",
        "bytes=5-2",
        "bytes=-0",
        "bytes=999999999999999999-",
        "bytes=0-1,3-4",
        "bytes=٣-٤",
        "bytes=-",
        "x",
        "bytes=" + "9" * 400,
    ),
    "if-range": ('"x"', "*", ""),
    "accept-encoding": ("gzip", "br", "identity;q=0", "*", ""),
    "accept": ("application/json", "*/*", "x"),
    "cookie": ("_token=x", "a" * 5000, "=;=;"),
    "if-none-match": ("*", '"x"'),
}


@dataclass(frozen=True)
class Views:
    """The views of an Airflow in this process."""

    client: TestClient
    known: dict[str, Sequence[str]] = field(repr=False)  # parameter → values that are there

    def draw(self, random: Random) -> bytes:
        """An address: method, path, query and headers."""
        path, names = random.choice(_routes())
        query = []
        for name in names:
            if random.random() < 0.7:
                query.append([name, self._value(random, name)])
        for _ in range(random.choice((0, 0, 0, 1, 3))):
            name = random.choice([*names, "pipeline", "x", "", "a" * 300, "page[]", "\0"])
            query.append([name, self._value(random, name)])
        if "{name}" in path:
            path = path.replace(
                "{name}",
                random.choice(
                    (
                        "ui.css",
                        "ui.js",
                        "theme.js",
                        "..%2fapp.py",
                        "%00",
                        "%FF",
                        "x",
                        quote(random.choice(drawn.odd()), errors="replace"),
                    )
                ),
            )
        headers = {name: random.choice(values) for name, values in _HEADERS.items() if random.random() < 0.1}
        method = random.choice(
            ("GET", "GET", "GET", "GET", "GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE")
        )
        return json.dumps({"method": method, "path": path, "query": query, "headers": headers}).encode()

    def _value(self, random: Random, name: str) -> str:
        kind = random.random()
        if kind < 0.6 and name in self.known:
            return random.choice(self.known[name])
        if kind < 0.7:
            return random.choice(_NUMBERS)
        if kind < 0.8:
            return random.choice(_MOMENTS)
        if kind < 0.85:
            return random.choice(("full", "churn", "topic", "en", "zh", "x" * 201, "x" * 2001))
        return drawn.text(random, ("solar", "power", "电", "%", "_"), most=4)

    def ask(self, content: bytes) -> None:
        """Ask for an address. An answer of 500 and above, and markup that is not ours, are findings."""
        from rerank_airflow.ui.app import HEADERS

        try:
            asked = json.loads(content)
            query = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in asked["query"])
            target = f"{PREFIX}{asked['path']}{'?' if query else ''}{query}".encode("ascii")
            url = self.client.base_url.copy_with(raw_path=target)
            headers = {name: value.encode() for name, value in asked["headers"].items()}
            method = str(asked["method"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        answer = self.client.request(method, url, headers=headers)
        if answer.status_code >= 500:
            raise Finding(f"{answer.status_code}: {method} {target[:300]!r}: {answer.text[-300:]}")
        # An address with a line break in its path is Airflow's own: our headers tell what is ours.
        is_ours = answer.headers.get("content-security-policy") == HEADERS["Content-Security-Policy"]
        if is_ours and "html" in answer.headers.get("content-type", "") and (wrong := offences(answer.text)):
            raise Finding(f"it shows {wrong}: {method} {target[:300]!r}")


def _quoted(text: str) -> str:
    return quote_from_bytes(text.encode("utf-8", "surrogatepass"))


def _routes() -> list[tuple[str, list[str]]]:
    """(path, names of its parameters) of every route."""
    from rerank_airflow.ui.app import build

    if not _FOUND:
        for route in build().routes:
            if isinstance(route, APIRoute):
                names = [
                    name
                    for name in inspect.signature(route.endpoint).parameters
                    if name not in ("request", "session", "visible")
                ]
                _FOUND.append((route.path, names))
    return _FOUND


_FOUND: list[tuple[str, list[str]]] = []


def signed_in(database_url: str, store_url: str) -> TestClient:
    """A user who may see everything, of an Airflow in this process."""
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    os.environ["RERANK_DATABASE_URL"], os.environ["RERANK_STORE_URL"] = database_url, store_url
    os.environ["RERANK_AIRFLOW_PIPELINES"] = json.dumps({name: {} for name in PIPELINES})
    app = create_app(apps="core")
    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="someone", role="admin"))
    return TestClient(app, headers={"Authorization": f"Bearer {token}"}, follow_redirects=False)


def known(room: Any) -> dict[str, Sequence[str]]:
    """Values of each parameter that a newsroom's database has."""

    def column(sql: str) -> list[str]:
        return [str(row[0]) for row in room.sql(sql)]

    publications = column("SELECT publication_id FROM rerank.publication")
    return {
        "pipeline": PIPELINES,
        "other": PIPELINES,
        "publication": publications,
        "against": publications,
        "run_id": column("SELECT run_id FROM rerank.run"),
        "slug": column("SELECT DISTINCT slug FROM rerank.topic"),
        "id": column("SELECT DISTINCT article_id FROM rerank.revision"),
        "lang": ("en", "zh"),
        "topic": ("solar", "x", ""),
        "text": (
            *(
                "slug: x\nquery: solar",
                "- {slug: x, query: solar}\n- {slug: y, query: 电, languages: [zh]}",
                "topics: [",
            ),
            *("slug: x\nquery: the", "topics:\n- slug: x\n  query: solar\n  must: [power]\n  min_score: 1"),
        ),
        "page": ("1", "2", "100000"),
        "runs": ("2", "48", "500"),
        "state": ("full", "partial", "abstained", "degraded", "stale", ""),
        "sort": ("churn", "topic"),
        "dag_id": ("rank_new_articles", "rank_new_articles__shadow"),
        "at": _MOMENTS,
    }
