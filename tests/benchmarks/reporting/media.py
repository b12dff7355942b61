"""media.md: what pictures and clips cost."""

from typing import Any

from benchmarks.reporting.tables import table


def markdown(results: dict[str, Any]) -> str:
    """The results as a page."""
    machine, hostile = results["machine"], results["hostile"]
    lines = [
        "# Pictures and clips",
        "",
        f"{machine['processor']}, Python {machine['python']}, {machine['date']}; load average before the start {machine['load']}."
        f" {results['pictures']} pictures of 1280×720 a format, made by code, median of {results['rounds']} rounds; processor seconds.",
        "",
        *table(
            ("pictures a second of one core", "ours", "plain Pillow", "ours ÷ plain"),
            [
                (form, ways["ours"], ways["plain Pillow"], ways["ours"] / ways["plain Pillow"])
                for form, ways in results["formats"].items()
            ],
        ),
        "",
        f"A clip of 12 s, 1280×720, H.264: {results['clip_seconds']:.2f} s for 8 frames.",
        "",
        f"{hostile['files']} hostile files took {hostile['seconds']:.1f} s of processor time, the slowest {hostile['slowest']:.1f} s, and a"
        f" helper at most {hostile['mib']:,} MiB.",
        "",
        *table(("what became of them", "files"), list(hostile["fates"].items())),
    ]
    return "\n".join(lines) + "\n"
