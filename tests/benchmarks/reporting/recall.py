"""recall.md: what each strategy finds, and BM25 over a large window."""

from typing import Any

from benchmarks.reporting.tables import table


def markdown(results: dict[str, Any]) -> str:
    """Everything that was measured, as Markdown."""
    machine = results["machine"]
    lines = [
        "# Recall",
        "",
        f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}; {machine['date']}; load average "
        f"before the start {machine['load']}. Made by `PYTHONPATH=tests python -m benchmarks.bench_recall`.",
    ]
    if found := results.get("table"):
        names = list(dict.fromkeys(row["collection"] for row in found["rows"]))
        lines += [
            "",
            "## What each strategy finds",
            "",
            f"Share of the relevant documents among the first 50 (first 10). Embedder: {found['embedder'] or 'none at hand'}. "
            "xquad_multi: 1,190 questions a language, each with one passage among 240 of its language; `zh → en` asks the "
            "Chinese questions of the English passages. Sample: 12 topics, 178 articles. `exhaustive` takes everything.",
            "",
        ]
        strategies = dict.fromkeys(row["strategy"] for row in found["rows"])
        at = {(row["strategy"], row["collection"]): row for row in found["rows"]}
        lines += table(
            ["strategy", *names],
            [
                [
                    strategy,
                    *(
                        f"{at[strategy, name]['recall@50']:.3f} ({at[strategy, name]['recall@10']:.3f})"
                        if (strategy, name) in at
                        else None
                        for name in names
                    ),
                ]
                for strategy in strategies
            ],
        )
        lines += [
            "",
            "Time: `index` is BM25's index and all its scores, or the embedding of all documents and queries, over one "
            "language of xquad_multi (en); `a query` is one search of its 240 passages.",
            "",
        ]
        lines += table(
            ["strategy", "index, s", "a query, ms"],
            [
                [strategy, at[strategy, "en"]["prepare_s"], at[strategy, "en"]["query_ms"]]
                for strategy in strategies
                if (strategy, "en") in at
            ],
        )
    if found := results.get("scale"):
        lines += [
            "",
            "## BM25 over a large window",
            "",
            f"The stage `recall` for {found['topics']} new topics over {found['documents']:,} prepared documents of "
            f"{found['mean_terms']} terms on average: {found['seconds']:.1f} s ({found['processor_seconds']:.1f} s of processor time), "
            f"{found['peak_mib']:,} MiB at its peak, {found['candidates']:,} candidates; load average before the start "
            f"{found['machine']['load']} ({found['machine']['date']}).",
        ]
    return "\n".join([*lines, ""])
