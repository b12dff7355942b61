"""A run that is repeated gives the same rows, or says why not."""

from typing import Any

import pytest
from factories import Newsroom, make_topic, never

from rerank_core.models import scorers


@pytest.fixture
def room(room: Newsroom) -> Newsroom:
    room.follow(make_topic(half_life_hours=12), "wind")
    room.add("solar 1", "solar wind 2", "wind 3")
    return room


def publish(room: Newsroom, **options: Any) -> dict[str, Any]:
    """One more publication of run "k"."""
    return room.run("k", **options)["publish"]


def test_a_rerun_gives_the_same_rows_as_a_new_version_and_loads_no_engine(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish(room)
    monkeypatch.setattr(scorers, "load", never)
    room.add("solar 4")
    room.follow("rain")
    second = publish(room)
    assert second["rows_sha256"] == first["rows_sha256"]
    assert (first["version"], second["version"], second["difference"]) == (1, 2, None)
    assert second["parquet"] != first["parquet"]
    assert room.parquet(first).drop(["version", "attempt"]) == room.parquet(second).drop(
        ["version", "attempt"]
    )
    assert room.value("SELECT count(*) FROM rerank.ranking") == first["rows"] * 2
    assert room.standing().version == 2


def test_every_stage_may_be_repeated_by_itself(room: Newsroom) -> None:
    results = room.run("k")
    run = room.open("k")
    for stage in ("publish", "extract", "prepare", "recall", "degrade", "publish", "observe"):
        again = room.stage(stage, run)
        if stage == "publish":
            assert again["rows_sha256"] == results["publish"]["rows_sha256"]


def test_a_rerun_after_an_outage_says_that_it_healed(room: Newsroom) -> None:
    room.engines.options = {"fail_at_chunk": 0}
    first = publish(room)
    room.engines.options = {}
    second = publish(room)
    assert second["rows_sha256"] != first["rows_sha256"]
    assert second["difference"] == "healed: 6 pairs have a score now"
    assert not second["degraded"]
    assert publish(room)["difference"] is None


def test_a_rerun_after_another_run_scored_again_says_so(room: Newsroom) -> None:
    first = publish(room)
    room.sql("UPDATE rerank.pair_score SET logit = logit + 1")
    second = publish(room)
    assert second["rows_sha256"] != first["rows_sha256"]
    assert second["difference"] == "rescored: 6 pairs have another score"


def test_a_rerun_after_a_block_says_that_an_article_was_deleted(room: Newsroom) -> None:
    publish(room)
    room.sql("INSERT INTO rerank.block (pipeline, article_id, reason) VALUES ('news', 'solar 1', 'r')")
    second = publish(room)
    assert second["difference"] == "deleted: 1 articles were hidden by hand"
    assert "solar 1" not in room.parquet(second).column("article_id").to_pylist()


def test_a_rerun_that_finds_scores_gone_says_so(room: Newsroom) -> None:
    publish(room)
    first = room.run("later")["publish"]
    assert first["rows"] == 6
    room.sql(
        "DELETE FROM rerank.pair_score WHERE document_id IN (SELECT min(document_id) FROM rerank.document)"
    )
    second = room.run("later")["publish"]
    assert second["rows"] == 4
    assert second["difference"] == "past retention: 2 pairs have lost their score"


def test_several_reasons_are_all_named(room: Newsroom) -> None:
    room.engines.options = {"pairs_per_chunk": 1, "fail_at_chunk": 3}
    publish(room)
    room.engines.options = {}
    room.sql("UPDATE rerank.pair_score SET logit = logit + 1")
    second = publish(room)
    assert second["difference"] == "healed: 3 pairs have a score now; rescored: 3 pairs have another score"


def test_a_run_keeps_the_window_topics_and_rescore_that_it_was_opened_with(room: Newsroom) -> None:
    first = room.open("k", until=room.ago(hours=1), topics=("solar",))
    second = room.open("k", until=room.ago(hours=3), topics=None, rescore=True)
    assert second == first


@pytest.mark.parametrize(
    "asked", [{"topics": None}, {"rescore": True}, {"topics": ("solar",), "hours": 3}], ids=str
)
def test_what_is_asked_for_in_vain_of_a_run_that_exists_is_told(
    room: Newsroom, caplog: pytest.LogCaptureFixture, asked: dict[str, Any]
) -> None:
    asked = dict(asked)
    room.open("k", until=room.ago(hours=1), topics=("solar",))
    room.open("k", until=room.ago(hours=1), topics=("solar",))
    room.open("k", until=room.ago(hours=-1), topics=("solar",))  # what is to come is cut off anyway
    assert "keeps what it was opened with" not in caplog.text
    room.open("k", until=room.ago(hours=asked.pop("hours", 1)), **{"topics": ("solar",), **asked})
    assert "(k) keeps what it was opened with" in caplog.text
    assert "topics solar, rescore False" in caplog.text


def test_the_time_of_a_run_is_never_later_than_the_databases_clock(room: Newsroom) -> None:
    run = room.open("k", until=room.ago(hours=-5))
    assert room.now <= run.window.until <= room.value("SELECT now()")
