"""Where a scoring task runs: its pool, its queue, its executor and the executor's settings. Its device: devices.py.

Tasks of a pool that does not exist are never scheduled, and no task can find that out, because the Task SDK shows no
pools. So the scheduler creates a missing pool when it starts, and leaves an existing pool as it is. (The triggerer and
the DAG processor create it too: Airflow tells a job's type only after this hook.)

The plugin loads this module in every component, so the settings are imported inside the functions.
"""

import logging
from datetime import timedelta
from typing import Any

from airflow.listeners import hookimpl

log = logging.getLogger(__name__)

POOL_DESCRIPTION = "Scoring tasks of news-rerank: as many slots as there are GPUs"


def scoring_args(pipeline: str) -> dict[str, Any]:
    """Arguments of a scoring task: pool, queue, executor and its settings, and the time after which it counts as hung."""
    from rerank_airflow.settings import AirflowSettings, public_settings_of

    settings, airflow = public_settings_of(pipeline), AirflowSettings.load()
    args: dict[str, Any] = {
        "pool": settings.gpu_pool,
        "executor_config": airflow.executor_config,
        "execution_timeout": _hung_after(pipeline),
    }
    if airflow.executor is not None:
        args["executor"] = airflow.executor
    if settings.gpu_queue is not None:
        args["queue"] = settings.gpu_queue
    return args


def embedding_args(pipeline: str) -> dict[str, Any]:
    """As `scoring_args` if the embedder needs a device. An embedder on the CPU waits for none, and can hang too."""
    from rerank_airflow.settings import public_settings_of

    settings = public_settings_of(pipeline)
    if settings.embedding_needs_device:
        return scoring_args(pipeline)
    return {"execution_timeout": _hung_after(pipeline)} if settings.recall_needs_vectors else {}


def _hung_after(pipeline: str) -> timedelta:
    """The time after which a task that stops at the deadline of scoring counts as hung."""
    from rerank_airflow.settings import AirflowSettings, public_settings_of

    minutes = 2 * public_settings_of(pipeline).scoring_minutes + AirflowSettings.load().scoring_grace_minutes
    return timedelta(minutes=minutes)


def is_one_host(executor: str | None) -> bool:
    """Whether all tasks of an executor run on one host; None: Airflow's first executor."""
    from airflow.sdk.configuration import conf

    name = executor or str(conf.get("core", "executor")).split(",")[0]
    return name.strip().rpartition(":")[2].rpartition(".")[2] == "LocalExecutor"


@hookimpl
def on_starting(component: Any) -> None:
    """Create the pools that are missing. Airflow calls this in each component and each task; a task has no database."""
    if type(component).__name__ == "Job":
        from rerank_airflow.settings import AirflowSettings, pipelines, public_settings_of

        for name in sorted({public_settings_of(pipeline).gpu_pool for pipeline in pipelines()}):
            create_missing(name, slots=AirflowSettings.load().pool_slots)


def create_missing(name: str, *, slots: int) -> bool:
    """Create the pool unless it exists; returns whether it was created. Safe beside a second scheduler."""
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session
    from sqlalchemy.exc import IntegrityError

    try:
        with create_session() as session:
            if Pool.get_pool(name, session=session) is not None:
                return False
            session.add(Pool(pool=name, slots=slots, description=POOL_DESCRIPTION, include_deferred=False))
    except IntegrityError:
        return False
    log.info("created the pool %s with %d slots", name, slots)
    return True
