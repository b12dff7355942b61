"""A server that scores over HTTP as a run does: the run's prompt, guard and engine, behind routes that rerank clients know.

For tools that ask one by one; the pipeline does not use it. Each text goes through the prompter that a run uses. So a
control token or a label that a text spells out stays text, a long document is cut at the same token, and a score equals
that of a run. desk.py shares the engine between clients, dialects.py knows requests and answers, routes.py is the HTTP.

On an address of this machine alone the server also refuses a request under any other host's name: a page of the web may
have its own name point here, and then its scripts count as ours.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from rerank_core.errors import InputError
from rerank_core.evaluation.desk import Desk
from rerank_core.evaluation.routes import KEY, Routes, is_local
from rerank_core.models import scorers
from rerank_core.models.base import Scorer
from rerank_core.models.vllm import require_vllm
from rerank_core.models.weights import resolve_model
from rerank_core.settings import Settings

if TYPE_CHECKING:
    import uvicorn

HEADER_SECONDS = 10.0  # for a client to send the headers of a request
IDLE_SECONDS = 5.0  # that a connection stays open without one
MOST_CONNECTIONS = 512
SEND_SECONDS = 20.0  # for a client to take what is sent to it
CACHED_TEXTS = 1_024  # of strangers, whose ids the prompter keeps: a server runs for long
END_SECONDS = 30  # for requests that are being answered when the server is told to end


def names(model: str, folder: Path, given: Sequence[str] = ()) -> tuple[str, ...]:
    """The names that a client may call the model by; those `given` come first, each name once.

    They are what the settings say, the last part of it, and, of a folder, its path and name. A folder of the hub's
    cache (`models--owner--name`) also has its name on the hub.
    """
    hub, _, _ = model.partition("@")
    found = [*given, model, hub.rstrip("/"), hub.rstrip("/").rpartition("/")[2]]
    if Path(model).expanduser().is_dir():
        found += [str(folder), folder.name]
    for part in folder.parts:
        if part.startswith("models--") and part.count("--") >= 2:
            owner, _, name = part.removeprefix("models--").partition("--")
            found += [f"{owner}/{name}", name]
    return tuple(dict.fromkeys(name for name in found if name not in ("", ".", "..")))


def serve(
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    given_names: Sequence[str] = (),
    on_ready: Callable[[str, Sequence[str]], None] = lambda url, names: None,
) -> None:
    """Serve until a signal ends the server: it answers what it has taken, and gives the engine back.

    Calls `on_ready(url, names)` when the canary has passed and the server listens. Raises ModelError if the checkpoint
    must not be used or its canary fails, EngineError if the engine does not start, or fails and does not start again,
    InputError if the address is taken, or open to others without a key.
    """
    require_vllm("serve")
    with listen(host, port) as listener:
        called = names(settings.model, resolve_model(settings.model), given_names)
        load = partial(_load, settings)
        running: list[uvicorn.Server] = []

        def end(error: Exception) -> None:
            for server in running:
                server.should_exit = True

        desk = Desk(load, on_death=end)
        try:
            routes = Routes(desk, called, settings.max_document_tokens, key=os.environ.get(KEY) or None)
            address = listener.getsockname()
            url = f"http://{'[' + address[0] + ']' if ':' in address[0] else address[0]}:{address[1]}"
            server = make_server(routes)
            running.append(server)
            run(server, listener, on_ready=lambda: on_ready(url.replace("0.0.0.0", "127.0.0.1"), called))
        finally:
            desk.close()
        if desk.death is not None:
            raise desk.death


def _load(settings: Settings, failures: int) -> Scorer:
    return scorers.load(settings, failures=failures, cached_texts=CACHED_TEXTS)


def make_server(routes: Routes, *, header_seconds: float = HEADER_SECONDS) -> "uvicorn.Server":
    """The HTTP server of these routes."""
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Impatient(H11Protocol):
        """uvicorn's protocol with what it lacks: a time for headers, a time to take the answer, a number of connections."""

        _due: asyncio.TimerHandle | None = None
        _stuck: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > MOST_CONNECTIONS:
                self._close(503, "too many connections; ask again later")
            else:
                self._expect()

        def on_response_complete(self) -> None:
            self._expect()  # first: what was sent ahead may be the next request
            super().on_response_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            _cancel(self._due, self._stuck)
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            self._stuck = self.loop.call_later(SEND_SECONDS, self.transport.abort)
            super().pause_writing()

        def resume_writing(self) -> None:
            _cancel(self._stuck)
            super().resume_writing()

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()
            self._stuck = self.loop.call_later(SEND_SECONDS, self.transport.abort)

        def _expect(self) -> None:
            _cancel(self._due)
            self._due = self.loop.call_later(header_seconds, self._late)

        def _late(self) -> None:
            if self.transport.is_closing():  # and the client does not take the rest of its answer
                self.transport.abort()
            elif self.cycle is None or self.cycle.response_complete:
                self._close(408, f"no whole request came in {header_seconds:g} s; send it faster")

        def _close(self, status: int, why: str) -> None:
            body = why.encode()
            head = f"HTTP/1.1 {status} Closed\r\ncontent-type: text/plain\r\ncontent-length: {len(body)}\r\n"
            self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
            self.timeout_keep_alive_handler()

    config = uvicorn.Config(
        routes,
        http=Impatient,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=int(IDLE_SECONDS),
        timeout_graceful_shutdown=END_SECONDS,
    )
    return uvicorn.Server(config)


def _cancel(*timers: asyncio.TimerHandle | None) -> None:
    for timer in timers:
        if timer is not None:
            timer.cancel()


def run(server: "uvicorn.Server", listener: socket.socket, *, on_ready: Callable[[], None]) -> None:
    """Run the server until a signal ends it. Calls `on_ready` when it answers."""

    async def main() -> None:
        serving = asyncio.ensure_future(server.serve(sockets=[listener]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if not serving.done():
            on_ready()
        await serving

    # The server raises the signal again at its end; what comes after it still has to be done.
    before = {number: signal.signal(number, _noted) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        asyncio.run(main())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _noted(number: int, frame: FrameType | None) -> None:
    pass


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises InputError if the address is taken, or open to others while no key is set."""
    if not is_local(host) and not os.environ.get(KEY):
        raise InputError(f"host {host} is open to others: set {KEY} to a key, or serve on 127.0.0.1")
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=512
        )
    except OSError as error:
        raise InputError(
            f"{host}:{port} cannot be served on: {error.strerror}; take another --port"
        ) from error
