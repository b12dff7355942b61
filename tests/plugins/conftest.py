"""The plugin's tests share the Airflow of the DAG tests."""

import airflow_home
import pytest
from airflow_home import pytest_collection_modifyitems  # noqa: F401


@pytest.fixture(scope="session")
def metadata() -> None:
    """A migrated metadata database."""
    airflow_home.migrate()
