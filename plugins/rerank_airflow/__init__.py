"""Everything of news-rerank that needs Airflow: the stages as operators, who a run is, what it emits, its pages.

Airflow imports this in every component, so that nothing heavy may be imported here or at the head of
the package's modules: no engine, no Arrow, no database driver.
"""

from airflow.plugins_manager import AirflowPlugin

from rerank_airflow import pool, views


class RerankPlugin(AirflowPlugin):
    """What Airflow takes up at its start."""

    name = "news_rerank"
    # Airflow reads plain lists.
    listeners = [pool]  # noqa: RUF012
    fastapi_apps = views.APPS
    external_views = views.EXTERNAL_VIEWS
