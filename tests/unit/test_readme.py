"""README is short, plain and true: a newcomer has ten minutes."""

import json
import re
from pathlib import Path

import pages
import pytest

ROOT = pages.ROOT
PAGE = ROOT / "README.md"
README = pages.read(PAGE)
PROSE = pages.prose(PAGE)
SAMPLE = ROOT / "rerank_core" / "demo" / "sample"
PLAIN = [
    ROOT / name
    for name in (
        "README.md",
        "rerank_core/README.md",
        "rerank_core/SETTINGS.md",
        "sql/README.md",
        "tests/README.md",
        "dags/README.md",
        "deploy/README.md",
        "plugins/README.md",
        "rerank_core/prepare/README.md",
        "rerank_core/recall/README.md",
        "rerank_core/models/README.md",
        "rerank_core/evaluation/README.md",
        "rerank_core/frontends/README.md",
    )
]
MOST_LINES, MOST_WORDS, LONG, MOST_LONG = 270, 3_200, 30, 0.03


def section(title: str) -> str:
    """The text below a heading of README, up to the next one of its kind."""
    assert f"\n## {title}\n" in README, title
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def share_of_long(page: Path) -> float:
    """Share of a page's sentences that have more than 30 words."""
    found = pages.sentences(page)
    return sum(pages.words_of(one) > LONG for one in found) / len(found)


def test_the_readme_takes_ten_minutes() -> None:
    assert README.count("\n") <= MOST_LINES
    assert len(README.split()) <= MOST_WORDS


def test_the_first_screen_shows_the_first_command_and_what_it_prints() -> None:
    command, printed, *_ = pages.blocks(PAGE)
    assert command.text.startswith("make demo ")
    assert command.line < printed.line <= 25


@pytest.mark.parametrize("page", PLAIN, ids=lambda page: str(page.relative_to(ROOT)))
def test_few_sentences_of_a_page_are_long(page: Path) -> None:
    assert len(pages.sentences(page)) > 20
    assert share_of_long(page) < MOST_LONG


def test_control_a_long_sentence_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Head\n\nShort. {'word ' * 31}end.\nOne more\nhere.\n\n- {'item ' * 31}\n- two\n")
    assert share_of_long(page) == pytest.approx(2 / 5)


def test_the_readme_has_what_a_newcomer_looks_for_in_order() -> None:
    assert re.findall(r"^## (.+)$", PROSE, re.MULTILINE) == [
        "The two commands",
        "What you can rely on",
        "The flow",
        "Install on your own Airflow",
        "Rerun, backfill, rescore",
        "Reading the page",
        "Why it is built this way",
        "Who reads what",
    ]
    install = section("Install on your own Airflow")
    commands = install.partition("```sh\n")[2].partition("```")[0].splitlines()
    assert len(re.findall(r"^\d+\. \*\*", install, re.MULTILINE)) == len(commands) == 8
    assert len(re.findall(r"^- \*\*", section("Why it is built this way"), re.MULTILINE)) == 8
    assert "| rerun yesterday 14:00 |" in section("Rerun, backfill, rescore")
    assert PROSE.count("![") == 1


def test_what_the_demo_is_said_to_print_agrees_with_the_sample() -> None:
    shown = pages.blocks(PAGE)[1].text
    rows = {}
    for name in ("articles", "more_articles"):
        lines = (SAMPLE / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        rows[name] = [json.loads(line) for line in lines]
        assert f"articles claimed {len(rows[name])} · " in shown
    ranked = re.findall(r"^ +\d+ +[+-]\d\.\d\d +new +(?:\d+ d )?\d+ \w+ +(.+?)  +(.+)$", shown, re.MULTILINE)
    assert len(ranked) == 3
    for source, title in ranked:
        assert any(
            row["title"].startswith(title.removesuffix("…"))
            and row["source"] == re.sub(r" \+\d+$", "", source)
            for row in rows["articles"]
        ), title
    assert 12 <= shown.count("\n") <= 18


def test_the_number_of_packages_is_about_that_of_the_lock_file() -> None:
    lock = (ROOT / "requirements-cpu.lock").read_text(encoding="utf-8")
    packages = len(re.findall(r"^[a-z]", lock, re.MULTILINE))
    assert "about 300 packages" in README
    assert packages == pytest.approx(300, rel=0.1)
