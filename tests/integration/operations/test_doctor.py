"""The doctor names what is wrong and what to do, and one broken check does not hide the others."""

import importlib.util
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from factories import Newsroom, make_topic, statement_replaced
from sqlalchemy import make_url, text
from tiny_sentences import make_checkpoint

from rerank_core.errors import DatabaseUnavailable
from rerank_core.models import embedders
from rerank_core.models.embedding import FakeEmbedder
from rerank_core.operations import pointer
from rerank_core.operations.doctor import examine as doctor
from rerank_core.operations.doctor import host, scoring
from rerank_core.operations.doctor.examine import examine
from rerank_core.operations.doctor.finding import Finding
from rerank_core.settings import Settings
from rerank_core.storage.database import Database


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
        "versions",
        "topics",
        "page",
        "article source",
        "clock",
        "store",
        "disk",
        "scorer",
        "engine",
        "gpu",
        "memory",
        "recall",
        "times",
        "silence",
        "metrics",
        "variables",
    ]
    assert found["database"].found.startswith("PostgreSQL ")
    assert all(finding.advice for finding in found.values() if finding.state != "ok")


def test_a_server_that_is_away_is_told_once_and_without_the_password(store_url: str) -> None:
    found = findings(settings("postgresql+psycopg2://u:secret@127.0.0.1:1/x", store_url))
    assert found["database"].state == "fail"
    assert found["database"].advice.startswith("check that it runs and that its address (RERANK_DATABASE_URL")
    assert {found[name].state for name in ("schema", "article source", "clock")} == {"warn"}
    assert found["store"].state == "ok"
    assert "secret" not in str(found)


@pytest.mark.parametrize("limit", ["statement_timeout", "transaction_timeout"])
def test_a_limit_that_ends_long_work_is_told_and_so_is_what_it_ended(
    database_url: str, store_url: str, limit: str
) -> None:
    run(database_url, f"ALTER DATABASE {make_url(database_url).database} SET {limit} = '200ms'")
    found = findings(settings(database_url, store_url))["database"]
    assert found.state == "warn"
    assert f"{limit} = 200ms ends a long claim or publication" in found.found
    with pytest.raises(DatabaseUnavailable, match="doctor" if limit == "statement_timeout" else "closed"):
        run(database_url, "SELECT pg_sleep(5)")


@pytest.mark.parametrize(("limit", "state"), [("3599999ms", "warn"), ("1h", "ok"), ("1d", "ok"), ("0", "ok")])
def test_a_limit_of_an_hour_is_long_enough(database_url: str, store_url: str, limit: str, state: str) -> None:
    run(database_url, f"ALTER DATABASE {make_url(database_url).database} SET statement_timeout = '{limit}'")
    assert findings(settings(database_url, store_url))["database"].state == state


def test_an_empty_database_needs_an_upgrade(empty_database_url: str, store_url: str) -> None:
    found = findings(settings(empty_database_url, store_url))
    assert (found["schema"].state, found["schema"].advice) == ("fail", "run `rerank db upgrade`")
    assert found["article source"].state == "fail"
    assert found["article source"].advice.startswith("run `rerank db upgrade`, which makes it")


def test_a_role_that_got_its_rights_before_the_schema_came_is_told_to_apply_the_script_again(
    database_url: str, store_url: str
) -> None:
    run(database_url, "DROP ROLE IF EXISTS doctor_writer; CREATE ROLE doctor_writer LOGIN")
    try:
        other = database_url.replace("postgres:@", "doctor_writer:@").replace("postgres@", "doctor_writer@")
        found = findings(settings(other, store_url))
        for name in ("schema", "topics", "article source"):
            assert found[name].found == "the database refuses this role: permission denied for schema rerank"
            assert "`rerank db roles --print` made the roles, apply it again" in found[name].advice
    finally:
        run(database_url, "DROP ROLE doctor_writer")


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


def test_a_pipeline_without_topics_is_told_to_bring_some(room: Newsroom) -> None:
    assert findings(room.settings)["topics"].advice == "`rerank topics apply FILE` brings some"
    room.follow("solar", "wind")
    assert findings(room.settings)["topics"].found == "2 active in pipeline news"


@pytest.mark.parametrize("text_of", ["query", "instruction", "queries"])
def test_a_topic_whose_text_the_model_refuses_is_a_failure_that_stops_no_run(
    room: Newsroom, text_of: str
) -> None:
    long = "tram line council vote " * 80
    room.follow("solar", make_topic(slug="tram", **{text_of: {"en": long} if text_of == "queries" else long}))
    found = findings(room.settings)["topics"]
    assert (found.state, found.stops_runs) == ("fail", False)
    assert found.found.startswith("the model refuses queries: topic 'tram': ")
    assert found.found.endswith("is longer than 256 tokens")
    assert found.advice == "shorten them in the topics file, and run `rerank topics apply FILE`"
    elsewhere = findings(room.tuned(model="/nowhere").settings)["topics"]
    assert elsewhere.found == "2 active in pipeline news, of unknown length: the model is not on this host"
    room.follow("solar")
    assert findings(room.settings)["topics"].state == "ok"


def test_many_refused_texts_are_told_by_the_first_three(room: Newsroom) -> None:
    long = "tram line council vote " * 80
    room.follow(*(make_topic(slug=f"tram{number}", query=f"{number} {long}") for number in range(5)))
    found = findings(room.settings)["topics"]
    assert found.found.count("is longer than") == 3
    assert found.found.endswith("and 2 more")


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
    monkeypatch.setattr(scoring, "_engine_version", lambda: "vllm 0")
    assert findings(chosen)["scorer"].state == "fail"
    monkeypatch.setattr(scoring, "_engine_version", lambda: None)
    found = findings(chosen)
    assert (found["scorer"].state, found["engine"].state) == ("warn", "warn")


def test_a_light_model_that_cannot_be_used_is_a_warning(
    database_url: str, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def light(**others: Any) -> Finding:
        return findings(settings(database_url, store_url, light_order="embeddings", **others))["light order"]

    folder = make_checkpoint(tmp_path / "light")
    assert light(light_model=str(folder)).state == "ok"
    assert "from the hub" in light(light_model="owner/name").found
    (folder / "modules.json").unlink()
    found = light(light_model=str(folder))
    assert (found.state, "modules.json is missing" in found.found) == ("warn", True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "install news-rerank[embeddings]" in light().advice


def test_the_package_of_the_cpus_embedder_is_looked_for(
    database_url: str, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(
        database_url,
        store_url,
        light_order="embeddings",
        light_model="use-multilingual",
        recall="hybrid",
        embedding_model="use-multilingual",
    )
    names = ("light order", "embedding model")
    found = findings(chosen)
    assert [found[name].state for name in names] == ["ok", "ok"]
    assert "512 dimensions" in found["embedding model"].found
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = findings(chosen)
    assert [found[name].state for name in names] == ["warn", "warn"]
    for name in names:
        assert "is not installed here" in found[name].found
        assert "pip install 'news-rerank[meaning]'" in found[name].advice


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
    monkeypatch.setattr(scoring, "_engine_version", lambda: "vllm 0")
    monkeypatch.setattr(scoring, "_available_bytes", lambda: 1 << 30)
    assert findings(settings(database_url, store_url))["memory"].state == "warn"


def test_a_check_that_breaks_is_a_finding(
    database_url: str, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> int:
        raise OSError("no /proc here")

    monkeypatch.setattr(scoring, "_available_bytes", broken)
    found = findings(settings(database_url, store_url))
    assert found["memory"].found == "the check broke: OSError: no /proc here"
    assert found["database"].state == "ok"


def test_no_check_imports_the_engine(
    database_url: str, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vllm.py").write_text("raise SystemExit('vllm was imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert findings(settings(database_url, store_url))["engine"].state == "ok"


@pytest.mark.parametrize(("gib", "state"), [(5.0, "ok"), (1.0, "warn"), (0.05, "fail")])
def test_a_disk_that_fills_up_is_told(
    database_url: str, store_url: str, monkeypatch: pytest.MonkeyPatch, gib: float, state: str
) -> None:
    usage = shutil.disk_usage("/")._replace(free=int(gib * host.GIB))
    monkeypatch.setattr(host.shutil, "disk_usage", lambda folder: usage)
    found = findings(settings(database_url, store_url))["disk"]
    assert (found.state, bool(found.advice)) == (state, state != "ok")


def test_a_store_that_is_no_folder_has_no_disk_to_look_at() -> None:
    assert host.check_disk(Settings.load(store_url="s3://key:secret@bucket/x?region=eu-west-1")) is None


def test_a_variable_that_is_no_setting_is_told_with_the_one_that_is_meant(
    database_url: str, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RERANK_LOOKBACK_DAY", "3")
    monkeypatch.setenv("RERANK_AIRFLOW_NOTIFY_FAIL", "[]")
    monkeypatch.setenv("RERANK_DEBUG", "1")
    found = findings(settings(database_url, store_url))["variables"]
    assert found.state == "warn"
    assert found.found == (
        "RERANK_AIRFLOW_NOTIFY_FAIL is no setting (perhaps RERANK_AIRFLOW_NOTIFY_FAILED is meant); "
        "RERANK_LOOKBACK_DAY is no setting (perhaps RERANK_LOOKBACK_DAYS is meant)"
    )


def test_someone_to_tell_of_late_dag_runs_without_a_deadline_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_AIRFLOW_NOTIFY_LATE", '["builtins.print"]')
    assert host.check_variables(Settings.load()).state == "warn"
    monkeypatch.setenv("RERANK_AIRFLOW_DEADLINE_MINUTES", "50")
    assert host.check_variables(Settings.load()).state == "ok"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEADLINE_MINUTES", "soon"),
        ("NOTIFY_FAILED", '["nowhere.page"]'),
        ("WATCH_SCHEDULE", "often"),
    ],
)
def test_a_setting_of_airflow_that_it_will_refuse_is_told(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"RERANK_AIRFLOW_{name}", value)
    found = host.check_variables(Settings.load())
    assert found.state == "warn"
    assert found.found.startswith(f"RERANK_AIRFLOW_{name} ")


class TestMetrics:
    """Airflow sends nothing, without a word, where the package is missing."""

    def test_a_way_that_is_installed_is_named(
        self, database_url: str, store_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
        found = findings(settings(database_url, store_url))["metrics"]
        assert (found.state, found.found) == ("ok", "sent by Airflow: statsd_on")

    @pytest.mark.parametrize("way", ["statsd_on", "otel_on"])
    def test_a_way_whose_package_is_missing_is_a_warning(
        self, database_url: str, store_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
    ) -> None:
        monkeypatch.setitem(host.WAYS, way, "nowhere.to.be.found")
        monkeypatch.delenv("AIRFLOW_CONFIG", raising=False)
        monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
        (tmp_path / "airflow.cfg").write_text(f"[metrics]\n{way} = True\nstatsd_prefix = %nothing\n")
        found = findings(settings(database_url, store_url))["metrics"]
        assert (found.state, found.advice) == ("warn", "pip install 'news-rerank[metrics]'")

    def test_an_airflow_configuration_that_cannot_be_read_is_not_ours_to_judge(
        self, database_url: str, store_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("AIRFLOW_CONFIG", raising=False)
        monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
        (tmp_path / "airflow.cfg").write_bytes(b"\xff\xfe[metr")
        assert findings(settings(database_url, store_url))["metrics"].state == "ok"


class TestVectors:
    """What dense recall needs; none of it stops a run, which then recalls by words."""

    @pytest.fixture(autouse=True)
    def _embedder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(embedders, "identity", lambda settings: FakeEmbedder().identity)

    def test_pgvector_that_the_first_run_can_make_is_fine(self, database_url: str, store_url: str) -> None:
        found = findings(settings(database_url, store_url, recall="dense"))
        assert found["recall"].found == "dense: vectors are kept in Postgres"
        assert found["embedding model"].state == "ok"
        assert (found["vectors"].state, "pgvector 0." in found["vectors"].found) == ("ok", True)

    def test_pgvector_that_this_role_may_not_make_is_a_warning(
        self, database_url: str, store_url: str
    ) -> None:
        run(database_url, "DROP ROLE IF EXISTS doctor_writer; CREATE ROLE doctor_writer LOGIN")
        other = database_url.replace("postgres:@", "doctor_writer:@").replace("postgres@", "doctor_writer@")
        try:
            found = findings(settings(other, store_url, recall="dense"))["vectors"]
            assert (found.state, "CREATE EXTENSION vector SCHEMA rerank" in found.advice) == ("warn", True)
        finally:
            run(database_url, "DROP ROLE doctor_writer")

    @pytest.mark.parametrize(
        ("sql", "said"),
        [
            ("SELECT NULL AS installed, NULL AS available, true AS may_create", "no pgvector"),
            ("SELECT '0.7.4' AS installed, '0.8.0' AS available, true AS may_create", "pgvector 0.7.4"),
        ],
        ids=["none", "old"],
    )
    def test_a_server_without_a_pgvector_that_will_do_is_a_warning(
        self, database_url: str, store_url: str, monkeypatch: pytest.MonkeyPatch, sql: str, said: str
    ) -> None:
        statement_replaced(monkeypatch, "vectors.vector", sql)
        found = findings(settings(database_url, store_url, recall="hybrid"))["vectors"]
        assert (found.state, said in found.found, "recalled by words" in found.advice) == ("warn", True, True)

    def test_milvus_without_an_address_and_one_that_is_away_are_warnings(
        self, database_url: str, store_url: str
    ) -> None:
        found = findings(settings(database_url, store_url, recall="milvus"))["vectors"]
        assert (found.state, found.found) == ("warn", "RERANK_MILVUS_URL is not set")
        away = settings(database_url, store_url, recall="milvus", milvus_url="http://127.0.0.1:1")
        found = findings(away)["vectors"]
        assert (found.state, "Milvus does not answer" in found.found) == ("warn", True)

    def test_an_embedding_model_that_is_missing_is_a_warning(
        self, database_url: str, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.undo()
        chosen = settings(database_url, store_url, recall="dense", embedding_model=str(tmp_path / "none"))
        found = findings(chosen)["embedding model"]
        assert (found.state, "none" in found.found, bool(found.advice)) == ("warn", True, True)


class TestPage:
    """The page that readers see is as young as the schedule makes it, and nothing holds it."""

    @staticmethod
    def found(room: Newsroom) -> Finding:
        return findings(room.settings)["page"]

    def test_a_page_of_now_is_fine_and_no_page_is_no_fault(self, room: Newsroom) -> None:
        assert self.found(room) == Finding("page", "ok", "pipeline news has no page yet")
        room.run("k")
        assert self.found(room).state == "ok"
        assert "0.0 h old" in self.found(room).found

    @pytest.mark.parametrize(("hours", "state"), [(2, "ok"), (4, "warn")])
    def test_a_page_that_missed_two_runs_is_old(self, room: Newsroom, hours: float, state: str) -> None:
        assert room.settings.schedule == "0 * * * *"
        room.run("k", until=room.ago(hours=hours))
        found = self.found(room)
        assert found.state == state
        assert f"{hours}.0 h old" in found.found
        assert ("whether the DAG is paused" in found.advice) == (state == "warn")

    def test_a_sparse_schedule_makes_older_pages(self, room: Newsroom) -> None:
        room.run("k", until=room.ago(hours=30))
        assert self.found(room.tuned(schedule="0 6 * * *")).state == "ok"

    def test_a_page_that_is_held_says_what_lets_it_go_on(self, room: Newsroom) -> None:
        room.run("first")
        room.run("second")
        first = room.value("SELECT run_id FROM rerank.run WHERE key = 'first'")
        where = {"database": room.database, "store": room.resources.store, "settings": room.settings}
        pointer.rollback(**where, run_id=first, reason="wrong topic")
        found = self.found(room)
        assert found.state == "warn"
        assert "a rollback holds it" in found.found
        assert "--release" in found.advice
