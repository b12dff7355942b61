"""An Airflow of the tests' own: a SQLite metadata database in a temp folder, made before Airflow is imported.

Importing Airflow reads AIRFLOW_HOME and may create it, so that this must be imported first: a developer's own
Airflow is never touched.
"""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from rerank_core.demo.airflow_environment import plugins_of

REPOSITORY = Path(__file__).resolve().parents[1]

if "airflow" in sys.modules:
    raise RuntimeError("Airflow was imported before tests/airflow_home.py had chosen its home")
HOME = Path(tempfile.mkdtemp(prefix="rerank-airflow-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
for inherited in [name for name in os.environ if name.startswith("AIRFLOW_")]:
    del os.environ[inherited]
os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins_of(HOME, REPOSITORY)),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Airflow and its providers warn on their own account; it is not ours to make that an error."""
    for item in items:
        if {"dags", "plugins"} & set(item.path.parts[-3:-1]):  # in the folder, or in a folder of it
            item.add_marker(pytest.mark.filterwarnings("default"))


def migrate() -> None:
    """Create the metadata database, once."""
    if not (HOME / "airflow.db").exists():
        from airflow.utils.db import initdb

        initdb()
