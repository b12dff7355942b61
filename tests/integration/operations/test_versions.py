"""The doctor finds a plugin, a schema or a DAG file that is not of the installed version."""

import shutil
import sys
from pathlib import Path

import pytest

from rerank_core.operations.doctor import versions
from rerank_core.operations.doctor.finding import Finding
from rerank_core.settings import Settings
from rerank_core.storage import migrations

REPOSITORY = Path(__file__).parents[3]
PLUGIN = REPOSITORY / "plugins" / "rerank_airflow"


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The home of an Airflow that has the two-line DAG file and nothing else."""
    for name in ("AIRFLOW__CORE__PLUGINS_FOLDER", "AIRFLOW__CORE__DAGS_FOLDER", "AIRFLOW_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    (tmp_path / "dags").mkdir()
    shutil.copy(REPOSITORY / "dags" / "news_rerank.py", tmp_path / "dags")
    return tmp_path


def check(database_url: str, store_url: str) -> Finding:
    finding = versions.check_versions(Settings.load(database_url=database_url, store_url=store_url))
    assert finding is not None
    return finding


def test_one_installation_is_well_and_named(airflow: Path, database_url: str, store_url: str) -> None:
    found = check(database_url, store_url)
    assert (found.state, found.advice) == ("ok", "")
    assert found.found.startswith("news-rerank ")
    assert found.found.endswith(f", schema {migrations.head_revision()}, DAG files news_rerank.py")


@pytest.mark.parametrize("edited", [True, False])
def test_a_copy_in_the_plugins_folder_is_found_and_whether_it_is_stale(
    airflow: Path, database_url: str, store_url: str, edited: bool
) -> None:
    copy = airflow / "plugins" / "rerank_airflow"
    shutil.copytree(PLUGIN, copy)
    if edited:
        with (copy / "identity.py").open("a") as file:
            file.write("# older\n")
    found = check(database_url, store_url)
    assert (found.state, found.advice) == ("warn", f"remove {copy}: the wheel brings the plugin")
    assert ("of another version" in found.found) == edited
    shutil.rmtree(copy)
    assert check(database_url, store_url).state == "ok"


def test_a_plugins_folder_that_airflow_cfg_names_is_looked_into(
    airflow: Path, database_url: str, store_url: str
) -> None:
    shutil.copytree(PLUGIN, airflow / "extra" / "rerank_airflow")
    (airflow / "airflow.cfg").write_text("[core]\nplugins_folder = {AIRFLOW_HOME}/extra\n")
    assert str(airflow / "extra") in check(database_url, store_url).advice


def test_a_dag_file_that_builds_the_dags_by_itself_is_old_and_a_consumer_is_not(
    airflow: Path, database_url: str, store_url: str
) -> None:
    shutil.copy(REPOSITORY / "dags" / "example_consumer.py", airflow / "dags")
    assert check(database_url, store_url).state == "ok"
    old = airflow / "dags" / "rank_new_articles.py"
    shutil.copy(PLUGIN / "dags" / "rank_new_articles.py", old)
    found = check(database_url, store_url)
    assert found.state == "warn"
    assert found.advice == f"replace {old} by a file that calls ranking_dags(globals())"


def test_a_plugin_of_another_place_than_the_library_is_told(
    airflow: Path, database_url: str, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(PLUGIN, airflow / "site" / "rerank_airflow")
    monkeypatch.syspath_prepend(airflow / "site")
    monkeypatch.delitem(sys.modules, "rerank_airflow", raising=False)
    found = check(database_url, store_url)
    assert found.state == "warn"
    assert found.found.startswith(f"the plugin is that of {airflow / 'site' / 'rerank_airflow'}, the library")


def test_another_schema_is_named_beside_the_librarys(
    airflow: Path, database_url: str, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "head_revision", lambda: "0099")
    assert ", of this library 0099" in check(database_url, store_url).found
