"""Airflow for the DAG tests, and stages that do nothing but say what they were asked."""

import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import airflow_home
import pytest
from airflow_home import pytest_collection_modifyitems  # noqa: F401

from rerank_core import pipeline
from rerank_core.errors import OverdueError
from rerank_core.observe import announcements
from rerank_core.observe.announcements import Move
from rerank_core.observe.changes import News
from rerank_core.observe.history_records import CurrentPublication
from rerank_core.operations.doctor import examine
from rerank_core.publish.publish import Published
from rerank_core.recall.recall import Recalled, Shard
from rerank_core.records import Window
from rerank_core.rerank.degrade import Degraded

AS_OF = datetime(2026, 11, 22, 17, tzinfo=UTC)

# A publication is announced once for good, and all tests share one metadata database; real ones count from 1.
fresh_publication_id = itertools.count(10_000).__next__


@dataclass
class FakeStages:
    """Stands in for the stages of `rerank_core.pipeline`: remembers calls, and fails where a test says so."""

    shards: int = 2
    missing: int = 0
    left: int = 1  # pairs that the run's other shards still miss when a scoring task ends
    host_fault: Exception | None = None  # why this host cannot score
    publication_id: int = field(default_factory=fresh_publication_id)
    is_current: bool = False  # the pointer moved, which is announced
    is_out: bool = False  # the page of a run that may be late
    overdue_looks: int = 0  # at a late run, before anything of it is prepared
    blocked: str | None = None  # what the gate says
    approved: list[dict[str, Any]] = field(default_factory=list)
    failing: dict[tuple[str, int | None], Exception] = field(default_factory=dict)
    told: list[int] = field(default_factory=list)  # publications that were taken out of the outbox
    fails_once: bool = False  # each of `failing` succeeds when it is tried again
    opened: list[dict[str, Any]] = field(default_factory=list)
    got: list[int] = field(default_factory=list)
    ran: list[tuple[str, int | None]] = field(default_factory=list)

    def open_run(self, _resources: object, **identity: Any) -> SimpleNamespace:
        self.opened.append(identity)
        window = Window(since=AS_OF - timedelta(days=7), fresh_since=AS_OF - timedelta(hours=72), until=AS_OF)
        return SimpleNamespace(run_id=7, key=identity.get("key"), window=window)

    def get_run(self, _resources: object, run_id: int) -> SimpleNamespace:
        self.got.append(run_id)
        return self.open_run(_resources)

    def publish_overdue(
        self, _resources: object, *, run_id: int, complete: bool = False
    ) -> dict[str, Any] | None:
        self.ran.append(("complete" if complete else "overdue", None))
        if self.overdue_looks:
            self.overdue_looks -= 1
            raise OverdueError("none of its articles is prepared")
        return None if self.is_out else {**self.result("publish"), "seconds": 0.1, "run_id": run_id}

    def pending(self, _database: object, *, pipeline: str) -> list[Move]:
        """The outbox: the publication that the page moved to, until Airflow was told of it."""
        is_published = not {("publish", None), ("overdue", None)}.isdisjoint(self.ran)
        if not (self.is_current and is_published) or self.publication_id in self.told:
            return []
        published = self.result("publish")
        names = (
            "publication_id",
            "version",
            "degraded",
            "blocked",
            "topics",
            "rows",
            "rows_sha256",
            "parquet_path",
        )
        values = {name: published[name] for name in names}
        return [
            Move(
                self.publication_id,
                CurrentPublication(run_id=7, as_of=AS_OF, age_seconds=0.0, **values),
                News("published", None, {"entered": 1, "left": 0, "rose": 0, "fell": 0}, []),
            )
        ]

    def settle(self, _database: object, *, pipeline: str, pointer_move_id: int) -> None:
        self.told.append(pointer_move_id)

    def approve(self, _resources: object, **wanted: Any) -> dict[str, Any]:
        self.approved.append(wanted)
        return {"version": 2, "is_current": True}

    def check_host(self, _stage: str, _resources: object, *, run_id: int) -> None:
        if self.host_fault is not None:
            raise self.host_fault

    def run_stage(
        self, stage: str, *, resources: object, run_id: int, shard: int | None = None
    ) -> dict[str, Any]:
        self.ran.append((stage, shard))
        if error := self.failing.get((stage, shard)):
            if self.fails_once:
                del self.failing[stage, shard]
            raise error
        return {**self.result(stage), "seconds": 0.1, "run_id": run_id}

    def result(self, stage: str) -> dict[str, Any]:
        match stage:
            case "recall":
                shards = tuple(Shard(shard=number, pairs=12, topics=3) for number in range(self.shards))
                return asdict(
                    Recalled(
                        documents=9,
                        claimed_documents=9,
                        topics=6,
                        candidates=24,
                        from_ledger=0,
                        left_out=0,
                        carried=0,
                        shards=shards,
                    )
                )
            case "rerank":
                return {"shards": self.shards, "left": self.left}
            case "degrade":
                return asdict(Degraded(missing=self.missing, topics=3))
            case "observe":
                return {"fallen_silent": ()}
            case "publish":
                return asdict(
                    Published(
                        publication_id=self.publication_id,
                        version=1,
                        rows=24,
                        rows_sha256="ab" * 32,
                        parquet_path="rankings/one.parquet",
                        parquet="/store/rankings/one.parquet",
                        topics=6,
                        hidden=0,
                        degraded=self.missing > 0 or self.blocked is not None,
                        is_current=self.is_current,
                        difference=None,
                        blocked=self.blocked,
                        distrusted=0 if self.blocked is None else 24,
                    )
                )
            case _:
                return {"rows": 1}


@pytest.fixture(scope="session")
def metadata() -> None:
    """A migrated metadata database."""
    airflow_home.migrate()


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeStages:
    """The stages replaced, and a doctor that finds nothing; an engine elsewhere on this host delays nothing."""
    from rerank_airflow import devices

    fake = FakeStages()
    monkeypatch.setattr(devices, "lock_path", lambda name: tmp_path / f"{name}.lock")
    monkeypatch.setattr(pipeline.Resources, "of", lambda settings: settings)
    monkeypatch.setattr(pipeline, "open_run", fake.open_run)
    monkeypatch.setattr(pipeline, "run_stage", fake.run_stage)
    monkeypatch.setattr(pipeline, "check_host", fake.check_host)
    monkeypatch.setattr(pipeline, "get_run", fake.get_run)
    monkeypatch.setattr(pipeline, "publish_overdue", fake.publish_overdue)
    monkeypatch.setattr(pipeline, "approve", fake.approve)
    monkeypatch.setattr(announcements, "pending", fake.pending)
    monkeypatch.setattr(announcements, "settle", fake.settle)
    monkeypatch.setattr(examine, "examine", lambda settings: [])
    return fake


@pytest.fixture
def parse(metadata: None) -> Callable[..., Any]:
    """The DAG as Airflow parses it now, with the environment as the test has set it."""

    def parsed(dag_id: str = "rank_new_articles") -> Any:
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(airflow_home.REPOSITORY / "dags" / "news_rerank.py")
        assert not bag.import_errors
        return bag.dags[dag_id]

    return parsed


@pytest.fixture
def ranking_dag(parse: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The DAG with tasks that are tried once."""
    monkeypatch.setenv("RERANK_RETRIES", "0")
    return parse()


@dataclass(frozen=True)
class TaskOutcome:
    """How one task instance ended."""

    state: str
    try_number: int
    name: str | None  # of a mapped one, as the UI shows it


@dataclass(frozen=True)
class DagRunOutcome:
    """How a dag run ended."""

    state: str
    run_id: str
    instances: dict[str, list[TaskOutcome]]  # by task id, in order of map index

    @property
    def tasks(self) -> dict[str, list[str]]:
        """States only."""
        return {task_id: [one.state for one in found] for task_id, found in self.instances.items()}

    def xcom(self, task_id: str, *, key: str = "return_value", map_index: int = -1) -> Any:
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            stored = session.scalars(
                select(XComModel).where(
                    XComModel.run_id == self.run_id,
                    XComModel.task_id == task_id,
                    XComModel.key == key,
                    XComModel.map_index == map_index,
                )
            ).one()
            return XComModel.deserialize_value(stored)


@pytest.fixture
def run_dag() -> Callable[..., DagRunOutcome]:
    """Runs a DAG in this process, as `airflow dags test` does; keywords fill the trigger form."""

    def run(dag: Any, **form: Any) -> DagRunOutcome:
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session
        from sqlalchemy import select

        dag_run = dag.test(logical_date=None, run_conf=form or None)
        instances: dict[str, list[TaskOutcome]] = {}
        with create_session() as session:
            found = session.scalars(
                select(TaskInstance)
                .where(TaskInstance.dag_id == dag.dag_id, TaskInstance.run_id == dag_run.run_id)
                .order_by(TaskInstance.task_id, TaskInstance.map_index)
            )
            for one in found:
                instances.setdefault(one.task_id, []).append(
                    TaskOutcome(state=str(one.state), try_number=one.try_number, name=one.rendered_map_index)
                )
        return DagRunOutcome(state=str(dag_run.state), run_id=dag_run.run_id, instances=instances)

    return run
