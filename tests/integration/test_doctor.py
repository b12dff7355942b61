"""The doctor names what is wrong and what to do, and one broken check does not hide the others."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from rerank_core import doctor
from rerank_core.database import Database
from rerank_core.doctor import Finding, examine
from rerank_core.settings import Settings


def settings(database_url: str, store_url: str, **others: Any) -> Settings:
    return Settings.load(database_url=database_url, store_url=store_url, **others)


def findings(chosen: Settings) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(chosen)}


def run(database_url: str, statements: str) -> None:
    with Database(database_url).transaction() as connection:
        connection.execute(text(statements))


def test_a_good_host_has_no_failure(database_url: str, store_url: str) -> None:
    found = findings(settings(database_url, store_url))
    assert {name: finding.state for name, finding in found.items() if finding.state == "fail"} == {}
    assert list(found) == [
        "database",
        "schema",
        "article source",
        "clock",
        "store",
        "redis",
        "scorer",
        "engine",
        "gpu",
        "memory",
    ]
    assert found["database"].found.startswith("PostgreSQL ")
    assert all(finding.advice for finding in found.values() if finding.state != "ok")


def test_a_server_that_is_away_is_told_once_and_without_the_password(store_url: str) -> None:
    found = findings(settings("postgresql+psycopg2://u:secret@127.0.0.1:1/x", store_url))
    assert found["database"].state == "fail"
    assert found["database"].advice == "check that it runs, then try again"
    assert {found[name].state for name in ("schema", "article source", "clock")} == {"warn"}
    assert found["store"].state == "ok"
    assert "secret" not in str(found)


def test_an_empty_database_needs_an_upgrade(empty_database_url: str, store_url: str) -> None:
    found = findings(settings(empty_database_url, store_url))
    assert (found["schema"].state, found["schema"].advice) == ("fail", "run `rerank db upgrade`")
    assert found["article source"].state == "fail"


@pytest.mark.parametrize(
    ("revision", "advice"), [("0000", "run `rerank db upgrade`"), ("9999", "upgrade news-rerank here")]
)
def test_a_schema_of_another_age_is_a_failure(
    database_url: str, store_url: str, revision: str, advice: str
) -> None:
    run(database_url, f"UPDATE rerank.alembic_version SET version_num = '{revision}'")
    found = findings(settings(database_url, store_url))["schema"]
    assert (found.state, found.advice) == ("fail", advice)


def test_a_naive_time_in_the_source_is_refused_with_the_cast_to_write(
    database_url: str, store_url: str
) -> None:
    run(
        database_url,
        "CREATE VIEW mine AS SELECT article_id, version, ingested_at::timestamp AS ingested_at, url, title, summary,"
        " body, lang, source, published_at FROM rerank.source_article",
    )
    found = findings(settings(database_url, store_url, source_view="mine"))["article source"]
    assert found.state == "fail"
    assert "ingested_at AT TIME ZONE 'UTC' AS ingested_at" in f"{found.found} {found.advice}"


def test_a_key_that_is_not_text_and_a_missing_column_are_told_together(
    database_url: str, store_url: str
) -> None:
    run(
        database_url,
        "CREATE VIEW mine AS SELECT 1 AS article_id, version, ingested_at, url, title, summary,"
        " body, lang, published_at FROM rerank.source_article",
    )
    found = findings(settings(database_url, store_url, source_view="mine"))["article source"]
    assert found.state == "fail"
    assert "CAST(article_id AS text)" in found.found
    assert "column source is missing" in found.found


def test_a_source_that_may_not_be_read_is_a_failure(database_url: str, store_url: str) -> None:
    run(database_url, "DROP ROLE IF EXISTS doctor_reader; CREATE ROLE doctor_reader LOGIN")
    run(database_url, "GRANT USAGE ON SCHEMA rerank TO doctor_reader")
    try:
        other = database_url.replace("postgres:@", "doctor_reader:@").replace("postgres@", "doctor_reader@")
        found = findings(settings(database_url, store_url, source_url=other))["article source"]
        assert found.state == "fail"
        assert "may not be read" in found.found
    finally:
        run(database_url, "REVOKE ALL ON SCHEMA rerank FROM doctor_reader; DROP ROLE doctor_reader")


def test_a_store_that_takes_no_files_is_a_failure(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    found = findings(settings(database_url, (tmp_path / "file" / "store").as_uri()))["store"]
    assert found.state == "fail"
    assert found.advice


@pytest.mark.parametrize(
    ("seconds", "state"), [(0, "ok"), (1.5, "ok"), (5, "warn"), (-5, "warn"), (90, "fail")]
)
def test_a_clock_that_is_off_is_told(
    database_url: str, store_url: str, monkeypatch: pytest.MonkeyPatch, seconds: float, state: str
) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(seconds=seconds)

    monkeypatch.setattr(doctor, "datetime", Clock)
    found = findings(settings(database_url, store_url))["clock"]
    assert found.state == state
    assert ("ahead" if seconds > 0 else "behind") in found.found or seconds == 0


def test_a_checkpoint_that_is_missing_fails_where_the_engine_is_and_warns_elsewhere(
    database_url: str, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(database_url, store_url, model=str(tmp_path / "none"))
    monkeypatch.setattr(doctor, "_engine_version", lambda: "vllm 0")
    assert findings(chosen)["scorer"].state == "fail"
    monkeypatch.setattr(doctor, "_engine_version", lambda: None)
    found = findings(chosen)
    assert (found["scorer"].state, found["engine"].state) == ("warn", "warn")


def test_the_demonstration_checkpoint_is_not_taken_for_a_model(database_url: str, store_url: str) -> None:
    found = findings(settings(database_url, store_url))["scorer"]
    assert found.state == "warn"
    assert "demonstration checkpoint" in found.found
    assert "RERANK_MODEL" in found.advice


def test_a_gpu_is_named(
    database_url: str, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "nvidia-smi"
    fake.write_text("#!/bin/sh\necho 'NVIDIA H200, 143771 MiB'\necho 'NVIDIA H200, 143771 MiB'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = findings(settings(database_url, store_url))["gpu"]
    assert (found.state, found.found) == ("ok", "2: NVIDIA H200, 143771 MiB")
    fake.write_text("#!/bin/sh\necho 'no devices were found'\nexit 6\n")
    found = findings(settings(database_url, store_url))["gpu"]
    assert (found.state, found.found) == ("warn", "nvidia-smi: no devices were found")


def test_too_little_memory_for_the_engine_is_a_warning(
    database_url: str, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_engine_version", lambda: "vllm 0")
    monkeypatch.setattr(doctor, "_available_bytes", lambda: 1 << 30)
    assert findings(settings(database_url, store_url))["memory"].state == "warn"


def test_a_check_that_breaks_is_a_finding(
    database_url: str, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> int:
        raise OSError("no /proc here")

    monkeypatch.setattr(doctor, "_available_bytes", broken)
    found = findings(settings(database_url, store_url))
    assert found["memory"].found == "the check broke: OSError: no /proc here"
    assert found["database"].state == "ok"


def test_no_check_imports_the_engine(
    database_url: str, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vllm.py").write_text("raise SystemExit('vllm was imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert findings(settings(database_url, store_url))["engine"].state == "ok"
