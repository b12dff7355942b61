"""The clean-up's DAG: when it runs, for whom, and what its tasks ask for and pass on."""

from types import SimpleNamespace
from typing import Any

import airflow_home
import pytest

from rerank_core.errors import StoreUnavailable
from rerank_core.learning import events, report
from rerank_core.operations import maintain
from rerank_core.settings import Settings


@pytest.fixture
def parse_maintenance(metadata):
    def parsed(dag_id="maintain_rankings"):
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(airflow_home.REPOSITORY / "dags" / "news_rerank.py")
        assert not bag.import_errors
        return bag.dags[dag_id]

    return parsed


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What clean-ups were asked for; none is done, and no event is claimed."""
    found: list[dict[str, Any]] = []

    def remembered(**arguments):
        found.append(arguments)
        counts = dict.fromkeys(maintain.Maintained.__dataclass_fields__, 0)
        return maintain.Maintained(**{**counts, "dry_run": arguments["dry_run"], "files_removed": 3})

    monkeypatch.setenv("RERANK_STORE_URL", tmp_path.as_uri())
    monkeypatch.setenv("RERANK_RETRIES", "0")
    monkeypatch.setattr(maintain, "maintain", remembered)
    monkeypatch.setattr(events, "claim", lambda database, settings: None)
    monkeypatch.setattr(report, "make", lambda database, settings: SimpleNamespace(rows={"counted": 5}))
    return found


def test_it_runs_every_day_by_a_setting_of_its_own(parse_maintenance, monkeypatch):
    dag = parse_maintenance()
    assert (dag.timetable.expression, dag.catchup, dag.max_active_runs) == ("30 3 * * *", False, 1)
    assert [task.task_id for task in dag.tasks] == ["maintain", "feedback"]
    assert "latest.json" in dag.doc_md
    monkeypatch.setenv("RERANK_MAINTAIN_SCHEDULE", "0 5 * * 0")
    assert parse_maintenance().timetable.expression == "0 5 * * 0"


def test_every_pipeline_is_cleaned_up_after_by_its_own_settings(
    parse_maintenance, asked, run_dag, monkeypatch
):
    monkeypatch.setenv("RERANK_AIRFLOW_PIPELINES", '{"news": {}, "shadow": {"retention_days": 5}}')
    run_dag(parse_maintenance("maintain_rankings_shadow"))
    settings: Settings = asked[0]["settings"]
    assert (settings.pipeline, settings.retention_days) == ("shadow", 5)


def test_it_passes_on_what_was_counted(parse_maintenance, asked, run_dag):
    outcome = run_dag(parse_maintenance())
    assert outcome.state == "success"
    assert asked[0]["dry_run"] is False
    assert outcome.xcom("maintain")["files_removed"] == 3
    assert outcome.xcom("feedback") == {"rows": 5}


def test_the_trigger_form_asks_for_a_dry_run(parse_maintenance, asked, run_dag):
    outcome = run_dag(parse_maintenance(), dry_run=True)
    assert asked[0]["dry_run"] is True
    assert outcome.xcom("feedback") == {}


def test_a_store_that_is_away_is_asked_again(parse_maintenance, asked, run_dag, monkeypatch):
    monkeypatch.setenv("RERANK_RETRIES", "2")
    monkeypatch.setenv("RERANK_RETRY_SECONDS", "0.05")
    good, failures = maintain.maintain, [StoreUnavailable("away; try again")]

    def fails_once(**arguments):
        if failures:
            raise failures.pop()
        return good(**arguments)

    monkeypatch.setattr(maintain, "maintain", fails_once)
    outcome = run_dag(parse_maintenance())
    assert [(one.state, one.try_number) for one in outcome.instances["maintain"]] == [("success", 2)]


def test_a_task_that_is_told_to_stop_stops(parse_maintenance):
    from rerank_airflow.operators.base import TaskKilled

    for task in parse_maintenance().tasks:
        with pytest.raises(TaskKilled, match=f"{task.task_id} was told to stop"):
            task.on_kill()
