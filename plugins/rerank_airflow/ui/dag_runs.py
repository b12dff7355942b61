"""The dag runs of a run and their tasks, with addresses in Airflow's UI."""

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

KEY = "%Y-%m-%dT%H:%M:%SZ"  # of a run that has a partition: its start, in UTC


@dataclass(frozen=True)
class Task:
    """A task instance."""

    task_id: str
    label: str
    state: str | None
    tries: int
    seconds: float | None
    path: str  # of its log, below Airflow's base


@dataclass(frozen=True)
class AirflowRun:
    """A dag run."""

    dag_run_id: str
    state: str
    started: datetime | None
    path: str  # below Airflow's base
    tasks: list[Task]


def key_of(session: Session, *, dag_id: str, dag_run_id: str) -> str | None:
    """The key of a dag run's run; None if there is no such dag run."""
    found = session.execute(
        select(DagRun.partition_date).where(DagRun.dag_id == dag_id, DagRun.run_id == dag_run_id)
    ).first()
    if found is None:
        return None
    return dag_run_id if found[0] is None else found[0].astimezone(UTC).strftime(KEY)


def of_key(session: Session, *, dag_id: str, key: str) -> list[AirflowRun]:
    """The dag runs of the run with this key, the latest first."""
    same = DagRun.run_id == key
    try:
        start = datetime.strptime(key, KEY).replace(tzinfo=UTC)
    except ValueError:
        pass
    else:
        same = or_(same, DagRun.partition_date == start)
    found = session.execute(
        select(DagRun.run_id, DagRun.state, DagRun.start_date)
        .where(DagRun.dag_id == dag_id, same)
        .order_by(DagRun.id.desc())
        .limit(5)
    ).all()
    return [
        AirflowRun(
            dag_run_id=row.run_id,
            state=str(row.state),
            started=row.start_date,
            path=f"/dags/{quote(dag_id, safe='')}/runs/{quote(row.run_id, safe='')}",
            tasks=_tasks(session, dag_id, row.run_id),
        )
        for row in found
    ]


def _tasks(session: Session, dag_id: str, dag_run_id: str) -> list[Task]:
    found = session.execute(
        select(
            TaskInstance.task_id,
            TaskInstance.map_index,
            TaskInstance._rendered_map_index,
            TaskInstance.state,
            TaskInstance.try_number,
            TaskInstance.start_date,
            TaskInstance.duration,
        )
        .where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == dag_run_id)
        .order_by(TaskInstance.start_date.is_(None), TaskInstance.start_date, TaskInstance.map_index)
    ).all()
    start = f"/dags/{quote(dag_id, safe='')}/runs/{quote(dag_run_id, safe='')}/tasks"
    return [
        Task(
            task_id=row.task_id,
            label=row[2] or (f"{row.task_id} {row.map_index}" if row.map_index >= 0 else row.task_id),
            state=None if row.state is None else str(row.state),
            tries=row.try_number,
            seconds=row.duration,
            path=f"{start}/{row.task_id}" + (f"/mapped/{row.map_index}" if row.map_index >= 0 else ""),
        )
        for row in found
    ]
