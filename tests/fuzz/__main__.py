"""`python -m fuzz`: draw inputs for the targets for so many minutes of processor time, and keep what breaks a promise.

    python -m fuzz --minutes 12 prepare near        two targets, twelve minutes each
    python -m fuzz --seed 7 topics                  the same inputs again, as long as nothing guides the draws
    python -m fuzz --replay FILE topics             one input again

Each target runs in a process of its own, which may take a gibibyte of memory more than it has at its start. If a process
does not come to an end with an input, it is ended, and another goes on behind that input. If `atheris` can be imported, it
guides the inputs by the code that they reach; else each input is drawn anew. `atheris` is no dependency: name the folder
that has it in PYTHONPATH.

Every finding is a file in the folder of `--out`: the input itself, and beside it what it breaks. Exit status 1 if there
are findings.
"""

import argparse
import ctypes
import hashlib
import importlib.util
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

NAMES = ("prepare", "topics", "articles", "pages", "near", "ui")
MEMORY = 1 << 30  # bytes
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
GRACE = 4.0  # times the bound of a target after which its process is ended
KEPT = 3  # inputs of one kind of finding
SLOW_SECONDS = 2.0  # an input that takes longer is told, though it is within its bound
INSTRUMENTED = ["rerank_core", "rerank_airflow", "yaml"]


class Record:
    """What one process has done so far, in a file that its owner reads."""

    def __init__(self, folder: Path, out: Path) -> None:
        self.folder, self.out = folder, out
        self.executions = 0
        self.seconds = 0.0
        self.slowest = 0.0
        self.findings: Counter[str] = Counter()
        self.start = time.process_time()  # what it took to load is no fuzzing
        self._written = 0.0

    def check(self, target: Any, content: bytes) -> None:
        """Run a target on an input, and keep the input if it breaks a promise."""
        (self.folder / "current").write_bytes(content)
        begun = time.process_time()
        try:
            target.run(content)
        except Exception as error:
            self.keep(target.name, content, _kind(error), "".join(traceback.format_exception(error)))
        took = time.process_time() - begun
        self.slowest = max(self.slowest, took)
        if SLOW_SECONDS < took <= target.seconds:
            self.keep(target.name, content, "slow", f"{took:.1f} s of processor time\n")
        self.executions += 1
        self.seconds = time.process_time() - self.start
        if self.seconds - self._written > 1:
            self.write()

    def keep(self, name: str, content: bytes, kind: str, told: str) -> None:
        """Keep an input, unless there are some of its kind."""
        self.findings[kind] += 1
        if self.findings[kind] > KEPT:
            return
        file = self.out / name / f"{kind}-{hashlib.sha256(content).hexdigest()[:12]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.with_suffix(".txt").write_text(told, encoding="utf-8", errors="backslashreplace")
        print(f"{name}: {kind}: {file}", flush=True)

    def write(self) -> None:
        """Say how far this process is."""
        self._written = self.seconds
        state = {
            "executions": self.executions,
            "seconds": self.seconds,
            "slowest": self.slowest,
            "findings": self.findings,
        }
        draft = self.folder / "state.draft"
        draft.write_text(json.dumps(state), encoding="utf-8")
        draft.rename(self.folder / "state")


def _kind(error: BaseException) -> str:
    """What tells one finding from another: the class of the error, and the line of the product that it comes from."""
    told = error.__cause__ or error  # of an input that takes too long: where it was
    frames = [frame for frame in traceback.extract_tb(told.__traceback__) if "/rerank_" in frame.filename]
    place = f"{Path(frames[-1].filename).stem}-{frames[-1].lineno}" if frames else "target"
    return f"{type(error).__name__}-{place}"


# ── The process of a target ─────────────────────────────────────────────────────────────────────────


def work(name: str, *, folder: Path, out: Path, minutes: float, seed: int, first: int) -> None:
    """Draw inputs for one target, beginning with this number, until so much processor time is spent."""
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    guide = importlib.util.find_spec("atheris") is not None and name not in ("ui",)
    if guide:
        import atheris

        with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
            from fuzz.ground import opened
    else:
        from fuzz.ground import opened
    with opened(name) as target:
        for number in range(3):  # what is loaded with the first inputs is not the memory of an input
            _harmless(target, Random(f"{seed}:start:{number}"))
        _bound_memory()
        record = Record(folder, out)
        if guide:
            _guided(target, record, seed=seed + first, until=60 * minutes)
        else:
            number = first
            while record.seconds < 60 * minutes:
                (folder / "number").write_text(str(number))
                record.check(target, target.draw(Random(f"{seed}:{number}")))
                number += 1
        record.write()


def _harmless(target: Any, random: Random) -> None:
    try:
        target.run(target.draw(random))
    except Exception:
        """It is found again later, or not."""


def _bound_memory() -> None:
    with Path("/proc/self/status").open(encoding="ascii") as lines:
        own = next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmSize"))
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (own + MEMORY, hard))


def _guided(target: Any, record: Record, *, seed: int, until: float) -> None:
    import atheris

    def one(content: bytes) -> None:
        record.check(target, content)
        if record.seconds > until:
            record.write()
            os._exit(0)

    def change(content: bytes, largest: int, number: int) -> bytes:
        random = Random(number)
        made = target.draw(random) if random.random() < 0.3 or not content else target.change(content, random)
        return made[:largest]

    corpus = record.folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for number in range(50):
        (corpus / str(number)).write_bytes(target.draw(Random(f"{seed}:seed:{number}")))
    # The bounds of time and memory are ours; libFuzzer would stop at the first input over them.
    options = "-timeout=100000 -report_slow_units=100000 -rss_limit_mb=0 -malloc_limit_mb=0 -max_len=3000000 -len_control=0"
    options += (
        f" -verbosity=0 -print_final_stats=0 -seed={seed % 2**31 or 1} -artifact_prefix={record.folder}/"
    )
    atheris.Setup(
        [sys.argv[0], str(corpus), *options.split()], one, custom_mutator=change, internal_libfuzzer=True
    )
    atheris.Fuzz()


# ── The owner of the processes ──────────────────────────────────────────────────────────────────────


class Fuzzing:
    """One target that is fuzzed by one process after another."""

    def __init__(self, name: str, arguments: argparse.Namespace) -> None:
        self.name, self.arguments = name, arguments
        self.folder = Path(tempfile.mkdtemp(prefix=f"rerank-fuzz-{name}-"))
        self.executions, self.seconds, self.slowest = 0, 0.0, 0.0
        self.findings: Counter[str] = Counter()

    def run(self) -> None:
        """Fuzz until the processor time is spent."""
        first = 0
        limit = 60 * self.arguments.minutes
        while self.seconds < limit:
            before = self.executions
            self._process(first, (limit - self.seconds) / 60)
            first += self.executions - before + 1
            if self.executions == before:
                raise SystemExit(f"{self.name}: its process ends at once")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _process(self, first: int, minutes: float) -> None:
        state = self.folder / "state"
        state.unlink(missing_ok=True)
        (self.folder / "current").unlink(missing_ok=True)
        options = [
            "--minutes",
            str(minutes),
            "--seed",
            str(self.arguments.seed),
            "--out",
            str(self.arguments.out),
        ]
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "fuzz",
                "--work",
                str(self.folder),
                "--first",
                str(first),
                *options,
                self.name,
            ]
        )
        try:
            hung = self._watch(process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
        told = json.loads(state.read_text(encoding="utf-8")) if state.exists() else {}
        self.executions += told.get("executions", 0)
        self.seconds += max(told.get("seconds", 0.0), hung)
        self.slowest = max(self.slowest, told.get("slowest", 0.0))
        self.findings.update(told.get("findings", {}))
        if hung or process.returncode not in (0, 1):
            kind = "hang" if hung else f"dies-{process.returncode}"
            record = Record(self.folder, self.arguments.out)
            if (self.folder / "current").exists():
                record.keep(self.name, (self.folder / "current").read_bytes(), kind, f"{kind}\n")
            self.findings[kind] += 1

    def _watch(self, process: "subprocess.Popen[bytes]") -> float:
        """Wait for a process; the processor time that it had if it hung in one input, else 0."""
        from fuzz.targets import PREPARE_SECONDS

        at, since = None, 0.0
        while process.poll() is None:
            time.sleep(0.5)
            spent = _processor_seconds(process.pid)
            current = self.folder / "current"
            now = current.stat().st_mtime_ns if current.exists() else None
            if now != at:
                at, since = now, spent
            elif at is not None and spent - since > GRACE * PREPARE_SECONDS:
                return spent
        return 0.0


def _processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def replay(name: str, file: Path) -> None:
    """Run a target on the input in a file, without a guard around it."""
    from fuzz.ground import opened

    with opened(name) as target:
        begun = time.process_time()
        try:
            target.run(file.read_bytes())
        finally:
            print(f"{name}: {time.process_time() - begun:.2f} s of processor time")


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="fuzz", description="Fuzz targets, and keep what breaks a promise.")
    parser.add_argument(
        "targets", nargs="*", choices=[*NAMES, []], help=f"of {', '.join(NAMES)}; all if none is named"
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="of processor time, for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(".fuzz"), help="the folder of what is found")
    parser.add_argument("--replay", type=Path, help="one input")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    names = chosen.targets or list(NAMES)
    if chosen.replay:
        replay(names[0], chosen.replay)
        return 0
    if chosen.work:
        work(
            names[0],
            folder=chosen.work,
            out=chosen.out,
            minutes=chosen.minutes,
            seed=chosen.seed,
            first=chosen.first,
        )
        return 0
    found = 0
    for name in names:
        fuzzing = Fuzzing(name, chosen)
        fuzzing.run()
        print(
            f"{name}: {fuzzing.executions:,} executions, {fuzzing.seconds:.0f} s of processor time, slowest"
            f" {fuzzing.slowest:.1f} s, findings: {dict(fuzzing.findings) or 'none'}",
            flush=True,
        )
        found += sum(fuzzing.findings.values())
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
