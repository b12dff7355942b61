"""Some faults against the real Airflow and the real engine; `make faults N=40 REAL=40` has forty."""

import pytest

from faults.real import RealFire
from faults.real_strikes import RealFault

pytestmark = [
    pytest.mark.scheduler,
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("default"),
]


@pytest.mark.long
def test_a_killed_engine_and_a_zombie_of_publish_break_no_promise() -> None:
    with RealFire(seed=7) as fire:
        struck = fire.play(
            [
                RealFault("engine killed mid-chunk", "rerank/chunk/1"),
                RealFault("task and supervisor frozen", "publish/written/1"),
            ]
        )
        assert all(fault.delivered for fault in struck.faults)
        assert struck.verdict.violations == []
        last = fire.close()
        assert last.verdict.violations == []
        assert last.verdict.publications >= 3


@pytest.mark.long
def test_neither_airflows_database_nor_a_second_scheduler_nor_an_upgrade_breaks_a_promise() -> None:
    with RealFire(seed=8) as fire:
        struck = fire.play(
            [
                RealFault("two schedulers", "prepare/commit/3"),
                RealFault("metadata restarted", "recall/write/1"),
                RealFault("upgrade", "publish/written/1"),
            ]
        )
        assert all(fault.delivered for fault in struck.faults)
        assert struck.verdict.violations == []
        assert fire.close().verdict.violations == []
