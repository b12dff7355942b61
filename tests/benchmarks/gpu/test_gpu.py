"""The script for GPUs runs through on a CPU, needs no package of Airflow's machines, and notices what is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import __main__ as script
from benchmarks.gpu.checks import misplaced

BASE = (
    "airflow alembic bm25s ftfy jieba langcodes opencc psycopg2 py3langid pyarrow regex rich sqlalchemy Stemmer trafilatura typer"
).split()
ALONE = f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BASE}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refuse())
import benchmarks.gpu.__main__, benchmarks.contenders, rerank_core.models.quantise, rerank_core.models.vllm
"""


def test_the_script_and_its_engines_need_no_package_of_the_base_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    subprocess.run([sys.executable, "-c", ALONE], check=True, timeout=60)
    broken = ALONE + "\nimport benchmarks.end_to_end"  # what the part `stages` alone may import
    assert subprocess.run([sys.executable, "-c", broken], stderr=subprocess.DEVNULL, timeout=60).returncode


def test_neighbours_that_changed_places_are_counted_unless_they_are_level() -> None:
    right = {(0, 1): 2.0, (0, 2): 1.0, (0, 3): 0.9999, (1, 1): -1.0}
    assert misplaced(right, right) == 0
    assert misplaced({**right, (0, 2): 0.9998}, right) == 0
    assert misplaced({**right, (0, 1): 0.5}, right) == 1


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
def test_all_parts_run_through_on_a_cpu_and_are_not_run_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("vllm", reason="the engine is not installed (extra `cpu` or `gpu`)")
    out = tmp_path / "gpu.json"
    command = ["--device", "cpu", "--seconds", "900", "--out", str(out)]
    assert script.main(command) == 0, capfd.readouterr().out
    parts = json.loads(out.read_text())["parts"]
    assert list(parts) == list(script.PARTS)
    assert {row["right"] for name in ("right", "killed") for row in parts[name]["rows"].values()} == {True}
    assert "news: LLM.score" in parts["beside"]["rows"]
    assert set(parts["host"]["rows"]) == {"2 engines"}
    assert [set(row) for row in parts["knobs"]["rows"].values()] == [
        {"headlines: × without it", "news: × without it"}
    ]
    assert "rows at another place" in capfd.readouterr().out
    before = out.read_bytes()
    assert script.main(command) == 0
    assert out.read_bytes() == before
