"""The alert for a dag run that is late: when there is one, and what it says."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.definitions.deadline import DeadlineReference

from rerank_airflow.signals import late, notify
from rerank_core.errors import SettingsError

TOLD: list[str] = []


def remember(context: dict[str, Any]) -> None:
    TOLD.append(context["alert"])


def test_without_a_deadline_no_dag_run_is_late() -> None:
    assert late.alert("news") is None


def test_the_deadline_counts_from_when_the_dag_run_was_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_AIRFLOW_DEADLINE_MINUTES", "50")
    found = late.alert("shadow")
    assert found is not None
    assert (found.reference, found.interval) == (DeadlineReference.DAGRUN_QUEUED_AT, timedelta(minutes=50))
    assert found.callback.kwargs == {"pipeline": "shadow", "minutes": 50.0}


def test_its_callback_can_be_imported_where_there_are_no_dag_files() -> None:
    from airflow.sdk._shared.module_loading import accepts_context, import_string

    callback = import_string("rerank_airflow.signals.late.tell")
    assert callback is late.tell
    assert accepts_context(callback)


@pytest.mark.parametrize("minutes", ["0", "-1", "soon"])
def test_a_deadline_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, minutes: str) -> None:
    monkeypatch.setenv("RERANK_AIRFLOW_DEADLINE_MINUTES", minutes)
    with pytest.raises(SettingsError, match=f"RERANK_AIRFLOW_DEADLINE_MINUTES = '{minutes}'"):
        late.alert("news")


@pytest.mark.parametrize(
    ("database", "said"),
    [
        (None, "there is no page yet"),
        ("postgresql+psycopg2://u:hunter2@127.0.0.1:1/x", "how old the page is could not be found out"),
    ],
    ids=["no page", "no database"],
)
def test_it_says_how_the_page_stands_as_far_as_that_can_be_known(
    monkeypatch: pytest.MonkeyPatch, database_url: str, database: str | None, said: str
) -> None:
    TOLD.clear()
    monkeypatch.setenv("RERANK_DATABASE_URL", database or database_url)
    monkeypatch.setattr(
        notify.AirflowSettings, "load", classmethod(lambda cls: cls.model_construct(notify_late=(remember,)))
    )
    context = {"dag_run": {"dag_run_id": "scheduled__1"}, "deadline": {}}
    answer = asyncio.run(late.tell(pipeline="news", minutes=50.0, context=context))
    assert answer.startswith(
        "pipeline news: dag run scheduled__1 has not succeeded 50 minutes after it was queued; "
    )
    assert said in answer
    assert "hunter2" not in answer
    assert [answer] == TOLD
