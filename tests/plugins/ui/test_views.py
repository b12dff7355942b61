"""The views in Airflow: what loading the plugin loads, and the entries that lead to the views."""

import os
import subprocess
import sys
from pathlib import Path

import rerank_airflow


def test_loading_the_plugin_loads_neither_the_pages_nor_a_database_driver():
    script = (
        "import sys; before = set(sys.modules); import rerank_airflow.rerank_plugin;"
        "print(sorted(name for name in set(sys.modules) - before if name.startswith(('rerank_airflow.ui', 'rerank_core'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(Path(rerank_airflow.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_airflow_lists_the_views_and_they_lead_to_pages(client, get):
    from rerank_airflow import views

    listed = client.get("/api/v2/plugins").json()["plugins"]
    plugin = next(each for each in listed if each["name"] == "news_rerank")
    assert {view["destination"] for view in plugin["external_views"]} == {"nav", "dag_run"}
    for view in views.EXTERNAL_VIEWS:
        for address in (view["href"], view["icon"], view["icon_dark_mode"]):
            path = address.replace("{DAG_ID}", "another_dag").replace("{RUN_ID}", "x")
            assert client.get(f"/{path}").status_code == 200, address
