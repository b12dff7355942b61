"""`rerank changes` prints what is new in each topic since the page before."""

import json
import re
from pathlib import Path

from command_line import Ended, Rerank

LATER = [
    {
        "id": "en-3",
        "title": "Rates \x1b[31mrise\x1b[0m [bold]again[/bold]",
        "body": "The central bank raises its interest rate.",
    },
    {"id": "en-4", "title": "Central bank in the news", "body": "Central bank raises interest rate."},
]


def test_it_prints_what_entered_and_says_what_the_first_page_is(page: Rerank, tmp_path: Path) -> None:
    assert page("changes") == Ended(
        1, "", "rerank: pipeline news has no page yet; `rerank run` publishes one\n"
    )
    page("run", "--key", "first")
    first = page("changes")
    assert first.code == 0
    assert "this is the first page" in first.out
    (tmp_path / "later.jsonl").write_text("".join(json.dumps(article) + "\n" for article in LATER))
    page("articles", "load", str(tmp_path / "later.jsonl"))
    page("run", "--key", "second")
    shown = page("changes").out
    assert re.search(r"entered +\d +Central bank in the news", shown)
    assert "\x1b" not in shown
    assert re.search(
        r"page of run 2, version 1, since [\d: -]+ UTC: 4 entered, 0 left, \d rose, 0 fell\n", shown
    )
    only = page("changes", "rates", "--limit", "1").out
    assert "ai-chips" not in only
    assert "and 1 more; --limit shows more rows" in only
    assert "topic 'none' is neither on the page" in page("changes", "none").err
    page("run", "--key", "third")
    assert "nothing entered, left, rose or fell" in page("changes").out
    page("publish", "--rollback", "1", "--reason", "wrong")
    assert "a rollback took the page back to it" in page("changes").out
