"""Airflow for the DAG tests, and a pipeline that does nothing but say what it was asked."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from types import ModuleType, SimpleNamespace
from typing import Any

import airflow_home
import pytest
from airflow_home import pytest_collection_modifyitems  # noqa: F401

import rerank_core


@dataclass
class FakePipeline:
    """Stands in for `rerank_core.pipeline`: remembers calls, and fails where a test says so."""

    shards: int = 2
    missing: int = 0
    failing: dict[tuple[str, int | None], Exception] = field(default_factory=dict)
    opened: list[dict[str, Any]] = field(default_factory=list)
    ran: list[tuple[str, int | None]] = field(default_factory=list)

    def open_run(self, _resources: object, **identity: Any) -> SimpleNamespace:
        self.opened.append(identity)
        return SimpleNamespace(run_id=7)

    def run_stage(
        self, stage: str, *, resources: object, run_id: int, shard: int | None = None
    ) -> dict[str, Any]:
        self.ran.append((stage, shard))
        if error := self.failing.get((stage, shard)):
            raise error
        if stage == "recall":
            return {
                "shards": [{"shard": n, "pairs": 12, "topics": 3} for n in range(self.shards)],
                "pairs": 24,
            }
        if stage == "degrade":
            return {"missing": self.missing}
        if stage == "publish":
            return {
                "publication_id": 1,
                "version": 1,
                "as_of": "2026-11-22T17:00:00+00:00",
                "rows": 24,
                "rows_sha256": "ab" * 32,
                "parquet_path": "news/publication.parquet",
                "parquet": "/store/news/publication.parquet",
                "is_current": True,
                "degraded": self.missing > 0,
            }
        return {"rows": 1}


@pytest.fixture(scope="session")
def metadata() -> None:
    """A migrated metadata database."""
    airflow_home.migrate()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakePipeline:
    """The stages replaced, with a doctor that finds nothing."""
    pipeline = FakePipeline()
    module: Any = ModuleType("rerank_core.pipeline")
    module.Resources = SimpleNamespace(of=lambda settings: settings)
    module.open_run, module.run_stage = pipeline.open_run, pipeline.run_stage
    doctor: Any = ModuleType("rerank_core.doctor")
    doctor.examine = lambda settings: []
    for name, replaced in (("pipeline", module), ("doctor", doctor)):
        monkeypatch.setitem(sys.modules, f"rerank_core.{name}", replaced)
        monkeypatch.setattr(rerank_core, name, replaced, raising=False)
    return pipeline


@pytest.fixture
def ranking_dag(metadata: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The DAG as Airflow parses it, with tasks that are tried once."""
    monkeypatch.setenv("RERANK_RETRIES", "0")
    return parse("rank_new_articles")


def parse(dag_id: str) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(airflow_home.REPOSITORY / "dags" / "rank_new_articles.py")
    assert not bag.import_errors
    return bag.dags[dag_id]


@dataclass(frozen=True)
class DagRunOutcome:
    """How a dag run ended."""

    state: str
    tasks: dict[str, list[str]]  # task id → states, by map index
    run_id: str
    started: datetime


@pytest.fixture
def run_dag() -> Callable[..., DagRunOutcome]:
    """Runs a DAG in this process, as `airflow dags test` does."""

    def run(dag: Any, **conf: Any) -> DagRunOutcome:
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session
        from sqlalchemy import select

        dag_run = dag.test(logical_date=None, run_conf=conf or None)
        with create_session() as session:
            found = session.execute(
                select(TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state)
                .where(TaskInstance.dag_id == dag.dag_id, TaskInstance.run_id == dag_run.run_id)
                .order_by(TaskInstance.task_id, TaskInstance.map_index)
            ).all()
        tasks: dict[str, list[str]] = {}
        for task_id, _map_index, state in found:
            tasks.setdefault(task_id, []).append(str(state))
        return DagRunOutcome(
            state=str(dag_run.state), tasks=tasks, run_id=dag_run.run_id, started=dag_run.run_after
        )

    return run
