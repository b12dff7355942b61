"""Imports point one way, and the base library needs neither Airflow nor an engine."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
STAGES = ("extract", "prepare", "embed", "recall", "rerank", "degrade", "publish", "observe")

# A module imports only from layers below its own; within a layer, only what INSIDE names.
LAYERS = (
    ("records", "errors", "findings", "settings", "airflow_settings", "schemas", "contract"),
    ("database", "store", "hot_server"),
    (
        "runs",
        "scorers",
        "attempts",
        "batches",
        "boilerplate",
        "drift",
        "cleaning",
        "clusters",
        "documents",
        "flags",
        "ledger",
        "prompt",
        "encoding",
        "frozen",
        "hidden",
        "ranking",
        "retrieval",
        "roles",
        "syndication",
        "topics",
        "topics_file",
        "text",
        "words",
    ),
    ("gate", "light", "standings", "publications", "reading", "unsettled"),
    ("articles", "articles_file", "followers", "hot", "maintain", "pages", "pointer", "removal", *STAGES),
    ("overdue",),
    (
        "judgements",
        "evaluate",
        "corpus",
        "calibrate",
        "evaluation_plot",
        "explain",
        "trace.steps",
        "feedback",
        "contract_page",
        "playground",
        "serve",
    ),
    ("pipeline", "doctor", "doctor_host", "doctor_recall", "doctor_times"),
    ("cli", "demo"),
    ("rerank_airflow",),
    ("dags",),
)
INSIDE = {
    "settings": {"errors"},
    "airflow_settings": {"errors", "settings"},
    "hot": {"pages"},
    "followers": {"hot", "pages"},
    "pointer": {"followers"},
    "removal": {"followers"},
    "doctor": {"doctor_host", "doctor_recall", "doctor_times"},
    "attempts": {"scorers"},
    "ledger": {"scorers"},
    "prompt": {"encoding"},
    "scorers": {"scorers", "prompt", "encoding"},
    "retrieval": {"ranking", "retrieval", "text", "topics"},
    "topics": {"topics_file"},
    "gate": {"standings"},
    "evaluate": {"judgements"},
    "corpus": {"evaluate", "judgements"},
    "calibrate": {"evaluate", "judgements"},
    "evaluation_plot": {"evaluate"},
    "explain": {"evaluate"},
    "articles": {"articles_file"},
    "maintain": {"hot", "pages"},
    "cli": {"cli", "demo"},
    "boilerplate": {"text"},
    "cleaning": {"boilerplate"},
    "flags": {"boilerplate"},
    "clusters": {"syndication"},
    "batches": {"cleaning", "documents"},
    "documents": {"cleaning", "flags", "syndication", "text"},
    "syndication": {"text"},
    "text": {"words"},
    "demo": {"demo"},
    "reading": {"reading"},
    "rerank_airflow": {"rerank_airflow"},
}


def parts() -> list[tuple[str, Path]]:
    """(part of the layering, file) of every source file."""
    found = []
    for folder in ("rerank_core", "plugins", "dags"):
        for file in sorted((REPOSITORY / folder).rglob("*.py")):
            where = file.relative_to(REPOSITORY).with_suffix("").parts
            found.append(("dags" if folder == "dags" else where[1], file))
    return found


def imported(source: str) -> set[str]:
    """Dotted names that a source file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, "imports are absolute"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def layer(part: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if part in layer)


def offences(part: str, source: str) -> list[str]:
    """Imports of this source, in this part, that point the wrong way."""
    wrong = []
    for name in imported(source):
        top, _, rest = name.partition(".")
        if top == "rerank_core":
            target = rest.partition(".")[0]
            if target in {"", "__version__"} or not any(target in one for one in LAYERS):
                continue
        elif top == "rerank_airflow":
            target = top
        else:
            continue
        if layer(target) > layer(part) or (
            layer(target) == layer(part) and target not in INSIDE.get(part, set())
        ):
            wrong.append(f"{part} imports {name}")
    return wrong


def test_every_module_stands_in_a_layer() -> None:
    known = {part for one in LAYERS for part in one} | {"__init__"}
    assert {part for part, _ in parts()} <= known


@pytest.mark.parametrize(("part", "file"), parts(), ids=lambda value: getattr(value, "name", value))
def test_imports_point_one_way(part: str, file: Path) -> None:
    if part != "__init__":
        assert offences(part, file.read_text()) == []


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("recall", "from rerank_core.prepare.prepare import to_document"),
        ("publish", "from rerank_core import ledger, degrade"),
        ("database", "import rerank_core.storage.ledger"),
        ("records", "def f():\n    from rerank_core.settings import Settings"),
        ("ledger", "from rerank_core import pipeline"),
        ("pipeline", "from rerank_core.cli import main"),
        ("cli", "import rerank_airflow.operators"),
    ],
)
def test_an_import_that_points_the_wrong_way_is_found(part: str, source: str) -> None:
    assert len(offences(part, source)) == 1


def test_only_plugins_and_dags_import_airflow() -> None:
    with_airflow = {
        part
        for part, file in parts()
        if any(name.partition(".")[0] == "airflow" for name in imported(file.read_text()))
    }
    assert with_airflow <= {"rerank_airflow", "dags"}


def test_only_the_engines_import_vllm_and_none_torch() -> None:
    found = {
        file.relative_to(REPOSITORY / "rerank_core").as_posix()
        for _, file in parts()
        if any(name.partition(".")[0] in {"vllm", "torch"} for name in imported(file.read_text()))
        and "demo" not in file.parts
    }
    assert found == {"scorers/vllm.py", "scorers/embedder.py"}


@pytest.mark.parametrize("module", ["rerank_core.pipeline", "rerank_core.cli"])
def test_the_library_loads_neither_an_engine_nor_airflow(module: str) -> None:
    script = (
        f"import sys, {module}\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'vllm', 'airflow', 'transformers'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
