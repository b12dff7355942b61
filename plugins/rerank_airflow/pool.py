"""The pool that scoring tasks wait in.

Tasks of a pool that does not exist are never scheduled, and no task can find that out: the Task SDK shows no
pools. So the scheduler creates it at its start, where it is missing; one that exists is left as it is.
(The triggerer and the DAG processor do the same: Airflow tells a job's type only after this hook.)
"""

import logging
from typing import Any

from airflow.listeners import hookimpl

log = logging.getLogger(__name__)

DESCRIPTION = "Scoring tasks of news-rerank: as many slots as there are GPUs"


@hookimpl
def on_starting(component: Any) -> None:
    """Called by Airflow in each component that starts, and in each task, which has no database to ask."""
    if type(component).__name__ == "Job":
        from rerank_airflow.settings import AirflowSettings, pipelines, settings_of

        for name in sorted({settings_of(pipeline).gpu_pool for pipeline in pipelines()}):
            create_missing(name, slots=AirflowSettings.load().pool_slots)


def create_missing(name: str, *, slots: int) -> bool:
    """Create the pool unless it exists; says whether it did. Safe beside a second scheduler."""
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session
    from sqlalchemy.exc import IntegrityError

    try:
        with create_session() as session:
            if Pool.get_pool(name, session=session) is not None:
                return False
            session.add(Pool(pool=name, slots=slots, description=DESCRIPTION, include_deferred=False))
    except IntegrityError:
        return False
    log.info("created the pool %s with %d slots", name, slots)
    return True
