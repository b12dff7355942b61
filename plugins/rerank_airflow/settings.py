"""The settings of each pipeline that has a DAG."""

from rerank_airflow import connections
from rerank_core.airflow_settings import AirflowSettings
from rerank_core.setting_sources import SECRETS
from rerank_core.settings import Settings

__all__ = ["AirflowSettings", "pipelines", "public_settings_of", "settings_of"]


def pipelines() -> tuple[str, ...]:
    """The pipelines that have a DAG, the default one first."""
    return tuple(AirflowSettings.load().pipelines) or (Settings.load(with_secrets=False).pipeline,)


def settings_of(pipeline: str) -> Settings:
    """The settings of one pipeline: its own values come before those of the environment. Airflow's logs mask their passwords."""
    settings = Settings.load(pipeline=pipeline)
    for name in SECRETS:
        if value := getattr(settings, name):
            connections.mask(value)
    return settings


def public_settings_of(pipeline: str) -> Settings:
    """The same for what needs no password, such as a DAG file: neither a connection nor a file of a secret is read."""
    return Settings.load(pipeline=pipeline, with_secrets=False)
