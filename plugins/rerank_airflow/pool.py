"""The pool that scoring tasks wait in.

Tasks of a pool that does not exist are never scheduled, and no task can find that out: the Task SDK shows no
pools. So the scheduler creates it at its start, where it is missing; one that exists is left as it is.
"""

import logging
from typing import Any

from airflow.listeners import hookimpl

log = logging.getLogger(__name__)

DESCRIPTION = "Scoring tasks of news-rerank: as many slots as there are GPUs"


@hookimpl
def on_starting(component: Any) -> None:
    """Called by Airflow once in each component that starts; only the scheduler may create pools."""
    if getattr(component, "job_type", None) == "SchedulerJob":
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
