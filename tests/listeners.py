"""Listeners on 127.0.0.1: StatsD over UDP, OpenTelemetry over HTTP, and mail."""

import email
import email.policy
import gzip
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class StatsdListener:
    """Keeps every datagram as lines of (name, value, type)."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.2)
        self.port: int = self.socket.getsockname()[1]
        self.lines: list[tuple[str, str, str]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                datagram = self.socket.recv(65_536).decode()
            except TimeoutError:
                continue
            for line in datagram.splitlines():
                name, _, rest = line.partition(":")
                value, _, kind = rest.partition("|")
                self.lines.append((name, value, kind))

    def of(self, prefix: str) -> dict[str, tuple[str, str]]:
        """The latest (value, type) of each name that begins so."""
        return {name: (value, kind) for name, value, kind in list(self.lines) if name.startswith(prefix)}

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self.socket.close()


class OtlpListener:
    """Keeps every data point of OTLP/HTTP as (name, attributes, value, kind)."""

    def __init__(self) -> None:
        self.points: list[tuple[str, dict[str, str], float, str]] = []
        keep = self._keep

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                keep(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self.server.server_address[1]
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def _keep(self, body: bytes) -> None:
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

        request = ExportMetricsServiceRequest.FromString(body)
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    if kind not in {"gauge", "sum"}:
                        continue
                    for point in getattr(metric, kind).data_points:
                        tags = {one.key: one.value.string_value for one in point.attributes}
                        value = point.as_double if point.WhichOneof("value") == "as_double" else point.as_int
                        self.points.append((metric.name, tags, float(value), kind))

    def of(self, prefix: str) -> dict[tuple[str, str], tuple[float, str]]:
        """The latest (value, kind) of each (name, tags joined) whose name begins so."""
        return {
            (name, " ".join(f"{key}={tags[key]}" for key in sorted(tags))): (value, kind)
            for name, tags, value, kind in list(self.points)
            if name.startswith(prefix)
        }

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


def wait_until(true: Callable[[], object], *, seconds: float = 20.0) -> None:
    """Return as soon as this is true, or when the time is over: what follows then says what is missing."""
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)


class MailListener(socketserver.ThreadingTCPServer):
    """A mail server that takes every message: (recipients, subject, text) each."""

    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _MailHandler)
        self.port: int = self.server_address[1]
        self.messages: list[tuple[list[str], str, str]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _MailHandler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        recipients: list[str] = []
        self.wfile.write(b"220 ready\r\n")
        while line := self.rfile.readline():
            word = line.decode().strip()
            if word.upper().startswith("RCPT TO:"):
                recipients.append(word.partition("<")[2].partition(">")[0])
            if word.upper() == "DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = []
                while (row := self.rfile.readline()) != b".\r\n":
                    lines.append(row)
                found = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
                body = found.get_body(("html", "plain"))
                text = body.get_content() if body is not None else ""
                self.server.messages.append((recipients, found["Subject"], text))  # type: ignore[attr-defined]
            self.wfile.write(b"221 bye\r\n" if word.upper() == "QUIT" else b"250 fine\r\n")
            if word.upper() == "QUIT":
                return
