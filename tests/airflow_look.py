"""What an Airflow finds of the product, as JSON: plugin, provider, views and the DAGs of the folder that the argument names.

It runs in an Airflow of its own, where only the wheel is installed.
"""

import json
import sys

from airflow import plugins_manager
from airflow.dag_processing.dagbag import DagBag
from airflow.providers_manager import ProvidersManager

import rerank_airflow
import rerank_core

providers = ProvidersManager()
plugins, errors = plugins_manager._get_plugins()
bag = DagBag(sys.argv[1])
views, _ = plugins_manager._get_ui_plugins()
print(
    json.dumps(
        {
            "types": sorted(
                name for name, hook in providers.hooks.items() if name.startswith("rerank_") and hook
            ),
            "links": sorted(providers.extra_links_class_names),
            "version": providers.providers["news-rerank"].version
            if "news-rerank" in providers.providers
            else None,
            "plugins": [[plugin.name, type(plugin.source).__name__] for plugin in plugins],
            "errors": errors,
            "views": [view["name"] for view in views],
            "dags": sorted(bag.dags),
            "imports": bag.import_errors,
            "from": [rerank_airflow.__file__, rerank_core.__file__],
        }
    )
)
