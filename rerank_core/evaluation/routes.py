"""The routes of the server: HTTP in front of the desk. A route reads a request within bounds of bytes and time, and answers it.

Whatever a client does, it gets an answer that says what is wrong, which value it was and what to do, or its connection is
closed, and nothing of the request stays behind:

| a client | gets |
|---|---|
| asks under another host's name, without the key, for another path, method, type or model | 421, 401, 404, 405, 415, 404 |
| sends too many bytes, or sends them too slowly | 413, 408 |
| sends what is not JSON, or not what the dialect says | 400 |
| comes when too many others wait, or asks for more than can be scored in time | 503 with Retry-After |
| leaves | nothing; its pairs leave the desk |

A page of the web cannot ask: browsers send `application/json` to a foreign address only after asking leave, which gets 405.
"""

import asyncio
import hmac
import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rerank_core.errors import EngineError, InputError, or_perhaps
from rerank_core.evaluation import dialects
from rerank_core.evaluation.desk import Busy, Desk, Outcome, Texts

KEY = "VLLM_API_KEY"  # the variable with the key that clients of other machines must send
RERANK, SCORE = dialects.RerankRequest, dialects.ScoreRequest
POSTS: dict[str, tuple[type[dialects.AnyRequest], str]] = {
    "/rerank": (RERANK, "1"),
    "/v1/rerank": (RERANK, "1"),
    "/v2/rerank": (RERANK, "2"),
    "/score": (SCORE, "1"),
    "/v1/score": (SCORE, "1"),
}
GETS = ("/health", "/v1/models")

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True)
class Limits:
    """What one client may take."""

    body_bytes: int = 8 << 20
    drained_bytes: int = 64 << 20  # of a body that is too large, so that its sender comes to read the answer
    body_seconds: float = 20.0  # from the headers to the last byte of the body
    score_seconds: float = 120.0
    requests: int = 256  # at a time, of all clients


class _Refused(Exception):
    """An answer that is no success."""

    def __init__(
        self, status: int, why: str, *, param: str | None = None, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(why)
        self.status, self.why, self.param, self.headers = status, why, param, headers


class _Left(Exception):
    """The client has left."""


def _busy(why: str) -> _Refused:
    return _Refused(503, why, headers=[("retry-after", "2"), ("connection", "close")])


@dataclass
class Routes:
    """The ASGI application. `names` are those of the model, the first is its own; `key` None means that none is asked for."""

    desk: Desk
    names: tuple[str, ...]
    max_document_tokens: int
    key: str | None = None
    limits: Limits = field(default_factory=Limits)
    _requests: int = 0  # that are read or scored now

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        headers: Sequence[tuple[str, str]] = ()
        try:
            status, content = 200, await self._answer(scope, receive)
        except _Refused as refusal:
            status, headers = refusal.status, refusal.headers
            content = dialects.failure(status, refusal.why, param=refusal.param)
        except _Left:
            return
        await _send(send, status, content, headers)

    async def _answer(self, scope: Message, receive: Receive) -> Any:
        path, method = scope["path"], scope["method"]
        if not self._is_meant(scope):
            raise _Refused(421, "this server is called localhost or 127.0.0.1")
        if path not in POSTS and path not in GETS:
            raise _Refused(404, f"{path[:100]!r} is not here; this server has {', '.join((*POSTS, *GETS))}")
        wanted = "POST" if path in POSTS else "GET"
        if method != wanted:
            raise _Refused(405, f"{path} takes {wanted}, not {method[:20]}", headers=[("allow", wanted)])
        if path == "/health":
            if self.desk.death is not None:
                raise _busy(f"the server ends: {self.desk.death}")
            return {"status": "ok"}
        self._check_key(scope)
        if path == "/v1/models":
            return dialects.models(self.names, max_document_tokens=self.max_document_tokens)
        if self._requests >= self.limits.requests:
            raise _busy(f"{self._requests} requests are being answered; ask again later")
        self._requests += 1
        try:
            return await self._score(scope, receive)
        finally:
            self._requests -= 1

    async def _score(self, scope: Message, receive: Receive) -> dict[str, Any]:
        kind, version = POSTS[scope["path"]]
        _check_type(scope)
        content = _parse(await self._body(scope, receive))
        try:
            request = dialects.read(kind, content, max_document_tokens=self.max_document_tokens)
            name = self._name(request.model)
            outcomes = await self._outcomes(request.texts(), receive)
            return request.answer(dialects.settled(outcomes), model=name, version=version)
        except InputError as error:
            raise _Refused(400, str(error)) from None
        except (Busy, EngineError) as error:
            raise _busy(str(error)) from None

    async def _outcomes(self, texts: Sequence[Texts], receive: Receive) -> list[Outcome]:
        """What the desk makes of the pairs. Raises _Left if the client leaves before, _Refused if it takes too long."""
        scoring = asyncio.ensure_future(self.desk.score(texts))
        leaving = asyncio.ensure_future(_leave(receive))
        try:
            await asyncio.wait(
                {scoring, leaving},
                timeout=self.limits.score_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if scoring.done():
                return scoring.result()
            if leaving.done():
                raise _Left
            raise _busy(
                f"{len(texts)} texts were not scored within {self.limits.score_seconds:g} s; send fewer or shorter ones,"
                " or ask again later"
            )
        finally:
            for task in (scoring, leaving):
                task.cancel()
            await asyncio.gather(scoring, leaving, return_exceptions=True)

    async def _body(self, scope: Message, receive: Receive) -> bytes:
        """The whole body. Raises _Refused if it is too large or comes too slowly, _Left if the client leaves."""
        limits = self.limits
        headers = dict(scope["headers"])
        announced = headers.get(b"content-length", b"0")
        size = int(announced) if announced.isdigit() else 0
        if size > limits.body_bytes and (b"expect" in headers or size > limits.drained_bytes):
            raise self._too_large(announced.decode())
        body, got, more = bytearray(), 0, True
        try:
            async with asyncio.timeout(limits.body_seconds):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Left
                    part = message.get("body", b"")
                    got, more = got + len(part), message.get("more_body", False)
                    if got > limits.drained_bytes:
                        raise self._too_large(f"over {limits.drained_bytes}")
                    if got <= limits.body_bytes:
                        body += part
                    else:
                        body.clear()
        except TimeoutError:
            raise _Refused(
                408,
                f"{got} bytes of the body came in {limits.body_seconds:g} s, and then no end; send it faster",
                headers=[("connection", "close")],
            ) from None
        if got > limits.body_bytes:
            raise self._too_large(str(got))
        return bytes(body)

    def _too_large(self, size: str) -> _Refused:
        why = f"the body has {size} bytes; {self.limits.body_bytes} is the most: send several requests"
        return _Refused(413, why, headers=[("connection", "close")])

    def _name(self, model: str | None) -> str:
        """The name to answer under. Raises _Refused if the model is not this one."""
        if not model:
            return self.names[0]
        if model not in self.names:
            hint = or_perhaps(model[:200], self.names)
            raise _Refused(
                404,
                f"model {model[:200]!r} is not served here{hint}; this server has {', '.join(self.names)}; or leave"
                " `model` out",
                param="model",
            )
        return model

    def _check_key(self, scope: Message) -> None:
        if self.key is None:
            return
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, b"Bearer " + self.key.encode()):
            raise _Refused(401, f"send the header `Authorization: Bearer …` with the key of {KEY}")

    def _is_meant(self, scope: Message) -> bool:
        """Whether a request that needs no key, because it came to an address of this machine alone, names this machine."""
        if self.key is not None or not is_local(str((scope.get("server") or [""])[0])):
            return True
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        name = re.fullmatch(r"(?:\[([^][]*)\]|([^][:]*))(?::\d*)?", hosts[0]) if len(hosts) == 1 else None
        return name is not None and is_local(name[1] or name[2])


def is_local(host: str) -> bool:
    """Whether a name or address is one of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _check_type(scope: Message) -> None:
    headers = dict(scope["headers"])
    given = headers.get(b"content-type", b"").decode("latin-1")
    if given.partition(";")[0].strip().lower() != "application/json":
        raise _Refused(415, f"the body's type is {given[:100]!r}; send `Content-Type: application/json`")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise _Refused(415, "the body is packed; send it as it is")


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8-sig"))
    except RecursionError:
        raise _Refused(400, "the body is not JSON that can be read: it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise _Refused(400, f"the body is not UTF-8 at byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise _Refused(400, f"the body is not JSON: {error.msg} at character {error.pos + 1}") from None
    except ValueError:
        raise _Refused(400, "the body is not JSON that can be read: a number has too many digits") from None


async def _leave(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, status: int, content: Any, headers: Sequence[tuple[str, str]]) -> None:
    body = json.dumps(content, separators=(",", ":")).encode()
    pairs = [
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        *headers,
    ]
    start = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
