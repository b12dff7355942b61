"""README's pictures: the sample, ranked by the real engine, the pages in a real Airflow. Nothing in them is made up.

    .venv/bin/python tests/browser/readme_pictures.py pages     # five minutes on two cores
    .venv/bin/python tests/browser/readme_pictures.py eval      # two minutes; prints the tables, too
    .venv/bin/python tests/browser/readme_pictures.py reader    # a minute; the example frontend
    .venv/bin/python tests/browser/readme_pictures.py editor    # two minutes; what an editor moved

The pages show six runs: two good ones, of which the second makes enough scores for a drift; one whose scoring deadline comes
soon, so that its page is degraded; one that heals it; one with a threshold that nothing reaches, which the gate blocks; and a
good one.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import FrameLocator, Page, sync_playwright

from rerank_core.demo.__main__ import DAG, SAMPLE, start
from rerank_core.demo.airflow_environment import PASSWORD, USER
from rerank_core.demo.show import Teller
from rerank_core.demo.sitting import CommandFailed, Sitting
from rerank_core.storage.database import Database

PICTURES = Path(__file__).parent / "screenshots"
SIZE = {"width": 1180, "height": 700}
COLOURS = 128  # of a picture: small, and nothing is lost that an eye would see


def pages(sitting: Sitting, teller: Teller) -> None:
    """Make the history, then look at it."""
    start(teller, sitting, fresh=True)
    articles = lines("articles.jsonl")
    later = lines("more_articles.jsonl")
    arrive(sitting, articles[:100])
    dag_run(sitting)
    arrive(sitting, articles[100:])
    dag_run(sitting)
    arrive(sitting, later[:5])
    with environment(RERANK_SCORING_MINUTES="0.01"):
        sitting.rerank("run", "--key", "late")
    dag_run(sitting)
    with environment(RERANK_MIN_SCORE="99"):
        try:
            sitting.rerank("run", "--key", "nothing-passes")
        except CommandFailed as error:
            teller.say(str(error).splitlines()[-1])
    arrive(sitting, later[5:])
    dag_run(sitting)
    take(sitting)


def lines(name: str) -> list[str]:
    """The articles of a file of the sample."""
    return (SAMPLE / name).read_text(encoding="utf-8").splitlines()


def arrive(sitting: Sitting, articles: list[str]) -> None:
    """Put these into the source, as if the newest had been published now."""
    file = sitting.folder / "arriving.jsonl"
    file.write_text("\n".join(articles) + "\n", encoding="utf-8")
    sitting.rerank("articles", "load", str(file), "--published-now")


def evaluation(sitting: Sitting, teller: Teller) -> None:
    """The sample's first run held against its judgements: the checkpoint beside BM25 and beside its own int8 copy."""
    int8 = sitting.folder / "int8"
    os.environ["RERANK_AIRFLOW_PIPELINES"] = json.dumps({"news": {}, "shadow": {"model": str(int8)}})
    sitting.start_databases(fresh=True)
    sitting.rerank("db", "upgrade")
    sitting.rerank("articles", "load", str(SAMPLE / "articles.jsonl"), "--published-now")
    sitting.rerank("scorer", "quantise", sitting.model, str(int8))
    for name in ("news", "shadow"):
        with environment(RERANK_PIPELINE=name):
            sitting.rerank("topics", "apply", str(SAMPLE / "topics.yaml"))
            sitting.rerank("run")
    qrels = ("eval", "--qrels", str(SAMPLE / "qrels.tsv"))
    teller.say(sitting.rerank(*qrels))
    teller.say(sitting.rerank(*qrels, "--against", "shadow", "--plot", str(PICTURES / "eval.png")))
    shrink(PICTURES / "eval.png")


def reader(sitting: Sitting, teller: Teller) -> None:
    """The example frontend, light, dark and on a phone: two runs, of which the second brings news."""
    sitting.start_databases(fresh=True)
    sitting.rerank("db", "upgrade")
    sitting.rerank("topics", "apply", str(SAMPLE / "topics.yaml"))
    for name in ("articles.jsonl", "more_articles.jsonl"):
        sitting.rerank("articles", "load", str(SAMPLE / name), "--published-now")
        sitting.rerank("run")
    teller.say(sitting.rerank("changes"))
    address = sitting.start_reader()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for name, theme, size in (
            ("reader", "light", {"width": 1180, "height": 820}),
            ("reader-dark", "dark", {"width": 1180, "height": 820}),
            ("reader-phone", "light", {"width": 390, "height": 820}),
        ):
            page = browser.new_context(viewport=size, color_scheme=theme, device_scale_factor=1).new_page()
            while page.goto(address) is None:
                page.wait_for_timeout(200)
            page.locator("section li").first.wait_for()
            shoot(page, name)
        browser.close()


def editor(sitting: Sitting, teller: Teller) -> None:
    """A topic after an editor has pinned, boosted and demoted an article of it, in Airflow."""
    start(teller, sitting, fresh=True)
    arrive(sitting, lines("articles.jsonl"))
    sitting.rerank("run")
    with Database(sitting.database_url).transaction(read_only=True) as connection:
        rows = connection.exec_driver_sql(
            "SELECT article_id FROM rerank.current_ranking WHERE topic = 'new-iphone' ORDER BY rank"
        ).fetchall()
    until = ("--topic", "new-iphone", "--until", "6h", "--reason")
    with environment(RERANK_ASKED_BY="lin"):
        sitting.rerank("pin", rows[4][0], "--place", "1", *until, "our own report of the launch")
        sitting.rerank("boost", rows[7][0], "--places", "3", *until, "the first picture of it")
        sitting.rerank("demote", rows[1][0], "--places", "3", *until, "an old angle")
    teller.say(sitting.rerank("run"))
    with opened(sitting) as (page, inside):
        inside.get_by_role("link", name="new-iphone", exact=True).first.click()
        inside.locator(".mark.hand").first.wait_for()
        shoot(page, "editor")


def dag_run(sitting: Sitting) -> None:
    """One dag run, to its good end."""
    key = sitting.airflow.trigger(DAG)
    state = sitting.airflow.wait_run(DAG, key, timeout_seconds=600)
    if state != "success":
        raise SystemExit(f"dag run {key} is {state}; the logs are in {sitting.logs}")


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """These variables, for the commands inside."""
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            del os.environ[name]


def take(sitting: Sitting) -> None:
    """The pictures, through Airflow's own navigation."""
    with Database(sitting.database_url).transaction(read_only=True) as connection:
        found = connection.exec_driver_sql("SELECT key, run_id FROM rerank.run").fetchall()
    runs = {row.key: str(row.run_id) for row in found}
    with opened(sitting) as (page, inside):
        shoot(page, "rankings")
        inside.get_by_role("link", name="Health", exact=True).click()
        inside.get_by_text("Scores by topic").wait_for()
        shoot(page, "health")
        inside.get_by_role("link", name="Preview", exact=True).click()
        inside.locator("#slug").select_option("ai-policy")
        text = inside.locator("#text")
        inside.get_by_text("as it is stored").wait_for(timeout=60_000)
        text.fill(text.input_value().replace("top_k: 10", "top_k: 5\nmust_not: [iPhone]\nmin_score: 0"))
        inside.get_by_role("button", name="Try it").click()
        inside.get_by_text("differs from the stored version").wait_for()
        shoot(page, "preview")
        for name, key in (("degraded", "late"), ("blocked", "nothing-passes")):
            inside.get_by_role("link", name="Runs", exact=True).first.click()
            inside.get_by_role("link", name=runs[key], exact=True).click()
            inside.get_by_text("Where everything went").wait_for()
            shoot(page, name)


@contextmanager
def opened(sitting: Sitting) -> Iterator[tuple[Page, FrameLocator]]:
    """Airflow's page with the view *Rankings* in it, and that view."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_context(viewport=SIZE, color_scheme="light").new_page()
        page.goto(sitting.airflow.url)
        page.fill("input[name=username]", USER)
        page.fill("input[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.locator("[data-testid=nav-sidebar]").get_by_text("Rankings", exact=True).click()
        inside = page.frame_locator('iframe[title="Rankings"]')
        inside.locator(".topic").first.wait_for()
        yield page, inside
        browser.close()


def shoot(page: Page, name: str) -> None:
    """One picture."""
    page.mouse.move(600, 690)
    page.wait_for_timeout(700)
    page.screenshot(path=PICTURES / f"{name}.png")
    shrink(PICTURES / f"{name}.png")


def shrink(file: Path) -> None:
    """As few bytes as do."""
    picture = Image.open(file).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(file, optimize=True)


def main() -> None:
    """One of the four, on a folder that is gone afterwards."""
    work = {"pages": pages, "eval": evaluation, "reader": reader, "editor": editor}[sys.argv[1]]
    os.environ["RERANK_FILL_FACTOR"] = "10"  # the default, which the demo lowers; drift needs 500 pairs
    with tempfile.TemporaryDirectory(prefix="rerank-pictures-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres runs as another user than root
        with Sitting(folder=folder, model=None, port=None, scheduled=False) as sitting:
            work(sitting, Teller())


if __name__ == "__main__":
    main()
