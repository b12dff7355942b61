"""The doctor tells who is heard of, and what nobody takes. tests/dags asks a real Airflow, on Postgres."""

from datetime import UTC, datetime, timedelta

from rerank_core.operations.doctor import workers

NOW = datetime(2026, 11, 29, 14, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SERVICES = [("scheduler", "main", MINUTE), ("dag-processor", "main", MINUTE)]


def test_services_and_hosts_are_named_with_their_queues() -> None:
    found = workers.judge(SERVICES, [("gpu1", "gpu", 3 * MINUTE), ("gpu2", "gpu", 200 * MINUTE)], [])
    assert (found.state, found.found, found.advice) == (
        "ok",
        "scheduler on main; dag-processor on main; gpu1 ran a task of queue gpu 3 min ago; gpu2 ran a task of queue gpu 3 h ago",
        "",
    )


def test_a_service_that_is_silent_and_a_queue_that_nobody_serves_come_first_with_what_to_do() -> None:
    found = workers.judge(SERVICES[1:], [], [("gpu", 2, 40 * MINUTE)])
    assert found.state == "warn"
    assert found.found.startswith(
        "no scheduler is heard of; tasks that wait in queue gpu: 2, the first since 40 min ago; "
    )
    assert found.advice == "start `airflow scheduler`; look at the workers of queue gpu: none takes them"


def test_moments_are_read_as_each_database_gives_them() -> None:
    aware = NOW - MINUTE
    for given in (aware, aware.replace(tzinfo=None), "2026-11-29 13:59:00.000000", aware.isoformat()):
        assert workers._age(given, NOW) == MINUTE
    assert workers._age(NOW + MINUTE, NOW) == timedelta()
