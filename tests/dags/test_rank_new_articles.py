"""The DAG as Airflow sees it, and what its tasks pass on, ask for and try again."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import airflow_home
import pytest
from airflow_versions import WANTED

from rerank_core import pipeline
from rerank_core.errors import EngineError, InputError, ModelError
from rerank_core.operations.doctor import examine
from rerank_core.operations.doctor.finding import Finding

HEAVY = (
    "torch",
    "vllm",
    "transformers",
    "pyarrow",
    "numpy",
    "pandas",
    "bm25s",
    "jieba",
    "trafilatura",
    "psycopg2",
)

PARSE = f"""
import json, sys, time
import airflow.settings
from airflow.dag_processing.dagbag import DagBag
started = time.perf_counter()
bag = DagBag("dags")
seconds = time.perf_counter() - started
heavy = [name for name in {HEAVY!r} if name in sys.modules]
print(json.dumps([seconds, bag.import_errors, sorted(bag.dags), heavy]))
"""


def test_parsing_brings_no_engine_no_arrow_and_no_driver_and_is_quick(metadata):
    parsed = subprocess.run(
        [sys.executable, "-c", PARSE],
        cwd=airflow_home.REPOSITORY,
        env=os.environ | {"PYTHONPATH": "plugins"},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, errors, dag_ids, heavy = json.loads(parsed.stdout.splitlines()[-1])
    assert (errors, dag_ids, heavy) == (
        {},
        WANTED["dags"],
        [],
    )
    print(f"parsed in {seconds:.2f} s")
    assert seconds < 0.5 or os.getloadavg()[0] > (os.cpu_count() or 1)  # a busy machine says nothing


def test_the_page_that_airflow_shows_lists_every_task_in_order(ranking_dag):
    rows = [line.split("**")[1] for line in ranking_dag.doc_md.splitlines() if line.startswith("| **")]
    assert rows == [task.task_id for task in ranking_dag.topological_sort()]


def test_each_hour_is_a_partition_that_is_ranked_when_it_has_ended(ranking_dag):
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import TimeRestriction

    assert ranking_dag.catchup is False
    info = coerce_to_core_timetable(ranking_dag.timetable).next_dagrun_info_v2(
        last_dagrun_info=None, restriction=TimeRestriction(None, None, catchup=False)
    )
    assert info.run_after - info.partition_date == timedelta(hours=1)
    assert info.partition_date.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S") == info.partition_key


def test_the_dag_survives_airflows_serialization(ranking_dag):
    from airflow.serialization.serialized_objects import DagSerialization

    stored = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(ranking_dag))
    assert stored.get_task("rerank").has_retry_policy
    assert stored.get_task("rerank").pool == "gpu"
    assert {task.has_retry_policy for task in stored.tasks} == {True}


def test_every_listed_pipeline_has_a_dag_of_its_own(parse, monkeypatch):
    monkeypatch.setenv(
        "RERANK_AIRFLOW_PIPELINES", '{"news": {}, "shadow": {"schedule": "30 * * * *", "gpu_pool": "spare"}}'
    )
    first, shadow = parse("rank_new_articles"), parse("rank_new_articles_shadow")
    assert (first.get_task("rerank").partial_kwargs["pool"], first.tags) == ("gpu", {"news-rerank", "news"})
    assert shadow.get_task("rerank").partial_kwargs["pool"] == "spare"
    assert [asset.name for asset in shadow.get_task("publish").outlets] == ["rankings_shadow"]
    assert shadow.get_task("extract").pipeline == "shadow"


@pytest.mark.parametrize(
    "form",
    [
        {"topics": ["../etc"]},
        {"topics": "ai"},
        {"rescore": "yes"},
        {"until": 5},
        {"approve": "12"},
        {"approve": 0},
        {"reason": 5},
    ],
    ids=str,
)
def test_the_trigger_form_refuses_what_it_cannot_mean(ranking_dag, form):
    from airflow.sdk.exceptions import ParamValidationError

    (name, value), *_ = form.items()
    with pytest.raises(ParamValidationError):
        ranking_dag.params.get_param(name).resolve(value)


def test_every_stage_opens_the_same_run_by_the_dag_runs_id(stages, ranking_dag, run_dag):
    outcome = run_dag(ranking_dag)
    first, *rest = stages.opened
    assert (first["key"], first["topics"], first["rescore"]) == (outcome.run_id, None, False)
    assert abs(datetime.now(UTC) - first["until"]) < timedelta(minutes=1)
    assert len(rest) == 10  # a scoring task also before it looks at its host
    assert all(other == first for other in rest)


def test_the_trigger_form_reaches_the_run(stages, ranking_dag, run_dag, monkeypatch):
    monkeypatch.setattr(
        "rerank_airflow.operators.doctor.examine", lambda settings, identity: {}
    )  # it would look for the topic
    run_dag(ranking_dag, until="2026-11-22T12:00:00+01:00", topics=["ai-chips"], rescore=True)
    assert stages.opened[0] | {"key": ""} == {
        "key": "",
        "until": datetime(2026, 11, 22, 11, tzinfo=UTC),
        "topics": ("ai-chips",),
        "rescore": True,
        "as_claimed_now": False,
    }


def test_the_trigger_form_approves_a_blocked_run_before_anything_is_claimed(stages, ranking_dag, run_dag):
    outcome = run_dag(ranking_dag, approve=12, reason="the scale is new")
    assert stages.approved == [{"run_id": 12, "reason": "the scale is new", "on_behalf_of": "dag_test"}]
    assert outcome.tasks["publish"] == ["success"]  # and then it ranks as ever


def test_an_approval_that_is_refused_stops_the_dag_run_before_anything_is_claimed(
    stages, ranking_dag, run_dag, monkeypatch
):
    def refuse(*args, **kwargs):
        raise InputError("run 12 is not blocked")

    monkeypatch.setattr(pipeline, "approve", refuse)
    outcome = run_dag(ranking_dag, approve=12, reason="the scale is new")
    assert outcome.tasks["doctor"] == ["failed"]
    assert stages.opened == []


def test_without_the_forms_word_nothing_is_approved(stages, ranking_dag, run_dag):
    run_dag(ranking_dag, reason="no run is named")
    assert stages.approved == []


def test_a_blocked_run_says_which_check_and_by_how_much_and_what_to_do(stages, ranking_dag, run_dag, capfd):
    stages.blocked = "spread: the 240 logits deviate by 0, less than 0.001"
    run_dag(ranking_dag)
    said = "".join(capfd.readouterr())
    assert "BlockedError" in said
    assert (
        "the gate blocks run 7 of pipeline news: spread: the 240 logits deviate by 0, less than 0.001" in said
    )
    assert "rerank publish --approve 7 --pipeline news" in said


def test_an_unreadable_until_is_refused_before_anything_is_claimed(stages, ranking_dag, run_dag):
    from airflow.sdk.exceptions import ParamValidationError

    try:
        outcome = run_dag(ranking_dag, until="tomorrow")
    except ParamValidationError:  # Airflow itself refuses it where a checker of times is installed
        pass
    else:
        assert outcome.tasks["doctor"] == ["failed"]
    assert stages.opened == []


def test_an_until_without_an_offset_is_refused_by_the_doctor(stages, ranking_dag, run_dag, monkeypatch):
    from rerank_airflow.identity import RunIdentity
    from rerank_core.errors import InputError

    def refuse(*args, **kwargs):
        raise InputError("until has no UTC offset")

    monkeypatch.setattr(RunIdentity, "of", refuse)
    outcome = run_dag(ranking_dag)
    assert outcome.tasks["doctor"] == ["failed"]
    assert stages.opened == []


def test_shards_are_named_after_their_work(stages, ranking_dag, run_dag):
    named = [one.name for one in run_dag(ranking_dag).instances["rerank"]]
    assert named == ["shard 0: 12 pairs, 3 topics", "shard 1: 12 pairs, 3 topics"]


def test_only_counts_ids_and_paths_pass_between_tasks(stages, ranking_dag, run_dag):
    outcome = run_dag(ranking_dag)
    assert outcome.xcom("recall") == [{"shard": number, "pairs": 12, "topics": 3} for number in (0, 1)]
    assert outcome.xcom("recall", key="counts")["candidates"] == 24
    assert outcome.xcom("rerank", map_index=1)["device"] == "cpu"
    assert outcome.xcom("publish")["parquet_path"] == "rankings/one.parquet"
    # As Airflow's own API says to the task: all start unpaused.
    assert "paused: " not in outcome.xcom("doctor")["dags"]
    assert outcome.xcom("doctor")["dags"].startswith(("ok: ", "warn: Airflow does not have "))


def test_publishing_emits_the_asset_with_a_partition_and_what_was_published(stages, ranking_dag, run_dag):
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    stages.is_current = True
    outcome = run_dag(ranking_dag)
    with create_session() as session:
        event = session.scalars(select(AssetEvent).where(AssetEvent.source_run_id == outcome.run_id)).one()
        assert event.asset.name == "rankings"
        assert event.partition_key == "2026-11-22T17:00:00"
        assert event.extra == {
            "run_id": 7,
            "as_of": "2026-11-22T17:00:00+00:00",
            "publication_id": stages.publication_id,
            "version": 1,
            "is_current": True,
            "degraded": False,
            "blocked": None,
            "topics": 6,
            "rows": 24,
            "rows_sha256": "ab" * 32,
            "parquet_path": "rankings/one.parquet",
        }


def test_a_retryable_error_is_tried_again_and_then_forgotten(stages, parse, run_dag, monkeypatch):
    monkeypatch.setenv("RERANK_RETRY_SECONDS", "0.05")
    stages.failing, stages.fails_once = {("rerank", 1): EngineError("the engine is finished")}, True
    outcome = run_dag(parse())
    assert [(one.state, one.try_number) for one in outcome.instances["rerank"]] == [
        ("success", 1),
        ("success", 2),
    ]
    assert outcome.tasks["degrade"] == ["skipped"]


def test_a_permanent_error_is_not_tried_again(stages, parse, run_dag, monkeypatch):
    monkeypatch.setenv("RERANK_RETRY_SECONDS", "0.05")
    stages.failing = {("recall", None): ModelError("the checkpoint fails its canary")}
    outcome = run_dag(parse())
    assert [(one.state, one.try_number) for one in outcome.instances["recall"]] == [("failed", 1)]
    assert stages.ran.count(("recall", None)) == 1


def test_what_the_doctor_finds_stops_the_dag_run_in_sentences(stages, parse, run_dag, monkeypatch, capfd):
    monkeypatch.setattr(
        examine,
        "examine",
        lambda settings: [
            Finding("schema", "fail", "no migration was applied", "run `rerank db upgrade`"),
            Finding("gpu", "warn", "none", "expect about a pair a second"),
        ],
    )
    outcome = run_dag(parse())
    assert [(one.state, one.try_number) for one in outcome.instances["doctor"]] == [("failed", 1)]
    assert stages.ran == []
    said = "".join(capfd.readouterr())
    assert "schema: no migration was applied; run `rerank db upgrade`." in said


def test_a_database_that_does_not_answer_is_asked_again(stages, parse, run_dag, monkeypatch):
    monkeypatch.setenv("RERANK_RETRY_SECONDS", "0.05")
    answers = [[Finding("database", "fail", "no answer", "check that it runs")], []]
    monkeypatch.setattr(examine, "examine", lambda settings: answers.pop(0))
    outcome = run_dag(parse())
    assert [(one.state, one.try_number) for one in outcome.instances["doctor"]] == [("success", 2)]


TOLD = []


def remember(context):
    TOLD.append(context["task"].task_id)


def refuse(context):
    raise RuntimeError("the pager is down")


@pytest.fixture
def told(monkeypatch):
    TOLD.clear()
    monkeypatch.setitem(sys.modules, "the_users_alerts", sys.modules[__name__])
    return TOLD


def test_a_degraded_page_is_told_though_the_dag_run_ends_green(stages, parse, run_dag, told, monkeypatch):
    monkeypatch.setenv("RERANK_RETRIES", "0")
    monkeypatch.setenv(
        "RERANK_AIRFLOW_NOTIFY_DEGRADED", '["the_users_alerts.refuse", "the_users_alerts.remember"]'
    )
    stages.missing = 3
    outcome = run_dag(parse())
    assert (outcome.state, told) == ("success", ["publish"])


def test_a_full_page_is_not_told(stages, parse, run_dag, told, monkeypatch):
    monkeypatch.setenv("RERANK_RETRIES", "0")
    monkeypatch.setenv("RERANK_AIRFLOW_NOTIFY_DEGRADED", '["the_users_alerts.remember"]')
    run_dag(parse())
    assert told == []


def test_a_task_that_failed_for_good_is_told_once(stages, parse, run_dag, told, monkeypatch):
    monkeypatch.setenv("RERANK_RETRIES", "0")
    monkeypatch.setenv("RERANK_AIRFLOW_NOTIFY_FAILED", '["the_users_alerts.remember"]')
    stages.failing = {("extract", None): EngineError("no")}
    run_dag(parse())
    assert told == ["extract"]


def test_a_parameter_that_the_form_does_not_have_is_refused_by_the_doctor(
    stages, ranking_dag, run_dag, capfd
):
    outcome = run_dag(ranking_dag, topic=["ai-chips"], openlineage={"run": "another tool's"})
    assert outcome.tasks["doctor"] == ["failed"]
    assert stages.opened == []
    said = "".join(capfd.readouterr())
    assert "the dag run's conf has 'topic', which is no parameter (perhaps 'topics' is meant)" in said


def test_a_topic_of_the_form_that_is_not_there_is_refused_by_the_doctor(
    stages, ranking_dag, run_dag, monkeypatch, capfd, database_url
):
    monkeypatch.setenv("RERANK_DATABASE_URL", database_url)
    outcome = run_dag(ranking_dag, topics=["nope"])
    assert outcome.tasks["doctor"] == ["failed"]
    assert stages.opened == []
    assert "pipeline news has no active topic 'nope'" in "".join(capfd.readouterr())
