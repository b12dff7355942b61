"""The whole DAG on a real database, with scoring that fails in each way that it can; the next good run heals the page."""

import pytest
from factories import FakeEngines, Newsroom

from rerank_core.errors import EngineError, ModelError
from rerank_core.models import scorers
from rerank_core.settings import Settings

TITLES = ("solar 1", "solar 2", "wind 3", "wind 4")


@pytest.fixture
def engines(monkeypatch, tmp_path):
    """Fake engines; another one on this host delays nothing."""
    from rerank_airflow import devices

    monkeypatch.setattr(devices, "lock_path", lambda name: tmp_path / f"{name}.lock")
    found = FakeEngines()
    found.install(monkeypatch)
    return found


@pytest.fixture
def room(database_url, store_url, engines, monkeypatch):
    """Two topics, each scored by a shard of its own, and four articles."""
    for name, value in {
        "DATABASE_URL": database_url,
        "STORE_URL": store_url,
        "RETRIES": "0",
        "SHARDS": "2",
    }.items():
        monkeypatch.setenv(f"RERANK_{name}", value)
    found = Newsroom(Settings.load(), engines)
    found.follow("solar", "wind")
    found.add(*TITLES)
    return found


def raising(error):
    def load(settings, failures=0, pairs=0):
        raise error

    return load


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(RuntimeError("Found no NVIDIA driver on your system"), id="no device"),
        pytest.param(
            ImportError("libcuda.so.1: cannot open shared object file"),
            id="no driver",
            marks=pytest.mark.long,
        ),
        pytest.param(
            EngineError("the engine is finished"), id="engine does not start", marks=pytest.mark.long
        ),
        pytest.param(ModelError("the canary sings another song"), id="canary fails", marks=pytest.mark.long),
        pytest.param({"fail_at_chunk": 0}, id="engine fails in a step"),
    ],
)
def test_the_page_is_up_when_every_shard_fails_and_the_next_good_run_heals_it(
    room, engines, parse, run_dag, monkeypatch, failure
):
    dag = parse()
    with monkeypatch.context() as patch:
        if isinstance(failure, dict):
            engines.options = failure
        else:
            patch.setattr(scorers, "load", raising(failure))
        outcome = run_dag(dag)
    assert (outcome.state, outcome.tasks["rerank"]) == ("success", ["failed", "failed"])
    assert (outcome.tasks["degrade"], outcome.tasks["publish"]) == (["success"], ["success"])
    for topic in ("solar", "wind"):
        assert {row.ranked_by for row in room.ranking(topic)} == {"bm25"}
        assert (room.standing(topic).state, room.standing(topic).missing) == ("degraded", 4)

    engines.options = {}
    healed = run_dag(dag)
    assert (healed.state, healed.tasks["degrade"]) == ("success", ["skipped"])
    for topic in ("solar", "wind"):
        assert {row.ranked_by for row in room.ranking(topic)} == {"model"}
        assert (room.standing(topic).state, room.standing(topic).page_degraded) == ("full", False)
