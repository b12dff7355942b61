"""`/rerank/health`: whether the page is as young as the schedule promises, for probes, which have no login.

A stranger learns only that and the page's age; the findings of the doctor are for those who may read the DAG. Strangers may ask as
often as they like: an answer is kept for KEPT_SECONDS, and one thread at a time asks the database.
"""

import logging
from dataclasses import asdict
from threading import Lock
from time import monotonic
from typing import Annotated, Any

from airflow.sdk.configuration import conf
from fastapi import Depends, FastAPI, Query
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from rerank_airflow.settings import pipelines, settings_of
from rerank_airflow.ui.access import LOGIN, Chosen, database_of
from rerank_core.errors import RerankError
from rerank_core.observe import history
from rerank_core.operations.doctor import dags, workers
from rerank_core.operations.doctor import page as pages
from rerank_core.operations.doctor.examine import examine
from rerank_core.setting_values import SLUG

log = logging.getLogger(__name__)

KEPT_SECONDS = 5.0
PATIENCE_SECONDS = 2.0  # for another thread that asks already
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
NOT_KNOWN = {"ok": False, "page_age_seconds": None}

Said = dict[str, Any]


class Probe:
    """Asks for the state of a pipeline's page, and keeps each answer for a while."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, Said]] = {}
        self._asking = Lock()

    def ask(self, pipeline: str) -> Said:
        """`ok`, and `page_age_seconds`: null if there is no page, or if the database does not answer."""
        kept = self._fresh(pipeline)
        if kept is not None:
            return kept
        if not self._asking.acquire(timeout=PATIENCE_SECONDS):
            return self._kept.get(pipeline, (0.0, NOT_KNOWN))[1]
        try:
            kept = self._fresh(pipeline)  # by the thread that was waited for
            if kept is None:
                kept = _look(pipeline)
                self._kept[pipeline] = monotonic(), kept
            return kept
        finally:
            self._asking.release()

    def _fresh(self, pipeline: str) -> Said | None:
        since, said = self._kept.get(pipeline, (float("-inf"), NOT_KNOWN))
        return said if monotonic() - since < KEPT_SECONDS else None


def _look(pipeline: str) -> Said:
    try:
        settings = settings_of(pipeline)
        with history.reading(database_of(settings.database_url)) as connection:
            page = pages.look(connection, settings)
    except (RerankError, SQLAlchemyError) as error:
        log.error("the page's age is not known: %s: %s", type(error).__name__, error)
        return NOT_KNOWN
    if page is None or not page.exists:
        return NOT_KNOWN
    return {"ok": not page.is_old, "page_age_seconds": round(page.age.total_seconds())}


def build() -> FastAPI:
    """The app, ready to be mounted."""
    app, probe = FastAPI(title="news-rerank health", docs_url=None, redoc_url=None, openapi_url=None), Probe()

    @app.get("/health")
    def health(pipeline: Annotated[str | None, Query(pattern=SLUG)] = None) -> JSONResponse:
        try:
            known = pipelines()
        except RerankError as error:
            log.error("%s", error)
            return _answer(NOT_KNOWN)
        name = pipeline or known[0]
        return _answer(probe.ask(name)) if name in known else _answer(NOT_KNOWN, status=404)

    @app.get("/health/details", dependencies=[Depends(LOGIN)])
    def details(pipeline: Chosen) -> JSONResponse:
        address = conf.get_mandatory_value("database", "sql_alchemy_conn")
        by_airflow = [dags.find(address, pipeline.name), workers.find(address, pipeline.name)]
        names = {each.name for each in by_airflow}
        findings = [each for each in examine(pipeline.settings) if each.name not in names] + by_airflow
        failed = any(each.state == "fail" for each in findings)
        said = probe.ask(pipeline.name)
        return _answer(
            said | {"ok": said["ok"] and not failed, "findings": [asdict(each) for each in findings]}
        )

    return app


def _answer(said: Said, *, status: int | None = None) -> JSONResponse:
    return JSONResponse(said, status_code=status or (200 if said["ok"] else 503), headers=HEADERS)
