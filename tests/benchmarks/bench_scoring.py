"""Measure the scorer beside other ways to run the same checkpoint, and write the tables.

    make bench                                   every part, about eight minutes on two cores
    make bench ARGS="speed --mixed 20x50"        one part, larger

Parts: speed, families, start, overhead, cost, ledger (precision: see measure_effects; a GPU: see gpu/README.md). Results go to
tests/benchmarks/results (JSON, Markdown, SVG); a part that is run again replaces its own numbers and leaves the others,
on the same machine.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks import checkpoints, end_to_end, machine, small, speed, workloads
from benchmarks.contenders import Options
from benchmarks.reporting import scoring
from rerank_core.models.prompt import Prompter
from rerank_core.settings import DEMO_CHECKPOINT

PARTS = ("speed", "families", "start", "overhead", "cost", "ledger")
NAME = "cpu"  # of the files that are written
RESULTS = Path(__file__).parent / "results"

# (mixed, headlines, long) as topics × articles; rounds; sizes of the cost curve.
SIZES = {"mixed": (2, 6), "headlines": (3, 10), "long": (1, 5), "rounds": 2, "batch_size": 8}


def size(text: str) -> tuple[int, int]:
    """`20x50`: topics × articles."""
    topics, articles = text.lower().replace("×", "x").split("x")
    return int(topics), int(articles)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; sizes that are not given are SIZES."""
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    for name in ("mixed", "headlines", "long"):
        parser.add_argument(f"--{name}", type=size, metavar="TxN", help="topics × articles")
    parser.add_argument("--rounds", type=int, help="interleaved rounds")
    parser.add_argument("--batch-size", type=int, help="of the padded batches")
    parser.add_argument("--precision", default="bfloat16", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--max-document-tokens", type=int, default=512)
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--reference-pairs", type=int, default=2, help="a workload, for the logit difference")
    parser.add_argument("--no-int8", action="store_true", help="leave the quantised copy out")
    parser.add_argument("--contenders", metavar="WORDS", help="only those whose name has one: LLM.score,int8")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="instead of random weights")
    parser.add_argument("--starts", type=int, default=2, help="rounds of the start-up table")
    parser.add_argument("--cost-pairs", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--articles", type=int, default=400, help="of the end-to-end runs")
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args(given)
    unknown = sorted(set(chosen.parts) - set(PARTS))
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; parts are {', '.join(PARTS)}")
    for name, value in SIZES.items():
        if getattr(chosen, name) is None:
            setattr(chosen, name, value)
    chosen.parts = chosen.parts or list(PARTS)
    return chosen


class Bench:
    """One call of the command."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self._chosen = chosen
        self._began = time.monotonic()
        self.machine = machine.describe(threads=chosen.threads, gpu=False)

    def say(self, text: str) -> None:
        """A line of progress."""
        print(f"[{time.monotonic() - self._began:6.1f} s] {text}", flush=True)

    def options(self, folder: Path, precision: str) -> tuple[Options, Prompter]:
        """How engines of a checkpoint are built, and what builds its prompts."""
        chosen = self._chosen
        prompter = Prompter(folder / "tokenizer.json", max_document_tokens=chosen.max_document_tokens)
        return Options(
            folder=folder,
            precision=precision,
            max_document_tokens=chosen.max_document_tokens,
            max_prompt_tokens=prompter.max_prompt_tokens,
            threads=chosen.threads,
            batch_size=chosen.batch_size,
        ), prompter

    def part(self, name: str) -> dict[str, Any]:
        """The numbers of one part, with its date."""
        result: dict[str, Any] = getattr(self, f"_{name}")()
        return {"date": self.machine["date"], **result}

    def _speed(self) -> dict[str, Any]:
        chosen = self._chosen
        options, prompter = self.options(self._large(), chosen.precision)
        int8 = None if chosen.no_int8 else Path(machine.apart(checkpoints.int8_checkpoint, options.folder))
        ceilings = machine.ceilings(threads=chosen.threads, gpu=False)
        loads = workloads.build(prompter, mixed=chosen.mixed, headlines=chosen.headlines, long=chosen.long)
        measured = speed.measure(
            speed.contenders(options, int8=int8, only=chosen.contenders),
            loads,
            rounds=chosen.rounds,
            reference_pairs=chosen.reference_pairs,
            ceiling=ceilings.get(chosen.precision),
            say=self.say,
        )
        return {
            **self._provenance(),
            "precision": chosen.precision,
            "max_document_tokens": chosen.max_document_tokens,
            "batch_size": chosen.batch_size,
            "rounds": chosen.rounds,
            "ceilings": ceilings,
            "rows": [asdict(row) for row in measured.rows],
            "engines": measured.engines,
            "notes": measured.notes,
        }

    def _families(self) -> dict[str, Any]:
        """The small families beside the 0.6B shape, on the same texts."""
        chosen = self._chosen
        options, prompter = self.options(self._large(), chosen.precision)
        small = {
            name: Path(machine.apart(checkpoints.small_checkpoint, name)) for name in checkpoints.SMALL_SHAPES
        }
        loads = workloads.build(prompter, mixed=chosen.mixed, headlines=chosen.headlines, long=chosen.long)
        measured = speed.measure(
            speed.families(options, small),
            loads,
            rounds=chosen.rounds,
            reference_pairs=0,
            ceiling=None,
            say=self.say,
        )
        return {
            **self._provenance(),
            "precision": chosen.precision,
            "max_document_tokens": chosen.max_document_tokens,
            "rounds": chosen.rounds,
            "load": self.machine["load"],
            "rows": [asdict(row) for row in measured.rows],
            "notes": measured.notes,
        }

    def _start(self) -> dict[str, Any]:
        options, prompter = self.options(self._large(), self._chosen.precision)
        options = replace(options, block_size=speed.OUR_CPU_BLOCK, eager=True)
        first = workloads.pair_up(prompter, ["A storm closed the port."], 1, 1)
        return {
            **self._provenance(),
            **small.start_up(options, first, rounds=self._chosen.starts, say=self.say),
        }

    def _overhead(self) -> dict[str, Any]:
        options, prompter = self.options(DEMO_CHECKPOINT, "float32")
        loads = workloads.build(prompter, mixed=(10, 50), headlines=(20, 50), long=(1, 1))
        rounds = max(3, self._chosen.rounds)
        return {
            "rounds": rounds,
            "rows": small.overhead(options, loads[:2], rounds=rounds, say=self.say),
        }

    def _cost(self) -> dict[str, Any]:
        options, prompter = self.options(DEMO_CHECKPOINT, "float32")
        asked = len(workloads.queries())
        most = max(self._chosen.cost_pairs)
        titles = workloads.titles(-(-most // asked))
        pairs = workloads.pair_up(prompter, titles, asked, len(titles))
        return {"rows": small.cost(options, pairs, sorted(self._chosen.cost_pairs), say=self.say)}

    def _ledger(self) -> dict[str, Any]:
        self.say(f"four runs on {self._chosen.articles} articles")
        return {
            "corpus": workloads.corpus(),
            "rows": machine.apart(end_to_end.measure, self._chosen.articles),
        }

    def _large(self) -> Path:
        if self._chosen.model is not None:
            return Path(self._chosen.model)
        return Path(machine.apart(checkpoints.random_checkpoint))

    def _provenance(self) -> dict[str, Any]:
        real = self._chosen.model is not None
        return {
            "checkpoint": "The given checkpoint" if real else "The 0.6B shape with random weights",
            "vocabulary": "the given checkpoint" if real else checkpoints.tokenizer()[1],
            "corpus": workloads.corpus(),
        }


def save(results: dict[str, Any], folder: Path, name: str) -> None:
    """Write JSON, Markdown and, where contenders were measured, the plot."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    (folder / f"{name}.md").write_text(scoring.markdown(results))
    if "speed" in results["parts"]:
        (folder / f"{name}.svg").write_text(scoring.plot(results))


def main(given: Sequence[str] | None = None) -> None:
    """Measure the chosen parts, saving after each."""
    chosen = arguments(given)
    bench = Bench(chosen)
    earlier = chosen.out / f"{NAME}.json"
    parts = json.loads(earlier.read_text())["parts"] if earlier.exists() else {}
    for part in chosen.parts:
        parts[part] = bench.part(part)
        save({"machine": bench.machine, "parts": parts}, chosen.out, NAME)
    print(scoring.markdown({"machine": bench.machine, "parts": parts}))


if __name__ == "__main__":
    main()
