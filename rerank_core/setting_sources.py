"""Where a secret setting comes from: its variable, a file, or a connection of Airflow. Each setting has one source.

| source | of `database_url`, for example | needs |
|---|---|---|
| variable | `RERANK_DATABASE_URL` | |
| file | `RERANK_DATABASE_URL_FILE`, the path of a file that holds the value | a file that this process may read |
| connection | `RERANK_DATABASE_CONN_ID`, the id of a connection | Airflow, which looks into its secrets backends first |

Two sources at one level are an error. An upper level needs no lower one: arguments come before the settings that a pipeline
has of its own, and these before the environment. No message shows a value.
"""

import importlib
import json
import os
import re
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from rerank_core.errors import HIDDEN, RerankError, SettingsError, shown

# A setting → the setting with the id of its connection, and what stands for it while no connection and no file is read.
SECRETS: dict[str, tuple[str, str | None]] = {
    "database_url": ("database_conn_id", "postgresql+psycopg2://not-read.invalid/news"),
    "source_url": ("source_conn_id", None),
    "store_url": ("store_conn_id", "file:///dev/null/not-read"),
    "redis_url": ("redis_conn_id", None),
    "milvus_url": ("milvus_conn_id", None),
    "hub_token": ("hub_conn_id", None),
}
AIRFLOW_SECRETS = ("pipelines", "executor_config")  # of AirflowSettings, which DAG files need: files alone
CONNECTION_ID = re.compile(r"[A-Za-z0-9_.-]{1,250}")
READER = "rerank_airflow.connections"  # by name: this library imports no Airflow
MOST_BYTES = 1 << 20  # of a file; a device such as /dev/zero has no end


def file_variables() -> list[str]:
    """The variable of every file that a setting may come from."""
    return [f"RERANK_{name}_FILE".upper() for name in SECRETS] + [
        f"RERANK_AIRFLOW_{name}_FILE".upper() for name in AIRFLOW_SECRETS
    ]


def sourced(
    levels: Sequence[tuple[str, Mapping[str, Any]]], *, read: bool
) -> tuple[dict[str, str | None], dict[str, str]]:
    """The secrets that come from a file or a connection, and the name of each one's source.

    `levels` are named mappings of settings, the upper one first; the environment is below them all. Unless `read`, each of these
    secrets has a value in its place that names nothing. Raises SettingsError if a setting has two sources or its source
    cannot be read, RetryableError if Airflow does not answer.
    """
    values: dict[str, str | None] = {}
    sources: dict[str, str] = {}
    for name, (conn_id_name, not_read) in SECRETS.items():
        found = _source(name, conn_id_name, levels)
        if found is None:
            continue
        sources[name], kind, value = found
        if kind == "connection" and not CONNECTION_ID.fullmatch(value):
            raise SettingsError(
                f"{sources[name]} = {shown(value)}: this is no id of a connection, of letters, digits, _, - and dots, as `airflow"
                " connections list` shows it; correct it"
            )
        if not read:
            values[name] = not_read
        else:
            values[name] = (
                text_of(sources[name], value) if kind == "file" else _connected(sources[name], value, name)
            )
    return values, sources


def _source(
    name: str, conn_id_name: str, levels: Sequence[tuple[str, Mapping[str, Any]]]
) -> tuple[str, str, str] | None:
    """The source of the uppermost level that has any, its kind and value; None if that is the value itself."""
    for where, level in levels:
        if _one(where, {option: level.get(option) for option in (name, conn_id_name)}) == conn_id_name:
            return f"{where}: {conn_id_name}", "connection", str(level[conn_id_name])
        if level.get(name):
            return None
    variable, conn_id = f"RERANK_{name}".upper(), f"RERANK_{conn_id_name}".upper()
    chosen = environment_source(variable, conn_id)
    if chosen is None or chosen == variable:
        return None
    return chosen, "connection" if chosen == conn_id else "file", os.environ[chosen]


def environment_source(variable: str, *others: str) -> str | None:
    """Which of these variables and `…_FILE` is set; None: none is. Raises SettingsError if two are."""
    names = (variable, f"{variable}_FILE", *others)
    return _one("", {name: os.environ.get(name) for name in names})


def _one(where: str, options: Mapping[str, Any]) -> str | None:
    given = [name for name, value in options.items() if value]
    if len(given) > 1:
        of_whom = f"{where}: " if where else ""
        raise SettingsError(f"{of_whom}{' and '.join(given)} are both set; keep one of them")
    return given[0] if given else None


def text_of(variable: str, path: str) -> str:
    """What the file holds, without the white space around it. Raises SettingsError, which shows nothing of it."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        text = content.decode().strip()
    except (OSError, ValueError) as error:  # of the path, or of what the file holds
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise SettingsError(
            f"{variable} = {shown(path)}: this file cannot be read ({reason}); give the path of a file that holds the value"
        ) from None
    if not text or len(content) > MOST_BYTES or "\0" in text:
        what = "empty" if not text else "no text of at most 1 MiB"
        raise SettingsError(f"{variable} = {shown(path)}: this file is {what}; write the value into it")
    return text


def airflow_secrets() -> dict[str, Any]:
    """The values of AIRFLOW_SECRETS that come from a file, read as their variables are: JSON, or a text that is none."""
    found: dict[str, Any] = {}
    for name in AIRFLOW_SECRETS:
        variable = f"RERANK_AIRFLOW_{name}".upper()
        source = environment_source(variable)
        if source is not None and source != variable:
            text = text_of(source, os.environ[source])
            try:
                found[name] = json.loads(text)
            except ValueError:
                found[name] = text
    return found


def own_settings(pipeline: str, *, known: Set[str]) -> dict[str, Any]:
    """What RERANK_AIRFLOW_PIPELINES gives one pipeline, so that commands find the same settings as its DAG.

    `known` are the settings that a pipeline may have of its own. Raises SettingsError if it has another one.
    """
    try:
        pipelines = airflow_secrets().get("pipelines")
        if pipelines is None:
            pipelines = json.loads(os.environ.get("RERANK_AIRFLOW_PIPELINES") or "{}")
        own = pipelines.get(pipeline, {})
        unknown = sorted(set(own) - known)
        given = dict(own)
    except (ValueError, TypeError, AttributeError):
        raise SettingsError(
            'RERANK_AIRFLOW_PIPELINES is not JSON of pipelines and their settings; write it like {"news": {}}'
        ) from None
    if unknown:
        raise SettingsError(
            f"RERANK_AIRFLOW_PIPELINES: pipeline {pipeline!r} has no setting {unknown[0]!r}; correct it"
        )
    return given


def wrong(
    group: type[BaseSettings], error: ValidationError, sources: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The first wrong setting: its variable or other source, its value unless that may be a secret, and what is wrong."""
    first = error.errors()[0]
    field = str(first["loc"][0])
    variable = sources.get(field) or f"{group.model_config['env_prefix']}{field}".upper()
    value = shown(first["input"]) if group.model_fields[field].repr else HIDDEN
    if first["type"] == "import_error" and value == HIDDEN:  # pydantic's own sentence repeats the value
        return f"{variable} = {value}: this is neither JSON nor the dotted name of an object that can be imported here"
    return f"{variable} = {value}: {first['msg'].removeprefix('Value error, ')}"


def _connected(where: str, conn_id: str, name: str) -> str:
    """The value of a setting, as a connection of Airflow gives it."""
    try:
        reader = importlib.import_module(READER)
    except ImportError:
        raise SettingsError(
            f"{where} = {shown(conn_id)}: Airflow cannot be imported here; use RERANK_{name.upper()}_FILE on this host"
        ) from None
    try:
        return str(reader.value_of(conn_id, name))
    except RerankError as error:
        raise type(error)(f"{where} = {shown(conn_id)}: {error}") from None
