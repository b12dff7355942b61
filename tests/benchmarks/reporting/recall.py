"""recall.md: what each strategy finds, and BM25 over a large window."""

from collections.abc import Callable
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
        lines += _quality(found)
    if found := results.get("lead"):
        lines += _lead(found)
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


SHOWN = ("bm25", "dense", "hybrid", "dense, by HNSW", "milvus", "vectors of any language")


def _quality(found: dict[str, Any]) -> list[str]:
    at = {(row["collection"], row["strategy"]): row for row in found["rows"]}
    collections = dict.fromkeys(row["collection"] for row in found["rows"])
    sample = at["sample", "bm25"]
    strategies = [name for name in SHOWN if any(row["strategy"] == name for row in found["rows"])]

    def cells(figure: Callable[[dict[str, Any]], str]) -> list[list[str | None]]:
        return [
            [name, *(figure(at[name, way]) if (name, way) in at else None for way in strategies)]
            for name in collections
        ]

    times = [
        [way, at["en", way]["prepare_s"], at["en", way]["query_ms"]]
        for way in (*strategies, "exhaustive")
        if ("en", way) in at
    ]
    return [
        "",
        "## What each strategy finds",
        "",
        f"Embedder: {found['embedder']}. xquad has 1,190 questions a language, each with one passage among 240 of its language; "
        "`zh → en` asks the Chinese questions of the English passages, `zh → six` those of six languages together, of which "
        "six answer each. `zh-Hant` and `zh-TW` are the Chinese questions or passages in traditional characters, by OpenCC's `s2t`, "
        f"and in the words of Taiwan, by `s2twp`. Sample: {sample['queries']} topics, {sample['documents']} articles, with grades. "
        "`dense` and `hybrid` take words for languages that the embedder does not know; `vectors of any language` does not. "
        "`exhaustive` finds everything.",
        "",
        "Share of the relevant documents among the first 50 (first 10):",
        "",
        *table(
            ["collection", *strategies],
            cells(lambda row: f"{row['recall@50']:.3f} ({row['recall@10']:.3f})"),
        ),
        "",
        "nDCG@10:",
        "",
        *table(["collection", *strategies], cells(lambda row: f"{row['nDCG@10']:.3f}")),
        "",
        "Time: `index` is BM25's index and all its scores, or the embedding of all documents and queries, over one "
        "language of xquad (en); `a query` is one search of its 240 passages.",
        "",
        *table(["strategy", "index, s", "a query, ms"], times),
    ]


def _lead(found: dict[str, Any]) -> list[str]:
    names = [name for name in found["rows"][0] if name != "tokens" and not name.endswith(", ms")]
    start, machine = found["start"], found["machine"]
    return [
        "",
        "## How much of a document the embedder on the CPU reads",
        "",
        "nDCG@10 of the order by vectors alone, and in brackets milliseconds of processor time for one document, by the "
        f"tokens that are read of a document. `news`: titles of {found['articles']} articles, each asked of the bodies alone. "
        f"Load average before the start {machine['load']} ({machine['date']}).",
        "",
        *table(
            ["tokens", *names],
            [
                [row["tokens"], *(f"{row[name]:.3f} ({row[f'{name}, ms']:.1f})" for name in names)]
                for row in found["rows"]
            ],
        ),
        "",
        f"Start: {start['load_s']:.1f} s of processor time, {start['memory_mib']} MiB. One core embeds {start['titles_a_second']:.0f} titles of "
        f"the sample a second ({start['titles_a_second_one_by_one']:.0f} if each is a batch of its own), or {start['articles_a_second']:.0f} whole articles.",
    ]
