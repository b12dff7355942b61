"""A server over a fake scorer in this process, and what a client of any manners says to it."""

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from rerank_core.evaluation import serve
from rerank_core.evaluation.desk import Desk
from rerank_core.evaluation.routes import Limits, Routes
from rerank_core.models.base import FakeScorer

NAMES = ("Qwen/Qwen3-Reranker-0.6B", "Qwen3-Reranker-0.6B")


@dataclass
class Answer:
    """What a client got."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        """The parsed body."""
        return json.loads(self.raw)

    @property
    def why(self) -> str:
        """The reason of an error."""
        return str(self.body["error"]["message"])


@dataclass
class Served:
    """A server that listens, and its parts."""

    port: int
    desk: Desk
    routes: Routes
    server: uvicorn.Server
    built: list[FakeScorer] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def post(self, path: str, content: Any, *, raw: bytes | None = None, **headers: str) -> Answer:
        """A POST of JSON, or of these bytes."""
        sent = {"Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.port, "POST", path, raw if raw is not None else json.dumps(content).encode(), sent)

    def get(self, path: str, **headers: str) -> Answer:
        """A GET."""
        return ask(self.port, "GET", path, None, headers)

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    @property
    def open_connections(self) -> int:
        """Connections that the server holds."""
        return len(self.server.server_state.connections)


def ask(port: int, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
    """One request of a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


@contextmanager
def served(
    *,
    key: str | None = None,
    limits: Limits | None = None,
    header_seconds: float = 10.0,
    refuse_builds: int = 0,
    **options: Any,
) -> Iterator[Served]:
    """A server over FakeScorers with these options. After `refuse_builds` failures no further one starts."""
    built: list[FakeScorer] = []

    def load(failures: int) -> FakeScorer:
        if refuse_builds and failures >= refuse_builds:
            raise RuntimeError("no engine is left")
        built.append(FakeScorer(**{**options, "fail_at_chunk": None} if built else options))
        return built[-1]

    servers: list[uvicorn.Server] = []

    def end(error: Exception) -> None:
        for one in servers:
            one.should_exit = True

    desk = Desk(load, on_death=end)
    routes = Routes(desk, NAMES, 512, key=key, limits=limits or Limits())
    server = serve.make_server(routes, header_seconds=header_seconds)
    servers.append(server)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
        thread.start()
        while not server.started:
            thread.join(0.01)
        try:
            yield Served(listener.getsockname()[1], desk, routes, server, built)
        finally:
            server.should_exit = True
            thread.join(40)
            desk.close()
            assert not thread.is_alive()
