"""syndication.md: near-copies at once, beside a full window, and in real news."""

from collections.abc import Mapping
from typing import Any

from benchmarks.reporting.tables import table, table_of_figures


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
        steps = {name: found[name] for name in ("signatures", "places", "all")}
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
            "What placing a run's new texts adds to prepare: bands of all leaders are read and compared, signatures and texts of those alone"
            " that share one. Seconds; memory is the peak over that before the start.",
            table_of_figures({f"{results['window']['leaders']:,} leaders": results["window"]}),
        ]
    if "stories" in results:
        parts += _stories(results["stories"])
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


def _stories(found: Mapping[str, Any]) -> list[str]:
    """Invented stories: pairs, those with at least 0.7 of their shingles in common, and those that merge."""
    parts = [
        "## Invented stories",
        "Self-written stories in ten languages (`tests/benchmarks/stories`): pairs that differ in names, or in the outcome, alone; and reprints."
        " *Alike* pairs have at least 0.7 of their shingles in common: without a veto they would merge.",
    ]
    for title, name, by in (
        ("Two stories, by language", "two_stories", "languages"),
        ("Two stories, by kind", "two_stories", "kinds"),
        ("Reprints, by language", "reprints", "languages"),
        ("Reprints, by what was changed", "reprints", "kinds"),
    ):
        rows = [
            [kind, row["pairs"], row["alike"], row["merged"], f"{100 * row['merged'] / row['pairs']:.1f} %"]
            for kind, row in found[name][by].items()
        ]
        parts += ["\n".join(table([title, "pairs", "alike", "merged", "share"], rows))]
    return parts
