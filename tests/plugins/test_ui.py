"""The pages, asked for over HTTP from Airflow's own app: who gets in, what is escaped, what is shown when something is missing."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import newsrooms
import pytest
from fastapi import APIRouter, FastAPI, Response
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

import rerank_airflow
from rerank_airflow.ui import articles, charts, compare, render, runs
from rerank_airflow.ui.access import LOGIN
from rerank_airflow.ui.app import build
from rerank_core.observe.history_records import TopicOrder

PREFIX = "/news-rerank"


@pytest.fixture(scope="module")
def news(postgres, _migrated_template, tmp_path_factory) -> Iterator[Any]:
    """Four pipelines with a history."""
    store = tmp_path_factory.mktemp("store")
    url = postgres.create("news_of_test_ui", template=_migrated_template)
    engines, undo = newsrooms.installed_engines()
    room = newsrooms.sample_room(url, store.as_uri(), engines)
    shadow = newsrooms.shadow_room(room)
    hostile = newsrooms.hostile_room(room)
    gated = newsrooms.gated_room(room)
    undo()
    yield SimpleNamespace(room=room, shadow=shadow, hostile=hostile, gated=gated, url=url, store=store)
    postgres.drop("news_of_test_ui")


@pytest.fixture(scope="module")
def airflow(metadata) -> Iterator[FastAPI]:
    """Airflow's API server with the plugin, in this process."""
    from airflow.api_fastapi.app import create_app, purge_cached_app

    purge_cached_app()
    yield create_app(apps="core")
    purge_cached_app()


@pytest.fixture
def settings(news, monkeypatch) -> None:
    monkeypatch.setenv("RERANK_DATABASE_URL", news.url)
    monkeypatch.setenv("RERANK_STORE_URL", news.store.as_uri())
    monkeypatch.setenv(
        "RERANK_AIRFLOW_PIPELINES", '{"news": {}, "shadow": {}, "hostile": {}, "gated": {}, "empty": {}}'
    )


def token(role: str) -> str:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    return get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="someone", role=role))


@pytest.fixture
def anonymous(airflow, settings) -> TestClient:
    return TestClient(airflow, follow_redirects=False)


@pytest.fixture
def client(airflow, settings) -> TestClient:
    """A user who may see everything."""
    return TestClient(airflow, headers={"Authorization": f"Bearer {token('admin')}"}, follow_redirects=False)


@pytest.fixture
def get(client):
    """The text of a page, asked for by path and query."""

    def got(path: str, *, status: int = 200, **query: Any) -> str:
        answer = client.get(f"{PREFIX}{path}", params=query or None)
        assert answer.status_code == status, Reader(answer.text).text[-600:]
        return answer.text

    return got


# ── Who gets in ─────────────────────────────────────────────────────────────────────────────────


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


ROUTES = (
    "/",
    "/article",
    "/compare",
    "/dag-run",
    "/health",
    "/parquet",
    "/rankings",
    "/run",
    "/runs",
    "/static/ui.css",
    "/topic",
)


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


def test_the_cookie_of_airflows_login_opens_the_pages(airflow, settings):
    from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN

    client = TestClient(airflow, cookies={COOKIE_NAME_JWT_TOKEN: token("admin")})
    assert client.get(f"{PREFIX}/rankings").status_code == 200


def test_a_user_without_access_to_plugins_is_refused(airflow, settings, monkeypatch):
    from airflow.api_fastapi.app import get_auth_manager

    monkeypatch.setattr(type(get_auth_manager()), "is_authorized_view", lambda *_, **__: False)
    client = TestClient(
        airflow, headers={"Authorization": f"Bearer {token('viewer')}"}, follow_redirects=False
    )
    for method, path in addresses(build()):
        assert client.request(method, f"{PREFIX}{path}").status_code == 403, path


def test_a_pipeline_whose_dag_may_not_be_read_is_neither_shown_nor_named(airflow, settings, monkeypatch):
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


# ── What an answer may do ───────────────────────────────────────────────────────────────────────


class Reader(HTMLParser):
    """What a browser would find in a page: tags, attributes, links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


OUR_TAGS = set(
    "html head meta title link script body a header nav div form input select option button main h1 h2 h3 section span time b"
    " p ul ol li table thead tbody tr th td abbr bdi label dl dt dd code pre figure figcaption svg line text rect polyline"
    " circle polygon details summary fieldset legend".split()
)


def offences(text: str) -> list[str]:
    """What a page has that ours never have."""
    wrong = []
    for tag, attributes in Reader(text).tags:
        if tag not in OUR_TAGS:
            wrong.append(f"<{tag}>")
        wrong += [
            f"{tag} {name}" for name in attributes if name.startswith("on") or name in {"style", "srcdoc"}
        ]
        if tag == "script" and not (attributes.get("src") or "").startswith(f"{PREFIX}/static/"):
            wrong.append("script of its own")
        for name in ("href", "src", "action"):
            address = attributes.get(name)
            if address and not address.startswith(("/", "http://", "https://", "#")):
                wrong.append(f"{tag} {name}={address}")
        if attributes.get("target") == "_blank" and "noopener" not in (attributes.get("rel") or ""):
            wrong.append("a window with an opener")
        if tag == "a" and (attributes.get("href") or "").startswith("http") and not attributes.get("rel"):
            wrong.append("a link out without rel")
    return wrong


def every_page(client: TestClient, news: Any, pipeline: str) -> dict[str, str]:
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
        ("/compare", {"slug": "<script>hit()</script>"}),
        ("/runs", {}),
        ("/run", {"run_id": run_id}),
        ("/health", {}),
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
    for address, text in every_page(client, news, pipeline).items():
        assert offences(text) == [], address


def test_a_text_that_becomes_markup_is_found(client, news, monkeypatch):
    monkeypatch.setattr(render.environment(), "autoescape", False)
    render.environment().cache.clear()
    try:
        found = [each for text in every_page(client, news, "hostile").values() for each in offences(text)]
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


# ── What the pages say ──────────────────────────────────────────────────────────────────────────


def test_rankings_show_each_topic_with_its_state_and_first_articles(get, news):
    text = Reader(get("/rankings")).text
    for row in news.room.sql(
        "SELECT topic, title FROM rerank.current_ranking WHERE pipeline = 'news' AND rank <= 3"
    ):
        assert row.topic in text
        assert row.title in text


def test_a_topic_shows_every_row_in_order_with_its_score(get, news):
    page = get("/topic", slug="ai-policy")
    rows = [row for row in news.room.ranking("ai-policy") if row.pipeline == "news"]
    shown = re.findall(r"class=\"title\" href=\"[^\"]*[?&;]id=([^\"&]*)", page)
    assert shown == [row.article_id for row in rows]
    assert all(render.logit(row.logit) in page for row in rows if row.logit is not None)


def test_rows_tell_how_they_moved_since_the_run_before(get, news):
    moved = {"entered": 0, "up": 0, "down": 0}
    for row in news.room.sql(
        "WITH placed AS (SELECT r.key, slug, article_id, rank FROM rerank.ranking"
        " JOIN rerank.publication USING (publication_id) JOIN rerank.run r USING (run_id) WHERE r.pipeline = 'news')"
        " SELECT slug, count(*) FILTER (WHERE b.rank IS NULL) AS entered, count(*) FILTER (WHERE b.rank > a.rank) AS up,"
        " count(*) FILTER (WHERE b.rank < a.rank) AS down FROM (SELECT * FROM placed WHERE key = :after) a"
        " LEFT JOIN (SELECT * FROM placed WHERE key = :before) b USING (slug, article_id) GROUP BY slug",
        before=newsrooms.KEYS[2],
        after=newsrooms.KEYS[3],
    ):
        text = get("/topic", slug=row.slug)
        for name in moved:
            assert text.count(f'class="{name}"') == getattr(row, name), (row.slug, name)
            moved[name] += getattr(row, name)
    assert moved["entered"]
    assert moved["down"]


@pytest.mark.parametrize(
    ("before", "known", "said"),
    [(5, {"t"}, "▲up 3"), (1, {"t"}, "▼down 1"), (2, {"t"}, "="), (None, {"t"}, "new"), (None, set(), "·")],
)
def test_a_change_of_rank_is_told_with_its_direction(before, known, said):
    parts = render.environment().get_template("parts.html").module
    row = SimpleNamespace(slug="t", rank=2, rank_before=before)
    assert Reader(str(parts.change(row, known))).text.strip() == said


def test_search_finds_titles_sources_and_topics_in_every_case(get):
    assert "Reserve" in Reader(get("/rankings", q="federal RESERVE")).text
    assert "Northline Wire" in get("/rankings", q="northline")
    assert "No ranked article" in get("/rankings", q="zxqj")
    assert "No ranked article" in get("/rankings", q="%")  # no pattern


def test_a_language_can_be_chosen(get):
    text = get("/rankings", lang="zh")
    assert 'class="wide">zh</td>' in text
    assert 'class="wide">en</td>' not in text


def test_time_travel_shows_a_past_page_and_says_so(get, news):
    room = news.room
    first = room.value("SELECT min(publication_id) FROM rerank.publication WHERE pipeline = 'news'")
    text = get("/rankings", publication=first)
    assert "This is a past page" in text
    assert f"publication={first}" in text  # links stay in the past
    assert "This is a past page" not in get("/rankings")
    moved = room.sql("SELECT moved_at FROM rerank.pointer_move WHERE pipeline = 'news' ORDER BY 1")
    at = (moved[0][0] + (moved[1][0] - moved[0][0]) / 2).astimezone(UTC).replace(tzinfo=None)
    assert "This is a past page" in get("/rankings", at=at.isoformat())
    assert "Nothing was published yet" in get("/rankings", at="2001-01-01T00:00", status=404)
    assert "is no time" in get("/rankings", at="yesterday", status=422)
    get("/rankings", at="0001-01-01T00:00:00+14:00", status=422)


def test_a_blocked_article_is_not_shown_on_any_page_of_its_topic(get, news):
    room = news.room
    article = next(row for row in room.ranking("ai-policy") if row.pipeline == "news")
    assert article.title in get("/topic", slug="ai-policy")
    room.sql(
        "INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', :id, 'test')",
        id=article.article_id,
    )
    try:
        for query in ({}, {"publication": article.publication_id}):
            assert f"id={article.article_id}" not in get("/topic", slug="ai-policy", **query)
        assert "Not shown to readers" in get("/article", id=article.article_id)
    finally:
        room.sql("DELETE FROM rerank.block")


def test_the_run_page_shows_the_funnel_the_degradation_and_the_resumed_work(get, news):
    room = news.room
    run_id, missing, candidates = room.sql(
        "SELECT r.run_id, sum(t.missing), sum(t.candidates) FROM rerank.run r JOIN rerank.publication p USING (run_id)"
        " JOIN rerank.ranking_topic t USING (publication_id) WHERE r.pipeline = 'news' AND r.key = :key GROUP BY 1",
        key=newsrooms.KEYS[1],
    )[0]
    page = get("/run", run_id=run_id)
    text = re.sub(r"\s+", " ", Reader(page).text)
    assert f"Degraded: {missing} of {candidates} pairs have no score" in text
    assert "degraded" in text
    assert "its last try did not come to its end" in text
    assert re.search(rf"Candidates {candidates} ", text)
    path = room.value("SELECT parquet_path FROM rerank.publication WHERE run_id = :r", r=run_id)
    assert f"{news.store}/{path}" in text


def test_every_step_of_the_funnel_adds_up(get, news):
    from rerank_core.observe import history

    with history.reading(news.room.database) as connection:
        for row in history.list_runs(connection, pipeline="news", limit=10):
            recorded = history.metrics(connection, run_ids=[row.run_id])[row.run_id]
            source = history.source_counts(connection, run_id=row.run_id)
            for step in runs.funnel(row, source, recorded):
                assert step.total == sum(count for _, count, _ in step.parts), (row.run_id, step.name)


def test_the_parquet_file_of_a_publication_can_be_downloaded(client, get, news):
    from pyarrow import BufferReader
    from pyarrow.parquet import read_table

    run_id = news.room.value("SELECT max(run_id) FROM rerank.run WHERE pipeline = 'news'")
    address = re.search(r'data-top href="([^"]*/parquet[^"]*)"', get("/run", run_id=run_id))
    assert address is not None
    answer = client.get(address[1].replace("&amp;", "&"))
    table = read_table(BufferReader(answer.content))
    assert set(table.column("run_id").to_pylist()) == {run_id}
    assert answer.headers["content-disposition"].startswith('attachment; filename="')


def test_a_parquet_file_that_is_withdrawn_gone_or_of_another_pipeline_is_not_given(get, news):
    publication_id, path = news.room.sql(
        "SELECT publication_id, parquet_path FROM rerank.publication WHERE pipeline = 'news' ORDER BY publication_id LIMIT 1"
    )[0]
    get("/parquet", status=404, pipeline="shadow", publication=publication_id)
    news.room.sql(
        "UPDATE rerank.publication SET withdrawn_at = now() WHERE publication_id = :id", id=publication_id
    )
    assert "was forgotten since" in get("/parquet", status=404, publication=publication_id)
    news.room.sql(
        "UPDATE rerank.publication SET withdrawn_at = NULL WHERE publication_id = :id", id=publication_id
    )
    file = news.store / path
    content = file.read_bytes()
    file.unlink()
    assert "past retention" in get("/parquet", status=404, publication=publication_id)
    file.write_bytes(content)


def test_no_page_shows_the_stores_credentials(get, news, monkeypatch):
    run_id = news.room.value("SELECT max(run_id) FROM rerank.run WHERE pipeline = 'news'")
    monkeypatch.setenv("RERANK_STORE_URL", "s3://key:sesame@bucket/news?region=eu-west-1")
    page = get("/run", run_id=run_id)
    assert "s3://bucket/news/news/rankings/" in page
    assert "sesame" not in page


@pytest.fixture
def blocked(news) -> Any:
    """The blocked run of the pipeline gated: its number and the gate's sentence."""
    return news.gated.sql("SELECT run_id, sentence FROM rerank.gate WHERE verdict = 'blocked'")[0]


@pytest.mark.parametrize("page", ["/rankings", "/topic?slug=ai-policy", "/run?run_id={}", "/health"])
def test_a_blocked_run_is_told_with_its_check_and_the_way_to_approve_it(get, blocked, page):
    path = page.format(blocked.run_id)
    said = Reader(get(path + ("&" if "?" in path else "?") + "pipeline=gated")).text
    assert re.search(r"spread: the \d+ logits deviate by 0, less than 0.001", said)
    assert f"rerank publish --approve {blocked.run_id} --pipeline gated --reason" in said
    assert "See whether the model, its files and its precision are those that you mean" in said  # what to do


def test_a_blocked_run_is_marked_in_the_lists_and_its_scores_as_distrusted(get, blocked):
    assert 'class="state blocked"' in get("/runs", pipeline="gated")
    said = Reader(get("/run", pipeline="gated", run_id=blocked.run_id)).text
    assert "distrusted" in said
    assert "mean logit +0.25" in said  # what it made can still be looked at


def test_an_article_whose_score_is_distrusted_says_so(get, news, blocked):
    article_id = news.gated.value(
        "SELECT article_id FROM rerank.current_ranking WHERE pipeline = 'gated' AND ranked_by = 'bm25' LIMIT 1"
    )
    said = Reader(get("/article", pipeline="gated", id=article_id)).text
    assert f"its score by run {blocked.run_id} counts for nothing" in said


def test_an_approved_run_tells_who_approved_it_and_why(get, news, blocked):
    from rerank_core import pipeline

    page = news.gated.value("SELECT publication_id FROM rerank.pointer WHERE pipeline = 'gated'")
    pipeline.approve(
        news.gated.resources, run_id=blocked.run_id, reason="<b>all</b> the same", actor="ada (Airflow)"
    )
    try:
        said = get("/run", pipeline="gated", run_id=blocked.run_id)
        assert "ada (Airflow) approved it" in Reader(said).text
        assert "&lt;b&gt;all&lt;/b&gt; the same" in said
        assert (
            "The gate had blocked this version"
            in Reader(get("/rankings", pipeline="gated", publication=page)).text
        )
        assert "--approve" not in get("/rankings", pipeline="gated")
    finally:  # as it was, for the other tests
        news.gated.sql(
            "WITH back AS (DELETE FROM rerank.pair_score WHERE run_id = :id RETURNING *)"
            " INSERT INTO rerank.score_aside (aside_for, month, document_id, query_id, scorer_id, logit, truncated, run_id, shard,"
            " latency_ms, engine, device, scored_at) SELECT run_id, month, document_id, query_id, scorer_id, logit, truncated,"
            " run_id, shard, latency_ms, engine, device, scored_at FROM back",
            id=blocked.run_id,
        )
        news.gated.sql("DELETE FROM rerank.gate WHERE verdict = 'approved'")
        news.gated.sql("UPDATE rerank.pointer SET publication_id = :page WHERE pipeline = 'gated'", page=page)


def test_drift_is_drawn_over_the_runs_and_told_where_logits_have_shifted(get, news):
    run_id = news.room.value("SELECT max(run_id) FROM rerank.run WHERE pipeline = 'news'")
    assert "Drift: the logits" not in get("/health")
    news.room.sql(
        "INSERT INTO rerank.run_metric (run_id, stage, name, value) VALUES (:id, 'observe', 'drift_psi', 0.31)"
        " ON CONFLICT (run_id, stage, name) DO UPDATE SET value = 0.31",
        id=run_id,
    )
    news.room.sql(
        "UPDATE rerank.run_topic SET psi = 0.12 WHERE run_id = :id AND slug = 'ai-policy'", id=run_id
    )
    page = get("/health")
    assert f"Drift: the logits of run {run_id} (0.31)" in re.sub(r"\s+", " ", Reader(page).text)
    assert "PSI 0.310" in page  # a point of the chart
    row = next(part for part in page.split("<tr>") if "slug=ai-policy" in part)
    assert "0.12" in row
    news.room.sql("DELETE FROM rerank.run_metric WHERE run_id = :id AND name = 'drift_psi'", id=run_id)


def test_a_run_that_is_not_published_yet_has_a_page(get, news):
    run = news.room.tuned(pipeline="empty").open("not-yet")
    try:
        assert "Nothing published yet" in get("/run", pipeline="empty", run_id=run.run_id)
        assert "open" in get("/runs", pipeline="empty")
    finally:
        news.room.sql("DELETE FROM rerank.run WHERE run_id = :r", r=run.run_id)


def test_quarantine_names_the_reason_and_the_article(get, news):
    run_id = news.room.value("SELECT max(run_id) FROM rerank.run WHERE pipeline = 'news'")
    text = get("/run", run_id=run_id)
    assert "no letter or digit" in text
    assert "told to refuse it" in text


def test_health_shows_every_published_run_and_marks_the_degraded(get, news):
    page = get("/health")
    text = re.sub(r"\s+", " ", Reader(page).text)
    assert "1 of 4 runs degraded" in text
    assert page.count('class="chart"') == 8
    assert "shifted from 0.25 on– no run had 500 new scores, with as many before it, to tell" in text
    assert re.search(r"Latency of a pair ?p50 [\d.]+ p99 [\d.]+ ms", text)
    observed = news.room.value(
        "SELECT value FROM rerank.run_metric m JOIN rerank.run r USING (run_id) WHERE r.pipeline = 'news'"
        " AND stage = 'observe' AND name = 'latency_ms_p99' ORDER BY run_id LIMIT 1"
    )
    assert f"{observed:,.1f}" in text


def test_comparing_tells_who_came_went_and_moved(get, news):
    page = get("/compare", slug="ai-policy")
    text = Reader(page).text
    assert "Mean overlap" in text
    assert page.count('class="side"') == 2
    across = get("/compare", other="shadow", pipeline="news")
    assert "shadow" in across
    same = news.room.value("SELECT publication_id FROM rerank.pointer WHERE pipeline = 'news'")
    itself = Reader(get("/compare", publication=same, against=same)).text
    assert "Both sides are the same page" in itself
    assert "100.0 %" in itself


def test_churn_counts_by_hand():
    before = TopicOrder("t", "full", ["a", "b", "c", "d"])
    after = TopicOrder("t", "partial", ["b", "a", "e"])
    found = compare.churn("t", before, after)
    assert (found.kept, found.wanted, found.entered, found.gone, found.moved) == (2, 4, 1, 2, 1.0)
    assert found.overlap == 0.5
    gone = compare.churn("t", before, None)
    assert (gone.kept, gone.gone, gone.entered, gone.moved, gone.right_state) == (0, 4, 0, None, None)
    assert compare.churn("t", TopicOrder("t", "abstained", []), None).overlap is None


def test_an_article_says_where_it_stands_and_why(get, news):
    row = next(row for row in news.room.ranking("ai-policy") if row.pipeline == "news")
    text = re.sub(r"\s+", " ", Reader(get("/article", id=row.article_id)).text)
    assert row.title in text
    assert f"logit {render.logit(row.logit)} less" in text
    assert "As the model reads it" in text


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        ({"rank": 3, "ranked_by": "bm25"}, "not scored yet"),
        (
            {"rank": 1, "ranked_by": "model", "logit": 2.0, "rank_score": 1.0},
            "less 1.00 for 24 h of age at a half-life of 24 h",
        ),
        ({"refused": "too long"}, "refused it: too long"),
        ({}, "never among its candidates"),
        ({"languages": ["zh"]}, "takes zh only"),
        ({"logit": -2.0, "min_score": 0.0}, "below the topic's least logit, +0.00"),
        ({"logit": 1.0, "last_rank_score": 2.0}, "outranked: +0.31 after decay"),
        ({"logit": 9.0, "last_rank_score": 2.0}, "not among the documents"),
        (
            {"rank": 4, "ranked_by": "bm25", "distrusted": 9},
            "by run 9 counts for nothing: the gate blocks that run; it follows",
        ),
        ({"distrusted": 9}, "its score by run 9 counts for nothing"),
    ],
)
def test_why_an_article_stands_where_it_does(standing, said):
    now = datetime(2026, 3, 1, tzinfo=UTC)
    values = dict.fromkeys(
        ("rank", "ranked_by", "logit", "rank_score", "refused", "distrusted", "min_score", "last_rank_score")
    )
    revision = SimpleNamespace(began_at=now - timedelta(hours=24), hidden=None, document_lang="en")
    one = SimpleNamespace(**{**values, "languages": [], "half_life_hours": 24.0, **standing})
    assert said in articles.why(one, revision, as_of=now)


def test_near_copies_are_named_with_the_row_that_stands_for_them(news, get):
    """The sample's three prints of one plan: two near-copies of zh-0001."""
    row = news.room.sql(
        "SELECT article_id, topic, copies, copy_sources FROM rerank.current_ranking"
        " WHERE pipeline = 'news' AND article_id = 'zh-0001' LIMIT 1"
    )[0]
    assert row.copies == 3
    assert f'title="{", ".join(row.copy_sources)}">3</td>' in get("/topic", slug=row.topic)
    text = re.sub(r"\s+", " ", Reader(get("/article", id="zh-0072")).text)
    assert "Other articles with this text or a near-copy of it" in text
    assert text.count("a near-copy") >= 3
    assert "shown as another article of its cluster" in get("/article", id="zh-0072")


# ── When something is missing ───────────────────────────────────────────────────────────────────


def test_a_pipeline_without_a_page_says_what_to_do(get):
    for path in ("/rankings", "/runs", "/health", "/compare", "/topic?slug=x"):
        joined = f"{path}{'&' if '?' in path else '?'}pipeline=empty"
        text = get(joined)
        assert "RERANK_PIPELINE=empty rerank topics apply" in text, path
        assert "/dags/rank_new_articles_empty" in text


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/topic?slug=nothing", 404, "has no topic nothing"),
        ("/article?id=nothing", 404, "never claimed an article nothing"),
        ("/run?run_id=999999", 404, "has no run 999999"),
        ("/rankings?publication=999999", 404, "has no publication 999999"),
        ("/rankings?pipeline=nothing", 404, "There is no pipeline nothing"),
        ("/rankings?page=0", 422, "page"),
        ("/rankings?page=99999999999999999999", 422, "page"),
        ("/run?run_id=x", 422, "run_id"),
        ("/rankings?pipeline=%3Cscript%3E", 422, "pipeline"),
        ("/nowhere", 404, "There is no such page"),
    ],
)
def test_what_does_not_exist_is_said(get, path, status, said):
    assert said in Reader(get(path, status=status)).text


def test_from_an_error_one_gets_back_to_the_pipelines_rankings(get, anonymous):
    assert f'href="{PREFIX}/rankings?pipeline=shadow"' in get("/run", pipeline="shadow", run_id=1, status=404)
    assert f'href="{PREFIX}/rankings"' in get("/rankings", pipeline="nothing", status=404)
    assert 'href="/">Log in to Airflow' in anonymous.get(f"{PREFIX}/rankings").text


def test_what_does_not_exist_is_said_where_the_pipelines_settings_are_wrong(monkeypatch):
    monkeypatch.setenv("RERANK_AIRFLOW_PIPELINES", "nonsense")
    answer = TestClient(build()).get("/nowhere?pipeline=shadow")
    assert (answer.status_code, "There is no such page" in answer.text) == (404, True)


def test_a_page_beyond_the_last_is_empty_and_no_error(get):
    for path in ("/rankings", "/topic?slug=ai-policy", "/runs", "/health", "/compare"):
        get(f"{path}{'&' if '?' in path else '?'}page=5000")


def test_nul_and_lone_surrogates_in_an_address_do_no_harm(client):
    for path in (
        "/rankings?q=%00",
        "/article?id=a%00b",
        "/topic?slug=%00",
        "/rankings?q=%ED%A0%80",
        "/rankings?lang=%00",
    ):
        assert client.get(f"{PREFIX}{path}").status_code in {200, 404, 422}, path


def test_a_database_that_is_away_or_empty_is_named_with_what_to_do(client, get, monkeypatch, postgres, news):
    monkeypatch.setenv("RERANK_DATABASE_URL", "postgresql+psycopg2://postgres:secret@127.0.0.1:9/news")
    text = get("/rankings", status=503)
    assert "does not answer" in text
    assert "secret" not in text
    monkeypatch.setenv("RERANK_DATABASE_URL", postgres.create("empty_of_test_ui"))
    assert "rerank db upgrade" in get("/rankings", status=503)
    news.room.sql("CREATE ROLE stranger LOGIN")
    monkeypatch.setenv("RERANK_DATABASE_URL", news.url.replace("postgres:@", "stranger:@"))
    assert "may not read the schema" in get("/rankings", status=503)
    news.room.sql("DROP ROLE stranger")
    monkeypatch.setenv("RERANK_DATABASE_URL", "mysql://nonsense")
    assert "RERANK_DATABASE_URL" in get("/rankings", status=503)


def test_a_statement_that_takes_too_long_is_ended(news, monkeypatch):
    from rerank_core.errors import DatabaseUnavailable
    from rerank_core.observe import history

    monkeypatch.setattr(history, "STATEMENT_SECONDS", 0.05)
    with pytest.raises(DatabaseUnavailable), history.reading(news.room.database) as connection:
        connection.exec_driver_sql("SELECT pg_sleep(5)")


# ── In Airflow ──────────────────────────────────────────────────────────────────────────────────


def test_a_dag_run_leads_to_its_run_and_the_run_to_its_dag_runs(client, news, monkeypatch):
    from airflow.models.dagrun import DagRun

    from rerank_airflow.ui import dag_runs

    monkeypatch.setattr(dag_runs, "key_of", lambda session, *, dag_id, dag_run_id: newsrooms.KEYS[0])
    answer = client.get(
        f"{PREFIX}/dag-run", params={"dag_id": "rank_new_articles", "dag_run_id": "manual__1"}
    )
    run_id = news.room.value("SELECT min(run_id) FROM rerank.run WHERE pipeline = 'news'")
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"{PREFIX}/run?pipeline=news&run_id={run_id}",
    )
    assert DagRun.partition_date is not None


def test_a_dag_run_that_is_no_run_says_so(get):
    assert "does not rank news" in get("/dag-run", dag_id="another_dag", dag_run_id="x")
    assert "has no run yet" in get("/dag-run", dag_id="rank_new_articles", dag_run_id="never")


def test_loading_the_plugin_loads_neither_the_pages_nor_a_database_driver():
    script = (
        "import sys; before = set(sys.modules); import rerank_airflow.rerank_plugin;"
        "print(sorted(name for name in set(sys.modules) - before if name.startswith(('rerank_airflow.ui', 'rerank_core'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(Path(rerank_airflow.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_airflow_lists_the_views_and_they_lead_to_pages(client, get):
    from rerank_airflow import views

    listed = client.get("/api/v2/plugins").json()["plugins"]
    plugin = next(each for each in listed if each["name"] == "news_rerank")
    assert {view["destination"] for view in plugin["external_views"]} == {"nav", "dag_run"}
    for view in views.EXTERNAL_VIEWS:
        for address in (view["href"], view["icon"], view["icon_dark_mode"]):
            path = address.replace("{DAG_ID}", "another_dag").replace("{RUN_ID}", "x")
            assert client.get(f"/{path}").status_code == 200, address


# ── Charts ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [(0, 10, [0, 5, 10]), (0, 0, [0, 0.5, 1.0]), (-3, 7, [-5, 0, 5, 10]), (0, 0.07, [0, 0.025, 0.05, 0.075])],
)
def test_ticks_are_round_and_cover_the_values(low, high, found):
    assert charts.ticks(low, high) == pytest.approx(found)


def test_a_chart_leaves_a_gap_where_a_run_has_no_value():
    drawn = charts.lines("t", [charts.Line("x", [1.0, 2.0, None, 3.0, 4.0])], labels=list("abcde"))
    assert drawn.count("<polyline") == 2
    assert drawn.count("<circle") == 4
    assert "no run has recorded" in charts.lines("t", [charts.Line("x", [None])], labels=["a"])


def test_a_name_in_a_chart_is_escaped():
    drawn = charts.lines("<b>", [charts.Line("<i>", [1.0, 2.0])], labels=["<u>", "<s>"], marked=[True, False])
    assert not re.search(r"<(b|i|u|s)>", drawn)
    assert "<b>" not in charts.stack([("<b>", 1, "good")])


def test_a_limit_is_drawn_and_has_its_place_on_the_scale():
    calm = charts.lines("t", [charts.Line("x", [0.01, 0.02])], labels=["a", "b"], limit=0.25)
    assert calm.count('class="limit"') == 1
    assert ">0.3<" in calm
    assert 'class="limit"' not in charts.lines("t", [charts.Line("x", [0.01, 0.02])], labels=["a", "b"])


def test_numbers_below_zero_have_one_sign_everywhere():
    drawn = charts.lines("t", [charts.Line("x", [-3000.0, -2.5])], labels=["a", "b"], from_zero=False)
    assert "−3k" in drawn
    assert "x −2.5" in drawn
    assert render.number(-3.25, 2) == "−3.25"


def test_what_stands_in_backticks_becomes_code_and_nothing_else_markup():
    assert render.in_code("see `<b>` & go") == "see <code>&lt;b&gt;</code> &amp; go"
