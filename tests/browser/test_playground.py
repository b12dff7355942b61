"""`rerank playground` with the demonstration checkpoint, driven as a person would."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from factories import make_topic
from playwright.sync_api import Browser, Page, expect

from rerank_core import pipeline
from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.extract.articles import load_articles
from rerank_core.settings import Settings
from rerank_core.storage import topics

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]

START_SECONDS = 600  # a machine that does much else at a time

WAIT = 60_000  # milliseconds
HOSTILE = (
    '<img src=x onerror="window.hit = 1"> **bold** [link](javascript:hit()) <script>window.hit = 1</script>'
)
PICTURED = (
    "The central bank left its interest rate unchanged and gave no date for its next decision.",
    "Bakeries in the old town open an hour later from Monday.",
    "article:bank-1",
    "An interest in birds: how the bank of the river became a central place for herons. " * 6,
)
ARTICLES = [
    {
        "id": "bank-1",
        "title": "Central bank cuts its key rate",
        "body": "The central bank decided to cut its interest rate.",
        "lang": "en",
    },
    {"id": "bread-1", "title": f"Bakery {HOSTILE}", "body": "Bread and cakes.", "lang": "en"},
]


@pytest.fixture(scope="module")
def url(
    postgres: EmbeddedPostgres, _migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The page, over a database with one topic and two prepared articles."""
    pytest.importorskip("gradio", reason="gradio is not installed (extra `playground`)")
    pytest.importorskip("vllm", reason="the engine is not installed (extra `cpu` or `gpu`)")
    folder = tmp_path_factory.mktemp("playground")
    database_url = postgres.create("news_of_playground", template=_migrated_template)
    settings = Settings.load(database_url=database_url, store_url=folder.as_uri())
    prepare(settings, folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = folder / "log"
    environment = {
        **os.environ,
        "RERANK_DATABASE_URL": database_url,
        "RERANK_KV_CACHE_GIB": "0.25",
        "RERANK_MAX_DOCUMENT_TOKENS": "96",
        "PYTHONUNBUFFERED": "1",
    }
    with log.open("wb") as stream:
        served = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from rerank_core.cli import main; main()",
                "playground",
                f"--port={port}",
            ],
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        give_up = time.monotonic() + START_SECONDS
        while not answers(f"http://127.0.0.1:{port}"):
            if served.poll() is not None or time.monotonic() > give_up:
                served.terminate()
                served.wait(60)
                pytest.fail(f"the page did not open:\n{log.read_text()[-4000:]}")
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}"
        served.terminate()
        served.wait(60)
    postgres.drop("news_of_playground")


def prepare(settings: Settings, folder: Path) -> None:
    resources = pipeline.Resources.of(settings)
    file = folder / "articles.jsonl"
    file.write_text("".join(json.dumps(article) + "\n" for article in ARTICLES))
    load_articles(resources.database, file)
    topic = make_topic(slug="rates", query="central bank interest rate decision")
    with resources.database.transaction() as connection:
        topics.apply(connection, settings.pipeline, [topic])
    run = pipeline.open_run(resources)
    for stage in ("extract", "prepare"):
        pipeline.run_stage(stage, resources=resources, run_id=run.run_id)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def page(url: str, browser: Browser) -> Iterator[Page]:
    """The page in a browser; it may ask nobody else, and say nothing that a browser calls an error."""
    context = browser.new_context(viewport={"width": 1200, "height": 1300})
    shown = context.new_page()
    asked: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    shown.set_default_timeout(WAIT)
    shown.goto(url)
    expect(shown.get_by_role("button", name="Score")).to_be_visible(timeout=WAIT)
    yield shown
    context.close()
    assert [one for one in asked if not one.startswith((url, "data:", "blob:"))] == []


def field(page: Page, name: str) -> Any:
    return page.locator(f"#{name} textarea, #{name} input").first


def cells(page: Page, count: int) -> list[list[str]]:
    """The rows of the table, as a reader sees them, once there are as many."""
    shown = page.locator("#order [role=row][data-index]")
    expect(shown).to_have_count(count, timeout=WAIT)
    return [[cell.strip() for cell in row.get_by_role("gridcell").all_inner_texts()] for row in shown.all()]


def press(page: Page) -> str:
    """Press the button; what the page says then."""
    page.get_by_role("button", name="Score").click()
    said = field(page, "said")
    expect(said).to_have_value(re.compile("texts?,|Not scored"), timeout=WAIT)
    return str(said.input_value())


def test_texts_and_articles_are_scored_against_a_topic(page: Page, shots: Path) -> None:
    page.locator("#topic input").click()
    page.get_by_role("option", name="rates").click()
    field(page, "text-1").fill(HOSTILE)
    field(page, "text-2").fill("article:bank-1")
    field(page, "text-3").fill("article: bread-1")
    field(page, "text-4").fill("The central bank kept its interest rate. " * 20)
    said = press(page)
    assert said.startswith("4 texts, ")
    assert "1 cut at the token limit" in said
    rows = cells(page, 4)
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    assert {row[1] for row in rows[:2]} == {"text 2", "text 4"}
    logits = [float(row[2]) for row in rows]
    assert logits == sorted(logits, reverse=True)
    assert all(0 <= float(row[3]) <= 1 for row in rows)
    cut = next(row for row in rows if row[1] == "text 4")
    assert re.fullmatch(r"first \d+ of 820 characters", cut[4])
    shown = next(row for row in rows if row[1] == "text 1")
    assert shown[6].startswith('<img src=x onerror="window.hit = 1"> **bold** [link](javascript:hit())')
    assert page.evaluate("window.hit") is None
    assert page.locator("#order img, #order strong, #order a").count() == 0
    page.screenshot(path=shots / "playground.png", full_page=True)


def test_a_query_of_ones_own_is_scored_and_errors_are_said_as_text(page: Page) -> None:
    assert press(page) == "Not scored: there is nothing to ask; choose a topic or type a query"
    field(page, "query").fill("央行下调存款准备金率")
    field(page, "text-1").fill(f"article:{HOSTILE}")
    page.get_by_role("button", name="Score").click()
    expect(field(page, "said")).to_have_value(re.compile("has no prepared text"), timeout=WAIT)
    assert "<img src=x" in field(page, "said").input_value()
    assert page.evaluate("window.hit") is None
    field(page, "text-1").fill("中国人民银行宣布下调存款准备金率")
    page.get_by_role("button", name="Score").click()
    expect(field(page, "said")).to_have_value(re.compile("^1 text, "), timeout=WAIT)
    assert float(cells(page, 1)[0][3]) > 0.5


def test_a_picture_for_the_readme_is_taken(page: Page, shots: Path) -> None:
    field(page, "query").fill("central bank interest rate decision")
    for number, text in enumerate(PICTURED, start=1):
        field(page, f"text-{number}").fill(text)
    assert press(page).startswith(f"{len(PICTURED)} texts, ")
    cells(page, len(PICTURED))
    page.evaluate("document.activeElement.blur()")
    page.set_viewport_size({"width": 1100, "height": 700})
    page.locator("#order").scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    page.screenshot(path=shots / "playground-readme.png", full_page=True)


def test_the_page_answers_to_its_own_name_only_and_sends_nothing_elsewhere(url: str) -> None:
    with urllib.request.urlopen(url, timeout=20) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert "connect-src 'self'" in policy
        assert "http:" not in policy
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    request = urllib.request.Request(url, headers={"Host": "attacker.example"})
    with pytest.raises(urllib.error.HTTPError, match="400") as refused:
        urllib.request.urlopen(request, timeout=20)
    refused.value.close()
    with urllib.request.urlopen(f"{url}/config", timeout=20) as answer:
        assert json.load(answer)["analytics_enabled"] is False
    with urllib.request.urlopen(f"{url}/gradio_api/info", timeout=20) as answer:
        assert json.load(answer)["named_endpoints"] == {}


def test_the_page_listens_on_this_machine_only(url: str) -> None:
    port = f"{int(url.rpartition(':')[2]):04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [line[1] for line in lines if line[3] == "0A" and line[1].endswith(f":{port}")]
    assert listening == [f"0100007F:{port}"]
