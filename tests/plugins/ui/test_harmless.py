"""What an answer may do: no text becomes markup, and the headers allow nothing but the app's own files."""

from typing import Any
from urllib.parse import urlencode

import pytest
from fastapi.testclient import TestClient
from view_reader import PREFIX, Reader, offences

from rerank_airflow.ui import render


def every_view(client: TestClient, news: Any, pipeline: str) -> dict[str, str]:
    """One address of each kind, for a pipeline that has a publication."""
    room = news.room
    run_id = room.value("SELECT max(run_id) FROM rerank.run WHERE pipeline = :p", p=pipeline)
    slugs = [
        row[0]
        for row in room.sql(
            "SELECT slug FROM rerank.topic WHERE pipeline = :p ORDER BY 1 LIMIT 3", p=pipeline
        )
    ]
    ids = [
        row[0]
        for row in room.sql(
            "SELECT DISTINCT article_id FROM rerank.revision WHERE pipeline = :p ORDER BY 1 LIMIT 60",
            p=pipeline,
        )
    ]
    wanted = [
        ("/rankings", {}),
        ("/rankings", {"page": 2}),
        ("/rankings", {"q": "solar"}),
        ("/rankings", {"q": '"><script>hit()</script>'}),
        ("/rankings", {"lang": 'en"><script>hit()</script>'}),
        *(("/topic", {"slug": slug}) for slug in slugs),
        ("/compare", {"slug": slugs[0]}),
        ("/compare", {"other": "news"}),
        ("/scorers", {}),
        ("/compare", {"slug": "<script>hit()</script>"}),
        ("/runs", {}),
        ("/run", {"run_id": run_id}),
        ("/health", {}),
        ("/feedback", {}),
        ("/preview", {}),
        *(("/preview", {"slug": slug}) for slug in slugs),
        (
            "/preview",
            {"text": 'slug: x\nquery: "</textarea><script>hit()</script> solar"\nmust_not: ["<img src=x>"]'},
        ),
        ("/preview", {"text": "</textarea><script>hit()</script>: ["}),
        *(("/article", {"id": each}) for each in ids),
    ]
    found = {}
    for path, query in wanted:
        answer = client.get(f"{PREFIX}{path}", params={"pipeline": pipeline, **query})
        assert answer.status_code == 200, (path, query, answer.text)
        found[f"{path}?{urlencode(query)}"] = answer.text
    return found


@pytest.mark.parametrize("pipeline", ["news", "hostile"])
def test_no_text_becomes_markup_on_any_page(client, news, pipeline):
    for address, text in every_view(client, news, pipeline).items():
        assert offences(text) == [], address


def test_a_text_that_becomes_markup_is_found(client, news, monkeypatch):
    monkeypatch.setattr(render.environment(), "autoescape", False)
    render.environment().cache.clear()
    try:
        found = [each for text in every_view(client, news, "hostile").values() for each in offences(text)]
    finally:
        render.environment().cache.clear()
    assert {"<img>", "<iframe>", "script of its own"} <= set(found)
    assert any(each.split()[-1].startswith("on") for each in found)


def test_hostile_texts_are_shown_as_they_are(get):
    shown = Reader(get("/topic", pipeline="hostile", slug="solar")).text
    assert "<script>hit()</script>" in shown
    assert "{{ 7 * 7 }}" in shown
    assert "49" not in shown.split("{{ 7 * 7 }}")[1][:20]


@pytest.mark.parametrize(
    ("value", "linked"),
    [
        ("https://example.org/a?b=c#d", True),
        ("http://例子.example/路径", True),
        ("HTTPS://example.org", True),
        ("javascript:hit()", False),
        (" javascript:hit()", False),
        ("java\nscript:hit()", False),
        ("data:text/html,x", False),
        ("//example.org/x", False),
        ("/relative", False),
        ("https:", False),
        ("http://[", False),
        ("", False),
        (None, False),
    ],
)
def test_only_addresses_of_web_pages_become_links(value, linked):
    assert (render.web_address(value) == value) is (linked or value is None)
    assert (render.web_address(value) is not None) is linked


@pytest.mark.parametrize(
    "path", ["/rankings", "/rankings?page=zero", "/nowhere", "/static/ui.css", "/static/none", "/"]
)
def test_every_answer_has_the_headers_that_keep_it_harmless(client, anonymous, path):
    for asked in (client, anonymous):
        headers = asked.get(f"{PREFIX}{path}").headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'self'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
    assert "no-store" in client.get(f"{PREFIX}/rankings").headers["cache-control"]


def test_no_file_outside_of_its_folder_is_served(client):
    for name in ("..%2Fapp.py", "%2e%2e/app.py", "app.py", "....//app.py", "ui.css%00"):
        assert client.get(f"{PREFIX}/static/{name}").status_code == 404


def test_what_stands_in_backticks_becomes_code_and_nothing_else_markup():
    assert render.in_code("see `<b>` & go") == "see <code>&lt;b&gt;</code> &amp; go"
