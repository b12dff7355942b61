"""A host that cannot score says so before it scores anything, and other hosts come first until it is mended."""

import re
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from factories import Newsroom, never

from rerank_core import pipeline
from rerank_core.errors import CorruptError, EngineError, HostFault, ModelError
from rerank_core.models import scorers
from rerank_core.operations.doctor.host import check_hosts
from rerank_core.records import Run
from rerank_core.rerank import hosts


@pytest.fixture
def run(room: Newsroom) -> Run:
    room.follow("solar")
    room.add("solar 1", "solar 2")
    return room.until("rerank", "k")


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes this host another one."""
    return lambda name: monkeypatch.setattr(hosts, "node", lambda: name)


def look(room: Newsroom, run: Run, stage: str = "rerank") -> None:
    pipeline.check_host(stage, room.resources, run_id=run.run_id)


def known(room: Newsroom) -> dict[str, str | None]:
    return {
        row.host: row.fault
        for row in room.sql("SELECT host, fault FROM rerank.scoring_host WHERE stage = 'rerank'")
    }


def test_a_host_that_can_score_is_known_as_such(room: Newsroom, run: Run, on: Any) -> None:
    on("good")
    look(room, run)
    assert known(room) == {"good": None}
    found = check_hosts(room.settings)
    assert found is not None
    assert (found.state, re.sub(r"[-\d]{10} \d\d:\d\d", "now", found.found)) == (
        "ok",
        "good can score (now UTC)",
    )


def test_a_fault_is_told_until_it_is_mended(room: Newsroom, run: Run, on: Any) -> None:
    assert check_hosts(room.settings) is None
    on("bad")
    room.engines.name = "another"
    with pytest.raises(HostFault, match="host bad cannot score: the run was frozen with scorer") as raised:
        look(room, run)
    assert isinstance(raised.value.__cause__, ModelError)
    since = room.value("SELECT faulty_since FROM rerank.scoring_host")
    with pytest.raises(HostFault):
        look(room, run)
    assert room.value("SELECT faulty_since FROM rerank.scoring_host") == since
    found = check_hosts(room.settings)
    assert found is not None
    assert found.state == "warn"
    assert found.found.startswith("bad cannot score, since ")
    room.engines.name = "fake"
    look(room, run)
    assert known(room) == {"bad": None}


def test_a_host_with_a_store_of_its_own_says_so(room: Newsroom, run: Run, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    with pytest.raises(HostFault, match="or the store is not shared") as raised:
        look(room.tuned(store_url=(tmp_path / "own").as_uri()), run)
    assert isinstance(raised.value.__cause__, CorruptError)


def test_a_host_without_the_checkpoint_is_good_enough_if_nothing_is_left_to_score(
    room: Newsroom, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.stage("rerank", run, shard=0)
    monkeypatch.setattr(scorers, "expect", never)
    look(room, run)


def test_control_with_something_to_score_the_checkpoint_is_looked_at(
    room: Newsroom, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorers, "expect", never)
    with pytest.raises(AssertionError):
        look(room, run)


def test_a_host_without_the_embedders_checkpoint_can_score_and_not_embed(
    room: Newsroom, on: Any, tmp_path: Path
) -> None:
    room.follow("solar")
    room.add("solar 1")
    prepared, bare = room.until("embed", "k"), room.tuned(recall="dense", embedding_model=str(tmp_path))
    on("bad")
    with pytest.raises(HostFault, match="host bad cannot embed: ") as raised:
        look(bare, prepared, "embed")
    assert isinstance(raised.value.__cause__, ModelError)
    frozen = room.until("rerank", "k")
    look(bare, frozen, "embed")  # nothing is left to embed, so this says nothing of the host
    look(bare, frozen)
    assert known(room) == {"bad": None}
    found = check_hosts(room.settings)
    assert found is not None
    told = found.found.split(" · ")
    assert (found.state, len(told)) == ("warn", 2)
    assert told[0].startswith("bad cannot embed, since ")
    assert str(tmp_path) in told[0]
    assert told[1].startswith("bad can score (")


@pytest.mark.parametrize("gpu", [True, False])
def test_a_build_for_gpus_needs_one(
    room: Newsroom, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gpu: bool
) -> None:
    monkeypatch.setattr(hosts, "_is_built_for_gpus", lambda: True)
    monkeypatch.setattr(hosts, "DEVICE_FOLDER", tmp_path)
    if gpu:
        (tmp_path / "nvidia0").touch()
        look(room, run)
    else:
        (tmp_path / "nvidiactl").touch()
        with pytest.raises(HostFault, match="it has no GPU"):
            look(room, run)


def test_a_full_disk_is_told(room: Newsroom, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(99 << 20))
    with pytest.raises(HostFault, match="99 MiB are free on the disk of "):
        look(room, run)


def test_a_host_with_another_version_is_told(
    room: Newsroom, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rerank_core.storage.migrations.head_revision", lambda: "9999")
    with pytest.raises(HostFault, match="needs the schema 9999, and the database has"):
        look(room, run)


def test_an_engine_that_does_not_start_lets_another_host_come_first_for_a_while(
    room: Newsroom, run: Run, on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    on("bad")
    look(room, run)

    def broken(*_: Any, **__: Any) -> Any:
        raise EngineError("the driver is broken")

    with monkeypatch.context() as patch:
        patch.setattr(scorers, "load", broken)
        with pytest.raises(EngineError):
            room.stage("rerank", run, shard=0)
    assert known(room) == {"bad": "the driver is broken"}
    look(room, run)  # no other host is known: this one tries again
    with pytest.raises(EngineError), monkeypatch.context() as patch:
        patch.setattr(scorers, "load", broken)
        room.stage("rerank", run, shard=0)
    on("good")
    look(room, run)
    on("bad")
    with pytest.raises(HostFault, match="host bad cannot score: the driver is broken"):
        look(room, run)
    assert known(room) == {"bad": "the driver is broken", "good": None}
    room.sql("UPDATE rerank.scoring_host SET away_until = now()")
    look(room, run)
    assert known(room) == {"bad": None, "good": None}


def test_hosts_that_were_not_seen_for_a_week_are_forgotten(room: Newsroom, run: Run, on: Any) -> None:
    for name in ("pod-1", "pod-2"):
        on(name)
        look(room, run)
    room.sql("UPDATE rerank.scoring_host SET seen_at = now() - interval '8 days' WHERE host = 'pod-1'")
    look(room, run)
    assert known(room) == {"pod-2": None}


def test_every_score_says_which_host_made_it(room: Newsroom, run: Run) -> None:
    room.stage("rerank", run, shard=0)
    assert room.value("SELECT DISTINCT host FROM rerank.pair_score") == hosts.node()
