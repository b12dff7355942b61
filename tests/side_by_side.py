"""Every test, by two pytest processes at once: one for tests that compute, one for tests that mostly wait.

    python tests/side_by_side.py                     # what `make test` runs
    python tests/side_by_side.py -m 'not engine'     # both processes get these options
    python tests/side_by_side.py tests/unit -k gate  # tests are named: one pytest process runs them

The report of the computing tests is shown while it is written, the report of the waiting tests after it. Then every
failure is named once more. The last line adds both reports up and reads as pytest's own last line.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

TESTS = Path(__file__).resolve().parent
# Tests of these folders wait for schedulers, servers and browsers. Every other folder computes.
WAITING = ("browser", "dags", "examples", "faults")

POLL_SECONDS = 0.2
PASSED, NO_TESTS = 0, 5  # exit statuses of pytest
CLOSING_LINE = re.compile(
    r"^=* ?(no tests ran|\d+ \w+(?:, \d+ \w+)*) in \d+\.\d+s(?: \([\d:]+\))? ?=*$", re.M
)
COUNTED = (
    "failed",
    "passed",
    "skipped",
    "deselected",
    "xfailed",
    "xpassed",
    "warnings",
    "errors",
)  # in pytest's order
PLURALS = {"warning": "warnings", "error": "errors"}
SINGULARS = {plural: singular for singular, plural in PLURALS.items()}


def main(options: Sequence[str]) -> int:
    """Run the tests; gives the exit status."""
    if any(Path(option.partition("::")[0]).exists() for option in options):
        os.execv(sys.executable, pytest_command(options))
    return run(folders(), options)


def folders(tests: Path = TESTS, waiting: Sequence[str] = WAITING) -> list[list[str]]:
    """What each pytest process collects: the computing tests, then the waiting tests."""
    apart = [str(tests / name) for name in waiting]
    return [[str(tests), *(f"--ignore={folder}" for folder in apart)], apart]


def pytest_command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", *arguments]


def run(collected: Sequence[Sequence[str]], options: Sequence[str]) -> int:
    """Run one pytest process for each list of folders and show their reports; gives the exit status."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rerank-reports-") as name:
        reports = [Path(name) / f"{number}.txt" for number in range(len(collected))]
        processes = [
            start([*chosen, *options], report) for chosen, report in zip(collected, reports, strict=True)
        ]
        end_with_them(processes)
        for chosen, report, process in zip(collected, reports, processes, strict=True):
            print(f"── pytest {' '.join([*chosen, *options])}", flush=True)
            show(report, process)
        texts = [report.read_text(encoding="utf-8", errors="replace") for report in reports]
    statuses = [process.returncode for process in processes]
    print("── all tests", flush=True)
    print(
        "\n".join([*named_failures(texts), closing_line(texts, statuses, seconds=time.monotonic() - began)]),
        flush=True,
    )
    return exit_status(statuses)


def start(arguments: Sequence[str], report: Path) -> subprocess.Popen[bytes]:
    """A pytest process that writes its report into a file."""
    with report.open("wb") as stream:
        return subprocess.Popen(
            pytest_command(["--color=no", *arguments]),
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )


def end_with_them(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Let pytest clean up before this process ends: on Ctrl-C, which reaches pytest too, and on SIGTERM."""

    def interrupt(*_: object) -> None:
        for process in processes:
            process.send_signal(signal.SIGINT)

    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, interrupt)


def show(report: Path, process: subprocess.Popen[bytes]) -> None:
    """Write out a report from its beginning until its process has ended."""
    with report.open("rb") as stream:
        ended = False
        while not ended:
            ended = process.poll() is not None
            sys.stdout.buffer.write(stream.read())
            sys.stdout.flush()
            if not ended:
                time.sleep(POLL_SECONDS)


def named_failures(reports: Sequence[str]) -> list[str]:
    """The lines of the reports' summaries that name a failure or an error."""
    return [line for report in reports for line in re.findall(r"^(?:FAILED|ERROR) .*$", report, re.M)]


def closing_line(reports: Sequence[str], statuses: Sequence[int], *, seconds: float) -> str:
    """pytest's closing line for all reports together. A process that died without a closing line counts as an error."""
    counts: Counter[str] = Counter()
    for report, status in zip(reports, statuses, strict=True):
        closing_lines = CLOSING_LINE.findall(report)
        died = not closing_lines and status not in (PASSED, NO_TESTS)
        said = "1 error" if died else "".join(closing_lines[-1:])
        for number, what in re.findall(r"(\d+) (\w+)", said):
            counts[PLURALS.get(what, what)] += int(number)
    told = [
        f"{counts[what]} {SINGULARS.get(what, what) if counts[what] == 1 else what}"
        for what in sorted(counts, key=COUNTED.index)
    ]
    minutes, rest = divmod(round(seconds), 60)
    clock = f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
    return f"{', '.join(told) or 'no tests ran'} in {seconds:.2f}s ({clock})"


def exit_status(statuses: Sequence[int]) -> int:
    """0 if no process failed and at least one process had tests."""
    failed = [status for status in statuses if status not in (PASSED, NO_TESTS)]
    if failed:
        return failed[0] if failed[0] > 0 else 1  # a process that a signal ended has a negative status
    return PASSED if PASSED in statuses else NO_TESTS


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
