"""How fast the scorer is on this device: beside other ways, by the engine's options, and with several engines."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.arithmetic import compare, ratios, spread
from benchmarks.contenders import Options
from benchmarks.gpu.fleet import Fleet, Wanted
from benchmarks.gpu.inputs import Sizes
from benchmarks.speed import Contender, Say, run_rounds
from benchmarks.workloads import Workload
from rerank_core.records import Pair

Rows = dict[str, dict[str, object]]
PUBLISHED = (
    1200  # items a second at 300 tokens: https://github.com/sgl-project/sglang/pull/10979 (H100, Qwen3-0.6B)
)
GIB = 2**30

# Name → further options of vLLM; `in_flight` is our own. Each is compared with the engine that has none of them.
KNOBS: dict[str, dict[str, Any]] = {
    "batch of 8,192 tokens": {"max_num_batched_tokens": 8192},
    "batch of 32,768 tokens": {"max_num_batched_tokens": 32_768},
    "1,024 sequences": {"max_num_seqs": 1024},
    "1,024 sequences, eight batches in flight": {"max_num_seqs": 1024, "in_flight": 131_072},
    "no CUDA graphs": {"compilation_config": {"cudagraph_mode": "NONE"}},
    "eager": {"enforce_eager": True},
    "no chunked prefill": {"enable_chunked_prefill": False},
    "async scheduling": {"async_scheduling": True},
    "no prefix cache": {"enable_prefix_caching": False},
}
CPU_KNOBS = {"batch of 1,024 tokens": {"max_num_batched_tokens": 1024}}
ENGINE_GIB = 20  # of the card, that an engine takes at most


@dataclass(frozen=True)
class Speeds:
    """What is measured: a checkpoint of the real shape, and its fp8 copy."""

    fleet: Fleet
    options: Options
    fp8: Options | None  # of the copy; None: this device does not run fp8
    workloads: Mapping[str, Workload]
    sizes: Sizes
    ceiling: float | None  # bfloat16 operations a second
    at_once: int  # engines beside the first one
    say: Say

    def beside(self) -> Rows:
        """Ours, `LLM.score`, the fp8 copy and fp8 by the engine, on all workloads."""
        wanted = {"ours": Wanted("ours", self.options), "LLM.score": Wanted("vllm", self.options)}
        self.fleet.start({"ours": wanted["ours"]})  # alone: it fills the compile cache of all others
        if self.fp8 is not None:
            wanted["fp8 copy"] = Wanted("ours", self.fp8)
            wanted["fp8 by the engine"] = Wanted("ours", replace(self.options, precision="fp8"))
        if self.sizes.reference:
            float32 = replace(self.options, precision="float32")
            wanted["transformers, float32"] = Wanted("transformers", float32, "forward")
        # On a CPU no card's memory is short: the engines of the later parts start along with these.
        early = {} if self.options.gpu else {**self._knobs(CPU_KNOBS), "engine 2": wanted["ours"]}
        alive = self.fleet.start({**wanted, **early})
        reference = self._reference() if "transformers, float32" in alive else {}
        if "transformers, float32" in alive:
            self.fleet.alive.pop("transformers, float32").close()
        running = [_contender(name, self.options) for name in wanted if name in self.fleet.alive]
        measured = [
            one
            for workload in self.workloads.values()
            for one in run_rounds(running, self.fleet.alive, workload, self.sizes.rounds, self.say)
        ]
        rows: Rows = {}
        for row, entry in zip(
            compare(measured, ceiling=self.ceiling, reference=reference), measured, strict=True
        ):
            seconds = median(entry.seconds)
            rows[f"{row.workload}: {row.contender}"] = {
                "pairs a second": round(row.pairs_per_second, 1),
                "computed tokens a second": round(row.computed_tokens / seconds),
                "of the ceiling": f"{row.ceiling_share:.1%}" if row.ceiling_share else "–",
                "ours ÷ theirs": f"{row.ratio:.2f} ({row.ratio_low:.2f}–{row.ratio_high:.2f})",
                "from float32": f"{row.difference:.3f}" if row.difference is not None else "–",
                "logits' spread": f"{max(entry.logits) - min(entry.logits):.3f}",
            }
        self._end_others()
        return rows | self._bars(rows)

    def knobs(self) -> Rows:
        """Each option alone, beside the engine without it, on headlines and news."""
        chosen = KNOBS if self.options.gpu else CPU_KNOBS
        base = Wanted("ours", self.options)
        rows: Rows = {}
        names = list(chosen)
        for first in range(0, len(names), self.at_once):
            wave = names[first : first + self.at_once]
            wanted = self._knobs({name: chosen[name] for name in wave})
            self.fleet.start({"ours": base, **wanted})
            running = [_contender(name, self.options) for name in ("ours", *wave) if name in self.fleet.alive]
            for name in ("headlines", "news"):
                workload = self.workloads[name]
                measured = run_rounds(running, self.fleet.alive, workload, self.sizes.rounds, self.say)
                for entry in measured[1:]:
                    low, middle, high = spread(ratios(entry.seconds, measured[0].seconds))
                    rows.setdefault(entry.contender, {})[f"{name}: × without it"] = (
                        f"{middle:.2f} ({low:.2f}–{high:.2f})"
                    )
            self._end_others()
        return rows | {name: {"why not": why} for name, why in self.fleet.failed.items() if name in chosen}

    def host(self) -> Rows:
        """Engines side by side on one device, each with its shard of the topics, beside one engine."""
        rows: Rows = {}
        counts = [count for count in ((2, 4) if self.options.gpu else (2,)) if count <= 1 + self.at_once]
        wanted = {"ours": Wanted("ours", self.options)}
        wanted |= {f"engine {n}": wanted["ours"] for n in range(2, counts[-1] + 1)}
        alive = self.fleet.start(wanted)
        for name in ("headlines", "news"):
            pairs = self.workloads[name].pairs
            one: list[float] = []
            several: dict[int, list[float]] = {}
            for _ in range(self.sizes.rounds):
                one.append(self._seconds({"ours": pairs}))
                for count in (count for count in counts if count <= len(alive)):
                    shards = {
                        engine: [p for p in pairs if p.query_id % count == n]
                        for n, engine in enumerate(alive[:count])
                    }
                    several.setdefault(count, []).append(self._seconds(shards))
            for count, seconds in several.items():
                low, middle, high = spread(ratios(seconds, one))
                rows.setdefault(f"{count} engines", {})[f"{name}: × one engine"] = (
                    f"{middle:.2f} ({low:.2f}–{high:.2f})"
                )
        self._end_others()
        return rows

    def _seconds(self, shards: Mapping[str, Any]) -> float:
        began = perf_counter()
        self.fleet.ask_at_once(shards)
        return perf_counter() - began

    def _end_others(self) -> None:
        """End all engines but ours, if a card's memory is what they take."""
        if self.options.gpu:
            self.fleet.keep("ours")

    def _knobs(self, chosen: Mapping[str, Mapping[str, Any]]) -> dict[str, Wanted]:
        found = {}
        for name, knob in chosen.items():
            extra = {option: value for option, value in knob.items() if option != "in_flight"}
            options = replace(
                self.options, extra={**self.options.extra, **extra}, in_flight=knob.get("in_flight")
            )
            found[name] = Wanted("ours", options)
        return found

    def _reference(self) -> dict[str, dict[int, float]]:
        found = {}
        for workload in self.workloads.values():
            step = max(1, len(workload.pairs) // self.sizes.reference)
            places = range(0, len(workload.pairs), step)
            asked: list[Pair] = [workload.pairs[place] for place in places]
            logits = self.fleet.ask("transformers, float32", "one_by_one", asked).logits
            found[workload.name] = dict(zip(places, logits, strict=True))
        return found

    def _bars(self, rows: Rows) -> Rows:
        """What must be reached on a GPU."""
        if not self.options.gpu:
            return {}
        best = max(
            (r for name, r in rows.items() if name.endswith(": ours")),
            key=lambda r: _number(r, "computed tokens a second"),
        )
        tokens, share = _number(best, "computed tokens a second"), str(best["of the ceiling"])
        ratio = float(str(rows.get("headlines: LLM.score", {}).get("ours ÷ theirs", "0")).split()[0])
        published = _number(rows["300 tokens: ours"], "pairs a second")
        return {
            "bar: 300,000 computed tokens/s or 33 % of the ceiling": {
                "found": f"{tokens:,.0f}, {share}",
                "reached": tokens >= 300_000 or float(share.rstrip("%–") or 0) >= 33,
            },
            "bar: 1.2 × LLM.score on headlines": {"found": ratio, "reached": ratio >= 1.2},
            f"bar: over {PUBLISHED:,} pairs a second at 300 tokens": {
                "found": published,
                "reached": published > PUBLISHED,
            },
        }


def _contender(name: str, options: Options) -> Contender:
    return Contender(name, name, "", "score", options)


def _number(row: Mapping[str, object], column: str) -> float:
    return float(str(row[column]))
