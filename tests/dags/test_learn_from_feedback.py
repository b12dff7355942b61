"""The learning DAG: off by default, behind scoring, and a task that gives the device back and goes on."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import airflow_home
import pytest

from rerank_airflow.operators.base import TaskKilled
from rerank_core.learning import training
from rerank_core.learning.states import NotFinished


@pytest.fixture
def parse_learning(metadata):
    def parsed(dag_id="learn_from_feedback"):
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(airflow_home.REPOSITORY / "dags" / "news_rerank.py")
        assert not bag.import_errors
        return bag.dags[dag_id]

    return parsed


@pytest.fixture
def trainings(monkeypatch, tmp_path):
    """Stands in for trainings: what was asked for; what is missing; and the error of the first try."""
    found = SimpleNamespace(asked=[], missing=(), errors=[])

    def train(_database, settings, **options: Any):
        found.asked.append(options)
        if found.errors:
            raise found.errors.pop()
        checks = [{"name": "readers", "passed": False, "sentence": "the difference is +0.3 standard errors"}]
        return training.Trained(7, "refused", "readers: +0.3", None, None, {"checks": checks})

    monkeypatch.setenv("RERANK_LEARNING_FOLDER", str(tmp_path))
    monkeypatch.setenv("RERANK_STORE_URL", tmp_path.as_uri())
    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(training, "judged_pairs", lambda *_: {})
    monkeypatch.setattr(training, "plan", lambda *_: training.Plan(900, 12, None, 3, found.missing))
    return found


def test_it_is_off_until_a_folder_is_named_and_then_runs_weekly(parse_learning, monkeypatch, tmp_path):
    assert parse_learning().schedule is None
    monkeypatch.setenv("RERANK_LEARNING_FOLDER", str(tmp_path))
    dag = parse_learning()
    assert (dag.timetable.expression, dag.catchup, dag.max_active_runs) == ("0 4 * * 0", False, 1)
    rows = [line.split("**")[1] for line in dag.doc_md.splitlines() if line.startswith("| **")]
    assert rows == [task.task_id for task in dag.topological_sort()]


def test_a_training_waits_behind_scoring_and_ends_its_tries_by_itself(parse_learning, trainings, monkeypatch):
    monkeypatch.setenv("RERANK_GPU_QUEUE", "gpu-workers")
    task = parse_learning().get_task("learn")
    assert (task.pool, task.queue, task.priority_weight, task.weight_rule) == (
        "gpu",
        "gpu-workers",
        1,
        "absolute",
    )
    assert task.retries >= 100
    assert task.execution_timeout.total_seconds() > 600


def test_a_refusal_is_no_failure_and_says_which_check(parse_learning, trainings, run_dag):
    outcome = run_dag(parse_learning())
    assert outcome.state == "success"
    told = outcome.xcom("learn")
    assert (told["verdict"], told["sentence"], told["scorer"]) == ("refused", "readers: +0.3", None)
    assert trainings.asked[0]["minutes"] == 10.0


def test_too_few_examples_skip_it_before_it_takes_a_device(parse_learning, trainings, run_dag):
    trainings.missing = ("topics: 3 are there, 8 are needed",)
    outcome = run_dag(parse_learning())
    assert outcome.tasks == {"enough": ["skipped"], "learn": ["skipped"]}
    assert trainings.asked == []


def test_a_training_whose_minutes_are_over_goes_on_in_its_next_try(
    parse_learning, trainings, run_dag, monkeypatch
):
    trainings.errors = [NotFinished("10 minutes have passed")]
    dag = parse_learning()
    dag.get_task("learn").retry_delay = timedelta(seconds=0.05)
    outcome = run_dag(dag)
    assert [(one.state, one.try_number) for one in outcome.instances["learn"]] == [("success", 2)]


def test_it_never_learns_without_a_folder(parse_learning, trainings, run_dag, monkeypatch):
    monkeypatch.delenv("RERANK_LEARNING_FOLDER")
    assert run_dag(parse_learning()).tasks == {"enough": ["skipped"], "learn": ["skipped"]}


def test_a_task_that_is_told_to_stop_stops(parse_learning):
    with pytest.raises(TaskKilled, match="learn was told to stop"):
        parse_learning().get_task("learn").on_kill()
