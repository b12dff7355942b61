"""What a view says if something is missing: no publication, no such address, no database."""

import pytest
from fastapi.testclient import TestClient
from view_reader import PREFIX, Reader

from rerank_airflow.ui.app import build


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
        ("/nowhere", 404, "There is no such view"),
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
    assert (answer.status_code, "There is no such view" in answer.text) == (404, True)


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


@pytest.mark.parametrize("path", ["/rankings", "/runs", "/health", "/article?id=a", "/parquet?publication=1"])
def test_an_error_names_no_host_and_no_user(get, monkeypatch, news, caplog, path):
    hidden = ("127.0.0.1", "newsreader", "sesame", "newsroom", "KEY")
    url = "postgresql+psycopg2://newsreader:sesame@127.0.0.1:9/newsroom"
    monkeypatch.setenv("RERANK_DATABASE_URL", url)
    said = get(path, status=503)
    assert "does not answer" in said
    assert not [word for word in hidden if word in said]
    assert "127.0.0.1" in caplog.text  # for whoever may read the server's log
    assert "sesame" not in caplog.text


def test_an_error_of_the_store_names_no_host_and_no_key(get, monkeypatch, news):
    publication_id = news.room.value(
        "SELECT min(publication_id) FROM rerank.publication WHERE pipeline = 'news'"
    )
    monkeypatch.setenv(
        "RERANK_STORE_URL", "s3://KEY:sesame@bucket/x?endpoint_override=127.0.0.1:9&scheme=http"
    )
    said = get("/parquet", status=503, publication=publication_id)
    assert "The store does not answer" in said
    assert not [word for word in ("127.0.0.1", "sesame", "KEY") if word in said]


def test_a_statement_that_the_database_refuses_shows_no_row(get, monkeypatch, news):
    from rerank_core.storage import database as db

    broken = {
        **db.statement_texts(),
        "history.publication": "SELECT CAST(:pipeline AS integer), :publication_id",
    }
    monkeypatch.setattr(db, "statement_texts", lambda: broken)
    db.statement.cache_clear()
    try:
        said = get("/rankings", status=503)
    finally:
        db.statement.cache_clear()
    assert "The news database refuses" in said
    assert "integer" not in said


def test_a_statement_that_takes_too_long_is_ended(news, monkeypatch):
    from rerank_core.errors import DatabaseUnavailable
    from rerank_core.observe import history

    monkeypatch.setattr(history, "STATEMENT_SECONDS", 0.05)
    with pytest.raises(DatabaseUnavailable), history.reading(news.room.database) as connection:
        connection.exec_driver_sql("SELECT pg_sleep(5)")
