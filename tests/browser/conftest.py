"""A real Airflow with the pages, and a headless Chromium that looks at them.

Screenshots are written where UI_SCREENSHOTS says, else to a temp folder that the report names.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

import newsrooms
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from sqlalchemy import create_engine, text

from rerank_core.demo.airflow import REPOSITORY, AirflowSandbox
from rerank_core.demo.airflow_environment import PASSWORD, USER
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.errors import RetryableError

DAG = "rank_new_articles"
ADVERSARIAL = REPOSITORY.parent / "shared" / "data" / "adversarial"
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Site:
    """Airflow with three pipelines, and the keys of the dag runs behind the first one."""

    airflow: AirflowSandbox
    keys: list[str]

    @property
    def url(self) -> str:
        return self.airflow.url

    def page(self, path: str) -> str:
        """Address of a page by itself, without Airflow around it."""
        return f"{self.url}/news-rerank{path}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Ends with the module: while it is open its event loop runs in this thread, and no other one can."""
    if not Path(CHROMIUM).exists():
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def site(
    browser: Browser,
    postgres: EmbeddedPostgres,
    airflow_database_url: str,
    _migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """Airflow's API server and DAG processor. Its dag runs are triggered here, and their runs made by the library."""
    folder = tmp_path_factory.mktemp("browser")
    (folder / "store").mkdir()
    news = postgres.create("news_of_browser", template=_migrated_template)
    with AirflowSandbox(
        home=folder / "airflow",
        database_url=airflow_database_url,
        environment={
            "RERANK_DATABASE_URL": news,
            "RERANK_STORE_URL": (folder / "store").as_uri(),
            "RERANK_AIRFLOW_PIPELINES": '{"news": {}, "shadow": {}, "hostile": {}, "gated": {}, "empty": {}}',
        },
    ) as airflow:
        airflow.start(("api-server", "dag-processor"))
        _wait(airflow)
        airflow.wait_dag(DAG)
        keys = [airflow.trigger(DAG) for _ in newsrooms.KEYS]
        engines, undo = newsrooms.installed_engines()
        room = newsrooms.sample_room(news, (folder / "store").as_uri(), engines, keys=keys)
        newsrooms.shadow_room(room)
        strings = newsrooms.adversarial_strings(ADVERSARIAL) if ADVERSARIAL.is_dir() else []
        newsrooms.hostile_room(room, strings)
        newsrooms.gated_room(room)
        undo()
        _finish_dag_runs(airflow_database_url)
        yield Site(airflow=airflow, keys=keys)
    postgres.drop("news_of_browser")


def _wait(airflow: AirflowSandbox) -> None:
    deadline = time.monotonic() + 90
    while True:
        airflow.check()
        try:
            airflow._call("GET", "/monitor/health", anonymous=True)
        except (OSError, HTTPException, RetryableError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _finish_dag_runs(url: str) -> None:
    """No scheduler runs here: leave the dag runs as it would have."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE task_instance SET state = CASE task_id WHEN 'degrade' THEN 'skipped' ELSE 'success' END,"
                " try_number = 1, start_date = now() - interval '1 min', duration = 2"
            )
        )
        connection.execute(text("UPDATE dag_run SET state = 'success', start_date = now(), end_date = now()"))
    engine.dispose()


@pytest.fixture(scope="module")
def cookies(browser: Browser, site: Site) -> list[Any]:
    """What Airflow's own login form gives to a browser."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(site.url)
    page.fill("input[name=username]", USER)
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-testid=nav-sidebar]")
    found = context.cookies()
    context.close()
    return found


@dataclass
class Visitor:
    """A browser's context that is logged in, and what went wrong in its pages."""

    context: BrowserContext
    hits: list[str] = field(default_factory=list)  # hostile code that was executed
    refused: list[str] = field(default_factory=list)  # what the content security policy had to stop

    def open(self, address: str) -> Page:
        page = self.context.new_page()
        page.on("console", lambda said: "Content Security" in said.text and self.refused.append(said.text))
        page.on("dialog", lambda dialog: (self.hits.append(dialog.message), dialog.dismiss()))
        page.goto(address)
        return page


@pytest.fixture
def visit(browser: Browser, cookies: list[Any]) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors; keywords are those of a browser's context."""
    contexts = []

    def made(*, theme: str = "light", **options: Any) -> Visitor:
        context = browser.new_context(
            **{"viewport": {"width": 1360, "height": 850}, "color_scheme": theme, **options}
        )
        context.set_default_timeout(15_000)
        context.add_cookies(cookies)
        visitor = Visitor(context)
        context.expose_binding("hit", lambda source: visitor.hits.append(source["page"].url))
        contexts.append(context)
        return visitor

    yield made
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go."""
    folder = Path(os.environ.get("UI_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


__all__ = ["DAG", "Site", "Visitor"]
