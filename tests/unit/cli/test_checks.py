"""`rerank doctor` and `rerank settings` show what this host is and has, and no password."""

import json

import pytest
from command_line import Rerank

from rerank_core.airflow_settings import AirflowSettings
from rerank_core.operations.doctor import examine
from rerank_core.operations.doctor.finding import Finding
from rerank_core.settings import Settings


def test_every_setting_is_shown_and_no_password(rerank: Rerank) -> None:
    ended = rerank(
        "settings",
        database_url="postgresql://u:p@ss/w:rd@host/news?sslpassword=secret&sslmode=require",
        store_url="s3://key:secret@bucket/folder",
        top_secret="x",
        airflow_pipelines='{"other": {"database_url": "postgresql://u:hunter2@host/news"}}',
    )
    assert "hunter2" not in ended.out
    assert ended.code == 0
    for name in Settings.model_fields:
        assert f"RERANK_{name.upper()} " in ended.out
    for name in AirflowSettings.model_fields:
        assert f"RERANK_AIRFLOW_{name.upper()} " in ended.out
    assert "RERANK_TOP_SECRET is no setting: it changes nothing" in ended.out
    assert "postgresql+psycopg2://u:***@host/news?sslpassword=***&sslmode=require" in ended.out
    assert "s3://key:***@bucket/folder" in ended.out


def test_a_text_that_reads_like_no_value_is_not_taken_for_the_default(rerank: Rerank) -> None:
    def row(name: str) -> list[str]:
        lines = rerank("settings").out.splitlines()
        return next(line for line in lines if line.startswith(f"{name} ")).split()[1:4]

    assert row("RERANK_GPU_QUEUE") == ["unset", "the", "same"]
    for name in ("gpu_queue", "boilerplate_rules", "airflow_executor_config"):
        for text_given in ("none", "unset"):
            rerank("settings", **{name: text_given})
            assert row(f"RERANK_{name.upper()}")[:2] == [text_given, "unset"]
        rerank("settings", **{name: ""})
        assert row(f"RERANK_{name.upper()}") == ["unset", "the", "same"]


def test_the_doctor_exits_with_1_only_where_something_fails(
    rerank: Rerank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examine, "examine", lambda settings: [Finding("gpu", "warn", "none", "nothing")])
    assert rerank("doctor").code == 0
    monkeypatch.setattr(examine, "examine", lambda settings: [Finding("store", "fail", "full", "empty it")])
    ended = rerank("doctor")
    assert ended.code == 1
    assert "empty it" in ended.out
    ended = rerank("doctor", "--json")
    assert ended.code == 1
    finding = {"name": "store", "state": "fail", "found": "full", "advice": "empty it", "stops_runs": True}
    assert json.loads(ended.out) == [finding]
