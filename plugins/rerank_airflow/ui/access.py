"""Who may see what: Airflow's own login, its permission for plugins, and the one for the pipeline's DAG.

A route of a plugin has no authentication by itself. So the app puts LOGIN before every route. Documentation routes and
mounted folders cannot have it, so the app has none.
"""

from dataclasses import dataclass
from functools import cache
from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
from fastapi import Depends, HTTPException, Query

from rerank_airflow.defaults import RANKING
from rerank_airflow.settings import pipelines, settings_of
from rerank_core.airflow_settings import of_pipeline
from rerank_core.setting_values import SLUG
from rerank_core.settings import Settings
from rerank_core.storage.database import Database

LOGIN = requires_access_view(AccessView.PLUGINS)


@dataclass(frozen=True)
class Pipeline:
    """The pipeline that a view is about."""

    name: str
    settings: Settings
    database: Database
    others: tuple[str, ...]  # all that the user may see, this one among them

    @property
    def dag_id(self) -> str:
        """The DAG that runs it."""
        return of_pipeline(RANKING, self.name)


@cache
def database_of(url: str) -> Database:
    """The database with this address, with connections that stay open."""
    return Database(url, kept=2)


def _visible(user: GetUserDep) -> tuple[str, ...]:
    """The pipelines whose DAG the user may read."""
    manager = get_auth_manager()
    return tuple(
        name
        for name in pipelines()
        if manager.is_authorized_dag(
            method="GET", details=DagDetails(id=of_pipeline(RANKING, name)), user=user
        )
    )


Visible = Annotated[tuple[str, ...], Depends(_visible)]


def of_name(name: str, visible: tuple[str, ...]) -> Pipeline:
    """The pipeline with this name. Raises HTTPException: 404 if there is none, 403 if the user may not see it."""
    if name not in visible:
        if name in pipelines():
            raise HTTPException(403, f"You may not read the DAG {of_pipeline(RANKING, name)}.")
        raise HTTPException(
            404, f"There is no pipeline {name}; RERANK_AIRFLOW_PIPELINES names those that are."
        )
    settings = settings_of(name)
    return Pipeline(name, settings, database_of(settings.database_url), visible)


def _chosen(visible: Visible, pipeline: Annotated[str | None, Query(pattern=SLUG)] = None) -> Pipeline:
    if pipeline is None and not visible:
        raise HTTPException(403, "You may read none of the DAGs that rank.")
    return of_name(pipeline or visible[0], visible)


Chosen = Annotated[Pipeline, Depends(_chosen)]
