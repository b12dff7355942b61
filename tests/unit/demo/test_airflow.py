"""The sandbox: its port, its secrets, and that it keeps the user's own Airflow out."""

import socket
import stat
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from rerank_core.demo import airflow_environment
from rerank_core.demo.airflow import AirflowSandbox, NoAnswer, free_port
from rerank_core.errors import SettingsError

URL = "postgresql+psycopg2://postgres:@/airflow?host=/nowhere"


def test_a_port_in_use_is_refused_with_another_to_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"port {port} is not available .*make ui PORT={port + 1}"):
            free_port(port)


def test_a_port_out_of_range_is_refused() -> None:
    with pytest.raises(SettingsError, match="port 70000 is not in"):
        free_port(70000)


def test_without_a_port_a_free_one_is_taken() -> None:
    assert 1024 <= free_port(None) < 65536


def test_the_users_own_airflow_settings_stay_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://production/airflow")
    monkeypatch.setenv("AIRFLOW__CORE__REMOTE_LOGGING", "True")
    sandbox = AirflowSandbox(
        home=tmp_path / "airflow", database_url=URL, environment={"RERANK_PIPELINE": "news"}
    )
    assert sandbox.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == URL
    assert "AIRFLOW__CORE__REMOTE_LOGGING" not in sandbox.environment
    assert sandbox.environment["AIRFLOW_HOME"] == str(tmp_path / "airflow")
    assert sandbox.environment["RERANK_PIPELINE"] == "news"


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    first = AirflowSandbox(home=tmp_path, database_url=URL, environment={})
    second = AirflowSandbox(home=tmp_path, database_url=URL, environment={})
    name = "AIRFLOW__API_AUTH__JWT_SECRET"
    assert first.environment[name] == second.environment[name]
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "passwords.json").stat().st_mode) == 0o600


def test_an_api_that_does_not_answer_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = AirflowSandbox(home=tmp_path, database_url=URL, environment={})
    answers = iter([NoAnswer("busy"), {"state": "running"}, NoAnswer("busy"), {"state": "success"}])

    def call(*_: object) -> object:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(sandbox, "_call", call)
    monkeypatch.setattr(sandbox, "tasks", lambda *_: [])
    monkeypatch.setattr(sandbox, "check", lambda: None)
    assert sandbox.wait_run("dag", "run") == "success"


def test_an_api_that_is_not_there_is_said_in_a_sentence(tmp_path: Path) -> None:
    sandbox = AirflowSandbox(home=tmp_path, database_url=URL, environment={})
    with pytest.raises(NoAnswer, match="Airflow did not answer GET http://127.0.0.1:"):
        sandbox._call("GET", "/dags", anonymous=True)


def test_it_listens_on_this_machine_only(tmp_path: Path) -> None:
    sandbox = AirflowSandbox(home=tmp_path, database_url=URL, environment={})
    assert sandbox.environment["AIRFLOW__API__HOST"] == "127.0.0.1"


@pytest.mark.parametrize("installed", [True, False])
def test_the_plugin_is_loaded_once_whether_or_not_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installed: bool
) -> None:
    point = EntryPoint("news_rerank", "rerank_airflow.rerank_plugin:RerankPlugin", "airflow.plugins")
    found = EntryPoints([point] if installed else [])
    monkeypatch.setattr(airflow_environment, "entry_points", lambda group: found)
    folder = airflow_environment.plugins_of(tmp_path / "home", tmp_path / "checkout")
    assert folder == tmp_path / ("home" if installed else "checkout") / "plugins"
