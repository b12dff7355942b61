"""The doctor's checks of this host beside scoring, and of the other hosts: disk, metrics, misspelt variables, executor, hosts."""

import importlib.util
import os
import shutil
from datetime import UTC, datetime

from rerank_core.airflow_settings import AirflowSettings, unknown_variables
from rerank_core.errors import SettingsError
from rerank_core.operations.doctor.airflow_options import airflow_option
from rerank_core.operations.doctor.finding import Finding
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import migrations
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

GIB = 1 << 30
DISK_WARN_GIB = 2.0
DISK_FAIL_GIB = 0.1  # less than the files of one run of some size
WAYS = {  # option of Airflow's section [metrics] → the module that it needs
    "statsd_datadog_enabled": "datadog",
    "statsd_on": "statsd",
    "otel_on": "opentelemetry.exporter.otlp.proto.http",
}


def check_disk(settings: Settings) -> Finding | None:
    """Whether the store's disk has room; None if the store is no folder of this host."""
    folder = Store(settings.store_url).local_folder
    if folder is None:
        return None
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free / GIB
    found = f"{free:.1f} GiB free for {folder}"
    advice = "free some space, or lower RERANK_RETENTION_DAYS and run `rerank maintain`"
    if free < DISK_FAIL_GIB:
        return Finding("disk", "fail", found, advice)
    return Finding("disk", "warn", found, advice) if free < DISK_WARN_GIB else Finding("disk", "ok", found)


def check_variables(settings: Settings) -> Finding:
    """Whether every variable that looks like a setting is one."""
    idle = unknown_variables(os.environ)
    if os.environ.get("RERANK_AIRFLOW_NOTIFY_LATE") and not os.environ.get("RERANK_AIRFLOW_DEADLINE_MINUTES"):
        idle.append("RERANK_AIRFLOW_NOTIFY_LATE needs RERANK_AIRFLOW_DEADLINE_MINUTES")
    try:
        AirflowSettings.load()
    except SettingsError as error:
        found, _, _ = str(error).rpartition("; ")
        advice = "correct it; only Airflow itself finds what lies in its plugins folder"
        return Finding("variables", "warn", "; ".join([found, *idle]), advice)
    if idle:
        return Finding("variables", "warn", "; ".join(idle), "correct or remove them: they change nothing")
    return Finding("variables", "ok", "every RERANK_ variable is a setting")


def check_executor(settings: Settings) -> Finding | None:
    """Whether Airflow has the executor that scoring is sent to; None if it is sent to none of its own."""
    try:
        executor = AirflowSettings.load().executor
    except SettingsError:  # `variables` tells
        return None
    if executor is None:
        return None
    configured = [name.strip() for name in airflow_option("core", "executor").split(",")]
    if executor in {
        part for name in configured for part in (name, *name.split(":"), name.rpartition(".")[2])
    }:
        return Finding("executor", "ok", f"scoring is sent to {executor}")
    found = f"RERANK_AIRFLOW_EXECUTOR = {executor!r}, and this host's core.executor of Airflow is {', '.join(configured)!r}"
    return Finding("executor", "warn", found, "name it there too, on every host: AIRFLOW__CORE__EXECUTOR")


def check_hosts(settings: Settings) -> Finding | None:
    """What hosts said of themselves when a task of scoring or embedding came to them in the last day; None if none has come."""
    database = Database(settings.database_url)
    if not migrations.is_newest(database):
        return None
    with database.transaction(read_only=True) as connection:
        known = db.rows(connection, "host.known", pipeline=settings.pipeline)
    if not known:
        return None
    found = [
        f"{row['host']} {'cannot' if row['fault'] else 'can'} {'embed' if row['stage'] == 'embed' else 'score'}"
        + (
            f", since {_told(row['faulty_since'])}: {row['fault']}"
            if row["fault"]
            else f" ({_told(row['seen_at'])})"
        )
        for row in known
    ]
    is_well = not any(row["fault"] for row in known)
    advice = "" if is_well else "correct them; a host looks again when a task comes to it"
    return Finding("hosts", "ok" if is_well else "warn", " · ".join(found), advice)


def _told(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def check_metrics(settings: Settings) -> Finding:
    """Whether the package is installed that Airflow sends metrics with: without it Airflow sends none, silently."""
    chosen = [
        name
        for name in WAYS
        if airflow_option("metrics", name).lower() in {"true", "t", "1", "yes", "y", "on"}
    ]
    if not chosen:
        return Finding("metrics", "ok", "Airflow is not told to send any")
    way = chosen[0]  # Airflow takes the first
    if not _is_installed(WAYS[way]):
        return Finding(
            "metrics",
            "warn",
            f"{way} is set, and {WAYS[way]} is not installed: Airflow sends nothing",
            "pip install 'news-rerank[metrics]'"
            if way != "statsd_datadog_enabled"
            else "pip install datadog",
        )
    return Finding("metrics", "ok", f"sent by Airflow: {way}")


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of a package above it
        return False
