"""Which run a dag run is."""

from datetime import UTC, datetime
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from rerank_airflow.identity import RunIdentity, next_tick
from rerank_core.errors import InputError

HOURLY = "0 * * * *"
FIVE_PM = datetime(2026, 11, 22, 17, tzinfo=UTC)


def make_context(*, partition_date=None, partition_key=None, run_after=FIVE_PM, run_id="manual__x", **form):
    params = {"until": None, "topics": None, "rescore": False} | form
    return {
        "params": params,
        "partition_date": partition_date,
        "partition_key": partition_key,
        "dag_run": SimpleNamespace(run_id=run_id, run_after=run_after),
    }


def identity(schedule=HOURLY, **context):
    return RunIdentity.of(make_context(**context), schedule=schedule)


def test_a_partition_is_named_by_its_start_in_utc_and_ranks_up_to_the_next_tick():
    found = identity(
        partition_date=datetime(2026, 11, 22, 16, tzinfo=UTC), partition_key="2026-11-22T16:00:00"
    )
    assert found == RunIdentity(
        key="2026-11-22T16:00:00Z",
        until=FIVE_PM,
        topics=None,
        rescore=False,
        partition_key="2026-11-22T16:00:00",
    )


def test_a_backfill_and_the_scheduled_dag_run_of_one_partition_are_one_run():
    start = datetime(2026, 11, 22, 16, tzinfo=UTC)
    scheduled = identity(partition_date=start, run_after=FIVE_PM, run_id="scheduled__1")
    backfill = identity(partition_date=start, run_after=start, run_id="backfill__2")
    assert scheduled == backfill


def test_two_manual_dag_runs_with_one_partition_key_are_one_run():
    start = datetime(2026, 11, 22, 16, tzinfo=UTC)
    first, second = (
        identity(partition_date=start, run_id=name, run_after=datetime(2026, 11, 23, hour, tzinfo=UTC))
        for name, hour in (("manual__1", 1), ("manual__2", 2))
    )
    assert first == second


def test_the_two_hours_with_one_local_label_at_the_end_of_summer_time_are_two_runs():
    zurich = ZoneInfo("Europe/Zurich")
    first, second = (
        identity(
            partition_date=datetime(2026, 10, 25, 2, fold=fold, tzinfo=zurich),
            partition_key="2026-10-25T02:00:00",
        )
        for fold in (0, 1)
    )
    assert (first.key, second.key) == ("2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z")
    assert (first.until, second.until) == (
        datetime(2026, 10, 25, 1, tzinfo=UTC),
        datetime(2026, 10, 25, 2, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("schedule", "end"),
    [
        ("*/15 * * * *", datetime(2026, 11, 22, 16, 15, tzinfo=UTC)),
        ("@daily", datetime(2026, 11, 23, tzinfo=UTC)),
        ("30 6 * * 1", datetime(2026, 11, 23, 6, 30, tzinfo=UTC)),
    ],
)
def test_the_next_tick_follows_the_cron_expression(schedule, end):
    assert next_tick(schedule, after=datetime(2026, 11, 22, 16, tzinfo=UTC)) == end


def test_a_manual_dag_run_is_named_by_its_id_and_ranks_up_to_its_run_after():
    found = identity(run_id="manual__2026-11-22T17:00:00+00:00__abc")
    assert (found.key, found.until) == ("manual__2026-11-22T17:00:00+00:00__abc", FIVE_PM)


def test_the_forms_until_wins_over_run_after_and_is_turned_into_utc():
    assert identity(until="2026-11-22T12:30:00+01:00").until == datetime(2026, 11, 22, 11, 30, tzinfo=UTC)


def test_the_forms_until_may_repeat_the_end_of_the_partition():
    start = datetime(2026, 11, 22, 16, tzinfo=UTC)
    assert identity(partition_date=start, until="2026-11-22T18:00:00+01:00").until == FIVE_PM


def test_a_partition_with_another_until_is_refused():
    with pytest.raises(
        InputError, match=r"partition 2026-11-22T16:00:00Z, which ends at 2026-11-22T17:00:00Z"
    ):
        identity(partition_date=datetime(2026, 11, 22, 16, tzinfo=UTC), until="2026-11-22T18:00:00Z")


@pytest.mark.parametrize("text", ["2026-11-22T17:00:00", "yesterday", "17:00"])
def test_an_until_without_a_zone_or_a_date_is_refused_with_an_example(text):
    with pytest.raises(InputError, match=r"\+00:00"):
        identity(until=text)


@pytest.mark.parametrize("empty", [None, []])
def test_no_topics_on_the_form_means_all_topics(empty):
    assert identity(topics=empty).topics is None


def test_topics_and_rescore_come_from_the_form():
    found = identity(topics=["ai-chips", "apple"], rescore=True)
    assert (found.topics, found.rescore) == (("ai-chips", "apple"), True)


def test_without_a_run_after_the_run_ranks_up_to_now():
    assert identity(run_after=None).until is None
