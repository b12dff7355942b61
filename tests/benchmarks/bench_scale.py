"""How the stages stand at scale, as ratios of what runs side by side in one Postgres.

    PYTHONPATH=tests python -m benchmarks.bench_scale                       # all parts: half an hour; results/scale.md and .json
    PYTHONPATH=tests python -m benchmarks.bench_scale claim --articles 100000 --rounds 3

claim     a run claims the new ones of a million articles in the lookback     ÷ the bare anti-join and inserts
publish   a page of a million rows goes into the table                        ÷ raw CSV COPY of the same rows
history   a run over a million revisions and their scores                     ÷ the same over a tenth of them
readers   99th percentile of a reader's top 20 while pages are published      ÷ the same while nothing happens
rerun     a run with nothing new: seconds of its tasks, Airflow's own apart

The Postgres is the embedded one (fsync off, 64 MB of shared buffers), the scorer a stub, the data made by SQL.
In every round both sides take their turn, in changing order; a figure is the median of the rounds.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import scale_page, scale_runs
from benchmarks.arithmetic import ratios, spread
from benchmarks.machine import describe
from benchmarks.report import table
from rerank_core.demo.postgres import EmbeddedPostgres

RESULTS = Path(__file__).parent / "results"
PARTS = ("claim", "publish", "history", "readers", "rerun")


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


def main(given: Sequence[str] | None = None) -> int:
    """Measure the parts that are asked for, keep the others' results, and write the page."""
    asked = arguments(given)
    measured = asked.parts or PARTS
    results = asked.out / "scale.json"
    found = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    asked.out.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        if part not in measured:
            continue
        with tempfile.TemporaryDirectory(prefix="rerank-scale-") as name:
            folder = Path(name)
            folder.chmod(0o755)  # Postgres runs as another user than root
            machine = describe(threads=1, gpu=False)
            with EmbeddedPostgres(folder=folder / "postgres") as server:
                found[part] = {**measure(part, server, folder, asked), "machine": machine}
        results.write_text(json.dumps(_short(found), indent=1) + "\n", encoding="utf-8")
        (asked.out / "scale.md").write_text(report(found), encoding="utf-8")
        print("\n".join(f"{line.what}: {_shown(line)}" for line in LINES[part](found[part])), flush=True)
    return 0 if all(line.reached for part in measured for line in LINES[part](found[part])) else 1


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """The parts and sizes of a command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--articles", type=int, default=1_000_000, help="in the lookback")
    parser.add_argument("--new", type=int, default=10_000, help="of them to be claimed")
    parser.add_argument("--page-topics", type=int, default=1_000)
    parser.add_argument("--page-rows", type=int, default=1_000, help="a topic")
    parser.add_argument("--page-documents", type=int, default=20_000, help="of the page's window")
    parser.add_argument("--history", type=int, default=100_000, help="revisions of the short history")
    parser.add_argument("--times", type=int, default=10, help="that the long one is longer")
    parser.add_argument("--a-day", type=int, default=6_500, help="revisions of a day of history")
    parser.add_argument("--run-new", type=int, default=500, help="new articles of each run over the history")
    parser.add_argument("--run-topics", type=int, default=50)
    parser.add_argument("--scores", type=int, default=5, help="ledger rows of each document")
    parser.add_argument("--reader-seconds", type=float, default=20.0, help="of a round, idle and busy")
    parser.add_argument("--reader-pause-ms", type=float, default=2.0, help="between two queries")
    parser.add_argument("--rerun-articles", type=int, default=13_500)
    parser.add_argument("--rerun-topics", type=int, default=12)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args(given)
    if unknown := sorted(set(asked.parts) - set(PARTS)):
        parser.error(f"there is no part {', '.join(unknown)}; the parts are {', '.join(PARTS)}")
    return asked


def measure(part: str, server: EmbeddedPostgres, folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """The figures of one part, round by round."""
    match part:
        case "claim":
            return scale_runs.measure_claim(
                server, folder, articles=asked.articles, new=asked.new, rounds=asked.rounds
            )
        case "history":
            return scale_runs.measure_history(
                server,
                folder,
                revisions=asked.history,
                times=asked.times,
                a_day=asked.a_day,
                new=asked.run_new,
                topics=asked.run_topics,
                scores=asked.scores,
                rounds=asked.rounds,
            )
        case "rerun":
            return scale_runs.measure_rerun(
                server,
                folder,
                articles=asked.rerun_articles,
                topics=asked.rerun_topics,
                rounds=asked.rounds,
            )
    page = scale_page.Page(
        server, folder, topics=asked.page_topics, rows=asked.page_rows, documents=asked.page_documents
    )
    if part == "publish":
        return scale_page.measure_publish(page, rounds=asked.rounds)
    return scale_page.measure_readers(
        page, rounds=asked.rounds, seconds=asked.reader_seconds, pause_ms=asked.reader_pause_ms
    )


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


LINES: dict[str, Callable[[dict[str, Any]], list[Line]]] = {
    "claim": _claim,
    "publish": _publish,
    "history": _history,
    "readers": _readers,
    "rerun": _rerun,
}

NOTES = {
    "claim": "Timed: the stage `extract` (fence, contract of the view, counts of every source row, claim, search for"
    " duplicates, metrics), against one transaction that does an anti-join on the lookback and inserts claims, revisions and texts.",
    "publish": "Raw: COPY FROM STDIN of the rows' CSV, made before, in a transaction of its own. Ours: the transaction that"
    " publishes (fence, locks, hidden articles, CSV, COPY, topics, pointer). Both begin with an empty table and have its keys and checks.",
    "history": "A run of all stages, extract to observe, in one process, the scorer a stub; the sum of the stages' seconds.",
    "readers": "One reader, one connection, one query at a time; publishing is everything from reading the ledger to the commit,"
    " again and again, in another process.",
    "rerun": "Each task in a process of its own; its clock begins when Airflow is imported, and the library's imports count."
    " A task that asks for an engine fails.",
}


def report(found: dict[str, Any]) -> str:
    """The results as a page."""
    lines = ["# Scale and speed", "", (__doc__ or "").split("\n\n")[-1].strip(), ""]
    for part in [part for part in PARTS if part in found]:
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


def _shown(line: Line) -> str:
    bar = "" if line.bar is None else f", {_bar(line)}: {'reached' if line.reached else 'MISSED'}"
    return f"{_number(line.found)} ({_number(line.low)}–{_number(line.high)}){bar}"


def _short(value: Any) -> Any:
    """The results with four decimals."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {name: _short(one) for name, one in value.items()}
    return [_short(one) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    raise SystemExit(main())
