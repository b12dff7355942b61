"""Airflow's own database, as the doctor reads it. A task asks Airflow's API instead, since Airflow hides the address from tasks."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import URL, Connection, create_engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from rerank_core.operations.doctor.airflow_options import airflow_option
from rerank_core.operations.doctor.finding import Finding

NOT_IN_TASKS = "airflow-db-not-allowed"  # what Airflow puts in the place of the address within a task
PATIENCE_SECONDS = 5


def airflow_address() -> str | None:
    """Where this host is told that the database is; None if it is not told."""
    address = airflow_option("database", "sql_alchemy_conn")
    return None if not address or address.startswith(NOT_IN_TASKS) else address


def ask(name: str, address: str, question: Callable[[Connection], Finding]) -> Finding:
    """The answer to a question, or a finding of this name that says why there is none. It shows no address: that holds a password."""
    try:
        engine = create_engine(poolclass=NullPool, hide_parameters=True, **_to_read(make_url(address)))
        with engine.connect() as connection:
            return question(connection)
    except (SQLAlchemyError, ArgumentError, ImportError, TypeError) as error:
        found = f"not known: Airflow's database could not be asked ({type(error).__name__})"
        return Finding(name, "warn", found, "look at AIRFLOW__DATABASE__SQL_ALCHEMY_CONN of this host")


def _to_read(url: URL) -> dict[str, Any]:
    """Where to connect, and how. SQLite would make a file that is not there, so its file is opened to be read alone."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return {"url": url, "connect_args": {"connect_timeout": PATIENCE_SECONDS}}
    read_only = {"mode": "ro", "uri": "true"}
    return {"url": url.set(database=f"file:{url.database}", query={**url.query, **read_only})}
