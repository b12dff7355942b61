"""The wheel is all that an Airflow needs: plugin, provider, DAGs, views and schema, found by Airflow's own managers."""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import airflow_home
import pytest
from airflow_versions import WANTED

REPOSITORY = airflow_home.REPOSITORY
LOOK = REPOSITORY / "tests" / "airflow_look.py"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder that the wheel is unpacked into, as pip does."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """A folder of links to every package of this environment but ours, which setup has installed from the checkout."""
    folder = tmp_path_factory.mktemp("others")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "news_rerank" not in entry.name:
            (folder / entry.name).symlink_to(entry)
    return folder


def look(site, others, home, plugins=None):
    """What an Airflow with this folder on its path, and a home of its own, finds."""
    (home / "dags").mkdir(parents=True)
    (home / "dags" / "news_rerank.py").write_text((REPOSITORY / "dags" / "news_rerank.py").read_text())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    environment |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins or home / "plugins"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        "PYTHONPATH": f"{site}{os.pathsep}{others}",
    }
    done = subprocess.run(
        [sys.executable, "-S", LOOK, home / "dags"],  # without the environment's own packages
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_airflow_finds_plugin_provider_and_dags_of_the_wheel_alone(installed, others, tmp_path):
    found = look(installed, others, tmp_path / "home")
    assert [os.path.commonpath([file, installed]) for file in found["from"]] == [str(installed)] * 2
    assert {name: found[name] for name in WANTED} == WANTED
    assert "rerank_airflow.links.RankingRunLink" in found["links"]
    assert (
        found["version"] == tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    )


def test_control_a_stale_copy_in_the_plugins_folder_takes_the_place_of_the_installed_plugin(
    installed, others, tmp_path
):
    stale = tmp_path / "plugins" / "rerank_airflow"
    stale.mkdir(parents=True)
    for name in (".airflowignore", "rerank_plugin.py"):
        (stale / name).write_text((REPOSITORY / "plugins" / "rerank_airflow" / name).read_text())
    found = look(installed, others, tmp_path / "home", plugins=tmp_path / "plugins")
    assert found["plugins"] == [["news_rerank", "PluginsDirectorySource"]]
    assert list(found["errors"].values()) == ["Plugin 'news_rerank' already registered, skipping"]


def test_the_wheel_holds_every_file_of_the_product_and_no_test(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        entry_points = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        said = archive.read(entry_points).decode()
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "rerank_core", "plugins/rerank_airflow", "sql"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if tracked.returncode:
        pytest.skip("this checkout has no git")
    wanted = {
        f"rerank_core/{name}" if name.startswith("sql/") else name.removeprefix("plugins/")
        for name in tracked.stdout.splitlines()
        if (REPOSITORY / name).exists()
    }
    assert held == wanted
    assert "rerank_airflow.rerank_plugin:RerankPlugin" in said
    assert "rerank_airflow.provider:provider_info" in said
