"""How the stages stand at scale, as ratios of what runs side by side in one Postgres.

    PYTHONPATH=tests python -m benchmarks.bench_scale                       # all parts: half an hour; results/scale.md and .json
    PYTHONPATH=tests python -m benchmarks.bench_scale claim --articles 100000 --rounds 3

claim     a run claims the new ones of a million articles in the lookback     ÷ the bare anti-join and inserts
publish   a page of a million rows goes into the table                        ÷ raw CSV COPY of the same rows
history   a run over a million revisions and their scores                     ÷ the same over a tenth of them
readers   99th percentile of a reader's top 20 while pages are published      ÷ the same while nothing happens
news      a page of which every topic changes is published, with feeds and news  ÷ the same without them
rerun     a run with nothing new: seconds of its tasks, Airflow's own apart
hour      every task of an hour without the model: at the design's size, and with a tenth of its topics, articles or both

The Postgres is the embedded one (fsync off, 64 MB of shared buffers), the scorer a stub, the data made by SQL.
In every round both sides take their turn, in changing order; a figure is the median of the rounds.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import scale_hour, scale_news, scale_page, scale_runs
from benchmarks.machine import describe
from benchmarks.reporting import scale
from rerank_core.demo.postgres import EmbeddedPostgres

RESULTS = Path(__file__).parent / "results"
PARTS = tuple(scale.LINES)
HEAD = (__doc__ or "").split("\n\n")[-1].strip()  # of the page


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
        found = _short(found)
        results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        (asked.out / "scale.md").write_text(scale.markdown(found, head=HEAD), encoding="utf-8")
        print(
            "\n".join(f"{line.what}: {scale.told(line)}" for line in scale.LINES[part](found[part])),
            flush=True,
        )
    return 0 if all(line.reached for part in measured for line in scale.LINES[part](found[part])) else 1


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
    parser.add_argument("--news-rows", type=int, default=50, help="a topic, of the page whose news are noted")
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
    parser.add_argument("--hour-topics", type=int, default=1_000)
    parser.add_argument(
        "--hour-new", type=int, default=5_000, help="articles; the window has 72 times as many"
    )
    parser.add_argument("--hour-times", type=int, default=10, help="that the other sizes are smaller")
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
        case "hour":
            return scale_hour.measure_hour(
                server,
                folder,
                topics=asked.hour_topics,
                new=asked.hour_new,
                times=asked.hour_times,
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
    rows = asked.news_rows if part == "news" else asked.page_rows
    page = scale_page.Page(
        server, folder, topics=asked.page_topics, rows=rows, documents=asked.page_documents
    )
    if part == "news":
        return scale_news.measure_news(page, rounds=asked.rounds)
    if part == "publish":
        return scale_page.measure_publish(page, rounds=asked.rounds)
    return scale_page.measure_readers(
        page, rounds=asked.rounds, seconds=asked.reader_seconds, pause_ms=asked.reader_pause_ms
    )


def _short(value: Any) -> Any:
    """The results with four decimals."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {name: _short(one) for name, one in value.items()}
    return [_short(one) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    raise SystemExit(main())
