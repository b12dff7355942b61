"""Try the wheel on every Airflow that the package index has from 3.3 to below 3.5: `make test-airflow`.

Each version gets an environment of its own, with the wheel's dependencies as pip resolves them beside it and no engine. Airflow's own managers must then
find plugin, provider, views and DAGs. A version above the bound of pyproject.toml is tried, too: it says whether the bound can be raised.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
FIRST, BELOW = (3, 3, 2), (3, 5)
# What tests/airflow_look.py finds if all is well; tests/plugins/test_wheel.py looks in the tests' own Airflow.
WANTED = {
    "plugins": [["news_rerank", "EntryPointSource"]],
    "errors": {},
    "imports": {},
    "dags": [
        "announce_rankings",
        "learn_from_feedback",
        "maintain_rankings",
        "publish_overdue_rankings",
        "rank_new_articles",
        "watch_rankings",
    ],
    "types": ["rerank_hub", "rerank_milvus", "rerank_postgres", "rerank_redis", "rerank_store"],
    "views": ["Rankings", "Ranking health", "Ranking run"],
}


def versions() -> list[str]:
    """The versions of Airflow that the index has, the oldest first; no release candidate."""
    asked = _run([sys.executable, "-m", "pip", "index", "versions", "apache-airflow"])
    listed = re.search(r"^Available versions: (.+)$", asked, re.MULTILINE)
    found = re.findall(r"(?<![\w.])\d+\.\d+\.\d+(?![\w.])", listed[1] if listed else "")
    numbered = sorted((tuple(map(int, version.split("."))), version) for version in set(found))
    return [version for number, version in numbered if FIRST <= number < BELOW]


def requirements() -> list[str]:
    """What the wheel needs beside Airflow."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [line for line in project["dependencies"] if not line.startswith("apache-airflow")]


def wrong_with(version: str, folder: Path) -> str | None:
    """What is wrong with the wheel on this Airflow; None if all is well."""
    venv.create(folder / "venv", with_pip=True)
    python = str(folder / "venv" / "bin" / "python")
    _run([sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)])
    (wheel,) = folder.glob("*.whl")
    _run([python, "-m", "pip", "install", "--quiet", f"apache-airflow=={version}", *requirements()])
    _run([python, "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)])
    (folder / "home" / "dags").mkdir(parents=True)
    (folder / "home" / "dags" / "news_rerank.py").write_bytes(
        (REPOSITORY / "dags" / "news_rerank.py").read_bytes()
    )
    said = _run(
        [python, str(REPOSITORY / "tests" / "airflow_look.py"), str(folder / "home" / "dags")],
        home=folder / "home",
    )
    found = json.loads(said.splitlines()[-1])
    differs = {name: found[name] for name in WANTED if found[name] != WANTED[name]}
    return f"found {differs}" if differs else None


def _run(command: Sequence[str], *, home: Path | None = None) -> str:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHONPATH"))
    }
    environment = (
        kept | {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"} if home else kept
    )
    done = subprocess.run(
        command, cwd=home or REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command[:6])} … ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}"
        )
    return done.stdout


def main(asked: Sequence[str]) -> int:
    """Try these versions, or all; the number of those that failed."""
    failed = 0
    for version in asked or versions():
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="rerank-airflow-") as folder:
            try:
                wrong = wrong_with(version, Path(folder))
            except RuntimeError as error:
                wrong = str(error)
        print(
            f"Airflow {version}: {wrong or 'plugin, provider, views and DAGs are found'} ({time.monotonic() - began:.0f} s)",
            flush=True,
        )
        failed += wrong is not None
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
