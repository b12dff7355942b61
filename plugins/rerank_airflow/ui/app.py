"""The app of the views: every route needs Airflow's login, every answer has the headers that keep it harmless."""

import logging
from collections.abc import Awaitable, Callable

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from rerank_airflow.settings import pipelines
from rerank_airflow.ui import (
    articles,
    compare,
    download,
    feedback,
    health,
    pictures,
    preview,
    rankings,
    runs,
    scorers,
    static,
)
from rerank_airflow.ui.access import LOGIN
from rerank_airflow.ui.render import render
from rerank_core.errors import DatabaseUnavailable, RerankError, SettingsError, StoreUnavailable
from rerank_core.observe.history import NotMigrated

log = logging.getLogger(__name__)

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def build() -> FastAPI:
    """The app, ready to be mounted."""
    # No documentation routes: they would not need the login.
    app = FastAPI(
        title="news-rerank",
        dependencies=[Depends(LOGIN)],
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    parts = (
        rankings,
        compare,
        runs,
        health,
        feedback,
        preview,
        scorers,
        articles,
        pictures,
        download,
        static,
    )
    for part in parts:
        app.include_router(part.router)

    @app.get("/")
    def start(request: Request) -> RedirectResponse:
        return RedirectResponse(f"{request.scope['root_path']}/rankings", status_code=303)

    app.middleware("http")(_with_headers)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(RerankError, _failed)
    app.add_exception_handler(SQLAlchemyError, _failed)
    return app


async def _with_headers(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
    answer = await call(request)
    for name, value in HEADERS.items():
        answer.headers[name] = value
    answer.headers.setdefault("Cache-Control", "no-store")
    return answer


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    heading, advice = {
        401: ("You are not logged in", "Log in to Airflow, then open this view from its navigation."),
        403: (
            "You may not see this",
            "Ask an administrator of Airflow for access to plugins and to the DAG.",
        ),
        404: ("There is no such view", ""),
    }.get(error.status_code, ("This did not work", "Go back and try again."))
    said = str(error.detail) if error.detail not in {"Not Found", "Not authenticated"} else ""
    return _error_view(request, error.status_code, heading, said, advice)


def _not_valid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    said = f"{first['loc'][-1]}: {first['msg']}."
    return _error_view(
        request, 422, "The address cannot be read", said, "Correct it, or start from the rankings."
    )


def _failed(request: Request, error: Exception) -> Response:
    """What to do, without what was said: that names hosts and users, and is in the server's log."""
    is_ours = isinstance(error, RerankError)
    log.error(
        "%s: %s: %s", request.url.path, type(error).__name__, error, exc_info=None if is_ours else error
    )
    said = "The log of Airflow's API server has the details."
    if isinstance(error, NotMigrated):
        heading, advice = (
            "The news database is not set up",
            "Run `rerank db upgrade` where RERANK_DATABASE_URL is set as on this server, then reload.",
        )
    elif isinstance(error, DatabaseUnavailable):
        heading, advice = (
            "The news database does not answer",
            "Check RERANK_DATABASE_URL of Airflow's API server, and that Postgres runs; `rerank doctor` says more.",
        )
    elif isinstance(error, StoreUnavailable):
        heading, advice = (
            "The store does not answer",
            "Check RERANK_STORE_URL of Airflow's API server, and that this server reaches it.",
        )
    elif isinstance(error, SettingsError):
        heading, said, advice = (
            "A setting is wrong",
            str(error),  # shows no URL
            "Correct it for Airflow's API server, then restart that server.",
        )
    elif isinstance(error, RerankError):
        heading, advice = ("This did not work", "`rerank doctor` says more.")
    else:
        heading, advice = (
            "The news database refuses",
            "Look for the statement in the log of Airflow's API server; `rerank doctor` says more.",
        )
    return _error_view(request, 503, heading, said, advice)


def _error_view(request: Request, status: int, heading: str, said: str, advice: str) -> Response:
    return render(
        request,
        "error.html",
        status=status,
        bare=True,
        stranger=status == 401,
        heading=heading,
        said=said,
        advice=advice,
        pipeline_name=_asked_pipeline(request) if status == 404 else None,
    )


def _asked_pipeline(request: Request) -> str | None:
    """The pipeline that the address names, or None; other views tell of a wrong setting."""
    asked = request.query_params.get("pipeline")
    try:
        return asked if asked and asked in pipelines() else None
    except RerankError:
        return None
