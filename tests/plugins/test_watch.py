"""Somebody is told of an old page, once a day, whatever else runs."""

from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from factories import FakeEngines, Newsroom
from listeners import MailListener

from rerank_airflow.operators import announce
from rerank_airflow.operators.watch import OldPage, WatchOperator
from rerank_airflow.signals import metrics, notify
from rerank_core.settings import Settings

TOLD: list[str] = []


def remember(context: Any) -> None:
    TOLD.append(context["alert"])


def broken(context: Any) -> None:
    raise RuntimeError("the pager is down")


@pytest.fixture
def room(database_url: str, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Newsroom:
    """A newsroom whose page is fresh, and whose watcher tells nobody yet."""
    TOLD.clear()
    engines = FakeEngines()
    engines.install(monkeypatch)
    monkeypatch.setenv("RERANK_DATABASE_URL", database_url)
    monkeypatch.setattr(announce, "start_dag_run", lambda dag_id, dag_run_id, conf: None)
    found = Newsroom(Settings.load(database_url=database_url, store_url=store_url), engines)
    found.follow("solar")
    found.add("solar 1")
    found.run()
    return found


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailListener]:
    listener = MailListener()
    connection = (
        f"smtp://127.0.0.1:{listener.port}?disable_ssl=true&disable_tls=true&from_email=rerank%40example.com"
    )
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", connection)
    monkeypatch.setenv("RERANK_AIRFLOW_MAIL", "desk@example.com, night@example.com")
    yield listener
    listener.close()


def age(room: Newsroom, hours: float) -> None:
    room.sql("UPDATE rerank.publication SET as_of = now() - make_interval(secs => :s)", s=hours * 3600)


def watch() -> Any:
    return WatchOperator(task_id="watch", pipeline="news").execute({})


def configure(monkeypatch: pytest.MonkeyPatch, kind: str, name: str) -> None:
    monkeypatch.setenv(f"RERANK_AIRFLOW_NOTIFY_{kind.upper()}", f'["{__name__}.{name}"]')


def test_an_old_page_makes_the_task_red_and_is_told_once_a_day(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, "stale", "remember")
    age(room, 2.4)  # two hourly runs and the deadline are 2.5 h
    assert watch()["degraded"] is False
    age(room, 2.6)
    for _ in range(3):
        with pytest.raises(OldPage, match="by the schedule it is 2.5 h old at most; see the latest dag runs"):
            watch()
    assert len(TOLD) == 1
    assert TOLD[0].startswith("pipeline news: the page is old: of run 1, as of ")
    room.sql("UPDATE rerank.run_metric SET value = value - 86401 WHERE stage = 'watch'")
    with pytest.raises(OldPage):
        watch()
    assert len(TOLD) == 2
    room.add("solar 2")
    room.run("second")
    age(room, 0)
    assert watch()["run_id"] == 2


def test_who_hears_of_failures_hears_of_an_old_page_too(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, "failed", "remember")
    age(room, 3)
    with pytest.raises(OldPage) as old:
        watch()
    assert len(TOLD) == 1
    context = {"exception": old.value, "task": WatchOperator(task_id="watch", pipeline="news")}
    notify.on_failure(
        context, pipeline="news"
    )  # the red task tells nobody again, and counts as no failed try
    monkeypatch.setattr(metrics, "send", lambda *_, **__: TOLD.append("counted"))
    metrics.count_error(context, pipeline="news")
    assert len(TOLD) == 1
    notify.on_failure(context | {"exception": ValueError("no")}, pipeline="news")  # control
    assert len(TOLD) == 2


def test_an_alert_that_reached_nobody_is_told_again(room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, "stale", "broken")
    age(room, 3)
    with pytest.raises(OldPage):
        watch()
    configure(monkeypatch, "stale", "remember")
    with pytest.raises(OldPage):
        watch()
    assert len(TOLD) == 1


def test_a_mail_address_alone_is_enough(room: Newsroom, mail: MailListener) -> None:
    age(room, 3)
    for _ in range(2):
        with pytest.raises(OldPage):
            watch()
    [(recipients, subject, text)] = mail.messages
    assert recipients == ["desk@example.com", "night@example.com"]
    assert subject == "news-rerank: stale"
    assert "the page is old: of run 1" in text


def test_a_mail_shows_the_sentence_as_it_is(mail: MailListener) -> None:
    notify.alert("failed", {}, said="<b>{{ 1 + 1 }}</b>")
    assert "&lt;b&gt;{{ 1 + 1 }}&lt;/b&gt;" in mail.messages[0][2]


def test_a_pipeline_that_waits_for_its_first_page_is_told_as_well(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, "stale", "remember")
    room.sql("DELETE FROM rerank.pointer")
    with pytest.raises(AirflowSkipException, match="no page yet"):
        watch()
    room.sql("UPDATE rerank.run SET created_at = now() - interval '3 hours'")
    with pytest.raises(OldPage, match=r"there is none yet, and its first run began 3\.0 h ago"):
        watch()
    assert len(TOLD) == 1


@pytest.mark.parametrize("address", ["desk", "desk@", "a@b, c", "a b@c"])
def test_what_is_no_address_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from rerank_core.airflow_settings import AirflowSettings
    from rerank_core.errors import SettingsError

    monkeypatch.setenv("RERANK_AIRFLOW_MAIL", address)
    with pytest.raises(SettingsError, match=r"RERANK_AIRFLOW_MAIL = .*is no mail address"):
        AirflowSettings.load()
