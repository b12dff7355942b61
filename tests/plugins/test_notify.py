"""Notifiers of every make are called with one sentence, and can harm nothing."""

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import BaseNotifier

from rerank_airflow.signals import notify

PUBLISHED = {"run_id": 7, "as_of": "2026-11-22T17:00:00+00:00", "blocked": None}
TOLD: list[str] = []


@pytest.fixture(autouse=True)
def _told() -> None:
    TOLD.clear()


def function(context: Any) -> None:
    TOLD.append(context["alert"])


async def coroutine(context: Any) -> None:
    TOLD.append(context["alert"])


class Pager(BaseNotifier):
    template_fields = ("text",)

    def __init__(self, text: str = "page: {{ alert }}") -> None:
        super().__init__()
        self.text = text

    def notify(self, context: Any) -> None:
        TOLD.append(self.text)


class AsyncPager(Pager):
    notify = BaseNotifier.notify

    async def async_notify(self, context: Any) -> None:
        TOLD.append(self.text)


@pytest.mark.parametrize(
    ("notifier", "said"),
    [
        (function, "x"),
        (coroutine, "x"),
        (Pager, "page: x"),
        (Pager(text="of {{ alert }}"), "of x"),
        (AsyncPager, "page: x"),
    ],
    ids=["function", "coroutine", "class", "object", "async"],
)
def test_each_make_of_notifier_is_called_with_the_sentence(notifier: Any, said: str) -> None:
    assert notify.tell([notifier], {}, alert="x") == 1
    assert [said] == TOLD


def test_an_object_renders_its_templates_anew_each_time() -> None:
    pager = Pager()
    for sentence in ("first", "second"):
        notify.tell([pager], {}, alert=sentence)
    assert TOLD == ["page: first", "page: second"]


def test_one_that_breaks_harms_neither_the_caller_nor_the_next(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Any) -> None:
        raise RuntimeError("the pager is down")

    assert notify.tell([broken, Pager(text="{{ alert"), function], {}, alert="x") == 1
    assert TOLD == ["x"]
    assert "the pager is down" in caplog.text


def test_a_failed_task_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        notify.AirflowSettings,
        "load",
        lambda: SimpleNamespace(notify_failed=(function,), notify_degraded=(), mail=()),
    )
    context = {"task": SimpleNamespace(task_id="recall"), "run_id": "manual__1"}
    notify.on_failure({**context, "exception": ValueError("no")}, pipeline="news")
    notify.on_failure(context, pipeline="news")
    assert TOLD == [
        "pipeline news: task recall of dag run manual__1 failed: ValueError: no",
        "pipeline news: task recall of dag run manual__1 failed: its worker was lost",
    ]


def test_a_degraded_page_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        notify.AirflowSettings,
        "load",
        lambda: SimpleNamespace(notify_failed=(), notify_degraded=(function,), mail=()),
    )
    notify.on_degraded({}, pipeline="news", published=PUBLISHED)
    notify.on_degraded({}, pipeline="news", published=PUBLISHED | {"blocked": "the canary failed"})
    page, blocked = TOLD
    assert "the page of run 7 as of 2026-11-22T17:00:00+00:00 is degraded" in page
    assert blocked == f"{page}; the gate has blocked the run: the canary failed"


def test_what_has_fallen_silent_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        notify.AirflowSettings, "load", lambda: SimpleNamespace(notify_silent=(function,), mail=())
    )
    notify.on_silent({}, pipeline="news", fallen=("source 'A' has sent nothing", "language zh has collapsed"))
    assert TOLD == ["pipeline news: source 'A' has sent nothing; language zh has collapsed"]


@pytest.mark.parametrize(("fallen", "told"), [((), 0), (("source 'A' has sent nothing",), 1)])
def test_the_task_observe_tells_of_silence_only_if_something_fell_silent(
    monkeypatch: pytest.MonkeyPatch, fallen: tuple[str, ...], told: int
) -> None:
    from rerank_airflow.operators.stages import ObserveOperator

    monkeypatch.setattr(
        notify.AirflowSettings, "load", lambda: SimpleNamespace(notify_silent=(function,), mail=())
    )
    operator = ObserveOperator(task_id="observe", pipeline="news")
    monkeypatch.setattr(operator, "run_stage", lambda context: {"fallen_silent": fallen, "silences": 1})
    pulled = SimpleNamespace(xcom_pull=lambda task_ids: {"run_id": 1})
    operator.execute({"ti": pulled})
    assert len(TOLD) == told
