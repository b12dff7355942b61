"""One task as Airflow runs it, in a process of its own: prints the seconds that it took after Airflow was imported.

    PYTHONPATH=tests RERANK_… python -m benchmarks.scale_task STAGE KEY

The scorer is the stub, which only the stage rerank may ask for: the task of another stage fails if it asks for an engine.
"""

import json
import sys
from pathlib import Path
from time import perf_counter, process_time
from typing import Any


def main() -> None:
    """Import Airflow, then time the task from its first import of the library to its result."""
    import airflow.sdk  # noqa: F401

    stage, key = sys.argv[1:]
    began, worked = perf_counter(), process_time()
    result = perform(stage, key)
    figures = {
        "seconds": perf_counter() - began,
        "processor_seconds": process_time() - worked,
        "peak_mb": peak_mb(),
        "result": result,
    }
    print(json.dumps(figures, default=str))


def peak_mb() -> float:
    """The most memory that this program has held; getrusage would count the process that started it, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def perform(stage: str, key: str) -> Any:
    """Run the stage as its operator does; returns its result."""
    from rerank_core import pipeline
    from rerank_core.models import scorers
    from rerank_core.models.base import FakeScorer
    from rerank_core.settings import Settings

    def no_engine(*_: Any, **__: Any) -> Any:
        raise SystemExit("an engine was asked for")

    scorers.identity = lambda settings, **_: FakeScorer(name="fake").identity
    scorers.load = no_engine
    if stage == "rerank":
        scorers.load = lambda *_, **__: FakeScorer(name="fake", pairs_per_chunk=1_000)
    settings = Settings.load()
    if stage == "doctor":
        from rerank_core.operations.doctor.examine import examine

        return [finding.name for finding in examine(settings)]
    resources = pipeline.Resources.of(settings)
    run = pipeline.open_run(resources, key=key)
    return pipeline.run_stage(
        stage, resources=resources, run_id=run.run_id, shard=0 if stage == "rerank" else None
    )


if __name__ == "__main__":
    main()
