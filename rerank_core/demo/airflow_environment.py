"""The environment of the demo's Airflow: settings, keys and the password file, all in the folder of one sitting.

The user's own AIRFLOW_* variables are kept out, so that the demo never touches another Airflow.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from importlib.metadata import entry_points
from pathlib import Path

HOST = "127.0.0.1"
USER = "demo"
PASSWORD = "demo"


def plugins_of(home: Path, repository: Path) -> Path:
    """The folder that Airflow looks for plugins in: an empty one if the plugin is installed, else the checkout's.

    Airflow refuses the second of two plugins with one name, and shows that as an error.
    """
    installed = any(point.name == "news_rerank" for point in entry_points(group="airflow.plugins"))
    return home / "plugins" if installed else repository / "plugins"


def private_environment(home: Path, options: dict[str, dict[str, object]]) -> dict[str, str]:
    """The environment of every process of the sandbox: the user's own, without AIRFLOW_*, with these options of Airflow."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    variables = {
        f"AIRFLOW__{section.upper()}__{name.upper()}": str(value)
        for section, values in options.items()
        for name, value in values.items()
    }
    return (
        inherited
        | variables
        | {
            "AIRFLOW_HOME": str(home),
            # Airflow finds its own command, and tasks find `rerank`, beside this interpreter.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "NO_COLOR": "1",
        }
    )


def sandbox_options(
    *,
    home: Path,
    logs: Path,
    port: int,
    database_url: str,
    scheduled: bool,
    dags_folder: Path,
    plugins_folder: Path,
) -> dict[str, dict[str, object]]:
    """Airflow's options by section: everything in `home`, this machine only, quick to notice changes."""
    keys = _secrets(home)
    url = f"http://{HOST}:{port}"
    bundle = {
        "name": "dags-folder",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(dags_folder), "refresh_interval": 5},
    }
    return {
        "core": {
            "dags_folder": dags_folder,
            "plugins_folder": plugins_folder,
            "executor": "LocalExecutor",
            "parallelism": 4,
            "load_examples": False,
            "dags_are_paused_at_creation": False,
            "fernet_key": keys["fernet"],
            "simple_auth_manager_users": f"{USER}:admin",
            "simple_auth_manager_passwords_file": home / "passwords.json",
            "execution_api_server_url": f"{url}/execution/",
        },
        "database": {"sql_alchemy_conn": database_url},
        "scheduler": {
            "use_job_schedule": scheduled,
            "scheduler_idle_sleep_time": 0.2,
            "scheduler_heartbeat_sec": 1,
            "job_heartbeat_sec": 1,
        },
        "dag_processor": {
            "dag_bundle_config_list": json.dumps([bundle]),
            "bundle_refresh_check_interval": 1,
        },
        "api": {
            "host": HOST,
            "port": port,
            "base_url": url,
            "workers": 1,
            "secret_key": keys["session"],
            "auto_refresh_interval": 1,
        },
        "api_auth": {"jwt_secret": keys["jwt"], "jwt_issuer": "news-rerank-demo"},
        "logging": {
            "base_log_folder": logs / "tasks",
            "dag_processor_child_process_log_directory": logs / "dag_processor",
            "colored_console_log": False,
            "uvicorn_logging_level": "WARNING",
        },
    }


def _secrets(home: Path) -> dict[str, str]:
    """Keys and the password file, made once and readable by their owner only."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / "secrets.json"
    if not path.exists():
        made = {
            "fernet": base64.urlsafe_b64encode(os.urandom(32)).decode(),
            "session": secrets.token_urlsafe(32),
            "jwt": secrets.token_urlsafe(64),
        }
        _write_private(home / "passwords.json", json.dumps({USER: PASSWORD}))
        _write_private(path, json.dumps(made))
    found: dict[str, str] = json.loads(path.read_text())
    return found


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
