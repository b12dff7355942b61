"""The rooms: imports point one way, no import makes a circle, and no module or function is too long to read."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

GROUND = {
    "diversity",
    "records",
    "errors",
    "setting_values",
    "setting_sources",
    "settings",
    "airflow_settings",
    "storage",
    "__version__",
}
STAGES = {"extract", "prepare", "recall", "rerank", "publish", "observe"}
# A room → the rooms that it may import. Every room may import the ground and itself.
ROOMS = {
    "__version__": set(),
    "diversity": set(),
    "records": set(),
    "errors": set(),
    "setting_values": set(),
    "setting_sources": {"errors"},
    "settings": {"errors", "setting_values", "setting_sources"},
    "airflow_settings": {"errors", "setting_values", "setting_sources", "settings"},
    "storage": {"records", "errors", "setting_values", "settings"},
    "extract": set(),
    "prepare": set(),
    "models": set(),
    "frontends": set(),
    "recall": {"models", "prepare"},
    "rerank": {"models"},
    "publish": {"rerank"},
    "observe": {"prepare", "recall", "publish"},
    "evaluation": {"models", "prepare", "recall"},
    "pipeline": {*STAGES, "frontends"},
    "operations": {*STAGES, "models", "frontends", "pipeline"},
    "demo": {"evaluation", "models", "pipeline"},
    "cli": {*STAGES, "models", "frontends", "pipeline", "evaluation", "operations", "demo"},
}
ABOVE = {"rerank_airflow": {"dags", "cli", "demo"}, "dags": {"cli", "demo"}}  # what these may not import
MODULE_LINES, FUNCTION_LINES = 400, 70


@cache
def modules() -> dict[str, Path]:
    """Dotted name → file of every module of the product."""
    found = {}
    for root in ("rerank_core", "plugins/rerank_airflow", "dags"):
        folder = REPOSITORY / root
        for file in sorted(folder.rglob("*.py")):
            parts = (folder.name, *file.relative_to(folder).with_suffix("").parts)
            found[".".join(parts).removesuffix(".__init__")] = file
    return found


def imported(source: str) -> set[str]:
    """Dotted names that a source file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def room(module: str) -> str:
    """The room of a dotted name; "" of the library's own head."""
    top, _, rest = module.partition(".")
    return rest.partition(".")[0] if top == "rerank_core" else top


def offences(here: str, source: str) -> list[str]:
    """Imports of this source, in this room, that the rule does not allow."""
    wrong = []
    for name in sorted(imported(source)):
        if name.partition(".")[0] not in {"rerank_core", "rerank_airflow", "dags"}:
            continue
        there = room(name)
        if here in ABOVE:
            allowed = there not in ABOVE[here]
        elif here in GROUND:
            allowed = there in ROOMS[here] | {here}
        else:
            allowed = there in ROOMS[here] | GROUND | {here}
        if there and not allowed:
            wrong.append(f"{here} imports {name}")
    return wrong


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_follow_the_rule_of_the_rooms(module: str) -> None:
    here = room(module) or "__version__"  # the library's own head, which imports nothing
    assert here in ROOMS or here in ABOVE, f"{here} is no room; add it to ROOMS"
    assert offences(here, modules()[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("here", "source"),
    [
        ("recall", "from rerank_core.publish.ranking import rank_topic"),
        ("publish", "from rerank_core.storage import ledger\nfrom rerank_core import pipeline"),
        ("storage", "import rerank_core.frontends.contract"),
        ("records", "def f():\n    from rerank_core.settings import Settings"),
        ("pipeline", "from rerank_core.cli import main"),
        ("cli", "import rerank_airflow.form"),
        ("rerank_airflow", "from rerank_core.cli import main"),
    ],
)
def test_control_an_import_that_breaks_the_rule_is_found(here: str, source: str) -> None:
    assert len(offences(here, source)) == 1


def test_no_room_but_the_uppermost_imports_more_than_three_others() -> None:
    wide = {name for name, others in ROOMS.items() if len(others - GROUND) > 3}
    assert wide == {"pipeline", "operations", "cli"}


def test_no_import_makes_a_circle_even_a_lazy_one() -> None:
    known = modules()
    arrows = {
        module: {
            name if name in known else name.rpartition(".")[0]
            for name in imported(file.read_text(encoding="utf-8"))
            if name in known or name.rpartition(".")[0] in known
        }
        - {module, "rerank_core", "rerank_core.cli"}
        for module, file in known.items()
    }
    list(TopologicalSorter(arrows).static_order())  # raises CycleError


def test_no_module_and_no_function_is_too_long_to_read() -> None:
    long = []
    for module, file in modules().items():
        source = file.read_text(encoding="utf-8")
        lines = source.count("\n")
        if lines > MODULE_LINES:
            long.append(f"{module}: {lines} lines")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or 0) - node.lineno + 1
                if size > FUNCTION_LINES:
                    long.append(f"{module}.{node.name}: {size} lines")
    assert long == []


def test_a_package_is_a_docstring_and_nothing_else() -> None:
    """A package that re-exports the function `publish` hides its module of that name, and loads Arrow into the scheduler."""
    full = [
        module
        for module, file in modules().items()
        if file.name == "__init__.py"
        and len(ast.parse(file.read_text(encoding="utf-8")).body) != 1
        and module
        not in {"rerank_core", "rerank_core.cli", "rerank_airflow"}  # `ranking_dags`, for DAG files
    ]
    assert full == []


def test_only_plugins_and_dags_import_airflow() -> None:
    with_airflow = {
        room(module)
        for module, file in modules().items()
        if any(name.partition(".")[0] == "airflow" for name in imported(file.read_text(encoding="utf-8")))
    }
    assert with_airflow <= {"rerank_airflow", "dags"}


def test_only_the_engines_import_vllm_and_none_torch() -> None:
    found = {
        module
        for module, file in modules().items()
        if any(
            name.partition(".")[0] in {"vllm", "torch"} for name in imported(file.read_text(encoding="utf-8"))
        )
        and room(module) != "demo"
    }
    assert found == {"rerank_core.models.vllm", "rerank_core.models.vllm_embedder"}


@pytest.mark.parametrize("module", ["rerank_core.pipeline", "rerank_core.cli"])
def test_the_library_loads_neither_an_engine_nor_airflow(module: str) -> None:
    script = (
        f"import sys, {module}\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'vllm', 'airflow', 'transformers'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
