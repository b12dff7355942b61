"""The DAG that publishes a page which is late, and the task that has it wait for the deadline."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import airflow_home
import pytest

from rerank_core.errors import EngineError


@pytest.fixture
def overdue_dag(metadata, monkeypatch):
    """The DAG with tasks that are tried once."""
    from airflow.dag_processing.dagbag import DagBag

    monkeypatch.setenv("RERANK_RETRIES", "0")
    bag = DagBag(airflow_home.REPOSITORY / "dags" / "news_rerank.py")
    assert not bag.import_errors
    return bag.dags["publish_overdue_rankings"]


def timers(run_id):
    """Dag runs that wait for the deadline of a run, the latest first."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        return session.scalars(
            select(DagRun)
            .where(DagRun.dag_id == "publish_overdue_rankings", DagRun.run_id.startswith(f"run_{run_id}_due"))
            .order_by(DagRun.id.desc())
        ).all()


def test_the_page_that_airflow_shows_lists_every_task_in_order(overdue_dag):
    rows = [line.split("**")[1] for line in overdue_dag.doc_md.splitlines() if line.startswith("| **")]
    assert rows == [task.task_id for task in overdue_dag.topological_sort()]


def test_no_task_of_it_waits_in_the_scoring_pool_or_queue(overdue_dag):
    assert {(task.pool, task.queue) for task in overdue_dag.tasks} == {("default_pool", "default")}


def test_a_late_page_is_published_announced_and_told_of(stages, overdue_dag, run_dag):
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    stages.missing = 12
    outcome = run_dag(overdue_dag, run_id=7, partition_key="2026-11-22T16:00:00")
    assert outcome.tasks == {
        "publish": ["success"],
        "announce": ["skipped"],
        "observe": ["success"],
        "verdict": ["success"],
    }
    assert stages.got == [7, 7]
    assert stages.ran == [("overdue", None), ("observe", None)]
    with create_session() as session:
        (event,) = session.scalars(
            select(AssetEvent).where(AssetEvent.source_run_id == outcome.run_id)
        ).unique()
        assert (event.asset.name, event.partition_key) == ("rankings", "2026-11-22T16:00:00")
        assert (event.extra["run_id"], event.extra["degraded"]) == (7, True)


def test_a_late_page_that_the_gate_blocks_is_announced_and_ends_red(stages, overdue_dag, run_dag):
    stages.blocked, stages.is_current = "spread: all alike", True
    outcome = run_dag(overdue_dag, run_id=7)
    assert outcome.tasks == {
        "publish": ["failed"],
        "announce": ["success"],
        "observe": ["success"],
        "verdict": ["upstream_failed"],
    }
    assert outcome.state == "failed"


def test_a_page_that_is_out_leaves_nothing_to_do(stages, overdue_dag, run_dag):
    stages.is_out = True
    outcome = run_dag(overdue_dag, run_id=7)
    assert outcome.tasks == {
        "publish": ["skipped"],
        "announce": ["skipped"],
        "observe": ["skipped"],
        "verdict": ["skipped"],
    }
    assert outcome.state == "success"


def test_while_nothing_is_prepared_it_looks_again_and_takes_no_slot(
    stages, overdue_dag, run_dag, monkeypatch
):
    from rerank_airflow.operators import overdue

    monkeypatch.setattr(overdue, "LOOK", timedelta(seconds=2))
    stages.overdue_looks = 2
    outcome = run_dag(overdue_dag, run_id=7)
    assert outcome.tasks["publish"] == ["success"]
    assert stages.ran == [("overdue", None)] * 3 + [("observe", None)]


def test_it_gives_up_after_a_day(stages, overdue_dag, monkeypatch):
    from rerank_airflow.operators import overdue
    from rerank_core.errors import OverdueError

    stages.overdue_looks = 1
    began = datetime.now(UTC) - overdue.PATIENCE - timedelta(seconds=1)
    context = {"dag_run": SimpleNamespace(conf={"run_id": 7}, start_date=began)}
    with pytest.raises(OverdueError):
        overdue_dag.get_task("publish").execute(context)


def test_triggered_without_a_run_it_says_what_to_give(stages, overdue_dag, run_dag, capfd):
    assert run_dag(overdue_dag).tasks["publish"] == ["failed"]
    assert stages.ran == []
    assert "trigger this DAG with the number of the run that is late" in "".join(capfd.readouterr())


def test_the_deadline_counts_from_the_start_of_the_dag_run(stages, ranking_dag, run_dag, monkeypatch):
    monkeypatch.setenv("RERANK_PAGE_DEADLINE_MINUTES", "40")
    outcome = run_dag(ranking_dag)
    assert (outcome.state, outcome.tasks["page_deadline"]) == ("success", ["success"])
    timer = timers(7)[0]
    assert timer.state == "queued"
    assert timer.conf == {"run_id": 7, "partition_key": None}
    wait = timer.run_after - datetime.now(UTC)
    assert timedelta(minutes=35) < wait < timedelta(minutes=40)


def test_the_deadline_is_set_before_the_run_has_begun(stages, ranking_dag, run_dag):
    stages.failing = {("extract", None): EngineError("the source hangs")}
    outcome = run_dag(ranking_dag)
    assert (outcome.tasks["extract"], outcome.tasks["page_deadline"]) == (["failed"], ["success"])
    assert ranking_dag.get_task("page_deadline").upstream_task_ids == {"doctor"}
    assert timers(7)[0].conf["run_id"] == 7
    key = outcome.run_id
    assert {asked["key"] for asked in stages.opened} == {key}  # whichever task came first


def test_control_a_deadline_after_prepare_is_never_set_for_a_run_that_does_not_get_there(
    stages, ranking_dag, run_dag
):
    ranking_dag.get_task("prepare").set_downstream(ranking_dag.get_task("page_deadline"))
    stages.failing = {("extract", None): EngineError("the source hangs")}
    before = len(timers(7))
    assert run_dag(ranking_dag).tasks["page_deadline"] == ["upstream_failed"]
    assert len(timers(7)) == before


def test_no_crowd_of_other_tasks_comes_before_a_deadline_or_a_late_page(ranking_dag, overdue_dag):
    # Airflow adds the weights of what comes after a task.
    highest = sum(task.priority_weight for task in ranking_dag.tasks if task.task_id != "page_deadline")
    for task in (ranking_dag.get_task("page_deadline"), overdue_dag.get_task("publish")):
        assert task.priority_weight > highest
        assert "absolute" in str(task.weight_rule).lower()


def test_every_task_of_a_run_has_a_time(ranking_dag, overdue_dag, monkeypatch):
    for task in (*ranking_dag.tasks, *overdue_dag.tasks):
        assert task.execution_timeout is not None, task.task_id
    assert ranking_dag.get_task("prepare").execution_timeout == timedelta(minutes=30)
    assert ranking_dag.get_task("doctor").execution_timeout == timedelta(minutes=5)
    assert ranking_dag.get_task("rerank").partial_kwargs["execution_timeout"] == timedelta(minutes=55)


def test_without_a_deadline_nothing_waits(stages, ranking_dag, run_dag, monkeypatch):
    monkeypatch.setenv("RERANK_PAGE_DEADLINE_MINUTES", "0")
    before = len(timers(7))
    outcome = run_dag(ranking_dag)
    assert (outcome.state, outcome.tasks["page_deadline"]) == ("success", ["skipped"])
    assert outcome.tasks["publish"] == ["success"]
    assert len(timers(7)) == before


def test_a_deadline_that_cannot_be_set_delays_no_page(stages, ranking_dag, run_dag, monkeypatch):
    monkeypatch.setattr("rerank_airflow.operators.overdue.OVERDUE", "gone")
    outcome = run_dag(ranking_dag)
    assert outcome.tasks["page_deadline"] == ["failed"]
    assert outcome.tasks["publish"] == ["success"]
