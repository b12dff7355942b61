"""The example of readers' events in a real browser: an impression is half of the row, on screen for one second."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from rerank_core.learning import events

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

EXAMPLE = Path(__file__).parents[1] / "examples" / "javascript" / "events.mjs"
ROW = (
    '<li data-run-id="7" data-topic="solar" data-rank="{0}" data-revision-id="{0}0"><a href="#{0}">story</a>'
    " <button data-hide>hide</button></li>"
)
PAGE = (
    "<!doctype html><style>body, ol {{ margin: 0; padding: 0 }} li {{ display: block; height: 200px }}</style><ol>{}</ol>"
    '<script type="module">import {{ watch }} from "/events.mjs"; watch(document.querySelectorAll("li"), "/events");'
    " window.ready = true</script>"
).format("".join(ROW.format(rank) for rank in range(1, 9)))


class Told(list[dict[str, Any]]):
    """The events that the server was told."""

    def ranks(self, event: str = "impression") -> list[int]:
        return sorted(each["rank"] for each in self if each["event"] == event)


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., tuple[Page, Told]]]:
    """Opens a page of eight rows of 200 pixels in a window of 510, with a script, and a clock that stands still."""
    told, script = Told(), [""]

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_script = self.path == "/events.mjs"
            self.send_response(200)
            self.send_header("Content-Type", "text/javascript" if is_script else "text/html")
            self.end_headers()
            self.wfile.write((script[0] if is_script else PAGE).encode())

        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    Thread(target=server.serve_forever, daemon=True).start()
    context = browser.new_context(viewport={"width": 400, "height": 510})
    context.set_default_timeout(15_000)

    def opened(change: Callable[[str], str] = str) -> tuple[Page, Told]:
        script[0] = change(EXAMPLE.read_text(encoding="utf-8"))
        page = context.new_page()
        page.clock.install(time=1_700_000_000)
        page.clock.pause_at(1_700_000_100)
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.wait_for_function("window.ready")
        settle(page)
        return page, told

    yield opened
    context.close()
    server.shutdown()
    server.server_close()


def settle(page: Page) -> None:
    """Two frames, by the browser's own clock: its observers have told by then what is on screen."""
    page.screenshot()
    page.screenshot()


def wait(page: Page, milliseconds: int) -> None:
    """Let the page's clock run, and its beacons arrive."""
    page.clock.run_for(milliseconds)
    page.evaluate("fetch('/')")


def test_half_of_a_row_for_a_second_is_an_impression_told_once(
    visit: Callable[..., tuple[Page, Told]],
) -> None:
    page, told = visit()
    wait(page, 990)
    assert told == []
    wait(page, 20)
    assert told.ranks() == [1, 2, 3]  # of the third, 110 pixels of 200
    page.evaluate("scrollTo(0, 80)")  # and now 190; of the fourth nothing
    settle(page)
    wait(page, 5000)
    assert told.ranks() == [1, 2, 3]


def test_what_is_scrolled_past_is_not_seen(visit: Callable[..., tuple[Page, Told]]) -> None:
    page, told = visit()
    wait(page, 1010)
    for place, milliseconds in ((500, 600), (1090, 2000)):
        page.evaluate(f"scrollTo(0, {place})")
        settle(page)
        wait(page, milliseconds)
    assert told.ranks() == [1, 2, 3, 6, 7, 8]  # the fourth and fifth were there for 600 ms


def test_what_is_opened_or_hidden_was_seen(visit: Callable[..., tuple[Page, Told]]) -> None:
    page, told = visit()
    for _ in range(2):
        page.locator("li a").nth(0).click()
    page.locator("li button").nth(1).click()
    page.locator("li").nth(2).click(position={"x": 300, "y": 90})
    wait(page, 10)
    assert (told.ranks("open"), told.ranks("hide"), told.ranks()) == ([1], [2], [1, 2])


def test_an_event_has_the_fields_of_an_event_and_nothing_about_the_reader(
    visit: Callable[..., tuple[Page, Told]],
) -> None:
    page, told = visit()
    wait(page, 1010)
    first = next(each for each in told if each["rank"] == 1)
    assert set(first) == set(events.FIELDS)
    assert (first["run_id"], first["topic"], first["revision_id"]) == (7, "solar", 10)
    assert first["time"].startswith("2023-11-14T22:")
    assert len({each["event_id"] for each in told}) == len(told)
    assert page.context.cookies() == []
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0


@pytest.mark.parametrize(
    ("control", "change"),
    [("any part of it", ("threshold: 0.5", "threshold: 0.01")), ("no time", ("1000, target", "0, target"))],
)
def test_control_another_definition_is_told_apart(
    visit: Callable[..., tuple[Page, Told]], control: str, change: tuple[str, str]
) -> None:
    page, told = visit(lambda script: script.replace(*change))
    page.evaluate("scrollTo(0, 130)")  # of the fourth row 40 pixels; of the first less than half
    settle(page)
    wait(page, 10 if control == "no time" else 1010)
    assert told.ranks() == ([2, 3] if control == "no time" else [1, 2, 3, 4])
