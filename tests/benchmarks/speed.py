"""The table of contenders: interleaved rounds on the same checkpoint, pairs and precision."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.arithmetic import Measured, Row, compare
from benchmarks.checkpoints import computed_flops
from benchmarks.contenders import Options
from benchmarks.process import Engine, EngineFailed
from benchmarks.workloads import Workload
from rerank_core.models.identity import read_checkpoint

Say = Callable[[str], None]

OUR_CPU_BLOCK = 32


@dataclass(frozen=True)
class Contender:
    """A row of the table: which engine, and how it is asked."""

    name: str
    engine: str  # rows of one engine share its process
    kind: str
    call: str
    options: Options


@dataclass(frozen=True)
class Table:
    """What was measured."""

    rows: list[Row]
    engines: list[dict[str, Any]]  # start and memory of each process
    notes: list[str]  # what could not be measured, and why


def contenders(options: Options, *, int8: Path | None, only: str | None) -> list[Contender]:
    """All of them, or ours and those whose name contains a word of `only`."""
    found = [
        Contender("ours", "ours", "ours", "score", replace(options, eager=False)),
        Contender("ours, eager", "ours-eager", "ours", "score", replace(options, eager=True)),
        Contender("LLM.score", "vllm", "vllm", "score", options),
        Contender(
            "LLM.score, our block size",
            "vllm-block",
            "vllm",
            "score",
            replace(options, block_size=OUR_CPU_BLOCK),
        ),
        Contender("LLM.classify, whole strings", "vllm", "vllm", "classify", options),
        Contender("CrossEncoder", "sentence-transformers", "sentence-transformers", "predict", options),
        Contender("transformers", "transformers", "transformers", "forward", options),
    ]
    if int8 is not None:
        int8_options = replace(options, folder=int8, eager=False)
        found.append(Contender("ours, int8", "ours-int8", "ours", "score", int8_options))
    words = only.split(",") if only else [""]
    return [c for c in found if c.name == "ours" or any(word in c.name for word in words)]


def families(options: Options, small: dict[str, Path]) -> list[Contender]:
    """Ours with the large checkpoint, then with each small one; none is compiled, as for fewer than 1,000 pairs."""
    shapes = {"ours": options.folder, **small}
    return [
        Contender(name, f"ours {name}", "ours", "score", replace(options, folder=folder, eager=True))
        for name, folder in shapes.items()
    ]


def measure(
    chosen: Sequence[Contender],
    workloads: Sequence[Workload],
    *,
    rounds: int,
    reference_pairs: int,
    ceiling: float | None,
    say: Say,
) -> Table:
    """Run the reference, start the engines, then the rounds: A B C, A B C, …"""
    reference = _reference(chosen[0].options, workloads, reference_pairs, say)
    first = workloads[0].pairs[:1]
    notes: list[str] = []
    with ExitStack() as stack:
        engines: dict[str, Engine] = {}
        for contender in chosen:
            if contender.engine not in engines:
                try:
                    engine = _start(contender, first, say)
                except EngineFailed as error:
                    notes.append(f"{contender.name}: {str(error).strip().splitlines()[-1]}")
                    say(f"left out {contender.name}: {error}")
                    continue
                engines[contender.engine] = stack.enter_context(engine)
        running = [contender for contender in chosen if contender.engine in engines]
        for contender in running:  # nobody's first batch is timed
            engines[contender.engine].run(contender.call, workloads[0].pairs[:4])
        measured = [run_rounds(running, engines, workload, rounds, say) for workload in workloads]
        facts = [
            {
                "engine": name,
                "start_seconds": round(engine.started.seconds, 2),
                "peak_memory_bytes": engine.memory(),
                "threads": engine.started.threads,
            }
            for name, engine in engines.items()
        ]
    return Table(
        compare([m for group in measured for m in group], ceiling=ceiling, reference=reference), facts, notes
    )


def _start(contender: Contender, first: Any, say: Say) -> Engine:
    weights = sum(file.stat().st_size for file in contender.options.folder.glob("*.safetensors"))
    needed = 2 * weights + 2**30
    free = machine.available_bytes()
    if free < needed:
        raise EngineFailed(f"{needed / 2**30:.1f} GiB of memory needed, {free / 2**30:.1f} are free")
    engine = Engine(contender.kind, contender.options, first, contender.call)
    say(f"{contender.engine}: first score after {engine.started.seconds:.1f} s")
    return engine


def run_rounds(
    running: Sequence[Contender], engines: Mapping[str, Engine], workload: Workload, rounds: int, say: Say
) -> list[Measured]:
    """Ask each contender in turn, so many rounds."""
    measured = [Measured(contender.name, workload.name) for contender in running]
    for number in range(rounds):
        for contender, entry in zip(running, measured, strict=True):
            result = engines[contender.engine].run(contender.call, workload.pairs)
            entry.add(result)
            config = read_checkpoint(contender.options.folder).config
            entry.flops = sum(
                computed_flops(config, tokens=tokens, cached=cached)
                for tokens, cached in zip(result.prompt_tokens, result.cached_tokens, strict=True)
            )
            say(f"{workload.name} {number + 1}/{rounds} {contender.name}: {result.seconds:.2f} s")
    return measured


def _reference(
    options: Options, workloads: Sequence[Workload], wanted: int, say: Say
) -> dict[str, dict[int, float]]:
    """Logits of some pairs of each workload by transformers in float32, one by one."""
    if not wanted:
        return {}
    say("reference: transformers, float32, one pair at a time")
    found = {}
    with Engine(
        "transformers", replace(options, precision="float32"), workloads[0].pairs[:1], "forward"
    ) as engine:
        for workload in workloads:
            step = max(1, len(workload.pairs) // wanted)
            places = list(range(0, len(workload.pairs), step))[:wanted]
            result = engine.run("one_by_one", [workload.pairs[place] for place in places])
            found[workload.name] = dict(zip(places, result.logits, strict=True))
    return found
