"""An Airflow whose parts can be killed: whoever supervises it starts them again, as an init system or Kubernetes does."""

import os
import signal
from pathlib import Path
from typing import Any

from rerank_core.demo.airflow import AirflowSandbox
from rerank_core.demo.servers import Server


class FireSandbox(AirflowSandbox):
    """An Airflow whose scheduler can be killed, and of which a second scheduler can run."""

    restarts = 0  # of parts that had ended by themselves

    def server(self, name: str) -> Server:
        return next(one for one in self._servers if one.name == name)

    def check(self) -> None:
        """Start again what has ended, as an Airflow's supervisor does."""
        for server in [one for one in self._servers if not one.running]:
            self._servers.remove(server)
            self.start((server.name,))
            self.restarts += 1

    def add_scheduler(self) -> None:
        """A second scheduler beside the first, on the same database."""
        self.start(("scheduler",))

    def remove_scheduler(self) -> None:
        """Leave one scheduler, the newest."""
        schedulers = [one for one in self._servers if one.name == "scheduler"]
        for server in schedulers[:-1]:
            server.stop()
            self._servers.remove(server)

    def kill_scheduler(self) -> None:
        """SIGKILL; what ran below it is killed with it, as in a container."""
        server = self.server("scheduler")
        children = map(int, Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split())
        os.kill(min(children), signal.SIGKILL)  # later ones are tasks whose supervisor was killed
        server.stop()
        self._servers.remove(server)
        self.start(("scheduler",))

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._call(method, path, body)
