"""prepare.md: extraction, lines left out, steps and speed."""

from collections.abc import Mapping
from typing import Any

from benchmarks.reporting.tables import table_of_figures


def markdown(results: Mapping[str, Any]) -> str:
    """The page: every part that has been measured."""
    parts = [
        "# prepare, measured",
        "Made by `python -m benchmarks.bench_prepare`; see there for what is counted.",
    ]
    if "extraction" in results:
        parts += [
            f"## Extraction: {results['extraction']['pages']} pages of the article extraction benchmark",
            "Scored as the benchmark scores itself: shingles of four words, mean precision and recall of the pages."
            " Speeds of the last three rows were measured on another day: compare them with one another only.",
            table_of_figures(results["extraction"]["extractors"]),
        ]
    if "lines" in results:
        parts += [
            "## Lines that the rules leave out, against labels by hand",
            "See [lines](../lines/README.md) for the labels. Rules were written while the `dev` pages were looked at, and after the `test` lines"
            " had their labels.",
            table_of_figures(results["lines"]),
        ]
    if "news" in results:
        parts += [
            "## What the steps do to 13,533 articles of real news",
            table_of_figures(_turned(results["news"])),
        ]
    if "speed" in results:
        parts += [
            "## Articles a second, whole preparation",
            "The start of the workers is included. A load beyond the workers' own is other work: of a second by the clock they then had a part"
            " of each core, and what whole cores give is the processor-second column times their number.",
            table_of_figures(results["speed"]),
        ]
    return "\n\n".join(parts) + "\n"


def _turned(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    names = sorted({name for row in rows.values() for name in row})
    return {name: {column: row.get(name, 0) for column, row in rows.items()} for name in names}
