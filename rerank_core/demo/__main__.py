"""The story of `make demo` and `make ui`.

`run` ranks the sample through Airflow and shows the page, then takes in more articles and ranks again.
`run --learn` learns from simulated readers instead.
`ui` leaves Airflow running on the same data until Ctrl-C.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from rerank_core.demo import media, show
from rerank_core.demo._supervise import PR_SET_PDEATHSIG
from rerank_core.demo.airflow import TaskState
from rerank_core.demo.airflow_environment import PASSWORD, USER
from rerank_core.demo.evaluate import evaluate
from rerank_core.demo.learn import learn
from rerank_core.demo.show import RunProgress, Teller
from rerank_core.demo.sitting import Sitting, demo_folder
from rerank_core.errors import ModelError, RerankError
from rerank_core.models.numpy_embedder import NumpyEmbedder
from rerank_core.models.weights import resolve_model
from rerank_core.settings import Settings
from rerank_core.storage.database import Database
from rerank_core.storage.store import Store

DAG = "rank_new_articles"
SAMPLE = Path(__file__).parent / "sample"
# A full-size model on a laptop scores one or two pairs a second.
RUN_SECONDS = 3 * 3600.0


def main(arguments: list[str] | None = None) -> int:
    """Run one of the commands; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m rerank_core.demo", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "ui"):
        command = commands.add_parser(name)
        command.add_argument(
            "--model", help="a checkpoint folder or hub name; default: the bundled demonstration checkpoint"
        )
        command.add_argument(
            "--media",
            action="store_true",
            help="draw pictures and clips for the sample, and use their captions",
        )
        command.add_argument("--port", type=int, help="port of Airflow's UI; default: any free port")
        if name == "run":
            command.add_argument(
                "--learn", action="store_true", help="instead, learn from simulated readers, without Airflow"
            )
    asked = parser.parse_args(arguments)
    _end_with_make()
    # A shell that starts this in the background has SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    teller = Teller()
    try:
        with Sitting(
            folder=demo_folder(),
            model=asked.model,
            port=asked.port,
            scheduled=asked.command == "ui",
            media=asked.media,
        ) as sitting:
            try:
                learns = getattr(asked, "learn", False)
                introduce(teller, sitting, learns=learns)
                play = learn if learns else run if asked.command == "run" else ui
                play(teller, sitting)
            finally:
                # Nothing may interrupt the orderly end, which takes a few seconds.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
    except RerankError as error:
        teller.say()
        teller.say(f"The demo ended: {error}")
        return 1
    except KeyboardInterrupt:
        teller.say("Stopped.")
        return 130
    return 0


def run(teller: Teller, sitting: Sitting) -> None:
    """Rank the sample, show the page, then rank what arrived since."""
    began = time.monotonic()
    start(teller, sitting, fresh=True)
    database = Database(sitting.database_url)

    load(teller, sitting, "articles.jsonl", first=True)
    first = rank(teller, sitting, database, title="First run: every article is new")
    pipeline = Settings.load().pipeline
    teller.head("The page, as frontends read it: view rerank.current_ranking")
    teller.say("  score is the model's logit; rank weighs it against age (rank_score)")
    show.page(teller, database, pipeline=pipeline)
    if sitting.media:
        teller.head("Pictures, as frontends get them: paths in the store, made small")
        show.pictures(teller, database, pipeline=pipeline)
    judge(teller, sitting, database, pipeline=pipeline)

    teller.head("An hour later: a few more articles")
    load(teller, sitting, "more_articles.jsonl", first=False)
    second = rank(teller, sitting, database, title="Second run: only what is new is scored")

    teller.head("Time of each stage")
    show.stage_times(teller, [("first run", first), ("second run", second)])
    teller.head("Parquet files")
    store = Store(sitting.settings["RERANK_STORE_URL"])
    paths = [_shown(store.full_path(path)) for path in show.parquet_paths(database, pipeline=pipeline)[-2:]]
    for path in paths:
        teller.say(f"  {path}")
    teller.head(f"Done in {time.monotonic() - began:.0f} s. Three commands to try next")
    command = "make ui MEDIA=1" if sitting.media else "make ui"
    teller.say(f"  {command:<41} # in Airflow: graph, logs, clear, trigger")
    teller.say(f"  .venv/bin/python -c \"import polars as p; print(p.read_parquet('{paths[-1]}'))\"")
    teller.say("  make demo MODEL=Qwen/Qwen3-Reranker-0.6B  # with real weights, 1.2 GB")


def ui(teller: Teller, sitting: Sitting) -> None:
    """Leave Airflow running on the demo's data until Ctrl-C."""
    start(teller, sitting, fresh=False)
    database = Database(sitting.database_url)
    if show.last_run(database, pipeline=Settings.load().pipeline) is None:
        load(teller, sitting, "articles.jsonl", first=True)
        rank(teller, sitting, database, title="First run: every article is new")
    teller.head("Airflow is running")
    teller.say(f"  address   {sitting.airflow.url}/dags/{DAG}")
    teller.say(f"  login     {USER}")
    teller.say(f"  password  {PASSWORD}")
    teller.say(
        "  The DAG runs at each full hour, and whenever you press Trigger. Clear any task to run it again."
    )
    teller.say(f"  logs      {_shown(sitting.logs)}")
    teller.say(f"  readers   {sitting.start_reader()}  (an example frontend, which reads the JSON files)")
    teller.say()
    teller.say(
        "In another terminal, for `.venv/bin/rerank` and notebooks (psql takes the URL without +psycopg2):"
    )
    for name in ("RERANK_DATABASE_URL", "RERANK_STORE_URL", "RERANK_MODEL"):
        teller.say(f"  export {name}='{sitting.settings[name]}'")
    teller.say()
    teller.say("Ctrl-C stops everything.")
    try:
        while True:
            sitting.airflow.check()
            time.sleep(1)
    except KeyboardInterrupt:
        teller.say("Stopping.")


def introduce(teller: Teller, sitting: Sitting, *, learns: bool) -> None:
    """Say what is about to happen, and on what."""
    teller.head(
        "news-rerank: a scorer learns from simulated readers of invented sample news, on this machine"
        if learns
        else "news-rerank: invented sample news, ranked for 12 topics by Airflow, Postgres and vLLM on this machine"
    )
    if sitting.demonstration:
        teller.say(
            "  model   demonstration checkpoint: constructed, not trained; it matches words, not meaning"
        )
    else:
        teller.say(f"  model   {sitting.model}")
        with teller.waiting("looking for the checkpoint, and downloading it if it is not here"):
            resolve_model(sitting.model)
        teller.say(
            "          without a GPU it scores one or two pairs a second: two runs take about ten minutes"
        )
    teller.say(f"  folder  {_shown(sitting.folder)}")


def start(teller: Teller, sitting: Sitting, *, fresh: bool) -> None:
    """Databases, schema, Airflow, topics."""
    teller.head("Starting")
    with teller.step("Postgres" if sitting.postgres is None else "Postgres, embedded"):
        sitting.start_databases(fresh=fresh)
    with teller.step("Airflow's metadata database"):
        sitting.start_airflow()
    # Airflow takes some seconds to start, and these commands do not need it.
    with teller.step("rerank db upgrade"):
        sitting.rerank("db", "upgrade")
    with teller.step(f"rerank topics apply {_shown(SAMPLE / 'topics.yaml')}"):
        sitting.rerank("topics", "apply", str(SAMPLE / "topics.yaml"))
    with teller.step("Airflow: scheduler, DAG processor and API server are healthy"):
        sitting.airflow.wait_healthy()
        sitting.airflow.make_pool(Settings.load().gpu_pool, slots=1)
        sitting.airflow.wait_dag(DAG)


def load(teller: Teller, sitting: Sitting, name: str, *, first: bool) -> None:
    """Load a file of articles into the source table, as if the newest article had been published now."""
    if first:
        teller.head("Articles")
    file, options = SAMPLE / name, ["--published-now"]
    if sitting.media and first:
        with teller.step(
            f"{len(media.DRAWINGS)} pictures and {len(media.CLIPS)} clips, drawn into {_shown(sitting.media)}"
        ):
            file = media.with_media(file, sitting.media)
        options += ["--media", str(sitting.media)]
    with teller.step(
        f"rerank articles load {_shown(file)} {options[0]}{' --media …' if options[1:] else ''}"
    ):
        sitting.rerank("articles", "load", str(file), *options)


def rank(teller: Teller, sitting: Sitting, database: Database, *, title: str) -> list[TaskState]:
    """Trigger the DAG, print its progress, and return its tasks. Raises RerankError if the dag run fails."""
    airflow = sitting.airflow
    teller.head(title)
    dag_run = airflow.trigger(DAG)
    with teller.waiting("waiting for the scheduler") as status:
        state = airflow.wait_run(
            DAG, dag_run, timeout_seconds=RUN_SECONDS, on_poll=RunProgress(teller, status, database)
        )
    tasks = airflow.tasks(DAG, dag_run)
    if state != "success":
        for task in tasks:
            if task.state == "failed":
                teller.say(f"\nlog of {task.task_id}:")
                teller.say("\n".join(airflow.task_log(DAG, dag_run, task).splitlines()[-25:]))
        raise RerankError(f"dag run {dag_run} is {state}; all logs are in {sitting.logs}")
    run = show.last_run(database, pipeline=Settings.load().pipeline)
    assert run is not None
    show.counts(teller, database, run_id=run)
    return tasks


def judge(teller: Teller, sitting: Sitting, database: Database, *, pipeline: str) -> None:
    """Print how good the ranking is beside meaning, BM25 and chance, by the sample's own judgements."""
    run = show.last_run(database, pipeline=pipeline)
    assert run is not None
    try:
        embedder, missing = NumpyEmbedder(), None
    except ModelError as error:
        embedder, missing = None, error
    found = evaluate(
        database=database,
        store=Store(sitting.settings["RERANK_STORE_URL"]),
        run_id=run,
        qrels_file=SAMPLE / "qrels.tsv",
        embedder=embedder,
    )
    name = "the demonstration checkpoint" if sitting.demonstration else sitting.model
    teller.head(f"How good is it? {found[0].topics} topics of invented news, ranked by {name}")
    show.quality(teller, found)
    teller.say(
        "  meaning is the order of use-multilingual, a small embedder that needs no GPU"
        if missing is None
        else f"  not ordered by meaning: {missing}"
    )
    teller.say(
        "  It shows that the pipeline works. The sample is too small and too neat to compare models with."
    )


def _shown(path: Path | str) -> str:
    """A path as the reader would type it here; an address outside this folder as it is."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else str(path)


def _leave(number: int, _frame: FrameType | None) -> None:
    """SIGTERM or SIGHUP: unwind, so that every server is stopped in order."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _end_with_make() -> None:
    """Under make, end when make is killed: the kernel sends SIGTERM then."""
    if "MAKELEVEL" in os.environ:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
