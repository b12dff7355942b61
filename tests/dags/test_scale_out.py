"""Scoring tasks on several hosts: a task leaves a host that cannot score, and a complete run waits for no dead task."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowRescheduleException

from rerank_core.errors import DatabaseUnavailable, HostFault, ModelError


@pytest.fixture
def operator(stages, monkeypatch):
    """The scoring task of shard 0."""
    from rerank_airflow.operators.stages import RerankOperator

    monkeypatch.setenv("RERANK_SCORING_MINUTES", "20")
    return RerankOperator(task_id="rerank", pipeline="news", shard={"shard": 0, "pairs": 12, "topics": 3})


@pytest.fixture
def embedding(stages, monkeypatch):
    """The task embed, whose embedder needs a device."""
    from rerank_airflow.operators.stages import EmbedOperator

    monkeypatch.setenv("RERANK_RECALL", "dense")
    return EmbedOperator(task_id="embed", pipeline="news")


def context(first_reschedule=None):
    return {
        "dag_run": SimpleNamespace(
            run_id="manual__1", conf=None, start_date=datetime(2026, 3, 1, tzinfo=UTC), run_after=None
        ),
        "params": {},
        "partition_key": None,
        "ti": SimpleNamespace(get_first_reschedule_date=lambda _context: first_reschedule),
    }


@pytest.fixture
def started(monkeypatch):
    """The dag runs that tasks start: DAG, name, conf, seconds from now."""
    from rerank_airflow.operators import stages

    found = []

    def start(dag_id, name, conf, *, run_after):
        found.append((dag_id, name, conf, round((run_after - datetime.now(UTC)).total_seconds())))

    monkeypatch.setattr(stages, "start_dag_run", start)
    return found


def fault():
    error = HostFault("host bad cannot score: no checkpoint")
    error.__cause__ = ModelError("no checkpoint")
    return error


@pytest.mark.parametrize("error", [fault(), DatabaseUnavailable("no route")])
def test_a_task_leaves_a_host_that_cannot_score_and_uses_up_no_try(stages, operator, monkeypatch, error):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    stages.host_fault = error
    with pytest.raises(AirflowRescheduleException) as raised:
        operator.execute(context())
    wait = raised.value.reschedule_date - datetime.now(UTC)
    assert timedelta(seconds=5) < wait < timedelta(seconds=15)
    assert stages.ran == []


def test_embedding_leaves_a_host_that_cannot_embed_too(stages, embedding, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    stages.host_fault = fault()
    with pytest.raises(AirflowRescheduleException):
        embedding.execute(context())
    assert stages.ran == []
    monkeypatch.setenv("RERANK_RECALL", "bm25")
    embedding.execute(context())  # it needs no device, so every host can


def test_on_the_only_host_the_error_itself_is_raised(stages, operator, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    stages.host_fault = fault()
    with pytest.raises(ModelError):
        operator.execute(context())


@pytest.mark.parametrize(("minutes", "error"), [(19, AirflowRescheduleException), (21, ModelError)])
def test_another_host_is_waited_for_as_long_as_a_task_may_score(
    stages, operator, monkeypatch, minutes, error
):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    stages.host_fault = fault()
    with pytest.raises(error):
        operator.execute(context(datetime.now(UTC) - timedelta(minutes=minutes)))


def test_who_completes_a_run_has_it_published_also_if_another_task_does_not_end(stages, operator, started):
    stages.left = 0
    operator.execute(context())
    ((dag_id, name, conf, seconds),) = started
    assert (dag_id, seconds) == ("publish_overdue_rankings", 15)
    assert name.endswith("_complete_2026-03-01T00:00:00.000000")
    assert (conf["complete"], conf["run_id"]) == (True, 7)


def test_a_page_that_cannot_be_asked_for_fails_no_scoring_task(stages, operator, monkeypatch):
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse

    from rerank_airflow.operators import stages as operators

    def start(*_, **__):
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={}))

    monkeypatch.setattr(operators, "start_dag_run", start)
    stages.left = 0
    assert operator.execute(context())["left"] == 0


@pytest.mark.parametrize(("shards", "left"), [(1, 0), (2, 1)])
def test_a_run_that_is_not_complete_or_has_one_task_starts_nothing(stages, operator, started, shards, left):
    stages.shards, stages.left = shards, left
    operator.execute(context())
    assert started == []


def test_the_page_of_a_complete_run_is_asked_for_as_such(stages, parse, run_dag, monkeypatch):
    monkeypatch.setenv("RERANK_RETRIES", "0")
    run_dag(parse("publish_overdue_rankings"), run_id=7, complete=True)
    assert ("complete", None) in stages.ran
