"""ui.md: how long the views take."""

from typing import Any


def markdown(results: dict[str, Any]) -> str:
    """The results as a page."""
    machine = results["machine"]
    lines = [
        "# Pages",
        "",
        f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}, {machine['date']}; load average"
        f" before the start {machine['load']}. {results['topics']} topics with {results['rows']} rows each,"
        f" {results['rounds']} rounds, every address once in each; a ratio is the median of page ÷ no-op of the same round.",
        "",
        "| page | median ms | worst ms | ratio | at most |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in results["pages"]:
        lines.append(
            f"| {row['page']} | {row['median_ms']} | {row['worst_ms']} | {row['ratio']} |"
            f" {'–' if row['page'] == 'no-op' else format(row['at_most'], '.0f')}{'' if row['reached'] else ' (not reached)'} |"
        )
    return "\n".join(lines) + "\n"
