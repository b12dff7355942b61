"""What costs next to no arithmetic: our own time a pair, how cost grows with the number of pairs, and the start."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks.arithmetic import spread
from benchmarks.contenders import Options
from benchmarks.process import Engine
from benchmarks.speed import Say
from benchmarks.workloads import Workload
from rerank_core.records import Pair


def overhead(
    options: Options, workloads: Sequence[Workload], *, rounds: int, say: Say
) -> list[dict[str, Any]]:
    """Ours, from texts, beside `LLM.classify` on ready token ids: one engine, asked in turn."""
    found = []
    with Engine("ours", options, workloads[0].pairs[:64], "score") as engine:
        for workload in workloads:
            for call in ("score", "tokens"):
                engine.run(call, workload.pairs)
            ours, bare = [], []
            for _ in range(rounds):
                ours.append(engine.run("score", workload.pairs))
                bare.append(engine.run("tokens", workload.pairs))
            count = len(workload.pairs)
            low, own, high = spread(
                [
                    1000 * (o.outside_seconds - b.outside_seconds) / count
                    for o, b in zip(ours, bare, strict=True)
                ]
            )
            found.append(
                {
                    "workload": workload.name,
                    "pairs": count,
                    "ours_ms": 1000 * median(o.seconds for o in ours) / count,
                    "bare_ms": 1000 * median(b.seconds for b in bare) / count,
                    "wall_ms": 1000
                    * median(o.seconds - b.seconds for o, b in zip(ours, bare, strict=True))
                    / count,
                    "own_ms": own,
                    "own_ms_low": low,
                    "own_ms_high": high,
                }
            )
            say(f"overhead, {workload.name}: {own:.3f} ms a pair")
    return found


def cost(options: Options, pairs: Sequence[Pair], sizes: Sequence[int], *, say: Say) -> list[dict[str, Any]]:
    """Time and peak memory of scoring ever more pairs, none kept, in one process."""
    found = []
    with Engine("ours", options, pairs[:64], "score") as engine:
        engine.run("count", pairs[: min(500, len(pairs))])
        for size in sizes:
            chosen = pairs[:size]
            engine.memory(reset=True)
            before = engine.memory()
            result = engine.run("count", chosen)
            after = engine.memory()
            found.append(
                {
                    "pairs": len(chosen),
                    "seconds": result.seconds,
                    "ms_per_pair": 1000 * result.seconds / len(chosen),
                    "growth_bytes": after - before,
                    "growth_bytes_per_pair": (after - before) / len(chosen),
                }
            )
            say(f"cost: {len(chosen)} pairs in {result.seconds:.1f} s")
    return found


def start_up(options: Options, first: Sequence[Pair], *, rounds: int, say: Say) -> dict[str, Any]:
    """Seconds from the first import to the first score: vLLM with our settings, ours, and ours with its canary."""
    bare, ours, canary = [], [], []
    for _ in range(rounds):
        with Engine("vllm", options, first, "score") as engine:
            bare.append(engine.started.seconds)
        with Engine("ours", options, first, "score") as engine:
            ours.append(engine.started.seconds)
            canary.append(engine.run("canary", ()).seconds)
        say(f"start: bare {bare[-1]:.1f} s, ours {ours[-1]:.1f} s, canary {canary[-1]:.2f} s")
    both = [a + b for a, b in zip(ours, canary, strict=True)]
    return {
        "rounds": rounds,
        "bare_seconds": median(bare),
        "ours_seconds": median(ours),
        "ours_with_canary_seconds": median(both),
        "ratio": median([a / b for a, b in zip(ours, bare, strict=True)]),
        "ratio_with_canary": median([a / b for a, b in zip(both, bare, strict=True)]),
    }
