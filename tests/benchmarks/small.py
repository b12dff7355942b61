"""What the bundled checkpoint shows, its arithmetic being next to nothing: our own cost a pair, how cost grows with
the number of pairs, and what precision and batch size do to an order that means something.
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from benchmarks.arithmetic import kendall_tau, largest_move, spread
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
                ours.append(engine.run("score", workload.pairs).seconds)
                bare.append(engine.run("tokens", workload.pairs).seconds)
            count = len(workload.pairs)
            low, middle, high = spread(
                [1000 * (mine - theirs) / count for mine, theirs in zip(ours, bare, strict=True)]
            )
            found.append(
                {
                    "workload": workload.name,
                    "pairs": count,
                    "ours_ms": 1000 * median(ours) / count,
                    "bare_ms": 1000 * median(bare) / count,
                    "own_ms": middle,
                    "own_ms_low": low,
                    "own_ms_high": high,
                }
            )
            say(f"overhead, {workload.name}: {middle:.3f} ms a pair")
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


def precision(options: Options, workload: Workload, *, alone: int, say: Say) -> list[dict[str, Any]]:
    """Logits and order of each precision, batched and one pair at a time, against float32 in batches."""
    topics: dict[int, list[int]] = {}
    for place, pair in enumerate(workload.pairs):
        topics.setdefault(pair.query_id, []).append(place)
    chosen = [place for places in list(topics.values())[:alone] for place in places]
    found = []
    reference: list[float] = []
    for name in ("float32", "bfloat16", "float16"):
        with Engine("ours", replace(options, precision=name), workload.pairs[:8], "score") as engine:
            batched = engine.run("score", workload.pairs).logits
            single = engine.run("alone", [workload.pairs[place] for place in chosen]).logits
        reference = reference or batched
        found.append(_effect(name, "batched", reference, batched, list(topics.values())))
        by_place = list(batched)
        for place, logit in zip(chosen, single, strict=True):
            by_place[place] = logit
        some = list(topics.values())[:alone]
        found.append(_effect(name, "one at a time", reference, by_place, some))
        found.append(
            {
                **_effect(name, "one at a time", batched, by_place, some),
                "against": f"{name}, batched",
            }
        )
        say(f"precision: {name}")
    return [row for row in found if row["largest_difference"] or row["precision"] != "float32"]


def _effect(
    precision: str, how: str, reference: Sequence[float], logits: Sequence[float], topics: list[list[int]]
) -> dict[str, Any]:
    lists = [([reference[n] for n in places], [logits[n] for n in places]) for places in topics]
    return {
        "precision": precision,
        "batch": how,
        "against": "float32, batched",
        "pairs": sum(map(len, topics)),
        "largest_difference": max(abs(logits[n] - reference[n]) for places in topics for n in places),
        "kendall_tau": min(kendall_tau(left, right) for left, right in lists),
        "largest_move": max(largest_move(left, right) for left, right in lists),
        "list_length": max(map(len, topics)),
        "first_changed": sum(left.index(max(left)) != right.index(max(right)) for left, right in lists),
        "topics": len(topics),
    }


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
