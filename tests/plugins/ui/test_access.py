"""Who gets in: every route stands behind Airflow's login and its permissions, and none changes anything."""

import re

from fastapi import APIRouter, FastAPI, Response
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from view_reader import PREFIX, ROUTES

from rerank_airflow.ui.access import LOGIN
from rerank_airflow.ui.app import build


def addresses(app: FastAPI) -> list[tuple[str, str]]:
    """(method, path) of every route of an app, with something in the place of its parameters."""
    found = []
    for route in app.routes:
        path = re.sub(r"\{[^}]*\}", "ui.css", route.path)
        found += [(method, path) for method in sorted(getattr(route, "methods", None) or {"GET"})]
    return found


def unguarded(app: FastAPI) -> list[str]:
    """Paths of an app that do not stand behind the login, by asking for each and by looking at each."""
    asked = TestClient(app, follow_redirects=False)
    open_to_all = {path for method, path in addresses(app) if asked.request(method, path).status_code != 401}
    without = {
        route.path
        for route in app.routes
        if not isinstance(route, APIRoute)
        or LOGIN not in {each.call for each in route.dependant.dependencies}
    }
    return sorted(open_to_all | without)


def test_every_route_asks_for_the_login(airflow, settings):
    app = build()
    assert sorted({path for _, path in addresses(app)}) == sorted(ROUTES)
    assert unguarded(app) == []


def test_a_route_without_the_login_is_found(airflow, settings):
    app = build()
    app.mount("/files", FastAPI())
    app.add_route("/plain", lambda request: Response())
    bare = FastAPI()
    bare.include_router(APIRouter())
    bare.add_api_route("/open", lambda: "everyone", methods=["GET"])
    assert unguarded(app) == ["/files", "/plain"]
    assert set(unguarded(bare)) == {"/open", "/docs", "/docs/oauth2-redirect", "/openapi.json", "/redoc"}


def test_mounted_in_airflow_every_route_is_closed_to_strangers(anonymous):
    for path in ROUTES:
        answer = anonymous.get(f"{PREFIX}{path}")
        assert (answer.status_code, "You are not logged in" in answer.text) == (401, True), path
    for path in ("/openapi.json", "/docs", "/redoc", "/static", "/static/"):
        assert anonymous.get(f"{PREFIX}{path}").status_code in {401, 404}, path
    assert anonymous.get(f"{PREFIX}/rankings", headers={"Authorization": "Bearer nonsense"}).status_code in {
        401,
        403,
    }


def test_the_cookie_of_airflows_login_opens_the_pages(airflow, settings, token):
    from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN

    client = TestClient(airflow, cookies={COOKIE_NAME_JWT_TOKEN: token("admin")})
    assert client.get(f"{PREFIX}/rankings").status_code == 200


def test_a_user_without_access_to_plugins_is_refused(airflow, settings, token, monkeypatch):
    from airflow.api_fastapi.app import get_auth_manager

    monkeypatch.setattr(type(get_auth_manager()), "is_authorized_view", lambda *_, **__: False)
    client = TestClient(
        airflow, headers={"Authorization": f"Bearer {token('viewer')}"}, follow_redirects=False
    )
    for method, path in addresses(build()):
        assert client.request(method, f"{PREFIX}{path}").status_code == 403, path


def test_a_pipeline_whose_dag_may_not_be_read_is_neither_shown_nor_named(
    airflow, settings, token, monkeypatch
):
    from airflow.api_fastapi.app import get_auth_manager

    monkeypatch.setattr(
        type(get_auth_manager()),
        "is_authorized_dag",
        lambda self, *, method, details, user, **_: method == "GET" and details.id == "rank_new_articles",
    )
    client = TestClient(airflow, headers={"Authorization": f"Bearer {token('viewer')}"})
    page = client.get(f"{PREFIX}/rankings")
    assert (page.status_code, "shadow" in page.text) == (200, False)
    for path in (
        "/rankings",
        "/runs",
        "/health",
        "/compare",
        "/preview?slug=ai-policy",
        "/article?id=x",
        "/topic?slug=x",
        "/run?run_id=1",
    ):
        joined = f"{PREFIX}{path}{'&' if '?' in path else '?'}pipeline=shadow"
        assert client.get(joined).status_code == 403, path
    assert client.get(f"{PREFIX}/compare", params={"other": "shadow"}).status_code == 403
    monkeypatch.setattr(type(get_auth_manager()), "is_authorized_dag", lambda *_, **__: False)
    wanted = {"slug": "x", "id": "x", "run_id": "1"}
    pages = {path for _, path in addresses(build())} - {"/", "/static/ui.css", "/dag-run"}
    assert len(pages) >= 7
    for path in pages:  # every route but the way to the first page, the style, and:
        assert client.get(f"{PREFIX}{path}", params=wanted).status_code == 403, path
    # In its tab a dag run that may not be read looks like one that ranks nothing.
    tabs = [
        client.get(f"{PREFIX}/dag-run", params={"dag_id": name, "dag_run_id": "manual"}).text.replace(
            name, ""
        )
        for name in ("rank_new_articles", "another")
    ]
    assert tabs[0] == tabs[1]


def test_nothing_can_be_changed(airflow, settings):
    assert {method for method, _ in addresses(build())} <= {"GET", "HEAD"}
