"""The settings of each pipeline that has a DAG."""

from rerank_core.airflow_settings import AirflowSettings
from rerank_core.settings import Settings

__all__ = ["AirflowSettings", "pipelines", "settings_of"]


def pipelines() -> tuple[str, ...]:
    """The pipelines that have a DAG, the default one first."""
    return tuple(AirflowSettings.load().pipelines) or (Settings.load().pipeline,)


def settings_of(pipeline: str) -> Settings:
    """The settings of one pipeline: its own values come before those of the environment."""
    return Settings.load(pipeline=pipeline)
