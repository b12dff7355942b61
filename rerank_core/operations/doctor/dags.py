"""The doctor's check of the DAGs: which are paused, and which Airflow does not have.

A task asks Airflow's API, the views ask with the API server's own connection, and a shell reads Airflow's database if this host is
told where it is. A host that is not told says nothing.
"""

from collections.abc import Mapping

from sqlalchemy import Connection

from rerank_core.airflow_settings import of_pipeline
from rerank_core.operations.doctor import airflow_database
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
    address = airflow_database.airflow_address()
    return None if address is None else find(address, settings.pipeline)


def find(address: str, pipeline: str) -> Finding:
    """The finding by Airflow's database. Raises nothing."""

    def look(connection: Connection) -> Finding:
        return judge(
            pipeline, {row["dag_id"]: bool(row["is_paused"]) for row in db.rows(connection, "dags.known")}
        )

    return airflow_database.ask("dags", address, look)
