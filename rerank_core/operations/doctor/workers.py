"""The doctor's check of the workers: what Airflow's database has heard of its services and of the hosts that run tasks.

Workers do not report there. A host is heard of when a task runs on it, whatever the executor; so a worker without work is silent. What a
worker does not take shows as tasks that wait in its queue.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from rerank_core.operations.doctor import airflow_database, dags
from rerank_core.operations.doctor.finding import Finding
from rerank_core.settings import Settings
from rerank_core.storage import database as db

SERVICES = {"SchedulerJob": "scheduler", "DagProcessorJob": "dag-processor"}  # without them no task starts
ALIVE = timedelta(minutes=1)
HEARD = timedelta(days=1)
WAITING = timedelta(minutes=5)  # in a queue, until somebody should be told


def check_workers(settings: Settings) -> Finding | None:
    """Who is heard of; None if this host does not know Airflow's database."""
    address = airflow_database.airflow_address()
    return None if address is None else find(address, settings.pipeline)


def find(address: str, pipeline: str) -> Finding:
    """The finding by Airflow's database. Raises nothing."""
    return airflow_database.ask("workers", address, lambda connection: _look(connection, pipeline))


def _look(connection: Connection, pipeline: str) -> Finding:
    dag_id, now = dags.ids(pipeline)[0], datetime.now(UTC)
    services = [
        (SERVICES[row["job_type"]], row["hostname"], age)
        for row in db.rows(connection, "workers.services")
        if row["job_type"] in SERVICES and (age := _age(row["heard"], now)) <= ALIVE
    ]
    hosts = [
        (row["hostname"], row["queue"], age)
        for row in db.rows(connection, "workers.hosts", dag_id=dag_id)
        if (age := _age(row["heard"], now)) <= HEARD
    ]
    waiting = [
        (row["queue"], row["tasks"], age)
        for row in db.rows(connection, "workers.waiting", dag_id=dag_id)
        if (age := _age(row["since"], now)) > WAITING
    ]
    return judge(services, hosts, waiting)


def judge(
    services: Sequence[tuple[str, str, timedelta]],
    hosts: Sequence[tuple[str, str, timedelta]],
    waiting: Sequence[tuple[str, int, timedelta]],
) -> Finding:
    """The finding on services (name, host, time since they were heard of), hosts (name, queue, the same) and queues (name, tasks, oldest)."""
    found = [f"{name} on {host}" for name, host, _ in services]
    found += [f"{host} ran a task of queue {queue} {_ago(age)}" for host, queue, age in hosts]
    wrong, advice = [], []
    for name in SERVICES.values():
        if name not in {service for service, _, _ in services}:
            wrong.append(f"no {name} is heard of")
            advice.append(f"start `airflow {name}`")
    for queue, tasks, age in waiting:
        wrong.append(f"tasks that wait in queue {queue}: {tasks}, the first since {_ago(age)}")
        advice.append(f"look at the workers of queue {queue}: none takes them")
    if not hosts:
        found.append("no task of the last day ran anywhere")
    return Finding("workers", "warn" if wrong else "ok", "; ".join([*wrong, *found]), "; ".join(advice))


def _age(moment: Any, now: datetime) -> timedelta:
    """Since a moment as a driver gives it: SQLite a text, MySQL without a zone. A clock ahead makes no negative age."""
    found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return max(timedelta(), now - (found if found.tzinfo else found.replace(tzinfo=UTC)))


def _ago(age: timedelta) -> str:
    minutes = int(age.total_seconds() // 60)
    return f"{minutes} min ago" if minutes < 120 else f"{minutes // 60} h ago"
