"""The engines of a run, each in a process of its own. They start side by side, and are asked one after the other."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.contenders import Options, Result
from benchmarks.process import Engine, EngineFailed
from rerank_core.records import Pair


@dataclass(frozen=True)
class Wanted:
    """How an engine is built: a kind of `contenders.ENGINES`, its options, and the call of its first pair."""

    kind: str
    options: Options
    call: str = "score"


class Fleet:
    """Engines by name."""

    def __init__(self, first: Sequence[Pair], say: Callable[[str], None]) -> None:
        self._first = first
        self._say = say
        self.alive: dict[str, Engine] = {}
        self.failed: dict[str, str] = {}  # name → why the engine did not start

    def start(self, wanted: Mapping[str, Wanted]) -> list[str]:
        """Start what is not alive yet, side by side; gives the names that are alive."""
        missing = {name: one for name, one in wanted.items() if name not in {**self.alive, **self.failed}}
        if missing:
            with ThreadPoolExecutor(len(missing)) as pool:
                for name, engine in pool.map(self._start, missing, missing.values()):
                    if engine is not None:
                        self.alive[name] = engine
        return [name for name in wanted if name in self.alive]

    def ask(self, name: str, call: str, pairs: Sequence[Pair]) -> Result:
        """One call of one engine. Raises EngineFailed."""
        return self.alive[name].run(call, pairs)

    def ask_at_once(self, parts: Mapping[str, Sequence[Pair]]) -> dict[str, Result]:
        """A score call of each named engine, all at the same time."""
        with ThreadPoolExecutor(len(parts)) as pool:
            asked = {
                name: pool.submit(self.ask, name, "score", pairs) for name, pairs in parts.items() if pairs
            }
            return {name: future.result() for name, future in asked.items()}

    def keep(self, *names: str) -> None:
        """End all engines but these."""
        for name in [name for name in self.alive if name not in names]:
            self.alive.pop(name).close()

    def _start(self, name: str, wanted: Wanted) -> tuple[str, Engine | None]:
        try:
            engine = Engine(wanted.kind, wanted.options, self._first, wanted.call)
        except EngineFailed as error:
            self.failed[name] = str(error).strip().splitlines()[-1][:300]
            self._say(f"{name} did not start: {self.failed[name]}")
            return name, None
        self._say(f"{name}: first score after {engine.started.seconds:.1f} s")
        return name, engine
