"""The doctor's check of versions: library, plugin, schema and DAG files come from one installation.

A copy of the plugin in Airflow's plugins folder is loaded before the installed one, which Airflow then refuses. A DAG file that builds the
DAGs by itself keeps the DAGs of the version that it was copied from.
"""

import filecmp
import importlib.metadata
import importlib.util
import re
from itertools import islice
from pathlib import Path

from rerank_core.operations.doctor.airflow_options import airflow_folder
from rerank_core.operations.doctor.finding import Finding
from rerank_core.settings import Settings
from rerank_core.storage import migrations
from rerank_core.storage.database import Database

PLUGIN = "rerank_airflow"
LIBRARY = Path(__file__).resolve().parents[2]
FACTORY = re.compile(r"\branking_dags\s*\(")
OF_THE_BUILDERS = re.compile(rf"\b{PLUGIN}\.(?:defaults|operators|placement)\b")
MOST_FILES = 2_000  # of the DAG folder that are looked into


def check_versions(settings: Settings) -> Finding | None:
    """Whether library, plugin, schema and DAG files fit together."""
    plugin = _plugin()
    said = [f"news-rerank {_wheel_version()}", f"schema {_schema(settings)}"]
    stale: list[str] = []
    advice: list[str] = []
    if plugin is None:
        said.append("no plugin: rerank_airflow cannot be imported here")
    elif plugin.parent not in {LIBRARY.parent, LIBRARY.parent / "plugins"}:
        stale.append(f"the plugin is that of {plugin}, the library that of {LIBRARY}")
        advice.append(f"remove {plugin}: the wheel brings the plugin")
    for copy in _copies(plugin):
        differs = plugin is not None and not _is_equal(copy, plugin)
        stale.append(f"{copy} is a copy of the plugin{', of another version' if differs else ''}")
        advice.append(f"remove {copy}: the wheel brings the plugin")
    good, old = _dag_files()
    stale += [f"{file} builds the DAGs of the version that it was copied from" for file in old]
    advice += [f"replace {file} by a file that calls ranking_dags(globals())" for file in old]
    said.append(f"DAG files {', '.join(file.name for file in good)}" if good else "no DAG file here")
    if stale:
        return Finding("versions", "warn", "; ".join([*stale, *said]), "; ".join(dict.fromkeys(advice)))
    return Finding("versions", "ok", ", ".join(said))


def _wheel_version() -> str:
    try:
        return importlib.metadata.version("news-rerank")
    except importlib.metadata.PackageNotFoundError:
        return "of no installed wheel"


def _schema(settings: Settings) -> str:
    """The revision of the schema, beside the newest that this library brings if that is another one."""
    head = migrations.head_revision()
    found = migrations.revision(Database(settings.database_url))
    return head if found == head else f"{found or 'missing'}, of this library {head}"


def _plugin() -> Path | None:
    """The folder that `import rerank_airflow` takes; it is not imported."""
    spec = importlib.util.find_spec(PLUGIN)
    return None if spec is None or spec.origin is None else Path(spec.origin).resolve().parent


def _copies(plugin: Path | None) -> list[Path]:
    """Folders of the plugin below Airflow's plugins folder that are not the one that is imported, or its source."""
    folder = airflow_folder("plugins_folder", "plugins")
    found = sorted(
        {file.parent for pattern in ("", "*/", "*/*/") for file in folder.glob(f"{pattern}rerank_plugin.py")}
    )
    own = {plugin, LIBRARY.parent / "plugins" / PLUGIN}
    return [copy for copy in found if copy.resolve() not in own]


def _is_equal(one: Path, other: Path) -> bool:
    """Whether both folders have the same Python files with the same content."""
    names = [{file.relative_to(folder) for file in folder.rglob("*.py")} for folder in (one, other)]
    return names[0] == names[1] and all(
        filecmp.cmp(one / name, other / name, shallow=False) for name in names[0]
    )


def _dag_files() -> tuple[list[Path], list[Path]]:
    """The DAG files that call the factory, and those that build the DAGs by themselves."""
    good, old = [], []
    for file in sorted(islice(airflow_folder("dags_folder", "dags").rglob("*.py"), MOST_FILES)):
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if FACTORY.search(text):
            good.append(file)
        elif OF_THE_BUILDERS.search(text):
            old.append(file)
    return good, old
