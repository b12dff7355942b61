"""Settings come from the environment; a wrong one is named with its value, and a password is never shown."""

import pytest

from rerank_core.errors import SettingsError
from rerank_core.setting_values import relation_names
from rerank_core.settings import Settings
from rerank_core.storage.database import Database


def test_the_defaults_are_valid() -> None:
    assert Settings.load().pipeline == "news"


def test_the_environment_is_read_and_an_override_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_SHARDS", "3")
    monkeypatch.setenv("RERANK_LOOKBACK_DAYS", "1.5")
    assert (Settings.load().shards, Settings.load().lookback_days) == (3, 1.5)
    assert Settings.load(shards=4, lookback_days=None).shards == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pipeline", "Not A Slug"),
        ("source_view", "a; DROP TABLE x"),
        ("source_view", 'a"b'),
        ("source_view", 'public."Feed'),
        ("source_view", 'public."Fe""ed"'),
        ("source_view", '"a"; DROP TABLE x; --"'),
        ("source_view", 'public.""'),
        ("source_view", '"a:b"'),
        ("source_view", '"a%b"'),
        ("source_view", '"a;b"'),
        ("source_view", '"$roles$"'),
        ("source_view", '"a\'b"'),
        ("source_view", '"a\\b"'),
        ("source_view", '"a\nb"'),
        ("source_view", "a.b.c"),
        ("lookback_days", "0"),
        ("lookback_days", "inf"),
        ("freshness_hours", "nan"),
        ("freshness_hours", "soon"),
        ("max_pairs", "-1"),
        ("shards", "0"),
        ("precision", "int8"),
        ("max_document_tokens", "15"),
        ("gpu_memory_utilization", "1.1"),
    ],
)
def test_a_wrong_value_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"RERANK_{name.upper()}", value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert str(caught.value).startswith(f"RERANK_{name.upper()} = {value!r}: ")


@pytest.mark.parametrize("name", ["database_url", "source_url"])
@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:hunter2@host/db",
        "me:hunter2@host/db",
        "postgresql://me:hunter2@host:port/db",
        "hunter2",
        " ",
    ],
)
def test_a_wrong_url_is_refused_without_showing_a_part_of_it(name: str, url: str) -> None:
    with pytest.raises(SettingsError, match=rf"RERANK_{name.upper()} = \(hidden\): ") as caught:
        Settings.load(**{name: url})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://me:hunter2@host",
        "me:hunter2@host",
        "redis://me:hunter2@host:port/0",
        "redis://",
        "unix://",
        " ",
    ],
)
def test_a_wrong_redis_url_is_refused_without_showing_a_part_of_it(url: str) -> None:
    with pytest.raises(SettingsError, match=r"RERANK_REDIS_URL = \(hidden\): .*write redis://") as caught:
        Settings.load(redis_url=url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://host", "rediss://me:p%40ss@host:6380/1", "unix:///run/redis.sock"])
def test_a_redis_url_is_kept_as_it_is(url: str) -> None:
    assert Settings.load(redis_url=url).redis_url == url


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_way_to_write_a_postgres_url_takes_the_same_driver(scheme: str) -> None:
    found = Settings.load(database_url=f"{scheme}://me:p%40ss@host:5433/db?sslmode=require").database_url
    assert found == "postgresql+psycopg2://me:p%40ss@host:5433/db?sslmode=require"


def test_a_password_is_in_no_repr() -> None:
    url = "postgresql://me:hunter2@host/db"
    settings = Settings.load(database_url=url, source_url=url, redis_url="redis://me:hunter2@host")
    assert "hunter2" not in repr(settings) + str(settings) + repr(Database(settings.database_url))


def test_an_empty_variable_is_unset_where_unset_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    optional = [name for name, field in Settings.model_fields.items() if field.default is None]
    assert len(optional) > 5
    for name in optional:
        monkeypatch.setenv(f"RERANK_{name.upper()}", "")
    found = Settings.load()
    assert [getattr(found, name) for name in optional] == [None] * len(optional)


def test_an_empty_variable_is_refused_where_there_is_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SHARDS", "DATABASE_URL", "PRECISION"):
        monkeypatch.setenv(f"RERANK_{name}", "")
        with pytest.raises(SettingsError, match=f"RERANK_{name} = "):
            Settings.load()
        monkeypatch.delenv(f"RERANK_{name}")


@pytest.mark.parametrize(("name", "value"), [("PIPELINE", "My News"), ("SOURCE_VIEW", "my view")])
def test_a_name_that_cannot_be_one_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"RERANK_{name}", value)
    with pytest.raises(SettingsError, match=f"RERANK_{name} = '{value}': this is not .*digit") as caught:
        Settings.load()
    assert "[" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("rerank.source_article", ["rerank", "source_article"]),
        ("public.Feed", ["public", "feed"]),
        ('public."Feed"', ["public", "Feed"]),
        ('"My Schema"."feed.v2"', ["My Schema", "feed.v2"]),
        ('"Új-cikkek"', ["Új-cikkek"]),
    ],
)
def test_a_view_is_named_as_sql_names_it(
    monkeypatch: pytest.MonkeyPatch, value: str, names: list[str]
) -> None:
    monkeypatch.setenv("RERANK_SOURCE_VIEW", value)
    assert Settings.load().source_view == value
    assert relation_names(value) == names


def test_a_view_whose_name_needs_quotes_is_refused_with_how_to_write_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RERANK_SOURCE_VIEW", "my feed")
    with pytest.raises(SettingsError, match='needs double quotes, such as public."Feed"'):
        Settings.load()


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().shards = 2


@pytest.mark.parametrize(
    "value", ["hourly", "* * * *", "61 * * * *", "0 * * * * *", "0 0 31 2 *", "@once", "@quarterly", ""]
)
@pytest.mark.parametrize("name", ["SCHEDULE", "MAINTAIN_SCHEDULE"])
def test_a_schedule_that_never_comes_or_cannot_be_read_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"RERANK_{name}", value)
    with pytest.raises(SettingsError, match=rf"RERANK_{name} = .*this is no cron expression of five fields"):
        Settings.load()


@pytest.mark.parametrize("value", ["*/15 * * * *", "0 6-22 * * mon-fri", "@hourly"])
def test_a_schedule_that_airflow_can_read_is_taken(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("RERANK_SCHEDULE", value)
    assert Settings.load().schedule == value


def test_a_command_for_a_pipeline_finds_the_settings_of_its_dag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_SHARDS", "4")
    monkeypatch.setenv("RERANK_AIRFLOW_PIPELINES", '{"shadow": {"model": "/models/new", "shards": 2}}')
    assert (Settings.load().shards, Settings.load(pipeline="shadow").model) == (4, "/models/new")
    monkeypatch.setenv("RERANK_PIPELINE", "shadow")
    assert (Settings.load().shards, Settings.load(shards=7).shards) == (2, 7)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("shadow", "is not JSON"),
        ('["shadow"]', "is not JSON of pipelines"),
        ('{"shadow": 3}', "is not JSON of pipelines"),
        ('{"shadow": {"modle": "x"}}', "pipeline 'shadow' has no setting 'modle'"),
        ('{"shadow": {"pipeline": "x"}}', "pipeline 'shadow' has no setting 'pipeline'"),
    ],
)
def test_what_a_pipeline_cannot_have_of_its_own_is_told(
    monkeypatch: pytest.MonkeyPatch, value: str, said: str
) -> None:
    monkeypatch.setenv("RERANK_AIRFLOW_PIPELINES", value)
    with pytest.raises(SettingsError, match=f"RERANK_AIRFLOW_PIPELINES.*{said}"):
        Settings.load(pipeline="shadow")


def test_a_list_that_is_not_json_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_PREPARE_WITHOUT", "boilerplate")
    with pytest.raises(
        SettingsError, match="RERANK_PREPARE_WITHOUT = 'boilerplate' is not JSON; write it like"
    ):
        Settings.load()
