"""The long fire's table: it is there after each scenario, and a fire that is broken off goes on."""

from pathlib import Path

import pytest

from faults.oracle import Verdict
from faults.report import TOGETHER, Results, Row, page


def test_what_was_found_is_there_for_whoever_goes_on(tmp_path: Path) -> None:
    begun = Results(tmp_path, seed=7)
    with begun.change(faults=1) as told:
        told.row("fast", "", "kill").add(Verdict(revisions=5, lost=1, violations=["lost: a3"]), faults=1)
    again = Results(tmp_path)
    with again.change(faults=1) as told:
        told.row("fast", "", "kill").add(Verdict(revisions=2), faults=1)
    found = again.read()
    row = found.row("fast", "", "kill")
    assert (found.seed, row.faults, row.revisions, row.lost) == (7, 2, 7, 1)
    assert (row.scenarios_caught, row.scenarios) == (1, 2)
    assert list(found.code.values()) == [2]
    assert "| kill | 2 | 7 | 0 | 0 | 0 | 1 |" in again.page.read_text()


def test_a_fire_with_a_seed_begins_anew(tmp_path: Path) -> None:
    with Results(tmp_path, seed=7).change() as told:
        told.row("fast", "", "kill").faults = 9
    assert Results(tmp_path, seed=8).read().delivered == 0


def test_there_is_nothing_to_go_on_with_in_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no fire to go on with"):
        Results(tmp_path)


def test_two_parts_that_write_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    Results(tmp_path, seed=7)

    def part(kind: str) -> None:
        results = Results(tmp_path)
        for _ in range(20):
            with results.change() as told:
                told.row("fast", "", kind).faults += 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(part, ["kill", "freeze", "kill", "freeze"]))
    assert Results(tmp_path).read().count("faults", "fast") == 80


def test_an_airflow_adds_what_it_has_come_to_and_not_what_was_added_before(tmp_path: Path) -> None:
    results = Results(tmp_path, seed=7)
    for _ in range(2):
        before: Row = results.read().row("real", "", TOGETHER)
        for runs in (3, 5):
            with results.change() as told:
                told.row("real", "", TOGETHER).set(before, Verdict(runs=runs))
    assert results.read().row("real", "", TOGETHER).runs == 10


def test_the_page_says_what_was_violated(tmp_path: Path) -> None:
    results = Results(tmp_path, seed=7)
    assert "None." in results.page.read_text()
    with results.change() as told:
        told.violations.append(
            {
                "tier": "fast",
                "kind": "kill",
                "seed": 9,
                "faults": "kill at x",
                "code": "c",
                "violations": ["torn: y"],
            }
        )
    assert "- fast, kill (seed 9, c): kill at x\n  - torn: y" in page(results.read())
