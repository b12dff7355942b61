"""Two faults against the real Airflow and the real engine; `make faults N=40 REAL=40` has forty."""

import pytest

from faults.real import RealFault, RealFire

pytestmark = [
    pytest.mark.scheduler,
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("default"),
]


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
