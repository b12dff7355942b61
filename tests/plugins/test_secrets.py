"""Nothing that Airflow keeps or sends shows a secret of a setting: import errors, XCom, alerts, metrics, logs."""

from types import SimpleNamespace

import airflow_home
import pytest
from canaries import CANARY, FORMS, told
from sqlalchemy import text

from rerank_airflow.identity import RunIdentity
from rerank_airflow.operators import doctor
from rerank_airflow.settings import settings_of
from rerank_airflow.signals import late, metrics, notify
from rerank_core.errors import PermanentError, RetryableError
from rerank_core.storage.database import Database

MISSPELT = f'{{"news": {{"database_url": "postgresql://ada:{CANARY}@db/news", "shedule": "@hourly"}}}}'
AWAY = {
    "RERANK_DATABASE_URL": f"postgresql://ada:{CANARY}@127.0.0.1:9/news",
    "RERANK_STORE_URL": f"s3://KEY:{CANARY}@bucket/x?endpoint_override=127.0.0.1:9&scheme=http",
    "RERANK_REDIS_URL": f"redis://ada:{CANARY}@127.0.0.1:9/0",
}


@pytest.fixture
def import_error(metadata):
    """What Airflow says of the DAG file if it cannot be loaded."""

    def found():
        from airflow.dag_processing.dagbag import DagBag

        return "\n".join(DagBag(airflow_home.REPOSITORY / "dags" / "news_rerank.py").import_errors.values())

    return found


@pytest.mark.parametrize(
    "variable",
    [
        "RERANK_AIRFLOW_PIPELINES",
        "RERANK_AIRFLOW_EXECUTOR_CONFIG",
        "RERANK_AIRFLOW_NOTIFY_FAILED",
        "RERANK_DATABASE_URL",
        "RERANK_REDIS_URL",
    ],
)
def test_no_import_error_shows_a_secret(import_error, monkeypatch, variable):
    leaks = []
    for form in (*FORMS, MISSPELT):
        monkeypatch.setenv(variable, form)
        if CANARY in import_error():
            leaks.append(form)
    assert leaks == []


def test_an_import_error_names_the_misspelt_setting(import_error, monkeypatch):
    monkeypatch.setenv("RERANK_AIRFLOW_PIPELINES", MISSPELT)
    assert "has no setting 'shedule'" in import_error().replace("\\'", "'")


def test_a_doctor_task_keeps_no_secret_and_fails_without_one(monkeypatch, database_url):
    identity = RunIdentity(key="k", until=None, topics=None, rescore=False, partition_key=None)
    for name, value in AWAY.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RetryableError, match="database: ") as caught:
        doctor.examine(settings_of("news"), identity)
    assert CANARY not in told(caught.value)
    monkeypatch.setenv("RERANK_DATABASE_URL", database_url)
    with pytest.raises(PermanentError, match="store: ") as caught:
        doctor.examine(settings_of("news"), identity)
    assert CANARY not in told(caught.value)
    monkeypatch.delenv("RERANK_STORE_URL")
    monkeypatch.setattr("rerank_core.operations.doctor.examine._check_store", lambda settings: None)
    monkeypatch.setattr("rerank_core.operations.doctor.examine._check_topics", lambda settings: None)
    try:
        found = str(doctor.examine(settings_of("news"), identity))  # the task's XCom
    except PermanentError as error:
        found = told(error)
    assert CANARY not in found


@pytest.fixture
def failed(database_url):
    """The error of a statement whose row holds a secret, as a task fails with it."""
    with pytest.raises(Exception, match="duplicate key") as caught:
        with Database(database_url).transaction() as connection:
            for _ in range(2):
                connection.execute(text("INSERT INTO rerank.article (article_id) VALUES (:a)"), {"a": CANARY})
    return caught.value


def test_alerts_and_metrics_of_a_failed_statement_show_no_row(failed, monkeypatch, caplog):
    sent, alerts = [], []
    monkeypatch.setattr(metrics.stats, "incr", lambda *args, **options: sent.append((args, options)))
    monkeypatch.setattr(
        notify.AirflowSettings,
        "load",
        lambda: SimpleNamespace(notify_failed=[lambda context: alerts.append(context)]),
    )
    context = {"exception": failed, "task": SimpleNamespace(task_id="extract"), "run_id": "r"}
    notify.on_failure(context, pipeline="news")
    metrics.count_error(context, pipeline="news")
    assert "IntegrityError" in alerts[0]["alert"]
    assert CANARY not in alerts[0]["alert"] + str(sent) + caplog.text
    assert "IntegrityError" in str(sent)


def test_a_notifier_that_fails_is_named_and_its_token_is_not(caplog):
    from functools import partial

    def send(token, context):
        raise ValueError("no")

    assert notify.tell([partial(send, CANARY)], {}, alert="late") == 0
    assert "notifier partial failed" in caplog.text
    assert CANARY not in caplog.text


def test_the_alert_of_a_late_dag_run_shows_no_password(monkeypatch):
    monkeypatch.setenv("RERANK_DATABASE_URL", AWAY["RERANK_DATABASE_URL"])
    said = late._how_old("news")
    assert "could not be found out" in said
    assert CANARY not in said
