"""Pipelines and what each has of its own."""

import pytest

from rerank_airflow.settings import AirflowSettings, pipelines, settings_of
from rerank_core.errors import SettingsError


def test_without_a_list_there_is_the_one_pipeline_of_the_environment(monkeypatch):
    assert pipelines() == ("news",)
    monkeypatch.setenv("RERANK_PIPELINE", "sports")
    assert pipelines() == ("sports",)


def test_each_listed_pipeline_has_settings_of_its_own_over_the_environment(monkeypatch):
    monkeypatch.setenv("RERANK_SHARDS", "4")
    monkeypatch.setenv(
        "RERANK_AIRFLOW_PIPELINES", '{"news": {}, "shadow": {"model": "/models/new", "shards": 2}}'
    )
    assert pipelines() == ("news", "shadow")
    assert (settings_of("news").pipeline, settings_of("news").shards) == ("news", 4)
    shadow = settings_of("shadow")
    assert (shadow.pipeline, shadow.model, shadow.shards) == ("shadow", "/models/new", 2)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('{"shadow": {"modle": "x"}}', "pipeline 'shadow' has no setting 'modle'"),
        ('{"shadow": {"pipeline": "x"}}', "pipeline 'shadow' has no setting 'pipeline'"),
        ('["news"]', "RERANK_AIRFLOW_PIPELINES"),
        ("news", "RERANK_AIRFLOW_PIPELINES"),
    ],
)
def test_a_wrong_list_is_told_by_its_variable(monkeypatch, value, said):
    monkeypatch.setenv("RERANK_AIRFLOW_PIPELINES", value)
    with pytest.raises(SettingsError, match=said):
        AirflowSettings.load()
