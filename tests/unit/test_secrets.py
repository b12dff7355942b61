"""No message shows a secret of a setting, whichever setting it is in and whatever is wrong with it."""

import json

import pytest
from canaries import CANARY, FORMS, SECRET, told, variables
from pydantic import ValidationError

from rerank_core import setting_sources
from rerank_core.airflow_settings import AirflowSettings
from rerank_core.errors import HIDDEN, RerankError, SettingsError, shown, shown_url
from rerank_core.settings import Settings
from rerank_core.storage.store import Store


def everything_said(*, shown_by_repr: bool, airflow: bool = True) -> str:
    """What loading the settings says, and what they say of themselves; a repr shows a value that can hold no secret."""
    said = ""
    for load in (Settings.load, AirflowSettings.load) if airflow else (Settings.load,):
        try:
            found = load()
            said += "" if shown_by_repr else f"{found!r} {found}"
        except SettingsError as error:
            said += told(error)
            continue
        if isinstance(found, Settings):
            try:
                said += repr(Store(found.store_url))
            except RerankError as error:
                said += told(error)
    return said


@pytest.mark.parametrize("variable", variables())
def test_no_error_and_no_repr_of_a_setting_shows_a_secret(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    leaks = []
    for form in FORMS:
        monkeypatch.setenv(variable, form)
        if CANARY in everything_said(shown_by_repr=variable not in SECRET):
            leaks.append(form)
    assert leaks == []


@pytest.mark.parametrize("name", sorted(set(Settings.model_fields) - {"pipeline"}))
def test_no_error_of_a_pipelines_own_setting_shows_a_secret(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    leaks = []
    for form in FORMS:
        monkeypatch.setenv("RERANK_AIRFLOW_PIPELINES", json.dumps({"news": {name: form}}))
        if CANARY in everything_said(shown_by_repr=Settings.model_fields[name].repr, airflow=False):
            leaks.append(form)
    assert leaks == []


def test_a_misspelt_setting_of_a_pipeline_is_named_and_its_neighbours_are_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(
        "RERANK_AIRFLOW_PIPELINES",
        f'{{"news": {{"database_url": "postgresql://ada:{CANARY}@db/news", "shedule": "@hourly"}}}}',
    )
    with pytest.raises(SettingsError, match="pipeline 'news' has no setting 'shedule'") as caught:
        AirflowSettings.load()
    assert CANARY not in told(caught.value)


def test_control_a_message_with_the_input_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def as_it_is(group: type, error: ValidationError, sources: object = None) -> str:
        return f"{error.errors()[0]['input']!r}"

    monkeypatch.setattr(setting_sources, "wrong", as_it_is)
    monkeypatch.setenv("RERANK_DATABASE_URL", FORMS[4])
    assert CANARY in everything_said(shown_by_repr=False)


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        (
            "postgresql+psycopg2://postgres:@/news?host=/tmp/a",
            "postgresql+psycopg2://postgres:@/news?host=/tmp/a",
        ),
        ("postgresql://u:p@h:5432/n", "postgresql://u:***@h:5432/n"),
        ("postgresql://u:p@ss/w:rd@h/n", "postgresql://u:***@h/n"),
        ("postgresql://u:p?p@h/n", "postgresql://u:***@h/n"),
        ("postgresql://h/n?password=x&sslmode=require", "postgresql://h/n?password=***&sslmode=require"),
        ("http://token@h:19530", "http://***@h:19530"),
        ("s3://bucket/a?secret_key=x&region=y", "s3://bucket/a?secret_key=***&region=y"),
        ("s3:/key:secret@bucket", HIDDEN),
        ("file:///tmp/a", "file:///tmp/a"),
        ("owner/name@revision", "owner/name@revision"),
    ],
)
def test_passwords_of_urls_are_hidden(url: str, seen: str) -> None:
    assert shown_url(url) == seen


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("@never", "'@never'"),
        (17, "17"),
        ("owner/name@revision", "'owner/name@revision'"),
        (["a", "b"], "['a', 'b']"),
        ("postgresql://h", HIDDEN),
        ("u:p@h", HIDDEN),
        ({"password": "p"}, HIDDEN),
        ('{"password": "p"', HIDDEN),
        ("x" * 100, HIDDEN),
    ],
)
def test_a_wrong_value_is_shown_unless_it_may_hold_a_secret(value: object, seen: str) -> None:
    assert shown(value) == seen
