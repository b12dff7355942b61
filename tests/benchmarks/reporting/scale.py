"""scale.md: each figure beside its bar."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.arithmetic import ratios, spread
from benchmarks.reporting.tables import table


@dataclass(frozen=True)
class Line:
    """One figure beside its bar."""

    what: str
    found: float  # median of the rounds
    low: float
    high: float
    bar: float | None  # none: told, not judged
    at_least: bool = False
    unit: str = ""

    @property
    def reached(self) -> bool:
        """Whether the median is on the right side of the bar."""
        return self.bar is None or (self.found >= self.bar if self.at_least else self.found <= self.bar)


def _claim(found: dict[str, Any]) -> list[Line]:
    what = f"claim of {found['new']:,} new among {found['articles']:,} articles ÷ bare SQL"
    return [_line(what, ratios(found["bare_s"], found["stage_s"]), 3.0)]


def _publish(found: dict[str, Any]) -> list[Line]:
    rows = f"{found['rows']:,} rows"
    database, file = found["database_s"], found["file_s"]
    return [
        _line(
            f"publication's transaction, {rows}: speed ÷ raw COPY",
            ratios(database, found["raw_s"]),
            0.55,
            True,
        ),
        _line(
            "the same with the Parquet file and the digest of the rows",
            ratios([a + b for a, b in zip(database, file, strict=True)], found["raw_s"]),
            None,
        ),
        _line("raw COPY, s", found["raw_s"], None),
        _line("the transaction, s", database, None),
        _line("Parquet file and digest, s", file, None),
        _line("reading the ledger and ranking, s", found["rank_s"], None),
    ]


def _history(found: dict[str, Any]) -> list[Line]:
    (_, short), (times, long) = found["stages_s"].items()
    revisions, ledger = (
        " → ".join(f"{count:,}" for count in found[name]) for name in ("revisions", "ledger_rows")
    )
    lines = [
        _line(
            f"a run over {revisions} revisions, {ledger} ledger rows: long ÷ short",
            ratios([sum(one.values()) for one in short], [sum(one.values()) for one in long]),
            1.2,
        )
    ]
    for name, runs in (("short", short), (f"{times} times as long", long)):
        lines.append(_line(f"whole run, {name}, s", [sum(one.values()) for one in runs], None))
        for stage in runs[0]:
            lines.append(_line(f"{stage}, {name}, s", [one[stage] for one in runs], None))
    return lines


def _readers(found: dict[str, Any]) -> list[Line]:
    idle = found["idle_p99_ms"]
    return [
        _line("a reader's top 20, p99: while publishing ÷ idle", ratios(idle, found["busy_p99_ms"]), 2.0),
        _line("the same, while the transaction writes", ratios(idle, found["committing_p99_ms"]), None),
        _line("p99 idle, ms", idle, None),
        _line("p99 while publishing, ms", found["busy_p99_ms"], None),
        _line("p50 idle, ms", found["idle_p50_ms"], None),
        _line("p50 while publishing, ms", found["busy_p50_ms"], None),
    ]


def _rerun(found: dict[str, Any]) -> list[Line]:
    size = f"{found['articles']:,} articles, {found['topics']} topics"
    lines = []
    for kind, runs in found["tasks_s"].items():
        lines.append(_line(f"{kind}, {size}: all tasks, s", [sum(one.values()) for one in runs], 5.0))
        lines.append(_line(f"{kind}: processor time of the tasks, s", found["processor_s"][kind], None))
        lines += [_line(f"{kind}: {task}, s", [one[task] for one in runs], None) for task in runs[0]]
    return lines


def _hour(found: dict[str, Any]) -> list[Line]:
    bars = {("recall", "processor_seconds"): 6.0, ("recall", "peak_mb"): 700.0}
    named = {"seconds": "s", "processor_seconds": "s of processor time", "peak_mb": "MB at most"}
    sizes = found["sizes"]
    design, window = sizes["design"]["rounds"], sizes["topics"]["rounds"]
    lines = [
        _line(
            f"an hour of {found['topics']:,} topics and {found['new']:,} articles: all tasks, s",
            [sum(one["seconds"] for one in hour.values()) for hour in design],
            20.0,
        ),
        _line(
            f"recall, {found['times']} times the window ÷ the window: processor time",
            ratios(*([hour["recall"]["processor_seconds"] for hour in hours] for hours in (window, design))),
            1.3,
        ),
    ]
    for name, size in sizes.items():
        what = f"{size['topics']:,} topics, {size['documents']:,} documents, {size['new']:,} new"
        for stage in size["rounds"][0]:
            for figure, unit in named.items():
                bar = bars.get((stage, figure)) if name == "design" else None
                lines.append(
                    _line(f"{what}: {stage}, {unit}", [hour[stage][figure] for hour in size["rounds"]], bar)
                )
    return lines


def _news(found: dict[str, Any]) -> list[Line]:
    page = f"{found['topics']:,} topics, {found['rows']:,} rows"
    parts = (
        ("database_s", "the transaction"),
        ("publish_s", "publish, from the ledger to the commit"),
        ("files_s", "the topic files, with the feeds"),
    )
    return [
        _line(
            f"publication and topic files, {page}: with feeds and news ÷ without",
            ratios(found["plain_all_s"], found["whole_all_s"]),
            1.1,
        ),
        _line(
            "publication alone: with news ÷ without",
            ratios(found["plain_publish_s"], found["whole_publish_s"]),
            1.1,
        ),
        _line("changes that a move has", found["changes"], None),
        *(
            _line(f"{what}, {kind}, s", found[f"{name}_{part}"], None)
            for part, what in parts
            for name, kind in (("plain", "without"), ("whole", "with"))
        ),
    ]


LINES: dict[str, Callable[[dict[str, Any]], list[Line]]] = {
    "claim": _claim,
    "publish": _publish,
    "history": _history,
    "readers": _readers,
    "news": _news,
    "rerun": _rerun,
    "hour": _hour,
}

NOTES = {
    "hour": "Timed: each task in a process of its own, from the first import of the library on; the imports of Airflow are left out. The"
    " window of 72 hours is full, and each topic has 50 scores of each of its hours. The stub scores the pairs.",
    "claim": "Timed: the stage `extract` (fence, contract of the view, counts of every source row, claim, search for"
    " duplicates, metrics), against one transaction that does an anti-join on the lookback and inserts claims, revisions and texts.",
    "publish": "Raw: COPY FROM STDIN of the rows' CSV, made before, in a transaction of its own. Ours: the transaction that"
    " publishes (fence, locks, hidden articles, CSV, COPY, topics, pointer). Both begin with an empty table and have its keys and checks.",
    "history": "A run of all stages, extract to observe, in one process, the scorer a stub; the sum of the stages' seconds.",
    "news": "Publishing is everything from reading the ledger to the commit; the files are latest.json, the topic files and, with"
    " feeds, two feeds a topic. Before each publication a tenth of the scores is drawn anew.",
    "readers": "One reader, one connection, one query at a time; publishing is everything from reading the ledger to the commit,"
    " again and again, in another process.",
    "rerun": "Each task in a process of its own; its clock begins when Airflow is imported, and the library's imports count."
    " A task that asks for an engine fails.",
}


def markdown(found: dict[str, Any], *, head: str) -> str:
    """The page; `head` says what all parts share."""
    lines = ["# Scale and speed", "", head, ""]
    for part in [part for part in LINES if part in found]:
        machine = found[part]["machine"]
        lines += [
            f"## {part}",
            "",
            f"{NOTES[part]} {machine['processor']}, {machine['cores']} cores, {machine['date']};"
            f" load average before the start {machine['load']}.",
            "",
            *table(
                ["", "median", "least–most", "bar", ""],
                [
                    [
                        line.what,
                        _number(line.found),
                        f"{_number(line.low)}–{_number(line.high)}",
                        _bar(line),
                        "" if line.bar is None else "reached" if line.reached else "**missed**",
                    ]
                    for line in LINES[part](found[part])
                ],
            ),
            "",
        ]
    return "\n".join(lines)


def _line(what: str, values: Sequence[float], bar: float | None, at_least: bool = False) -> Line:
    low, middle, high = spread(values)
    return Line(what, middle, low, high, bar, at_least)


def _bar(line: Line) -> str:
    if line.bar is None:
        return ""
    return f"{'at least' if line.at_least else 'at most'} {line.bar:g}"


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def told(line: Line) -> str:
    """A figure with its spread and its bar, for the terminal."""
    bar = "" if line.bar is None else f", {_bar(line)}: {'reached' if line.reached else 'MISSED'}"
    return f"{_number(line.found)} ({_number(line.low)}–{_number(line.high)}){bar}"
