"""int8 against bfloat16 at the 0.6B shape with random weights: speed, and the size of the logits' error.

Random weights measure as real ones do for speed; their logits mean nothing, so only the size of an error is of use.
"""

import math
import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from benchmarks import checkpoints
from benchmarks.contenders import Options
from benchmarks.process import Engine
from benchmarks.workloads import build, corpus
from rerank_core.models.prompt import Prompter
from rerank_core.models.quantise import quantise
from rerank_core.records import Pair

MAX_DOCUMENT_TOKENS = 512
TIMED = 3  # pairs a round


def measure_speed(*, rounds: int, topics: int, articles: int) -> dict[str, Any]:
    """int8 against bfloat16 at the 0.6B shape with random weights: one process each, rounds of a few pairs alternating.

    One core and its processor time, so that neighbours on a busy machine and waiting threads do not count.
    float32 runs once, for the error of the logits; float16 is left out: CPUs without its instructions crawl.
    """
    folder = checkpoints.random_checkpoint()
    prompter = Prompter(folder / "tokenizer.json", max_document_tokens=MAX_DOCUMENT_TOKENS)
    size = (topics, articles)
    pairs = next(w.pairs for w in build(prompter, mixed=size, headlines=size, long=size) if w.name == "mixed")

    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = str(min(os.sched_getaffinity(0)))

    def options(folder: Path, precision: str) -> Options:
        return Options(
            folder=folder,
            precision=precision,
            max_document_tokens=MAX_DOCUMENT_TOKENS,
            max_prompt_tokens=1100,
            threads=1,
            batch_size=8,
            kv_cache_gib=0.5,
        )

    seconds: dict[str, list[float]] = defaultdict(list)
    processor: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as temporary:
        int8 = quantise(folder, Path(temporary) / "int8")
        with (
            Engine("ours", options(folder, "bfloat16"), pairs[:2], "score") as wide,
            Engine("ours", options(int8.folder, "bfloat16"), pairs[:2], "score") as narrow,
        ):
            engines = [("bfloat16", wide), ("int8, rest bfloat16", narrow)]
            for number in range(rounds):
                for name, engine in engines if number % 2 == 0 else engines[::-1]:
                    result = engine.run("score", pairs[:TIMED])
                    seconds[name].append(result.seconds)
                    processor[name].append(result.cpu_seconds)
                    print(f"round {number}: {name} {result.cpu_seconds:.2f} s", flush=True)
            tokens = sum(result.prompt_tokens) - sum(result.cached_tokens)
            logits = {name: engine.run("score", pairs).logits for name, engine in engines}
            states = {name: companies(engine, pairs, logits[name]) for name, engine in engines}
        with Engine("ours", options(folder, "float32"), pairs[:2], "score") as engine:
            logits["float32"] = engine.run("score", pairs).logits
            states["float32"] = companies(engine, pairs, logits["float32"])
    reference = logits["float32"]
    wide_name, narrow_name = "bfloat16", "int8, rest bfloat16"

    ratios = [a / b for a, b in zip(processor[wide_name], processor[narrow_name], strict=True)]

    return {
        "pairs": len(pairs),
        "timed_pairs": TIMED,
        "timed_tokens": tokens,
        "articles": corpus(),
        "rounds": rounds,
        "bfloat16_over_int8": {
            "median": statistics.median(ratios),
            "least": min(ratios),
            "most": max(ratios),
            "wall_fastest": min(seconds[wide_name]) / min(seconds[narrow_name]),
        },
        "tokens_per_core_second": {name: tokens / min(found) for name, found in processor.items()},
        "load_average": os.getloadavg()[0],
        "weights_mib": {"bfloat16": int8.bytes_before / 2**20, "int8": int8.bytes_after / 2**20},
        "logit_deviation": statistics.pstdev(reference),
        "rows": [
            {
                "precision": name,
                **differences(found, reference),
                "tau": kendall(reference, found),
                "states": states[name],
            }
            for name, found in logits.items()
        ],
    }


def companies(engine: Any, pairs: Sequence[Pair], base: Sequence[float]) -> dict[str, float]:
    """By how much at most logits move with the other pairs of the batch, and without them and a cached prefix."""
    few = range(0, len(pairs), max(1, len(pairs) // 4))
    reverse = engine.run("score", pairs[::-1]).logits[::-1]
    alone = [engine.run("score", [pairs[n]]).logits[0] for n in few]
    return {
        "batches in reverse order": max(abs(a - b) for a, b in zip(reverse, base, strict=True)),
        "one at a time, nothing cached": max(abs(a - base[n]) for n, a in zip(few, alone, strict=True)),
    }


def differences(logits: Sequence[float], reference: Sequence[float]) -> dict[str, float]:
    """Largest and mean magnitude of the difference."""
    errors = [abs(got - want) for got, want in zip(logits, reference, strict=True)]
    return {"largest": max(errors), "mean": statistics.fmean(errors)}


def kendall(one: Sequence[float], other: Sequence[float]) -> float:
    """Kendall's tau-a: pairs in the same order less pairs in the opposite one, over all pairs that `one` orders."""
    signs = [
        math.copysign(1, one[i] - one[j]) * ((other[i] > other[j]) - (other[i] < other[j]))
        for i, j in combinations(range(len(one)), 2)
        if one[i] != one[j]
    ]
    return statistics.fmean(signs) if signs else 1.0
