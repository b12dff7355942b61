"""`/rerank/health`: strangers learn whether the page is well and how old it is, and nothing else."""

import threading
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rerank_airflow.ui import probe
from rerank_core.errors import DatabaseUnavailable
from rerank_core.operations.doctor import dags
from rerank_core.operations.doctor.finding import Finding


@pytest.fixture(autouse=True)
def _asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "KEPT_SECONDS", 0.0)


@pytest.mark.parametrize(("missed", "status"), [(2, 200), (0, 503)], ids=["young", "old"])
def test_a_stranger_learns_the_age_and_whether_it_is_well(
    anonymous: TestClient, monkeypatch: pytest.MonkeyPatch, missed: int, status: int
) -> None:
    monkeypatch.setattr(probe.pages, "RUNS_MISSED", missed)
    monkeypatch.setenv("RERANK_PAGE_DEADLINE_MINUTES", "0")
    answer = anonymous.get("/rerank/health")
    said = answer.json()
    assert answer.status_code == status
    assert set(said) == {"ok", "page_age_seconds"}
    assert said["ok"] == (status == 200)
    assert 0 <= said["page_age_seconds"] < 3600
    assert answer.headers["cache-control"] == "no-store"


def test_a_pipeline_without_a_page_and_one_that_does_not_exist_are_not_well(anonymous: TestClient) -> None:
    for name, status in (("empty", 503), ("nowhere", 404)):
        answer = anonymous.get("/rerank/health", params={"pipeline": name})
        assert (answer.status_code, answer.json()) == (status, probe.NOT_KNOWN)
    assert anonymous.get("/rerank/health", params={"pipeline": "<b>"}).status_code == 422


def test_a_database_that_is_away_is_said_without_its_address(
    anonymous: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RERANK_DATABASE_URL", "postgresql+psycopg2://user:hush@127.0.0.1:1/news")
    answer = anonymous.get("/rerank/health")
    assert (answer.status_code, answer.json()) == (503, probe.NOT_KNOWN)


def test_details_need_the_login_and_have_the_findings(
    anonymous: TestClient, client: TestClient, token: Any, airflow: Any
) -> None:
    refused = anonymous.get("/rerank/health/details")
    assert refused.status_code == 401
    assert "findings" not in refused.text
    said = client.get("/rerank/health/details").json()
    found = {each["name"]: each for each in said["findings"]}
    assert {"database", "page", "store", "dags"} <= set(found)
    assert len(found) == len(said["findings"])
    # Airflow of these tests has parsed no DAG file.
    assert "Airflow does not have rank_new_articles, maintain_rankings" in found["dags"]["found"]
    assert found["workers"]["found"].startswith(
        "no scheduler is heard of; no dag-processor is heard of; no task"
    )


def test_a_crowd_asks_the_database_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "KEPT_SECONDS", 60.0)
    asked, go = [], threading.Event()

    def look(pipeline: str) -> Any:
        asked.append(pipeline)
        go.wait(10)
        return {"ok": True, "page_age_seconds": 1}

    monkeypatch.setattr(probe, "_look", look)
    one, answers = probe.Probe(), []
    crowd = [threading.Thread(target=lambda: answers.append(one.ask("news"))) for _ in range(8)]
    for thread in crowd:
        thread.start()
    go.set()
    for thread in crowd:
        thread.join()
    assert asked == ["news"]
    assert answers == [{"ok": True, "page_age_seconds": 1}] * 8


def test_while_the_database_hangs_a_second_stranger_is_not_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PATIENCE_SECONDS", 0.01)
    began, go = threading.Event(), threading.Event()

    def hang(pipeline: str) -> Any:
        began.set()
        go.wait(30)
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(probe.history, "reading", hang)
    monkeypatch.setattr(probe, "settings_of", lambda name: hang(name))
    one = probe.Probe()
    first = threading.Thread(target=one.ask, args=("news",))
    first.start()
    assert began.wait(10)
    assert one.ask("news") == probe.NOT_KNOWN
    go.set()
    first.join()


class TestDags:
    ALL = dict.fromkeys(dags.NAMES, False)

    @pytest.mark.parametrize(
        ("paused", "state", "said"),
        [
            (ALL, "ok", "5 of pipeline news are there, and none is paused"),
            (ALL | {"maintain_rankings": True}, "warn", "paused: maintain_rankings"),
            (
                {"rank_new_articles": True},
                "warn",
                "paused: rank_new_articles; Airflow does not have maintain_rankings, ",
            ),
        ],
    )
    def test_paused_and_missing_ones_are_named(self, paused: dict[str, bool], state: str, said: str) -> None:
        found = dags.judge("news", paused)
        assert (found.state, found.found.startswith(said)) == (state, True)
        assert ("unpause maintain_rankings" in found.advice) == bool(paused.get("maintain_rankings"))

    def test_they_are_the_dags_of_the_plugin_but_for_the_one_that_learns(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from rerank_airflow import ranking_dags

        monkeypatch.setenv("RERANK_AIRFLOW_PIPELINES", '{"news": {}, "shadow": {}}')
        found: dict[str, object] = {}
        ranking_dags(found)
        learning = {"learn_from_feedback", "learn_from_feedback_shadow"}
        assert {*dags.ids("news"), *dags.ids("shadow")} == found.keys() - learning

    def test_a_shell_reads_airflows_database_where_it_is_told_of_one(
        self, metadata: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from airflow.configuration import conf

        from rerank_core.settings import Settings

        settings = Settings.load()
        address = conf.get("database", "sql_alchemy_conn")
        monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", address)
        found = dags.check_dags(settings)
        assert isinstance(found, Finding)
        assert found.found.startswith("Airflow does not have")
        for nowhere in (
            "postgresql+psycopg2://user:hush@127.0.0.1:1/airflow",
            "sqlite:////nowhere/x.db",
            "nonsense",
        ):
            monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", nowhere)
            found = dags.check_dags(settings)
            assert found is not None
            assert found.found.startswith("not known:")
            assert "hush" not in str(found)
        monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "airflow-db-not-allowed:///")
        assert dags.check_dags(settings) is None
