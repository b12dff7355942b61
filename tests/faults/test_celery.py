"""Some faults against Airflow with CeleryExecutor and three hosts; `make faults N=24 ARGS="--celery 24"` has more."""

import pytest
from redis_servers import needs_redis

from faults.celery_fire import KINDS, CeleryFire

pytestmark = [
    pytest.mark.scheduler,
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(1200),
    needs_redis,
]


def test_hosts_that_are_killed_frozen_cut_off_and_wrong_break_no_promise() -> None:
    pytest.importorskip(
        "airflow.providers.celery.executors.celery_executor",
        reason="Airflow's Celery provider is not installed here",
    )
    with CeleryFire(seed=7) as fire:
        for kinds in (KINDS, KINDS[::-1]):
            struck = fire.play(fire.draw(kinds))
            assert all(fault.delivered for fault in struck.faults), struck.faults
            assert struck.verdict.violations == []
        last = fire.close()
    assert last.verdict.violations == []
    assert last.verdict.publications >= 2
