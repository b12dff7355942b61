"""Real Redis servers for the tests that copy the page there; each is ended with the tests."""

import os
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from rerank_core.demo.servers import Server

BINARY = shutil.which("redis-server", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")

needs_redis = pytest.mark.skipif(
    BINARY is None, reason="redis-server is not installed here (apt-get install redis-server)"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """One server that keeps nothing on the disk; it can be killed, frozen and started again, empty."""

    def __init__(self, folder: Path, *options: str, password: str = "") -> None:
        self.port = free_port()
        self._folder, self._options, self._password = folder, options, password
        self._server: Server | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://{f':{self._password}@' if self._password else ''}127.0.0.1:{self.port}/0"

    def client(self, **options: Any) -> "redis.Redis":
        """A reader's client."""
        return redis.Redis.from_url(self.url, **options)

    def start(self) -> None:
        """Start it, empty, and return when it answers."""
        secret = ["--requirepass", self._password] if self._password else []
        self._server = Server(
            name="redis",
            command=[
                *(str(BINARY), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)),
                *("--save", "", "--appendonly", "no", *secret, *self._options),
            ],
            log=self._folder / f"redis-{self.port}.log",
            grace_seconds=3,
        )
        deadline = time.monotonic() + 20
        with self.client() as client:
            while True:
                try:
                    self._pid = int(client.info("server")["process_id"])
                    return
                except redis.ConnectionError:
                    assert self._server.running, self._server.last_lines()
                    assert time.monotonic() < deadline, self._server.last_lines()
                    time.sleep(0.02)

    def kill(self) -> None:
        """End it at once, with everything that it holds."""
        assert self._server is not None
        os.kill(self._pid, signal.SIGKILL)
        self._server.stop()

    def freeze(self) -> None:
        """It takes connections and answers nothing."""
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def stop(self) -> None:
        assert self._server is not None
        if self._server.running:
            self.thaw()
            self._server.stop()
