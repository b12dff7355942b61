"""The example frontend in a real browser: it shows the page, harmlessly, to everybody, and follows it."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import newsrooms
import pytest
from axe_playwright_python.sync_playwright import Axe
from factories import Newsroom
from made_renditions import Renditions
from playwright.sync_api import Browser, Page, expect

from rerank_core.demo.postgres import EmbeddedPostgres
from rerank_core.frontends import json_pages, json_text, reader
from rerank_core.frontends.reader import Reader
from rerank_core.storage.rendition_names import rendition_path
from rerank_core.storage.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PHONE = {"width": 390, "height": 780}
HIT = "<img src=x onerror=hit()><script>hit()</script>"


@pytest.fixture(scope="module")
def room(
    browser: Browser,
    postgres: EmbeddedPostgres,
    _migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Newsroom]:
    """The sample's page, of which the last run has brought news, and one article is hostile wherever text can be."""
    store = tmp_path_factory.mktemp("store")
    url = postgres.create("news_of_example", template=_migrated_template)
    engines, undo = newsrooms.installed_engines()
    yield newsrooms.sample_room(url, store.as_uri(), engines)
    undo()
    postgres.drop("news_of_example")


@pytest.fixture(scope="module")
def address(room: Newsroom) -> Iterator[str]:
    server = Reader(0, Store(room.settings.store_url))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens the page; keywords are those of a browser's context. `page.hits`: hostile code that was executed."""
    contexts = []

    def opened(path: str = "", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1180, "height": 820}, **options})
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.hits = []  # type: ignore[attr-defined]
        page.expose_function("hit", lambda: page.hits.append(1))  # type: ignore[attr-defined]
        page.goto(address + path)
        page.locator("section").first.wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()


def root(room: Newsroom) -> Path:
    return Path(room.resources.store.full_path(""))


def latest(room: Newsroom) -> Any:
    return json.loads((root(room) / "news/latest.json").read_bytes())


def topic_file(room: Newsroom, topic: str) -> Path:
    return root(room) / latest(room)["topics"][topic]["page"]


def a_picture(room: Newsroom) -> str:
    """The path of a small picture that the store has, 640 pixels wide."""
    made = Renditions()
    path = made.picture(640, 360)
    room.resources.store.write_picture(path, made.files[path])
    return path


@pytest.fixture
def spoilt(room: Newsroom) -> Iterator[Callable[..., None]]:
    """Changes the topic file of `floods` and latest.json by a function each; all is right again afterwards."""

    def spoil(change: Callable[[Any], None], page: Callable[[Any], None] = lambda page: None) -> None:
        for file, work in ((topic_file(room, "floods"), change), (root(room) / "news/latest.json", page)):
            content = json.loads(file.read_bytes())
            work(content)
            file.write_bytes(json_text.to_json(content))

    yield spoil
    json_pages.repair(
        database=room.database, store=room.resources.store, settings=room.settings, rewrite=True
    )


def test_it_shows_each_topic_as_the_view_has_it(room: Newsroom, visit: Callable[..., Page]) -> None:
    page = visit()
    expect(page.locator("section")).to_have_count(len(latest(room)["topics"]))
    section = page.locator("#topic-floods")
    section.get_by_role("button", name="Show all").click()
    titles = section.locator("ol h3").all_inner_texts()
    assert titles == [row.title for row in room.ranking("floods")]
    assert section.get_by_role("button").get_attribute("aria-expanded") == "true"
    expect(section.get_by_role("button")).to_be_focused()
    section.get_by_role("button", name="Show fewer").click()
    expect(section.locator("ol > li.row:visible")).to_have_count(5)


def test_what_is_new_is_marked_and_can_be_seen_alone(room: Newsroom, visit: Callable[..., Page]) -> None:
    entered = room.sql(
        "SELECT topic, article_id FROM rerank.recent_change WHERE is_current AND change = 'entered'"
    )
    assert entered
    page = visit()
    assert page.locator(".mark.new").count() == len(entered)
    page.get_by_role("checkbox").check()
    expect(page.locator("li.row:visible")).to_have_count(len(entered))
    expect(page.locator("section:visible")).to_have_count(len({row.topic for row in entered}))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [{"width": 1180, "height": 820}, PHONE], ids=["desk", "phone"])
def test_everybody_can_read_it(
    visit: Callable[..., Page], spoilt: Callable[..., None], shots: Path, scheme: str, size: Any
) -> None:
    def degrade(file: Any) -> None:
        file["state"] = "degraded"
        for article in file["articles"][2:]:
            article |= {"ranked_by": "bm25", "logit": None}

    spoilt(degrade, lambda page: page.update(degraded=True, overdue_since=page["as_of"]))
    page = visit(color_scheme=scheme, viewport=size)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    expect(page.locator("#notice")).to_contain_text("degraded")
    expect(page.locator("#notice")).to_contain_text("has been due since")
    floods = page.locator("#topic-floods")
    expect(floods.locator(".head .mark")).to_have_text("degraded")
    expect(floods.locator("li.block")).to_contain_text("not scored yet")
    floods.scroll_into_view_if_needed()
    page.screenshot(path=shots / f"example-{scheme}-{size['width']}.png")


def test_no_text_becomes_markup_and_no_link_but_http_is_one(
    visit: Callable[..., Page], spoilt: Callable[..., None]
) -> None:
    urls = [
        "javascript:hit()",
        " JaVaScRiPt:hit()",
        "data:text/html,<script>hit()</script>",
        "//x.example/",
        "vbscript:x",
    ]

    def attack(file: Any) -> None:
        for number, article in enumerate(file["articles"]):
            article |= {
                "title": HIT,
                "source": HIT,
                "lang": '"><b>',
                "url": [*urls, "https://x.example/?a=<>"][number % 6],
            }
        file["query"] = HIT
        file["changes"] = [
            {
                "change": "left",
                "article_id": "x",
                "title": HIT,
                "url": urls[0],
                "rank_before": 1,
                "rank_now": None,
            }
        ]

    spoilt(attack)
    page = visit()
    section = page.locator("#topic-floods")
    section.get_by_role("button", name="Show all").click()
    section.get_by_text("left since").click()
    assert section.locator("img, script, b").count() == 0
    assert HIT in section.locator("h3").first.inner_text()
    links = section.locator("ol a").evaluate_all("links => links.map(link => link.href)")
    assert links
    assert set(links) == {"https://x.example/?a=%3C%3E"}
    page.wait_for_timeout(300)
    assert page.hits == []  # type: ignore[attr-defined]


def test_a_row_shows_its_first_picture_from_the_store_and_takes_no_other_address(
    room: Newsroom, visit: Callable[..., Page], spoilt: Callable[..., None]
) -> None:
    path = a_picture(room)
    gone = rendition_path("0" * 64, is_clip=False)

    def illustrate(file: Any) -> None:
        for article, pictures in zip(
            file["articles"], ([path, gone], ["https://x.example/a.jpg"], ["../x.jpg"], []), strict=False
        ):
            article |= {"pictures": pictures, "captions": [f"Water {HIT}"] * len(pictures)}

    spoilt(illustrate)
    page = visit()
    (shown,) = page.locator("#topic-floods img").all()
    shown.scroll_into_view_if_needed()
    expect(shown).to_have_js_property("complete", True)
    expect(shown).to_have_js_property("naturalWidth", 640)
    expect(shown).to_have_attribute("src", re.compile(f"/{path}$"))
    assert shown.get_attribute("alt") == f"Water {HIT}"
    assert page.hits == []  # type: ignore[attr-defined]


def test_control_a_page_that_takes_text_as_markup_is_hit(
    visit: Callable[..., Page], spoilt: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    careless = reader.PAGE.read_text(encoding="utf-8").replace(
        "made.append(...children.filter((child) => child != null));",
        "for (const child of children) if (child != null) typeof child === 'string' ? made.insertAdjacentHTML('beforeend', child) : made.append(child);",
    )
    (tmp_path / "index.html").write_text(careless, encoding="utf-8")
    monkeypatch.setattr(reader, "PAGE", tmp_path / "index.html")
    spoilt(lambda file: file["articles"][0].update(title=HIT))
    page = visit()
    page.wait_for_timeout(500)
    assert page.hits or page.locator("#topic-floods img").count()  # type: ignore[attr-defined]


def test_it_follows_the_page_and_says_when_it_cannot(room: Newsroom, visit: Callable[..., Page]) -> None:
    page = visit()
    before = page.locator("#identity").inner_text()
    room.add("Rivers flood again", body="floods river dam " * 20)
    room.run("later")
    page.evaluate("look()")
    expect(page.locator("#identity")).not_to_have_text(before)
    expect(page.locator("#identity")).to_contain_text(f"publication {latest(room)['publication_id']}")
    page.context.set_offline(True)
    page.evaluate("look()")
    expect(page.locator("#notice")).to_contain_text("may be old")
    expect(page.locator("section").first).to_be_visible()


class TestServer:
    """What `make ui` serves beside Airflow: what readers may have, and nothing else of the store."""

    def get(self, browser: Browser, address: str, path: str, **headers: str) -> Any:
        context = browser.new_context()
        answer = context.request.get(address + path, headers=headers)
        found = (answer.status, answer.headers, answer.body())
        context.close()
        return found

    def test_a_feed_has_an_address_that_stays(self, room: Newsroom, browser: Browser, address: str) -> None:
        entry = latest(room)["topics"]["floods"]
        for path, key, kind in (
            ("feeds/floods.atom.xml", "atom", "application/atom+xml; charset=utf-8"),
            ("feeds/floods.feed.json", "json_feed", "application/feed+json; charset=utf-8"),
        ):
            status, headers, body = self.get(browser, address, path)
            assert (status, headers["content-type"]) == (200, kind)
            assert body == (root(room) / entry[key]).read_bytes()
            again, _, nothing = self.get(browser, address, path, **{"If-None-Match": headers["etag"]})
            assert (again, nothing) == (304, b"")

    def test_a_small_picture_is_served_as_what_it_is(
        self, room: Newsroom, browser: Browser, address: str
    ) -> None:
        path = a_picture(room)
        status, headers, body = self.get(browser, address, path)
        assert (status, headers["content-type"], headers["x-content-type-options"]) == (
            200,
            "image/jpeg",
            "nosniff",
        )
        assert body == (root(room) / path).read_bytes()
        assert self.get(browser, address, rendition_path("0" * 64, is_clip=False))[0] == 404

    def test_nothing_else_of_the_store_is_served(
        self, room: Newsroom, browser: Browser, address: str
    ) -> None:
        hidden = latest(room)["parquet_path"]
        assert (root(room) / hidden).exists()
        for path in (
            hidden,
            "news/",
            "news/pages/",
            "..%2f..%2fetc/passwd",
            "feeds/nothing.atom.xml",
            "news/runs/",
            "x",
        ):
            assert self.get(browser, address, path)[0] == 404, path
