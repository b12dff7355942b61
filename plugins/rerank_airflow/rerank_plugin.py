"""The plugin: the only file of this package that Airflow loads as such, see `.airflowignore`.

Airflow loads it in every component and in each task. So neither this module nor what it imports may load anything
heavy at its head: no engine, no Arrow, no database driver. Airflow enters the module into `sys.modules` under the
file's bare name; `rerank_plugin` is one that no other plugin has.
"""

from airflow.plugins_manager import AirflowPlugin

from rerank_airflow import placement, views


class RerankPlugin(AirflowPlugin):
    """What Airflow takes from the package when it starts."""

    name = "news_rerank"
    # Airflow reads plain lists.
    listeners = [placement]  # noqa: RUF012
    fastapi_apps = views.APPS
    external_views = views.EXTERNAL_VIEWS
