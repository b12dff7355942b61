"""The doctor's check of the DAGs: which are paused, and which Airflow does not have.

A task asks Airflow's API, the views ask with the API server's own connection, and a shell reads Airflow's database if this host is
told where it is. A host that is not told says nothing.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from rerank_core.airflow_settings import of_pipeline
from rerank_core.operations.doctor.airflow_options import airflow_option
from rerank_core.operations.doctor.finding import Finding
from rerank_core.settings import Settings
from rerank_core.storage import database as db

NAMES = (
    "rank_new_articles",
    "maintain_rankings",
    "publish_overdue_rankings",
    "announce_rankings",
    "watch_rankings",
)
NOT_IN_TASKS = "airflow-db-not-allowed"  # what Airflow puts in the place of the address within a task
PATIENCE_SECONDS = 5


def ids(pipeline: str) -> tuple[str, ...]:
    """The DAGs without which a pipeline's page does not stay well."""
    return tuple(of_pipeline(name, pipeline) for name in NAMES)


def judge(pipeline: str, paused: Mapping[str, bool]) -> Finding:
    """The finding on the DAGs that Airflow has: id → whether it is paused."""
    missing = [each for each in ids(pipeline) if each not in paused]
    resting = [each for each in ids(pipeline) if paused.get(each)]
    found, advice = [], []
    if resting:
        found.append(f"paused: {', '.join(resting)}")
        advice.append("; ".join(f"`airflow dags unpause {each}`" for each in resting))
    if missing:
        found.append(f"Airflow does not have {', '.join(missing)}")
        advice.append(
            "put the DAG files into its DAG folder, and look for import errors with `airflow dags list-import-errors`"
        )
    if found:
        return Finding("dags", "warn", "; ".join(found), "; ".join(advice))
    return Finding("dags", "ok", f"{len(ids(pipeline))} of pipeline {pipeline} are there, and none is paused")


def check_dags(settings: Settings) -> Finding | None:
    """Whether the pipeline's DAGs are there and not paused; None if this host does not know Airflow's database."""
    address = airflow_option("database", "sql_alchemy_conn")
    return None if not address or address.startswith(NOT_IN_TASKS) else find(address, settings.pipeline)


def find(address: str, pipeline: str) -> Finding:
    """The finding by Airflow's database. Raises nothing, and shows no address: that holds a password."""
    try:
        engine = create_engine(poolclass=NullPool, hide_parameters=True, **_to_read(make_url(address)))
        with engine.connect() as connection:
            paused = {row["dag_id"]: bool(row["is_paused"]) for row in db.rows(connection, "dags.known")}
    except (SQLAlchemyError, ArgumentError, ImportError, TypeError) as error:
        found = f"not known: Airflow's database could not be asked ({type(error).__name__})"
        return Finding("dags", "warn", found, "look at AIRFLOW__DATABASE__SQL_ALCHEMY_CONN of this host")
    return judge(pipeline, paused)


def _to_read(url: URL) -> dict[str, Any]:
    """Where to connect, and how. SQLite would make a file that is not there, so its file is opened to be read alone."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return {"url": url, "connect_args": {"connect_timeout": PATIENCE_SECONDS}}
    read_only = {"mode": "ro", "uri": "true"}
    return {"url": url.set(database=f"file:{url.database}", query={**url.query, **read_only})}
