"""Options of Airflow as this host has them, from its environment or airflow.cfg. Airflow is not imported."""

import configparser
import os
from pathlib import Path


def airflow_option(section: str, name: str) -> str:
    """The option's value; empty if it is not set, or airflow.cfg cannot be read."""
    variable = os.environ.get(f"AIRFLOW__{section.upper()}__{name.upper()}")
    if variable is not None:
        return variable
    file = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        file.read(os.environ.get("AIRFLOW_CONFIG") or airflow_home() / "airflow.cfg", encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return ""
    return file.get(section, name, fallback="")


def airflow_home() -> Path:
    """The folder that Airflow keeps its files in."""
    return Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()


def airflow_folder(name: str, default: str) -> Path:
    """A folder that section [core] names; Airflow's own default is below its home."""
    written = airflow_option("core", name).replace("{AIRFLOW_HOME}", str(airflow_home()))
    return Path(written or airflow_home() / default).expanduser()
