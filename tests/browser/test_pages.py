"""The pages in a real browser, inside a real Airflow: they are found, they work, they hold, and anybody can read them."""

import re
from pathlib import Path
from urllib.parse import quote

import newsrooms
import pages
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import FrameLocator, Locator, Page, expect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PAGES = (
    "/rankings",
    "/rankings?q=energy",
    "/topic?slug=ai-policy",
    "/compare?slug=ai-policy",
    "/runs",
    "/run?run_id=2",
    "/health",
    "/feedback",
    "/preview?slug=floods",
    "/scorers",
    "/article?id=zh-0033",
    "/rankings?pipeline=gated",
    "/health?pipeline=gated",
    "/runs?pipeline=gated",
    "/rankings?pipeline=empty",
    "/rankings?publication=999999",
)
PHONE = {"viewport": {"width": 390, "height": 780}}
README = {"viewport": {"width": 1180, "height": 700}}


def frame(page: Page, title: str) -> FrameLocator:
    """What stands in Airflow's frame for one of our views."""
    return page.frame_locator(f'iframe[title="{title}"]')


def wide(page: Page) -> bool:
    """Whether the page is wider than the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


def some(links: Locator, count: int) -> list[str]:
    """Where about so many of these links lead."""
    found = links.evaluate_all("found => found.map(each => each.href)")
    return list(found[:: max(1, len(found) // count)])


# ── Through Airflow ─────────────────────────────────────────────────────────────────────────────


def test_a_stranger_gets_401_and_a_sentence(browser, site):
    context = browser.new_context()
    page = context.new_page()
    for path in (*PAGES, "/run?run_id=1", "/static/ui.css", "/rankings"):
        answer = page.goto(site.page(path))
        assert answer is not None
        assert answer.status == 401, path
    expect(page.locator("h1")).to_have_text("You are not logged in")
    context.close()


def test_each_page_is_found_from_airflows_navigation(visit, site, shots):
    page = visit(**README).open(site.url)
    page.locator("[data-testid=nav-sidebar]").get_by_text("Rankings", exact=True).click()
    inside = frame(page, "Rankings")
    expect(inside.locator(".topic").first).to_be_visible()
    page.wait_for_timeout(500)
    page.screenshot(path=shots / "airflow-rankings.png")
    for name, shown in (
        ("Compare", "Mean overlap"),
        ("Runs", "Candidates"),
        ("Health", "Scores by topic"),
        ("Preview", "Try a topic"),
    ):
        inside.get_by_role("link", name=name, exact=True).click()
        expect(inside.get_by_text(shown).first).to_be_visible()
        assert page.url.startswith(f"{site.url}/plugin/rankings")
    inside.get_by_role("link", name="Rankings", exact=True).click()
    expect(inside.locator(".topic").first).to_be_visible()
    page.reload()
    expect(inside.locator(".topic").first).to_be_visible()  # the address of a page can be kept

    page.get_by_role("button", name="Browse").click()
    page.get_by_text("Ranking health").click()
    expect(frame(page, "Ranking health").get_by_text("Scores by topic")).to_be_visible()
    page.wait_for_timeout(500)
    page.screenshot(path=shots / "airflow-health.png")


def test_a_topic_is_followed_to_an_article(visit, site, shots):
    page = visit().open(f"{site.url}/plugin/rankings")
    inside = frame(page, "Rankings")
    inside.get_by_role("link", name="ai-policy").click()
    expect(inside.locator("h1")).to_contain_text("ai-policy")
    title = inside.locator("tbody .title").first
    said = title.inner_text()
    title.click()
    expect(inside.locator("h1")).to_have_text(said)
    expect(inside.get_by_text("As the model reads it")).to_be_visible()
    letters = inside.get_by_text(re.compile(r"Letters of title, summary and body: [\d,]+ in, [\d,]+ out"))
    letters.scroll_into_view_if_needed()
    expect(letters).to_be_visible()
    page.screenshot(path=shots / "airflow-article.png")
    expect(inside.locator("tr", has_text="ai-policy").locator(".why")).to_contain_text("half-life")
    inside.get_by_role("link", name="ai-policy").first.click()
    expect(inside.locator("h1")).to_contain_text("ai-policy")


def test_a_topic_is_tried_before_it_is_applied(visit, site, shots):
    page = visit(viewport={"width": 1180, "height": 900}).open(site.page("/preview"))
    page.select_option("#slug", "ai-policy")
    expect(page.locator("h2").first).to_contain_text("as it is stored", timeout=60_000)  # loads dictionaries
    text = page.locator("#text")
    text.fill(text.input_value().replace("top_k: 10", "top_k: 5\nmust_not: [iPhone]\nmin_score: -3"))
    page.get_by_role("button", name="Try it").click()
    expect(page.locator("h2").first).to_contain_text("differs from the stored version")
    expect(page.get_by_role("region", name="Filters")).to_contain_text("iPhone")
    expect(page.get_by_role("heading", name="Leaves (5)")).to_be_visible()
    page.screenshot(path=shots / "preview.png")
    text.fill("slug: ai-policy\ntop_k: 0")
    page.get_by_role("button", name="Try it").click()
    expect(page.locator(".note.bad")).to_contain_text("top_k 0 is not in 1..1000")
    expect(text).to_have_value("slug: ai-policy\ntop_k: 0")


def test_two_runs_are_compared(visit, site):
    page = visit().open(f"{site.url}/plugin/rankings")
    inside = frame(page, "Rankings")
    inside.get_by_role("link", name="Compare", exact=True).click()
    left = inside.locator("#left-publication")
    expect(left.locator("option")).to_have_count(4)
    left.select_option(index=3)
    inside.get_by_role("button", name="Compare").click()
    inside.get_by_role("region", name="Churn by topic").get_by_role("link").nth(2).click()
    expect(inside.locator(".side")).to_have_count(2)
    expect(inside.locator(".side .entered").first).to_have_text("only")


def test_a_degraded_run_is_seen_and_explained(visit, site, shots):
    page = visit(**README).open(f"{site.url}/plugin/rankings")
    inside = frame(page, "Rankings")
    inside.get_by_role("link", name="Runs", exact=True).click()
    expect(inside.locator(".state.degraded")).to_have_count(1)
    inside.locator("tr", has=inside.locator(".state.degraded")).get_by_role("link").first.click()
    expect(inside.locator(".note.bad")).to_contain_text("pairs have no score")
    page.wait_for_timeout(500)
    page.screenshot(path=shots / "airflow-degraded.png")
    inside.get_by_role("link", name="Its publication").click()
    expect(inside.locator(".note.bad")).to_contain_text("This publication is degraded")


def test_a_blocked_run_is_seen_with_its_check_and_what_to_do(visit, site, shots):
    page = visit(**README).open(f"{site.url}/plugin/rankings")
    inside = frame(page, "Rankings")
    inside.locator("#pipeline").select_option("gated")
    banner = inside.locator(".note.bad").first
    expect(banner).to_contain_text(
        re.compile(r"The gate blocks run \d+: spread: the [\d,]+ logits deviate by 0")
    )
    page.wait_for_timeout(500)
    page.screenshot(path=shots / "airflow-blocked-page.png")
    inside.locator(".note.bad a").click()
    expect(inside.locator("h1 .state")).to_have_text("blocked")
    expect(banner).to_contain_text("See whether the model")
    expect(banner).to_contain_text("rerank publish --approve")
    page.wait_for_timeout(500)
    page.screenshot(path=shots / "airflow-blocked-run.png")


def test_a_dag_run_has_its_run_as_a_tab(visit, site, shots):
    page = visit().open(f"{site.url}/dags/rank_new_articles/runs/{site.keys[3]}")
    page.get_by_role("link", name="Ranking run").click()
    inside = frame(page, "Ranking run")
    expect(inside.locator("h1")).to_contain_text("Run")
    expect(inside.locator(".key").first).to_have_text(site.keys[3])
    page.wait_for_timeout(500)
    page.screenshot(path=shots / "airflow-dag-run.png")
    inside.get_by_role("link", name="extract").click()  # its log
    page.wait_for_url(re.compile(r"/tasks/extract"))


def test_a_link_to_an_article_opens_a_window_without_an_opener(visit, site):
    visitor = visit()
    visitor.context.route(
        "https://news.example/**",
        lambda route: route.fulfill(
            body="<script>document.title = String(window.opener)</script>", content_type="text/html"
        ),
    )
    page = visitor.open(f"{site.url}/plugin/rankings")
    with visitor.context.expect_page() as opened:
        frame(page, "Rankings").locator("a.out").first.click()
    opened.value.wait_for_load_state()
    assert opened.value.url.startswith("https://news.example/")
    assert opened.value.title() == "null"


def test_the_theme_is_airflows(visit, site):
    visitor = visit()
    page = visitor.open(f"{site.url}/plugin/rankings")
    root = frame(page, "Rankings").locator("html")
    expect(root).to_have_attribute("data-theme", "light")
    page.evaluate("localStorage.setItem('theme', 'dark')")
    page.reload()
    expect(root).to_have_attribute("data-theme", "dark")


# ── By themselves ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("theme", "options"),
    [
        pytest.param("light", {}, id="light"),
        pytest.param("dark", {}, id="dark", marks=pytest.mark.long),
        pytest.param("light", PHONE, id="phone", marks=pytest.mark.long),
    ],
)
def test_anybody_can_read_them(visit, site, shots, theme, options):
    visitor = visit(theme=theme, **options)
    for path in PAGES:
        page = visitor.open(site.page(path))
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
        assert not wide(page), path
        name = "-".join([*re.findall(r"\w+", path), theme, *(["phone"] if options else [])])
        page.screenshot(path=shots / f"{name}.png", full_page=True)
        found = Axe().run(page)
        serious = [each for each in found.response["violations"] if each["impact"] in {"serious", "critical"}]
        assert not serious, (path, [(each["id"], each["nodes"][0]["html"]) for each in serious])
        page.close()
    assert (visitor.hits, visitor.refused) == ([], [])


def test_what_nobody_can_read_is_found(browser):
    page = browser.new_page()
    page.set_content("<main><img src=x><p style='color:#ccc;background:#fff'>pale words</p></main>")
    found = {each["id"] for each in Axe().run(page).response["violations"]}
    assert {"image-alt", "color-contrast"} <= found
    page.close()


def test_the_keyboard_is_enough(visit, site):
    page = visit().open(site.page("/rankings"))
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("[role=search] input[type=search]")).to_be_focused()
    page.keyboard.type("e")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("Search")
    page.get_by_role("link", name="Next ›").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".pager")).to_contain_text("51–")


def test_a_choice_takes_effect_at_once_and_works_without_scripts_too(visit, site):
    page = visit().open(site.page("/rankings"))
    page.select_option("#publication", index=2)
    expect(page.locator(".note", has_text="This is a past publication")).to_be_visible()
    plain = visit(java_script_enabled=False).open(site.page("/rankings"))
    plain.select_option("#publication", index=2)
    plain.locator(".bar form").first.get_by_role("button").click()
    expect(plain.locator(".note", has_text="This is a past publication")).to_be_visible()


def test_hostile_texts_execute_nothing_and_leave_the_layout_whole(visit, site, shots):
    visitor = visit()
    page = visitor.open(site.page("/runs?pipeline=hostile"))
    run = page.locator("tbody a").first.get_attribute("href")
    addresses = [f"{site.url}{run}"] + [
        site.page(f"{path}{'&' if '?' in path else '?'}pipeline=hostile")
        for path in (
            "/rankings",
            "/rankings?page=2",
            "/rankings?q=script",
            "/compare?slug=solar&other=news",
            "/health",
            "/topic?slug=solar",
            "/preview?slug=solar",
            "/preview?slug=hostile-1",
            "/topic?slug=solar&page=2",
            *(f"/topic?slug=hostile-{number}" for number in range(0, 22, 4)),
        )
    ]
    page.goto(site.page("/topic?slug=solar&pipeline=hostile"))
    addresses += some(page.locator("tbody .title"), 40)
    page.goto(site.page("/rankings?pipeline=hostile"))
    while True:  # every topic's query is on one of these
        addresses.append(page.url)
        addresses += some(page.locator(".topic a").filter(has_text="strange"), 1)
        following = page.get_by_role("link", name="Next ›")
        if not following.count():
            break
        following.click()
    for address in addresses:
        page.goto(address)
        page.mouse.move(500, 300)
        assert page.locator("body > header.top").count() == 1, address
        assert page.locator("body > main").count() == 1, address
        assert page.locator("body > *").count() == 3, address
        assert page.locator("script").count() == 2, address
        assert not wide(page), address
        expect(page.locator(".top nav a")).to_have_count(7)
    page.goto(site.page("/topic?slug=solar&pipeline=hostile"))
    page.screenshot(path=shots / "hostile.png", full_page=True)
    assert (visitor.hits, visitor.refused) == ([], [])


def test_hostile_text_that_is_executed_is_found(visit, site):
    visitor = visit()
    page = visitor.open("about:blank")
    page.set_content("<main><img src=x onerror=hit()></main>")
    page.wait_for_timeout(300)
    assert visitor.hits


def test_every_writing_runs_in_its_own_direction(visit, site):
    page = visit().open("about:blank")
    for number, direction in ((18, "rtl"), (19, "rtl"), (20, "ltr"), (17, "ltr")):
        text = newsrooms.HOSTILE[number]
        page.goto(site.page(f"/article?pipeline=hostile&id={quote(f'{number} {text}')}"))
        source = page.locator(".head .dim bdi").first
        expect(source).to_have_text(text)
        assert source.evaluate("found => getComputedStyle(found).direction") == direction


def test_the_screenshots_that_pages_show_are_small_pictures():
    names = [
        name
        for page in pages.all_pages()
        for name in re.findall(r"tests/browser/screenshots/([\w-]+)\.png\)", pages.read(page))
    ]
    shown = {path.stem for path in (Path(__file__).parent / "screenshots").glob("*.png")}
    assert set(names) == shown
    for name in names:
        picture = (Path(__file__).parent / "screenshots" / f"{name}.png").read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert len(picture) < 200_000, name
