"""A connection of Airflow gives a setting: every form of it, errors without a secret, masked logs, and the button Test."""

import json
import logging
import pkgutil
from types import SimpleNamespace

import pytest
from airflow.sdk._shared.secrets_masker import redact
from canaries import CANARY, told

from rerank_airflow import connections, hooks, operators
from rerank_airflow.provider import provider_info
from rerank_airflow.settings import public_settings_of, settings_of
from rerank_core.errors import RetryableError, SettingsError
from rerank_core.storage.store import Store

ODD = "p@ss/w:rd?#%"  # each sign of it ends some part of a URL


@pytest.fixture
def connection(monkeypatch):
    """Sets a connection in Airflow's environment, as a person or a secrets backend writes it."""

    def setting(conn_id, **fields):
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id}".upper(), json.dumps(fields))

    return setting


@pytest.mark.parametrize(
    ("setting", "fields", "url"),
    [
        (
            "database_url",
            {
                "conn_type": "postgres",
                "host": "db",
                "port": 5433,
                "schema": "news",
                "login": "a b",
                "password": ODD,
            },
            "postgresql+psycopg2://a%20b:p%40ss%2Fw%3Ard%3F%23%25@db:5433/news",
        ),
        (
            "source_url",
            {
                "conn_type": "rerank_postgres",
                "host": "::1",
                "schema": "news",
                "login": "ada",
                "extra": {"sslmode": "require", "cursor": "dictcursor", "connect_timeout": 5},
            },
            "postgresql+psycopg2://ada@[::1]/news?sslmode=require&connect_timeout=5",
        ),
        (
            "database_url",
            {"conn_type": "postgres", "host": "/run/postgresql", "schema": "news", "login": "ada"},
            "postgresql+psycopg2://ada@/news?host=%2Frun%2Fpostgresql",
        ),
        (
            "store_url",
            {
                "conn_type": "rerank_store",
                "host": "bucket",
                "schema": "/news/rerank",
                "login": "KEY",
                "password": "a/b+c",
                "extra": {
                    "region": "eu",
                    "endpoint_override": "minio:9000",
                    "scheme": "http",
                    "protocol": "",
                },
            },
            "s3://KEY:a%2Fb%2Bc@bucket/news/rerank?region=eu&endpoint_override=minio%3A9000&scheme=http",
        ),
        ("store_url", {"conn_type": "rerank_store", "schema": "srv/news"}, "file:///srv/news"),
        (
            "store_url",
            {"conn_type": "rerank_store", "host": "bucket", "extra": {"protocol": "gs"}},
            "gs://bucket/",
        ),
        (
            "redis_url",
            {
                "conn_type": "redis",
                "host": "cache",
                "port": 6380,
                "password": ODD,
                "extra": {"db": 2, "ssl": "true"},
            },
            "rediss://:p%40ss%2Fw%3Ard%3F%23%25@cache:6380/2",
        ),
        ("redis_url", {"conn_type": "rerank_redis", "host": "cache"}, "redis://cache/0"),
        (
            "milvus_url",
            {
                "conn_type": "rerank_milvus",
                "host": "m",
                "port": 19530,
                "login": "u",
                "password": "p",
                "extra": {"secure": True},
            },
            "https://u:p@m:19530",
        ),
        ("hub_token", {"conn_type": "rerank_hub", "password": "hf_token"}, "hf_token"),
    ],
)
def test_a_connection_becomes_the_value_of_its_setting(monkeypatch, connection, setting, fields, url):
    connection("it", **fields)
    assert connections.value_of("it", setting) == url
    monkeypatch.setenv(f"RERANK_{setting.replace('_url', '').replace('_token', '')}_conn_id".upper(), "it")
    assert getattr(settings_of("news"), setting) == url


def test_a_password_of_odd_signs_comes_back_whole(connection):
    from sqlalchemy import make_url

    fields = {"conn_type": "postgres", "host": "h", "schema": "n", "login": ODD, "password": ODD}
    connection("it", **fields)
    read = make_url(connections.value_of("it", "database_url"))
    assert (read.username, read.password, read.host, read.database) == (ODD, ODD, "h", "n")


@pytest.mark.parametrize(
    ("setting", "fields", "said"),
    [
        ("database_url", {"conn_type": "mysql"}, "has type 'mysql'; it must be rerank_postgres or postgres"),
        ("database_url", {"conn_type": "postgres", "extra": {"sslmod": CANARY}}, "extra has 'sslmod'"),
        ("database_url", {"conn_type": "postgres", "extra": {"iam": True}}, "extra has 'iam'"),
        (
            "store_url",
            {"conn_type": "rerank_store", "host": "b", "extra": {"protocol": CANARY}},
            "names no store",
        ),
        ("store_url", {"conn_type": "rerank_store", "extra": {"protocol": "s3"}}, "names no store"),
        ("milvus_url", {"conn_type": "rerank_milvus", "extra": {"token": CANARY}}, "extra has 'token'"),
        ("hub_token", {"conn_type": "rerank_hub", "login": CANARY}, "has no password"),
    ],
)
def test_a_connection_that_does_not_fit_is_refused_without_a_secret(
    monkeypatch, connection, setting, fields, said
):
    connection("it", **{"login": "ada", "password": CANARY, **fields} if setting != "hub_token" else fields)
    variable = f"RERANK_{setting.replace('_url', '').replace('_token', '')}_CONN_ID".upper()
    monkeypatch.setenv(variable, "it")
    with pytest.raises(SettingsError, match=f"{variable} = 'it': the connection.*{said}") as caught:
        settings_of("news")
    assert CANARY not in told(caught.value)


def test_a_connection_that_airflow_does_not_have_is_told(monkeypatch):
    monkeypatch.setenv("RERANK_DATABASE_CONN_ID", "nowhere")
    with pytest.raises(SettingsError, match="RERANK_DATABASE_CONN_ID = 'nowhere': Airflow finds no such"):
        settings_of("news")
    assert "not-read.invalid" in public_settings_of("news").database_url


def test_a_dag_file_that_is_read_asks_for_no_connection(monkeypatch):
    from airflow.sdk import Connection

    from rerank_airflow import ranking_dags

    monkeypatch.setattr(Connection, "get", lambda conn_id: pytest.fail(f"asked for {conn_id}"))
    for name in ("DATABASE", "STORE", "REDIS"):
        monkeypatch.setenv(f"RERANK_{name}_CONN_ID", "it")
    dags = {}
    ranking_dags(dags)
    assert len(dags) == 6
    with pytest.raises(pytest.fail.Exception, match="asked for it"):  # the control: a task asks
        settings_of("news")


def test_a_secrets_backend_that_breaks_is_tried_again_and_its_words_are_not_shown(monkeypatch):
    from airflow.sdk import Connection

    def get(conn_id):
        raise OSError(f"https://vault/?token={CANARY}")

    monkeypatch.setattr(Connection, "get", get)
    with pytest.raises(RetryableError, match=r"did not give the connection \(OSError\)") as caught:
        connections.value_of("it", "database_url")
    assert CANARY not in told(caught.value)


@pytest.mark.parametrize("source", ["connection", "file", "variable"])
def test_airflow_masks_a_password_in_logs_as_it_is_and_as_the_url_has_it(
    monkeypatch, tmp_path, connection, source
):
    password = f"hunter/2@{source}"
    encoded = f"hunter%2F2%40{source}"
    assert redact(f"{password} {encoded}") == f"{password} {encoded}"  # the control: nothing is masked yet
    url = f"postgresql://ada:{encoded}@host/news"
    if source == "connection":
        connection("it", conn_type="postgres", host="host", login="ada", password=password, schema="news")
        monkeypatch.setenv("RERANK_DATABASE_CONN_ID", "it")
    elif source == "file":
        (tmp_path / "url").write_text(url)
        monkeypatch.setenv("RERANK_DATABASE_URL_FILE", str(tmp_path / "url"))
    else:
        monkeypatch.setenv("RERANK_DATABASE_URL", url)
    settings_of("news")
    assert redact(f"{password} {encoded}") == "*** ***"


def test_the_button_test_asks_what_a_task_would_ask(connection, database_url, tmp_path):
    from sqlalchemy import make_url

    url = make_url(database_url)
    connection(
        "pg", conn_type="rerank_postgres", host=url.query["host"], schema=url.database, login="postgres"
    )
    assert hooks.PostgresHook("pg").test_connection()[0]
    assert "its schema is at" in hooks.PostgresHook("pg").test_connection()[1]
    connection("store", conn_type="rerank_store", schema=str(tmp_path / "store"))
    assert hooks.StoreHook("store").test_connection() == (
        True,
        f"{Store(str(tmp_path / 'store')).url} takes files",
    )


@pytest.mark.parametrize(
    ("hook", "fields"),
    [
        (hooks.PostgresHook, {"conn_type": "rerank_postgres", "host": "127.0.0.1", "port": 9, "schema": "n"}),
        pytest.param(
            hooks.StoreHook,
            {
                "conn_type": "rerank_store",
                "host": "bucket",
                "extra": {"endpoint_override": "127.0.0.1:9", "scheme": "http"},
            },
            marks=pytest.mark.long,  # waits
        ),
        (hooks.RedisHook, {"conn_type": "rerank_redis", "host": "127.0.0.1", "port": 9}),
        pytest.param(
            hooks.MilvusHook,
            {"conn_type": "rerank_milvus", "host": "127.0.0.1", "port": 9},
            marks=pytest.mark.long,  # waits
        ),
        (hooks.HubHook, {"conn_type": "rerank_hub"}),
    ],
)
def test_the_button_test_says_that_nobody_answers_and_shows_no_secret(
    monkeypatch, caplog, connection, hook, fields
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    connection("it", **fields, login="ada", password=CANARY)
    with caplog.at_level(logging.DEBUG, "rerank_core"):
        worked, said = hook("it").test_connection()
    assert not worked
    assert said
    assert CANARY not in said + caplog.text


def test_each_hook_has_its_connection_type_and_each_setting_takes_it():
    types = {entry["connection-type"]: entry for entry in provider_info()["connection-types"]}
    found = {hook.conn_type: hook for hook in hooks.ConnectionHook.__subclasses__()}
    assert set(types) == set(found)
    for name, hook in found.items():
        assert types[name]["hook-class-name"] == f"rerank_airflow.hooks.{hook.__name__}"
        assert types[name]["hook-name"] == hook.hook_name
        assert name in connections.SETTINGS[hook.setting][0]


def test_airflow_is_told_of_every_module_of_operators():
    (told,) = provider_info()["operators"]
    there = {module.name for module in pkgutil.iter_modules(operators.__path__, f"{operators.__name__}.")}
    assert set(told["python-modules"]) == there


def test_a_task_leads_to_the_view_of_its_run():
    from rerank_airflow.links import RankingRunLink
    from rerank_airflow.operators.stages import StageOperator

    key = SimpleNamespace(dag_id="rank_new_articles", run_id="2026-11-22T17:00:00+00:00/x")
    link = RankingRunLink().get_link(StageOperator(task_id="extract", pipeline="news"), ti_key=key)
    assert link.endswith(
        "/news-rerank/dag-run?dag_id=rank_new_articles&dag_run_id=2026-11-22T17%3A00%3A00%2B00%3A00%2Fx"
    )
    assert [type(found) for found in StageOperator.operator_extra_links] == [RankingRunLink]
