"""A private Airflow for one sitting: scheduler, DAG processor and API server, which end with the sitting.

The sandbox uses the `airflow` command and the public REST API, as any user could; it imports nothing of Airflow.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any, Self

from rerank_core.demo.airflow_environment import (
    HOST,
    PASSWORD,
    USER,
    plugins_of,
    private_environment,
    sandbox_options,
)
from rerank_core.demo.servers import Server
from rerank_core.errors import RetryableError, SettingsError

REPOSITORY = Path(__file__).resolve().parents[2]
FINISHED = frozenset({"success", "failed"})
HEALTHY_SECONDS = 120  # that Airflow may take until all its parts are healthy
DAG_SECONDS = 90  # that the DAG processor may take to read a file


class NoAnswer(RetryableError):
    """Airflow's API did not answer in time."""


@dataclass(frozen=True)
class TaskState:
    """One task instance of a dag run, as the REST API tells it."""

    task_id: str
    map_index: int
    """-1 for a task that is not mapped."""
    label: str | None
    """What Airflow shows of a mapped task instead of its number."""
    state: str | None
    """None before the scheduler has looked at it."""
    try_number: int
    started: datetime | None
    ended: datetime | None

    @property
    def seconds(self) -> float | None:
        """Time from its start to its end; None while it runs."""
        return (self.ended - self.started).total_seconds() if self.started and self.ended else None


class AirflowSandbox:
    """One Airflow on this machine. A context manager: `stop()` on leaving."""

    def __init__(
        self,
        *,
        home: Path,
        database_url: str,
        environment: Mapping[str, str],
        port: int | None = None,
        scheduled: bool = False,
        dags_folder: Path = REPOSITORY / "dags",
        plugins_folder: Path | None = None,
        logs: Path | None = None,
    ) -> None:
        """Describe it; nothing runs yet.

        `environment` is added for every task (RERANK_*, VLLM_*). `scheduled` lets DAGs run by their timetables;
        otherwise only triggered DAGs run. Without `port` a free port is chosen. Raises SettingsError if `port` is in
        use.
        """
        self.home = home.absolute()
        self.logs = (logs or self.home / "logs").absolute()
        self.port = free_port(port)
        self.url = f"http://{HOST}:{self.port}"
        self._servers: list[Server] = []
        self._token: str | None = None
        options = sandbox_options(
            home=self.home,
            logs=self.logs,
            port=self.port,
            database_url=database_url,
            scheduled=scheduled,
            dags_folder=dags_folder,
            plugins_folder=plugins_folder or plugins_of(self.home, REPOSITORY),
        )
        self.environment = private_environment(self.home, options) | dict(environment)

    def migrate(self, *, database_url: str | None = None) -> None:
        """Bring the metadata database, or another one, to this Airflow's schema. Takes a few seconds."""
        environment = self.environment
        if database_url is not None:
            environment = environment | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url}
        self._run("db", "migrate", environment=environment)

    def _run(self, *arguments: str, environment: Mapping[str, str]) -> str:
        """Run one `airflow` command to its end and return its output."""
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=environment,
            cwd=self.home,
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-12:])
            raise RetryableError(
                f"airflow {' '.join(arguments)} ended with status {done.returncode}:\n{tail}"
            )
        return done.stdout

    def start(self, components: Sequence[str] = ("api-server", "scheduler", "dag-processor")) -> None:
        """Start the components; `wait_healthy` says when they are up."""
        for component in components:
            options = ["--skip-serve-logs"] if component in {"scheduler", "triggerer"} else []
            self._servers.append(
                Server(
                    name=component,
                    command=[sys.executable, "-m", "airflow", component, *options],
                    environment=self.environment,
                    log=self.logs / f"{component}.log",
                    grace_seconds=6.0,
                )
            )

    def stop(self) -> None:
        """Stop everything that was started, and return when nothing of it is left."""
        for server in self._servers:
            server.ask_to_stop()
        for server in self._servers:
            server.stop()
        self._servers.clear()
        self._token = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def check(self) -> None:
        """Raises RetryableError, with the end of its log, if a component has ended."""
        for server in self._servers:
            if not server.running:
                raise RetryableError(f"Airflow's {server.name} ended ({server.log}):\n{server.last_lines()}")

    def wait_healthy(self) -> None:
        """Wait until the API answers and scheduler and DAG processor report a fresh heartbeat."""
        deadline = time.monotonic() + HEALTHY_SECONDS
        while True:
            self.check()
            try:
                health = self._call("GET", "/monitor/health", anonymous=True)
            except RetryableError:
                health = {}
            states = {
                name: (health.get(name) or {}).get("status") or "starting"
                for name in ("scheduler", "dag_processor")
            }
            states = {"api_server": "healthy" if health else "starting"} | states
            if set(states.values()) == {"healthy"}:
                return
            if time.monotonic() > deadline:
                raise RetryableError(
                    f"Airflow is not healthy after {HEALTHY_SECONDS} s: {states}. Its logs are in {self.logs}"
                )
            time.sleep(0.25)

    def make_pool(self, name: str, *, slots: int) -> None:
        """Create the pool `name` unless it exists. Tasks of a missing pool wait for ever, in silence."""
        if name not in {pool["name"] for pool in self._call("GET", "/pools")["pools"]}:
            self._call("POST", "/pools", {"name": name, "slots": slots})

    def wait_dag(self, dag_id: str) -> None:
        """Wait until the DAG processor has read `dag_id`. Raises RetryableError if the file does not load."""
        deadline = time.monotonic() + DAG_SECONDS
        while True:
            try:
                if not self._call("GET", f"/dags/{dag_id}")["is_stale"]:
                    return
            except RetryableError:
                pass
            errors = self._call("GET", "/importErrors")["import_errors"]
            if errors:
                raise RetryableError(f"{errors[0]['filename']} does not load:\n{errors[0]['stack_trace']}")
            if time.monotonic() > deadline:
                raise RetryableError(f"DAG {dag_id} did not appear in {DAG_SECONDS} s; see {self.logs}")
            time.sleep(0.25)

    def token(self) -> str:
        """A bearer token of the demo user."""
        if self._token is None:
            answer = self._request(
                "POST", f"{self.url}/auth/token", {"username": USER, "password": PASSWORD}, headers={}
            )
            self._token = str(answer["access_token"])
        return self._token

    def trigger(
        self, dag_id: str, *, conf: Mapping[str, object] | None = None, partition_key: str | None = None
    ) -> str:
        """Start one dag run, as the Trigger button does, and return its id."""
        body: dict[str, object] = {"logical_date": None, "conf": dict(conf or {})}
        if partition_key is not None:
            body["partition_key"] = partition_key
        return str(self._call("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def clear(self, dag_id: str, dag_run_id: str) -> None:
        """Make a finished dag run run again, as the Clear button does."""
        self._call("POST", f"/dags/{dag_id}/dagRuns/{dag_run_id}/clear", {"dry_run": False})

    def tasks(self, dag_id: str, dag_run_id: str) -> list[TaskState]:
        """The task instances of a dag run in order of start; those that have not started come last."""
        found = self._call("GET", f"/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances?limit=500")
        states = [
            TaskState(
                task_id=task["task_id"],
                map_index=task["map_index"],
                label=task["rendered_map_index"],
                state=task["state"],
                try_number=task["try_number"],
                started=_moment(task["start_date"]),
                ended=_moment(task["end_date"]),
            )
            for task in found["task_instances"]
        ]
        return sorted(states, key=lambda task: (task.started is None, task.started or 0, task.task_id))

    def wait_run(
        self,
        dag_id: str,
        dag_run_id: str,
        *,
        timeout_seconds: float = 900.0,
        on_poll: Callable[[list[TaskState]], None] | None = None,
    ) -> str:
        """Wait for the end of a dag run and return its state, success or failed.

        `on_poll` gets the task instances twice a second.
        """
        deadline = time.monotonic() + timeout_seconds
        state = "unknown"
        while True:
            with suppress(NoAnswer):  # a busy machine: ask again
                state = str(self._call("GET", f"/dags/{dag_id}/dagRuns/{dag_run_id}")["state"])
                tasks = self.tasks(dag_id, dag_run_id)
                if on_poll:
                    on_poll(tasks)
            if state in FINISHED:
                return state
            self.check()
            if time.monotonic() > deadline:
                raise RetryableError(
                    f"dag run {dag_run_id} is still {state} after {timeout_seconds:.0f} s; see {self.logs}"
                )
            time.sleep(0.4)

    def task_log(self, dag_id: str, dag_run_id: str, task: TaskState) -> str:
        """The log of the last try of a task, one line an event."""
        path = (
            f"/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task.task_id}/logs/{max(task.try_number, 1)}"
        )
        content = self._call("GET", f"{path}?map_index={task.map_index}")["content"]
        return "\n".join(_told(line) if isinstance(line, dict) else str(line) for line in content)

    def _call(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, anonymous: bool = False
    ) -> dict[str, Any]:
        headers = {} if anonymous else {"Authorization": f"Bearer {self.token()}"}
        return self._request(method, f"{self.url}/api/v2{path}", body, headers=headers)

    def _request(
        self, method: str, url: str, body: Mapping[str, object] | None, *, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        request = urllib.request.Request(
            url,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **headers},
        )
        # The user's proxy must not be asked for this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                found: dict[str, Any] = json.loads(answer.read() or b"{}")
                return found
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:500]
            raise RetryableError(f"Airflow answered {error.code} to {method} {url}: {said}") from None
        except (OSError, HTTPException) as error:  # a time-out, or no connection
            raise NoAnswer(f"Airflow did not answer {method} {url}: {error}; see {self.logs}") from None


def free_port(asked: int | None) -> int:
    """`asked`, or any free port for None. Raises SettingsError if the port is in use."""
    if asked is not None and not 0 < asked < 65536:
        raise SettingsError(
            f"port {asked} is not in 1..65535; choose another, or leave PORT out for any free one"
        )
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, asked or 0))
        except OSError as error:
            raise SettingsError(
                f"port {asked} is not available ({error.strerror}): choose another port (make ui PORT={(asked or 0) + 1}), "
                "or leave PORT out for any free one"
            ) from None
        return int(probe.getsockname()[1])


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _told(line: Mapping[str, Any]) -> str:
    """An event of a task's log, with the exception that it is about."""
    errors = [
        f"{error.get('exc_type')}: {error.get('exc_value')}" for error in line.get("error_detail") or ()
    ]
    return "\n".join([str(line.get("event", line)), *errors])
