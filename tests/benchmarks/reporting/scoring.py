"""cpu.md and its plot: the scorer beside the other contenders."""

from collections.abc import Mapping
from html import escape
from typing import Any

from benchmarks.reporting.tables import percent, table

Results = Mapping[str, Any]


def markdown(results: Results) -> str:
    """Everything that was measured, one section a part, in the order of a full run."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    head = [
        "# Benchmark",
        "",
        f"{machine.get('gpu') or machine['processor']}, {machine['cores']} cores ({machine['threads']} threads), "
        f"{machine['memory_gib']} GiB, Python {machine['python']}, {versions}; {machine['date']}; "
        f"load average before the start {machine['load']:.1f}.",
    ]
    sections = [
        _SECTIONS[name](part) for name in _SECTIONS if (part := results["parts"].get(name)) is not None
    ]
    return "\n".join([*head, *(line for section in sections for line in ("", *section)), ""])


def _speed(part: Results) -> list[str]:
    lines = [
        "## Contenders",
        "",
        f"{part['checkpoint']}, {part['precision']}, documents of at most {part['max_document_tokens']} tokens, "
        f"{part['rounds']} rounds, contenders in turn within each ({part['date']}). Articles: {part['corpus']}; "
        f"tokens of {part['vocabulary']}. Padded batches hold {part['batch_size']} pairs. Fastest matrix product: "
        + ", ".join(f"{name} {value / 1e9:,.0f} GFLOP/s" for name, value in part["ceilings"].items())
        + ". `ours ÷ theirs` is the median of the rounds (least–largest); `CPU time ÷` is their processor time ÷ ours, "
        "which other work on the machine disturbs less; `allowed` is their computed tokens ÷ ours; "
        "`of ceiling` is against the matrix product in the table's precision; `Δ logit` is the largest difference "
        "from transformers in float32, one pair at a time.",
    ]
    for workload in dict.fromkeys(row["workload"] for row in part["rows"]):
        rows = [row for row in part["rows"] if row["workload"] == workload]
        lines += [
            "",
            f"### {workload}: {rows[0]['pairs']} pairs, {rows[0]['prompt_tokens']:,} prompt tokens",
            "",
        ]
        lines += table(
            [
                "contender",
                "pairs/s",
                "computed",
                "cached",
                "ours ÷ theirs",
                "CPU time ÷",
                "allowed",
                "of ceiling",
                "Δ logit",
            ],
            [
                [
                    row["contender"],
                    row["pairs_per_second"],
                    row["computed_tokens"],
                    row["cached_tokens"],
                    "1"
                    if row["contender"] == "ours"
                    else f"{row['ratio']:.2f} ({row['ratio_low']:.2f}–{row['ratio_high']:.2f})",
                    row["cpu_ratio"],
                    row["allowed"],
                    percent(row["ceiling_share"]),
                    row["difference"],
                ]
                for row in rows
            ],
        )
    lines += ["", "### Processes", ""]
    lines += table(
        ["engine", "first score after, s", "peak memory, GiB", "threads"],
        [
            [e["engine"], float(e["start_seconds"]), e["peak_memory_bytes"] / 2**30, e["threads"]]
            for e in part["engines"]
        ],
    )
    return lines + [line for note in part["notes"] for line in ("", f"Left out: {note}")]


def _families(part: Results) -> list[str]:
    lines = [
        "## Families",
        "",
        f"Random weights in the shape of each model, {part['precision']}, documents of at most "
        f"{part['max_document_tokens']} tokens, {part['rounds']} rounds, models in turn within each ({part['date']}). Articles: "
        f"{part['corpus']}; all have the tokens of {part['vocabulary']}. `÷ 0.6B` is pairs a second over those of the "
        "0.6B shape, the median of the rounds (least–largest); `CPU time ÷` is its processor time over that of the 0.6B shape, "
        f"which other work on the machine disturbs less. Load average before the start {part['load']:.1f}.",
        "",
    ]
    lines += table(
        ["workload", "model", "pairs", "pairs/s", "computed tokens", "÷ 0.6B", "CPU time ÷"],
        [
            [
                row["workload"],
                "Qwen3-Reranker-0.6B" if row["contender"] == "ours" else row["contender"],
                row["pairs"],
                row["pairs_per_second"],
                row["computed_tokens"],
                f"{1 / row['ratio']:.1f} ({1 / row['ratio_high']:.1f}–{1 / row['ratio_low']:.1f})",
                row["cpu_ratio"],
            ]
            for row in part["rows"]
        ],
    )
    return lines + [line for note in part["notes"] for line in ("", f"Left out: {note}")]


def _start(part: Results) -> list[str]:
    return [
        "## Start",
        "",
        f"{part['checkpoint']}; from the first import to the first score, median of {part['rounds']} ({part['date']}). "
        "Bare vLLM has our block size and runs eagerly, as ours does.",
        "",
        *table(
            ["", "seconds", "÷ bare"],
            [
                ["bare vLLM", part["bare_seconds"], None],
                ["ours", part["ours_seconds"], part["ratio"]],
                ["ours and its canary", part["ours_with_canary_seconds"], part["ratio_with_canary"]],
            ],
        ),
    ]


def _overhead(part: Results) -> list[str]:
    return [
        "## Our own cost a pair",
        "",
        "The bundled checkpoint: ours, from texts, against `LLM.classify` on ready token ids in the same engine, in turn "
        f"({part['rounds']} rounds, {part['date']}). `own` is the processor time of our two threads outside the engine's steps beyond what "
        "`classify` does: encoding, prompts, chunks; `wall` is the difference of the whole times, steps included.",
        "",
        *table(
            ["workload", "pairs", "ours, ms", "bare, ms", "wall, ms", "own, ms", "least–largest"],
            [
                [
                    row["workload"],
                    row["pairs"],
                    row["ours_ms"],
                    row["bare_ms"],
                    row["wall_ms"],
                    row["own_ms"],
                    f"{row['own_ms_low']:.3f}–{row['own_ms_high']:.3f}",
                ]
                for row in part["rows"]
            ],
        ),
    ]


def _cost(part: Results) -> list[str]:
    return [
        "## Cost curve",
        "",
        f"The bundled checkpoint on headlines, in one process ({part['date']}).",
        "",
        *table(
            ["pairs", "seconds", "ms a pair", "peak memory grew by, MiB", "bytes a pair"],
            [
                [
                    f"{row['pairs']:,}",
                    row["seconds"],
                    row["ms_per_pair"],
                    row["growth_bytes"] / 2**20,
                    int(row["growth_bytes_per_pair"]),
                ]
                for row in part["rows"]
            ],
        ),
    ]


def _ledger(part: Results) -> list[str]:
    return [
        "## End to end: what deduplication and the ledger save",
        "",
        f"Whole runs on real articles, {part['corpus']}, twelve topics, the bundled checkpoint ({part['date']}). "
        "`asked` counts topic × article of the page: what a ranking without memory would score.",
        "",
        *table(
            [
                "run",
                "revisions",
                "documents",
                "asked",
                "candidates",
                "from ledger",
                "scored",
                "saved",
                "seconds",
            ],
            [
                [
                    row["what"],
                    row["revisions"],
                    row["documents"],
                    row["asked"],
                    row["candidates"],
                    row["from_ledger"],
                    row["scored"],
                    percent(1 - row["scored"] / row["asked"]) if row["asked"] else None,
                    row["seconds"],
                ]
                for row in part["rows"]
            ],
        ),
    ]


_SECTIONS = {
    "speed": _speed,
    "families": _families,
    "start": _start,
    "overhead": _overhead,
    "cost": _cost,
    "ledger": _ledger,
}


def plot(results: Results) -> str:
    """Pairs a second of each contender as bars, a group for each workload, ours dark."""
    rows = results["parts"]["speed"]["rows"]
    groups = dict.fromkeys(row["workload"] for row in rows)
    height = 24 * len(groups) + 18 * len(rows) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{height}" font-family="sans-serif" '
        'font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    y = 4
    for group in groups:
        mine = [row for row in rows if row["workload"] == group]
        best = max(row["pairs_per_second"] for row in mine)
        y += 20
        parts.append(f'<text x="8" y="{y - 4}" font-weight="bold">{escape(group)}, pairs/s</text>')
        for row in mine:
            width = 400 * row["pairs_per_second"] / best
            colour = "#1f5fa8" if row["contender"].startswith("ours") else "#b9c4d0"
            parts += [
                f'<text x="200" y="{y + 12}" text-anchor="end">{escape(row["contender"])}</text>',
                f'<rect x="208" y="{y + 1}" width="{width:.0f}" height="14" fill="{colour}"/>',
                f'<text x="{214 + width:.0f}" y="{y + 12}">{row["pairs_per_second"]:.2f}</text>',
            ]
            y += 18
        y += 4
    return "\n".join([*parts, "</svg>", ""])
