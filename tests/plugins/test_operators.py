"""What an operator makes of errors, of a kill, and of its settings."""

import os
import signal
import warnings
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk import RetryAction
from airflow.sdk.exceptions import AirflowRescheduleException

from rerank_airflow import defaults, placement
from rerank_airflow.operators.base import TaskKilled
from rerank_airflow.operators.doctor import DoctorFound, DoctorOperator, examine
from rerank_airflow.operators.overdue import PublishOverdueOperator
from rerank_airflow.operators.stages import PublishOperator, RerankOperator, StageOperator
from rerank_core import errors, pipeline
from rerank_core.operations.doctor import examine as doctor_examine
from rerank_core.operations.doctor.finding import Finding
from rerank_core.settings import Settings


def all_below(kind):
    for below in kind.__subclasses__():
        yield below
        yield from all_below(below)


def decision(error):
    return defaults.NEVER_RETRY_PERMANENT.evaluate(error, try_number=1, max_tries=3).action


@pytest.mark.parametrize("kind", [errors.PermanentError, *all_below(errors.PermanentError)])
def test_a_permanent_error_is_never_retried(kind):
    assert decision(kind.__new__(kind)) is RetryAction.FAIL


@pytest.mark.parametrize(
    "kind", [errors.RetryableError, *all_below(errors.RetryableError), TypeError, TaskKilled]
)
def test_any_other_error_is_retried_as_often_as_the_settings_say(kind):
    assert decision(kind.__new__(kind)) is RetryAction.DEFAULT


def test_retries_and_their_growing_pause_come_from_the_settings(monkeypatch):
    monkeypatch.setenv("RERANK_RETRIES", "5")
    monkeypatch.setenv("RERANK_RETRY_SECONDS", "7")
    monkeypatch.setenv("RERANK_AIRFLOW_MAX_RETRY_MINUTES", "3")
    operator = StageOperator(task_id="extract", pipeline="news", **defaults.task_args("news"))
    assert operator.retries == 5
    assert operator.retry_delay == timedelta(seconds=7)
    assert operator.retry_exponential_backoff == 2.0
    assert operator.max_retry_delay == timedelta(minutes=3)


def test_pool_queue_executor_and_time_limit_of_scoring_come_from_the_settings(monkeypatch):
    monkeypatch.setenv("RERANK_GPU_POOL", "h200")
    monkeypatch.setenv("RERANK_GPU_QUEUE", "gpu-workers")
    monkeypatch.setenv("RERANK_SCORING_MINUTES", "20")
    monkeypatch.setenv("RERANK_AIRFLOW_SCORING_GRACE_MINUTES", "5")
    monkeypatch.setenv("RERANK_AIRFLOW_EXECUTOR_CONFIG", '{"resources": {"gpu": 1}}')
    assert placement.scoring_args("news") == {
        "pool": "h200",
        "queue": "gpu-workers",
        "executor_config": {"resources": {"gpu": 1}},
        "execution_timeout": timedelta(minutes=45),
    }


def test_an_executor_config_may_be_named_where_json_cannot_say_it(monkeypatch):
    monkeypatch.setenv("RERANK_AIRFLOW_EXECUTOR_CONFIG", "string.ascii_lowercase")
    assert placement.scoring_args("news")["executor_config"] == "abcdefghijklmnopqrstuvwxyz"


def test_a_name_that_cannot_be_imported_is_told(monkeypatch):
    monkeypatch.setenv("RERANK_AIRFLOW_NOTIFY_FAILED", '["nowhere.page_me"]')
    with pytest.raises(errors.SettingsError, match=r"RERANK_AIRFLOW_NOTIFY_FAILED = .*nowhere"):
        defaults.task_args("news")


@pytest.mark.parametrize("stops_runs", [True, False])
def test_a_failure_that_stops_no_run_is_a_warning_of_the_first_task(monkeypatch, caplog, stops_runs):
    found = [
        Finding("database", "ok", "PostgreSQL"),
        Finding("topics", "fail", "too long", "shorten it", stops_runs=stops_runs),
    ]
    monkeypatch.setattr(doctor_examine, "examine", lambda settings: found)
    identity = SimpleNamespace(topics=None)
    if stops_runs:
        with pytest.raises(DoctorFound, match="topics: too long; shorten it"):
            examine(Settings.load(), identity)
    else:
        assert examine(Settings.load(), identity) == {
            "database": "ok: PostgreSQL",
            "topics": "fail: too long",
        }
        assert "topics: too long; shorten it" in caplog.text


def make_operator(kind, **arguments):
    return kind(task_id=arguments.pop("task_id", "extract"), pipeline="news", **arguments)


@pytest.mark.parametrize(
    "operator",
    [
        make_operator(StageOperator),
        make_operator(DoctorOperator, task_id="doctor"),
        make_operator(RerankOperator, task_id="rerank", shard={"shard": 0}),
        make_operator(PublishOperator, task_id="publish"),
    ],
    ids=lambda operator: operator.task_id,
)
def test_a_kill_unwinds_every_block_on_the_way_up(operator):
    unwound = []

    def work():
        try:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                while True:
                    pass
            except Exception:
                unwound.append("swallowed")
        finally:
            unwound.append("finally")

    before = signal.signal(signal.SIGTERM, lambda _number, _frame: operator.on_kill())
    try:
        with pytest.raises(TaskKilled):
            work()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert unwound == ["finally"]


@pytest.mark.parametrize(
    ("error", "looks_again"),
    [
        (errors.OverdueError("nothing is prepared"), True),
        (errors.SettingsError("a link leads out of the store"), True),
        (errors.BlockedError("too few rows"), False),
        (errors.InputError("no such run"), False),
    ],
)
@pytest.mark.parametrize("began", [timedelta(0), timedelta(hours=25)])
def test_a_late_page_is_looked_at_again_while_somebody_can_mend_what_is_wrong(
    monkeypatch, error, looks_again, began
):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(pipeline, "get_run", lambda resources, run_id: SimpleNamespace(run_id=run_id))
    monkeypatch.setattr(pipeline, "publish_overdue", refuse)
    monkeypatch.setenv("RERANK_DATABASE_URL", "postgresql+psycopg2://nobody@localhost:1/news")
    monkeypatch.setenv("RERANK_STORE_URL", "file:///nowhere")
    operator = PublishOverdueOperator(task_id="publish", pipeline="news")
    dag_run = SimpleNamespace(conf={"run_id": 7}, start_date=datetime.now(UTC) - began)
    expected = AirflowRescheduleException if looks_again and not began else type(error)
    with pytest.raises(expected):
        operator.execute({"dag_run": dag_run})


def test_publish_adds_its_asset_to_outlets_of_the_users_own():
    from airflow.sdk import Asset

    mine = Asset("mine")
    operator = make_operator(PublishOperator, task_id="publish", outlets=[mine])
    assert [asset.name for asset in operator.outlets] == ["mine", "rankings"]


def shown(monkeypatch, *, hushed):
    """The modules whose warnings a task's log shows."""
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        monkeypatch.setattr(warnings, "showwarning", lambda message, *_: seen.append(str(message)))
        if hushed:
            make_operator(StageOperator, task_id="prepare").pre_execute({})
        for module in (
            "jieba",
            "airflow.x",
            "rerank_core.prepare.chinese",
            "rerank_airflow.form",
            "rerank_corex",
        ):
            for kind in (DeprecationWarning, SyntaxWarning, UserWarning):
                warnings.warn_explicit(f"{module} {kind.__name__}", kind, "file.py", 1, module=module)
    return {each.split()[0] for each in seen}


def test_a_tasks_log_shows_the_warnings_of_this_library_alone(monkeypatch):
    assert shown(monkeypatch, hushed=True) == {"rerank_core.prepare.chinese", "rerank_airflow.form"}


def test_control_without_it_all_are_shown(monkeypatch):
    assert len(shown(monkeypatch, hushed=False)) == 5


@pytest.mark.parametrize(
    ("status", "found"),
    [
        (404, {"dags": "warn: paused: rank_new_articles; Airflow does not have maintain_rankings"}),
        (500, {}),
    ],
)
def test_the_doctor_asks_airflow_which_dags_are_paused_and_takes_no_for_an_answer(status, found):
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse

    def get_dag(dag_id):
        if dag_id == "maintain_rankings":
            detail = {"status_code": status, "message": "no", "detail": None}
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))
        return SimpleNamespace(is_paused=dag_id == "rank_new_articles")

    operator = make_operator(DoctorOperator, task_id="doctor")
    assert operator.look_at_dags({"ti": SimpleNamespace(get_dag=get_dag)}) == found
