"""preview.md: how long it takes to try topics."""

from typing import Any


def markdown(results: dict[str, Any]) -> str:
    """The results as a page."""
    machine = results["machine"]
    lines = [
        "# Trying topics",
        "",
        f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}, {machine['date']}; load average"
        f" before the start {machine['load']}. {results['topics']} topics of the sample against {results['documents']} texts,"
        f" {results['rounds']} rounds, without an engine. A preview should take at most {results['at_most']:g} s by the clock.",
        "",
        "| what | median s | worst s | processor s, median |",
        "|---|---:|---:|---:|",
    ]
    lines += [
        f"| {row['way']} | {row['median_s']} | {row['worst_s']} | {row['processor_s']} |"
        for row in results["ways"]
    ]
    return "\n".join(lines) + "\n"
