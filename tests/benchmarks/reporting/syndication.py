"""syndication.md: near-copies at once, beside a full window, and in real news."""

from collections.abc import Mapping
from typing import Any

from benchmarks.reporting.tables import table_of_figures


def markdown(results: Mapping[str, Any]) -> str:
    """The page: every part that has been measured."""
    machine = results["machine"]
    parts = [
        "# Syndication",
        f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}; {machine['date']}; load average before the"
        f" start {machine['load']}. Made by `PYTHONPATH=tests python -m benchmarks.bench_syndication`; see there for what is counted.",
    ]
    if "speed" in results:
        found = results["speed"]
        steps = {name: found[name] for name in ("signatures", "marks", "places", "all")}
        parts += [
            f"## {found['documents']:,} documents at once",
            f"Of real sentences, shuffled ({found['corpus']}); {found['mean_characters']} characters on average; {found['near_copies']:,} near-copies,"
            f" {found['too_short']:,} too short to be compared, {found['vetoed']:,} vetoed. One process; signatures and places take"
            f" {found['memory_mib']} MiB.",
            table_of_figures(steps),
        ]
    if "window" in results:
        parts += [
            "## A run beside a full window",
            "What placing a run's new texts adds to prepare: bands of all leaders are read and compared, signatures and marks of those alone"
            " that share one. Seconds; memory is the peak over that before the start.",
            table_of_figures({f"{results['window']['leaders']:,} leaders": results["window"]}),
        ]
    if "news" in results:
        names = sorted({name for row in results["news"].values() for name in row})
        turned = {
            name.replace("_", " "): {lang: row.get(name, 0) for lang, row in results["news"].items()}
            for name in names
        }
        parts += [
            "## Real news",
            "Chinese broadcast news (one source, thirteen months) and an English newswire of 1987 that prints its stories again, twelve topics"
            " of the sample, `RERANK_SYNDICATION_SIMILARITY` 0.7, 72 hours. `rows` is what could be ranked; `pairs without memory` what would be"
            " scored if each article were.",
            table_of_figures(turned),
        ]
        if "judged" in results:
            parts += [results["judged"]]
    return "\n\n".join(parts) + "\n"
