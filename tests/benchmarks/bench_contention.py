"""Measure what a pair costs on a CPU that others want, too: waiting threads, memory allocators, thread pinning.

    PYTHONPATH=tests:. python -m benchmarks.bench_contention --load 4

Each variant is an engine in a process of its own, which differs from *as it is* in environment variables alone. They score the
same pairs in turn, with busy processes beside them and without. Processor time is that of all threads of the engine's
process, so it shows threads that spin while they wait. The model has two layers of the 0.6B shape, with random weights.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.checkpoints import SHAPE, cache, made_once
from benchmarks.contenders import Options
from benchmarks.gpu.inputs import Maker, pairs_of, prompter_of, questions
from benchmarks.process import Engine
from benchmarks.reporting.contention import AS_IT_IS, markdown
from rerank_core.records import Pair
from rerank_core.settings import DEMO_CHECKPOINT

LAYERS = 2
TOKENS = 200  # of a document


def variants(iomp: Path | None, tcmalloc: Path | None) -> dict[str, dict[str, str]]:
    """Name → environment variables. The libraries are preloaded if they are given."""
    found = {
        AS_IT_IS: {"OMP_WAIT_POLICY": ""},  # libgomp's own choice, on a busy host, too
        "passive waiting": {"OMP_WAIT_POLICY": "passive"},
        "threads not pinned": {"VLLM_CPU_OMP_THREADS_BIND": "nobind"},
    }
    if iomp is not None:
        found["libiomp"] = {"LD_PRELOAD": str(iomp)}
        found["libiomp, no waiting"] = {"LD_PRELOAD": str(iomp), "KMP_BLOCKTIME": "0"}
    if tcmalloc is not None:
        found["tcmalloc"] = {"LD_PRELOAD": str(tcmalloc)}
    return found


def checkpoint() -> Path:
    """LAYERS layers of the 0.6B shape in bfloat16 with random weights, and the demonstration checkpoint's vocabulary."""

    def make(folder: Path) -> None:
        import torch
        from transformers import Qwen3Config, Qwen3ForCausalLM

        torch.manual_seed(0)
        torch.set_default_dtype(torch.bfloat16)
        size = json.loads((DEMO_CHECKPOINT / "config.json").read_text())["vocab_size"]
        build: Any = Qwen3ForCausalLM
        shape = {
            **SHAPE,
            "num_hidden_layers": LAYERS,
            "vocab_size": size,
            "bos_token_id": 0,
            "eos_token_id": 0,
        }
        build(Qwen3Config(**shape)).save_pretrained(folder)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(DEMO_CHECKPOINT / name, folder)

    return made_once(cache() / f"random-{LAYERS}-layers", make)


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """All rounds of all variants, idle and beside the load."""
    options = _options(Path(machine.apart(checkpoint)))
    prompter = prompter_of(options.folder, options.max_document_tokens)
    maker = Maker(prompter)
    pairs = pairs_of(questions()[:2], [maker.text(TOKENS) for _ in range(chosen.pairs // 2)])
    seconds: dict[str, dict[str, list[float]]] = {}
    processor: dict[str, dict[str, list[float]]] = {}
    with ExitStack() as stack:
        engines = {
            name: stack.enter_context(_started(options, pairs[:1], variables))
            for name, variables in variants(chosen.iomp, chosen.tcmalloc).items()
        }
        busy = stack.enter_context(_busy(chosen.load))
        for _ in range(chosen.rounds):
            for state in ("idle", "busy"):
                for process in busy:
                    process.send_signal(signal.SIGCONT if state == "busy" else signal.SIGSTOP)
                for name, engine in engines.items():
                    result = engine.run("score", pairs)
                    seconds.setdefault(state, {}).setdefault(name, []).append(result.seconds)
                    processor.setdefault(state, {}).setdefault(name, []).append(result.cpu_seconds)
                    print(
                        f"{state}, {name}: {result.seconds:.2f} s, {result.cpu_seconds:.2f} s of processor",
                        flush=True,
                    )
    about = machine.describe(threads=machine.cores(), gpu=False)
    return {
        "machine": about,
        "load": chosen.load,
        "layers": LAYERS,
        "tokens": TOKENS,
        "pairs": len(pairs),
        "seconds": seconds,
        "processor": processor,
    }


def _options(folder: Path) -> Options:
    return Options(
        folder=folder,
        precision="bfloat16",
        max_document_tokens=512,
        max_prompt_tokens=prompter_of(folder, 512).max_prompt_tokens,
        threads=machine.cores(),
        batch_size=8,
        kv_cache_gib=0.25,
    )


def _started(options: Options, first: Sequence[Pair], variables: Mapping[str, str]) -> Engine:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        return Engine("ours", options, first, "score")
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _busy(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that compute until the block ends; stopped at first."""
    found = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    for process in found:
        process.send_signal(signal.SIGSTOP)
    try:
        yield found
    finally:
        for process in found:
            process.kill()
            process.wait()


def main(given: Sequence[str] | None = None) -> None:
    """Measure, save, print."""
    parser = argparse.ArgumentParser(prog="bench_contention", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--load", type=int, default=4, help="busy processes beside the engine")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--iomp", type=Path, help="libiomp5.so")
    parser.add_argument("--tcmalloc", type=Path, help="libtcmalloc_minimal.so.4")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    chosen = parser.parse_args(given)
    results = measure(chosen)
    (chosen.out / "contention.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    (chosen.out / "contention.md").write_text(markdown(results))
    print(markdown(results))


if __name__ == "__main__":
    main()
