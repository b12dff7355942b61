"""A secret setting comes from its variable, a file or a connection: from one of them, and no message shows it."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from canaries import CANARY, FILES, FORMS, told

from rerank_core import setting_sources
from rerank_core.airflow_settings import AirflowSettings, unknown_variables
from rerank_core.errors import RetryableError, SettingsError
from rerank_core.settings import Settings

URL = "postgresql+psycopg2://ada:pass@host/news"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What Airflow was asked for; it gives each connection the URL with the connection's id as its database."""
    found: list[tuple[str, str]] = []

    def value_of(conn_id: str, setting: str) -> str:
        found.append((conn_id, setting))
        if conn_id == "broken":
            raise RetryableError("Airflow did not give the connection (TimeoutError); try again")
        return f"postgresql://ada:{CANARY}@host/{conn_id}"

    monkeypatch.setitem(sys.modules, setting_sources.READER, SimpleNamespace(value_of=value_of))
    return found


def written(folder: Path, text: str, name: str = "secret") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


@pytest.mark.parametrize("name", [name for name in setting_sources.SECRETS if name != "hub_token"])
def test_each_secret_can_come_from_a_file_whose_last_line_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    values = {
        "store_url": "s3://KEY:secret@bucket/news",
        "redis_url": "redis://:pass@host",
        "milvus_url": "http://ada:pass@host:19530",
    }
    value = values.get(name, URL)
    monkeypatch.setenv(f"RERANK_{name}_FILE".upper(), written(tmp_path, f"{value}\n"))
    assert getattr(Settings.load(), name) == value
    assert unknown_variables([f"RERANK_{name}_FILE".upper()]) == []


def test_the_token_of_the_hub_comes_from_a_file_and_is_in_no_repr(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RERANK_HUB_TOKEN_FILE", written(tmp_path, f"hf_{CANARY}\n"))
    found = Settings.load()
    assert found.hub_token == f"hf_{CANARY}"
    assert CANARY not in f"{found!r} {found}"


def test_the_settings_of_pipelines_come_from_a_file_and_may_name_connections(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: list[tuple[str, str]]
) -> None:
    text = '{"news": {}, "shadow": {"shards": 3, "database_conn_id": "spare"}}'
    monkeypatch.setenv("RERANK_AIRFLOW_PIPELINES_FILE", written(tmp_path, text))
    monkeypatch.setenv("RERANK_DATABASE_URL", URL)
    assert sorted(AirflowSettings.load().pipelines) == ["news", "shadow"]
    assert (Settings.load().database_url, asked) == (URL, [])
    shadow = Settings.load(pipeline="shadow")
    assert (shadow.shards, shadow.database_url) == (3, f"postgresql+psycopg2://ada:{CANARY}@host/spare")
    assert asked == [("spare", "database_url")]


def test_a_connection_is_read_only_if_secrets_are_wanted(
    monkeypatch: pytest.MonkeyPatch, asked: list[tuple[str, str]]
) -> None:
    monkeypatch.setenv("RERANK_DATABASE_CONN_ID", "news")
    monkeypatch.setenv("RERANK_REDIS_URL_FILE", "/nowhere")
    found = Settings.load(with_secrets=False)
    assert (asked, found.redis_url) == ([], None)
    assert "not-read.invalid" in found.database_url
    monkeypatch.delenv("RERANK_REDIS_URL_FILE")
    assert Settings.load().database_url.endswith("/news")
    assert Settings.load(database_url=URL).database_url == URL
    assert asked == [("news", "database_url")]


@pytest.mark.parametrize(
    "options",
    [
        ("RERANK_DATABASE_URL", "RERANK_DATABASE_URL_FILE"),
        ("RERANK_DATABASE_URL", "RERANK_DATABASE_CONN_ID"),
        ("RERANK_DATABASE_URL_FILE", "RERANK_DATABASE_CONN_ID"),
        ("RERANK_AIRFLOW_PIPELINES", "RERANK_AIRFLOW_PIPELINES_FILE"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("with_secrets", [True, False])
def test_two_sources_of_one_setting_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, options: tuple[str, str], with_secrets: bool
) -> None:
    for option in options:
        monkeypatch.setenv(option, CANARY)
    with pytest.raises(
        SettingsError, match=f"{options[0]} and {options[1]} are both set; keep one"
    ) as caught:
        Settings.load(with_secrets=with_secrets)
    assert CANARY not in told(caught.value)


def test_two_sources_of_a_pipeline_are_refused_and_an_empty_variable_is_none(
    monkeypatch: pytest.MonkeyPatch, asked: list[tuple[str, str]]
) -> None:
    monkeypatch.setenv("RERANK_REDIS_URL", "")
    monkeypatch.setenv("RERANK_REDIS_CONN_ID", "")
    assert Settings.load().redis_url is None
    own = f'{{"news": {{"database_url": "{URL}", "database_conn_id": "news"}}}}'
    monkeypatch.setenv("RERANK_AIRFLOW_PIPELINES", own)
    with pytest.raises(SettingsError, match="pipeline news: database_url and database_conn_id are both set"):
        Settings.load()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read .No such file or directory."),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "cannot be read .it is no text in UTF-8."),
        (b"a\0b", "is no text of at most 1 MiB"),
        (b"x" * (setting_sources.MOST_BYTES + 1), "is no text of at most 1 MiB"),
    ],
    ids=["missing", "empty", "blank", "binary", "nul", "long"],
)
def test_a_file_that_holds_no_value_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, said: str
) -> None:
    file = tmp_path / "f"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setattr(setting_sources, "shown", lambda value: "f")  # a path of a test may be long
    monkeypatch.setenv("RERANK_REDIS_URL_FILE", str(file))
    with pytest.raises(SettingsError, match=f"RERANK_REDIS_URL_FILE = f: this file {said}"):
        Settings.load()


def test_a_wrong_value_is_told_by_the_name_of_its_source(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RERANK_DATABASE_URL_FILE", written(tmp_path, f"mysql://ada:{CANARY}@host"))
    with pytest.raises(SettingsError, match=r"RERANK_DATABASE_URL_FILE = \(hidden\): this is no") as caught:
        Settings.load()
    assert CANARY not in told(caught.value)


@pytest.mark.parametrize("variable", FILES)
def test_no_message_shows_a_secret_that_is_in_the_file_or_in_place_of_its_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    leaks = []
    for form in FORMS:
        for value in (form, written(tmp_path, form)):
            monkeypatch.setenv(variable, value)
            for load in (Settings.load, AirflowSettings.load):
                try:
                    found = load()
                    said = f"{found!r} {found}"
                except SettingsError as error:
                    said = told(error)
                if CANARY in said:
                    leaks.append((form, load, said))
    assert leaks == []


def test_control_a_message_that_shows_the_path_shows_a_secret_in_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(setting_sources, "shown", repr)
    monkeypatch.setenv("RERANK_DATABASE_URL_FILE", FORMS[0])
    with pytest.raises(SettingsError, match=CANARY):
        Settings.load()


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_in_place_of_a_connections_id_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, asked: list[tuple[str, str]], form: str
) -> None:
    monkeypatch.setenv("RERANK_DATABASE_CONN_ID", form)
    with pytest.raises(SettingsError, match="RERANK_DATABASE_CONN_ID = ") as caught:
        Settings.load()
    assert CANARY not in told(caught.value)


def test_without_airflow_a_connection_is_refused_with_what_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, setting_sources.READER, None)
    monkeypatch.setenv("RERANK_STORE_CONN_ID", "store")
    with pytest.raises(SettingsError, match="Airflow cannot be imported here; use RERANK_STORE_URL_FILE"):
        Settings.load()


def test_airflow_that_does_not_answer_is_an_error_to_try_again(
    monkeypatch: pytest.MonkeyPatch, asked: list[tuple[str, str]]
) -> None:
    monkeypatch.setenv("RERANK_DATABASE_CONN_ID", "broken")
    with pytest.raises(RetryableError, match="RERANK_DATABASE_CONN_ID = 'broken': Airflow did not give"):
        Settings.load()
