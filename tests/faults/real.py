"""The real tier: Airflow's scheduler with its LocalExecutor, and vLLM with the demonstration checkpoint.

One Airflow for all faults; the news database is a Postgres apart from Airflow's own. A dag run takes several
faults, each at another stage, since the start of the engine is what a dag run costs most. Airflow's settings
that are lowered, so that a lost task is noticed in seconds, are LOWERED.
"""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from faults import oracle, traffic
from faults.notes import Notes
from faults.oracle import Verdict
from faults.points import Order
from faults.postgres import CrashingPostgres
from faults.real_strikes import DAG, STRIKES, Blow, RealFault, await_end
from faults.sandbox import FireSandbox
from faults.world import AUDIT, TOPICS
from rerank_core.demo.airflow import REPOSITORY
from rerank_core.errors import RetryableError
from rerank_core.storage import database, migrations, topics

DEADLINE_MINUTES = 5.0  # of a page
GRACE_SECONDS = 60.0  # that a late page may take
LOWERED = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "12",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "6",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "AIRFLOW__CORE__KILLED_TASK_CLEANUP_TIME": "5",
}
STAGES = ("extract", "prepare", "recall", "rerank", "publish")
# The first two commits of a task open its run and take its fence; the third one is the stage's own.
POINTS = {
    "extract": ("extract/commit/3", "extract/begin/3"),
    "prepare": ("prepare/commit/3", "prepare/committed/3"),
    "recall": ("recall/write/1", "recall/commit/3", "recall/rename/1"),
    "rerank": ("rerank/chunk/1", "rerank/scored/1"),
    "publish": ("publish/commit/3", "publish/written/1", "publish/rename/1", "publish/committed/3"),
}
DAG_FILE = '''"""One of the project's DAG files, with the fire's points in the tasks of this airflow dag."""

from pathlib import Path

from faults.points import install_in_tasks

install_in_tasks(Path({folder!r}))
exec(compile(Path({file!r}).read_text(), {file!r}, "exec"))
'''


@dataclass
class RealOutcome:
    """What a dag run with its faults came to."""

    faults: list[RealFault]
    verdict: Verdict
    news: list[str]  # violations that were not there before it
    seconds: float
    notes: list[str] = field(default_factory=list)


class RealFire(Notes):
    """One Airflow, one news database, and what is done to them."""

    def __init__(self, *, seed: int, say: Callable[[str], None] = lambda text: None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rerank-real-fire-"))
        self.folder.chmod(0o755)
        self.store = self.folder / "store"
        self.rng = Random(f"real/{seed}")
        self.seed = seed
        self.say = say
        self.news = CrashingPostgres(folder=self.folder / "news")
        self.metadata = CrashingPostgres(folder=self.folder / "metadata")
        self.airflow: FireSandbox
        self.interruptions = 0
        self._known: set[str] = set()
        self.numbers = count(1)
        self._others: list[Any] = []
        self._open = ExitStack()

    def __enter__(self) -> "RealFire":
        try:
            self._start()
        except BaseException:
            self._open.close()
            raise
        return self

    def _start(self) -> None:
        self._open.callback(shutil.rmtree, self.folder, ignore_errors=True)
        for part in ("orders", "dags", "store"):
            (self.folder / part).mkdir()
        for server in (self.news, self.metadata):
            server.start()
            self._open.callback(server.stop)
        url = self.news.create("news")
        migrations.upgrade(url)
        with database.Database(url).transaction() as connection:
            migrations.run_script(connection, AUDIT)
            topics.apply(connection, "news", TOPICS)
        traffic.add(self.news.dsn("news"), self.rng, 9)
        for file in sorted((REPOSITORY / "dags").glob("*.py")):
            dag = DAG_FILE.format(folder=str(self.folder), file=str(file))
            (self.folder / "dags" / file.name).write_text(dag, encoding="utf-8")
        self.airflow = FireSandbox(
            home=self.folder / "airflow",
            database_url=self.metadata.create("airflow"),
            dags_folder=self.folder / "dags",
            environment={
                **LOWERED,
                "PYTHONPATH": str(Path(__file__).parents[1]),
                "RERANK_DATABASE_URL": url,
                "RERANK_STORE_URL": self.store.as_uri(),
                "RERANK_RETRIES": "6",
                "RERANK_RETRY_SECONDS": "1",
                "RERANK_AIRFLOW_MAX_RETRY_MINUTES": "0.05",
                "RERANK_FLUSH_SECONDS": "0.5",
                "RERANK_PAGE_DEADLINE_MINUTES": f"{DEADLINE_MINUTES:g}",
                "HF_HUB_OFFLINE": "1",
                "VLLM_NO_USAGE_STATS": "1",
                "DO_NOT_TRACK": "1",
            },
        )
        self._open.enter_context(self.airflow)
        self.airflow.migrate()
        self.airflow.start()
        self.airflow.wait_healthy()
        self.airflow.wait_dag(DAG)
        self.say("Airflow is up; the first dag run makes a page")
        self.finish(self.airflow.trigger(DAG))
        self._start_traffic()

    def __exit__(self, *_: object) -> None:
        self._end_traffic()
        self._open.close()

    def _start_traffic(self) -> None:
        import multiprocessing

        os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
        processes = multiprocessing.get_context("spawn")
        dsn = self.news.dsn("news")
        bodies: list[tuple[Callable[..., None], tuple[Any, ...]]] = [
            (traffic.write, (dsn, self.seed, self.folder, 2.5)),
            (traffic.read_views, (dsn, self.folder)),
            (traffic.read_files, (dsn, self.store, self.folder)),
            (traffic.watch_runs, (dsn, self.folder)),
        ]
        for body, arguments in bodies:
            process = processes.Process(target=body, args=arguments)
            process.start()
            self._others.append(process)

    def _end_traffic(self) -> None:
        (self.folder / "quiet").touch()
        (self.folder / "closed").touch()
        for process in self._others:
            process.join(10)
            if process.is_alive():
                process.kill()

    def draw(self, kinds: Sequence[str]) -> list[RealFault]:
        """Faults of these kinds, each at a stage of its own, in the order of the stages."""
        stages = self.rng.sample(STAGES, len(kinds))
        chosen = list(kinds)
        for place, kind in enumerate(chosen):
            if kind == "engine killed mid-chunk" and stages[place] != "rerank":
                if "rerank" in stages:
                    other = stages.index("rerank")
                    stages[place], stages[other] = stages[other], stages[place]
                else:
                    stages[place] = "rerank"
        for place, kind in enumerate(chosen):
            # Frozen while it scores it keeps its device, as a GPU's memory is kept, and the next try waits for that.
            if "frozen" in kind and stages[place] == "rerank":
                free = [stage for stage in STAGES if stage not in stages]
                if free:
                    stages[place] = free[0]
                else:  # nobody needs to be where it scores: its killer would have taken this place
                    other = next(one for one in range(len(chosen)) if one != place)
                    stages[place], stages[other] = stages[other], stages[place]
        found = []
        for kind, stage in zip(chosen, stages, strict=True):
            # Frozen inside a transaction it would hold its row until the idle timeout of two minutes.
            open_ended = [point for point in POINTS[stage] if "frozen" not in kind or "/commit/" not in point]
            point = "rerank/chunk/1" if kind.startswith("engine") else self.rng.choice(open_ended)
            found.append(RealFault(kind, point))
        return sorted(found, key=lambda fault: STAGES.index(fault.point.split("/")[0]))

    def play(self, faults: Sequence[RealFault], *, last: bool = False) -> RealOutcome:
        """One dag run with these faults, brought to its end, and what the oracle says then."""
        started = time.monotonic()
        traffic.add(self.news.dsn("news"), self.rng, 4)
        orders = [Order.give(self.folder / "orders", fault.point) for fault in faults]
        key = None
        if any(fault.kind == "duplicate trigger" for fault in faults):
            hour = datetime.now(UTC) + timedelta(hours=next(self.numbers))
            key = hour.strftime("%Y-%m-%dT%H:00:00")
        runs = [self.airflow.trigger(DAG, partition_key=key)]
        due = time.monotonic() + 60 * DEADLINE_MINUTES
        self._note("deadlines.log", key=f"{key}Z" if key else runs[0], due=due, grace=GRACE_SECONDS)
        frozen: list[int] = []
        for fault, order in zip(faults, orders, strict=True):
            here = order.wait(seconds=300, unless=lambda: self._over(runs[0]))
            if here is None:
                continue
            self.say(f"  {fault}")
            blow = Blow(self, fault, here, order, runs, frozen, key)
            self.interruptions += blow.stage == "rerank"
            STRIKES[fault.kind](blow)
            fault.delivered = True
            order.let_go()
        notes = [self.finish(run) for run in runs]
        self.airflow.remove_scheduler()
        for pid in frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        if frozen:
            await_end(frozen, seconds=20)
        for order in (self.folder / "orders").iterdir():
            order.unlink()
        verdict = self.examine(last=last)
        news = [one for one in verdict.violations if one not in self._known]
        self._known |= set(verdict.violations)
        return RealOutcome(
            list(faults), verdict, news, time.monotonic() - started, [one for one in notes if one]
        )

    def _over(self, run: str) -> bool:
        """Whether the dag run has ended well; one that failed is cleared, so that it gets to the other faults."""
        time.sleep(0.1)
        try:
            self.airflow.check()  # a scheduler ends when its database does
            state = self.airflow.call("GET", f"/dags/{DAG}/dagRuns/{run}")["state"]
            if state == "failed":
                self.airflow.clear(DAG, run)
        except (OSError, HTTPException, RetryableError):
            return False
        return bool(state == "success")

    def finish(self, run: str) -> str:
        """Bring a dag run to success, clearing it where it failed; says how it went, "" where it went well."""
        said = ""
        for _ in range(4):
            if self.airflow.wait_run(DAG, run, timeout_seconds=600) == "success":
                return said
            said += f"{run} failed and was cleared; "
            self.airflow.clear(DAG, run)
        return said + f"{run} never succeeded"

    def examine(self, *, last: bool) -> Verdict:
        """The oracle's word on everything so far."""
        log = self.folder / "engine.log"
        chunks = [len(line.split()) - 1 for line in log.read_text().splitlines()]
        return oracle.examine(
            self.news.dsn("news"),
            store=self.store,
            folder=self.folder,
            may_rescore=max(chunks, default=0) * self.interruptions,
            at_rest=last,
        )

    def close(self) -> RealOutcome:
        """End the writers, and a last dag run without faults: the page has to be whole."""
        (self.folder / "quiet").touch()
        self._others[0].join(20)
        return self.play([], last=True)
