"""The faults of a dag run. In the real tier: each at a stage of its own, and none where it could only wait."""

from random import Random
from types import SimpleNamespace

from faults.celery_fire import FAULTS, WRONG, WRONGS, CeleryFire
from faults.celery_fire import KINDS as HOST_KINDS
from faults.real import STAGES, RealFire
from faults.real_strikes import KINDS


def test_each_fault_of_a_dag_run_strikes_another_stage_and_nobody_is_frozen_where_it_scores() -> None:
    for seed in range(500):
        rng = Random(seed)
        kinds = rng.sample(KINDS, rng.randint(1, len(STAGES)))
        faults = RealFire.draw(SimpleNamespace(rng=rng), kinds)  # type: ignore[arg-type]
        stages = [fault.point.split("/")[0] for fault in faults]
        assert sorted(fault.kind for fault in faults) == sorted(kinds)
        assert stages == [stage for stage in STAGES if stage in stages]
        for fault, stage in zip(faults, stages, strict=True):
            assert stage == "rerank" or not fault.kind.startswith("engine")
            assert stage != "rerank" or "frozen" not in fault.kind


def test_a_dag_run_on_hosts_of_celery_has_one_wrong_host_at_most_and_all_kinds_in_their_turn() -> None:
    seen: set[str] = set()
    for seed in range(200):
        rng = Random(seed)
        kinds = rng.sample(HOST_KINDS, len(HOST_KINDS))
        faults = CeleryFire.draw(SimpleNamespace(rng=rng), kinds)  # type: ignore[arg-type]
        wrong = [fault for fault in faults if fault.kind in WRONGS]
        assert len({fault.kind for fault in faults}) == len(faults) == FAULTS
        assert [fault.host for fault in wrong] == [WRONG]
        seen |= {fault.kind for fault in faults}
    assert seen == set(HOST_KINDS)
