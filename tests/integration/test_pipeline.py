"""The stages in order, each by itself or all at once, with the numbers they leave behind."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from factories import Newsroom, make_topic

from rerank_core import pipeline
from rerank_core.errors import CorruptError, InputError, ModelError
from rerank_core.models import scorers


def test_the_stages_run_in_the_order_that_is_stated(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1")
    assert [stage.partition("[")[0] for stage in room.run()] == list(pipeline.STAGES)


def test_every_result_is_ready_for_json_and_has_its_time(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1")
    for result in room.run().values():
        assert json.loads(json.dumps(result))["seconds"] >= 0


def test_only_what_is_new_is_scored_by_the_next_run(room: Newsroom) -> None:
    room.follow("solar", "wind")
    room.add("solar 1", "solar 2")
    assert room.run()["rerank[0]"]["scored"] == 4
    room.add("solar 3")
    assert room.run()["rerank[0]"]["scored"] == 2
    room.follow(make_topic(slug="solar", query="solar power"), "wind")
    assert room.run()["rerank[0]"]["scored"] == 3
    room.follow(make_topic(slug="solar", query="solar power", top_k=1, half_life_hours=5), "wind")
    assert "rerank[0]" not in room.run()
    assert len(room.page()) == 1


def test_equal_texts_are_scored_once(room: Newsroom) -> None:
    room.follow("solar")
    room.add("a", "b", "c", title="solar power")
    assert room.run()["rerank[0]"]["scored"] == 1


def test_counts_and_latencies_are_kept_as_metrics(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1", "wind 2")
    room.engines.options = {"seconds_per_pair": 0.02, "pairs_per_chunk": 1}
    results = room.run("k")
    kept = {
        (row.stage, row.name): row.value
        for row in room.sql("SELECT stage, name, value FROM rerank.run_metric")
    }
    assert kept["extract", "claimed"] == kept["prepare", "documents"] == kept["rerank[0]", "scored"] == 2
    assert kept["publish", "rows"] == 2
    assert {stage for stage, name in kept if name == "seconds"} == {*pipeline.STAGES, "rerank[0]"} - {
        "rerank"
    }
    observed = results["observe"]
    assert observed["latency_ms_p50"] == observed["latency_ms_p99"] == pytest.approx(20)
    assert kept["observe", "latency_ms_p50"] == pytest.approx(20)
    assert observed["page_age_seconds"] > 0


@pytest.mark.parametrize(("articles", "shards"), [(1, 1), (12, 1), (12, 2)])
def test_the_speed_is_what_a_task_scored_in_the_time_that_it_scored(
    room: Newsroom, articles: int, shards: int
) -> None:
    """Also for a single pair, which is written once, and for two tasks that write a long time apart."""
    room.follow("solar", "wind")
    room.add(*(f"solar wind {number}" for number in range(articles)))
    tuned = room.tuned(shards=shards)
    run = tuned.until("observe")
    room.sql("UPDATE rerank.pair_score SET scored_at = scored_at - interval '1 hour' WHERE shard = 0")
    seconds = room.sql("SELECT value FROM rerank.run_metric WHERE name = 'score_seconds'")
    assert len(seconds) == shards
    expected = 2 * articles / sum(row.value for row in seconds)
    assert tuned.stage("observe", run)["pairs_per_second"] == pytest.approx(expected)


BUCKETS = ("scored", "from_ledger", "refused", "missing", "left_out")


def test_every_pair_that_the_page_wanted_is_observed_in_one_bucket(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1", "solar 2")
    assert (first := room.run()["observe"])["degraded"] is False
    assert [first[f"pairs_{bucket}"] for bucket in BUCKETS] == [2, 0, 0, 0, 0]
    room.add("solar 3", "solar 4", "solar 5")
    room.engines.options = {"fail_at_text": "solar"}
    second = room.tuned(max_pairs=2).run()
    observed, wanted = second["observe"], second["recall"]["candidates"] + second["recall"]["left_out"]
    assert observed["degraded"] is True
    assert observed["pairs_missing"] == 2
    assert observed["pairs_left_out"] == second["recall"]["left_out"] == 1
    assert sum(observed[f"pairs_{bucket}"] for bucket in BUCKETS) == wanted


def test_a_run_without_a_publication_observes_no_pairs_rather_than_zero(room: Newsroom) -> None:
    observed = room.stage("observe", room.open("k"))
    assert observed["degraded"] is observed["pairs_scored"] is None


def test_a_run_that_scored_nothing_has_no_latency_rather_than_zero(room: Newsroom) -> None:
    observed = room.run()["observe"]
    assert observed["scored"] == 0
    assert observed["latency_ms_p50"] is observed["logit_mean"] is observed["pairs_per_second"] is None


def test_a_model_that_fails_its_canary_scores_nothing_and_the_page_is_up_all_the_same(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    def canary_fails(*_: object, **__: object) -> None:
        raise ModelError("the canary sings another song")

    monkeypatch.setattr(scorers, "load", canary_fails)
    room.follow("solar")
    room.add("solar 1")
    assert room.run()["publish"]["degraded"]
    assert room.value("SELECT count(*) FROM rerank.pair_score") == 0
    assert [row.ranked_by for row in room.ranking()] == ["bm25"]


def test_a_stage_before_its_turn_says_which_one_is_missing(room: Newsroom) -> None:
    run = room.open("k")
    for stage, shard in (("rerank", 0), ("degrade", None), ("publish", None)):
        with pytest.raises(
            CorruptError, match=r"run \d+ \(k\) is not frozen yet; run its recall stage first"
        ):
            room.stage(stage, run, shard=shard)


def test_what_does_not_exist_is_named(room: Newsroom) -> None:
    run = room.open("k")
    with pytest.raises(InputError, match="no stage 'rank'; the stages are extract, prepare"):
        room.stage("rank", run)
    for stage in ("extract", "observe"):
        with pytest.raises(InputError, match="run 4711 does not exist"):
            pipeline.run_stage(stage, resources=room.resources, run_id=4711)


@pytest.mark.parametrize("key", ["", "  ", "a\x00b", "a\ud800b"])
def test_a_run_has_a_key_that_postgres_can_hold(room: Newsroom, key: str) -> None:
    with pytest.raises(InputError, match="a run's key is .*; give the partition date or the dag run's id"):
        room.open(key)


@pytest.mark.parametrize("key", ["2025-11-25T14:00:00Z", "2025-11-25T14:00:00"])
def test_the_key_of_a_past_hour_that_no_run_has_does_not_rank_now(room: Newsroom, key: str) -> None:
    with pytest.raises(
        InputError, match=rf"no run with the key {key}; .* --until 2025-11-25T15:00:00\+00:00$"
    ):
        room.open(key)
    hour = datetime(2025, 11, 25, 15, tzinfo=UTC)
    assert room.open(key, until=hour) == room.open(key)
    assert room.open(key).window.until == hour


@pytest.mark.parametrize("key", ["a word", f"{datetime.now(UTC):%Y-%m-%dT%H}:00:00Z", None])
def test_control_any_other_new_key_ranks_now(room: Newsroom, key: str | None) -> None:
    assert datetime.now(UTC) - room.open(key).window.until < timedelta(minutes=1)


def test_a_time_without_an_offset_is_refused(room: Newsroom) -> None:
    with pytest.raises(
        InputError, match=r"2026-03-01T00:00:00 has no UTC offset; write e\.g\. 2026-03-01T00:00:00\+00:00"
    ):
        room.open(until=datetime(2026, 3, 1))  # noqa: DTZ001


def test_each_try_of_a_stage_takes_a_new_fence(room: Newsroom) -> None:
    room.follow("solar")
    room.add("solar 1")
    run = room.until("publish", "k")
    fence = run.fence
    room.stage("publish", run)
    room.stage("publish", run)
    assert room.again(run).fence == fence + 2
    assert room.value("SELECT count(DISTINCT fence) FROM rerank.publication") == 2


def test_shards_that_are_scored_one_after_the_other_share_the_time_for_scoring(
    room: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.follow("solar", "wind", "tide")
    room.add("solar wind tide")
    given: list[float] = []
    score = pipeline.rerank.rerank

    def recording(**values: Any) -> Any:
        given.append(values["settings"].scoring_minutes)
        return score(**values)

    monkeypatch.setattr(pipeline.rerank, "rerank", recording)
    room.tuned(shards=3, scoring_minutes=30).run()
    assert given[0] == pytest.approx(10, abs=0.5)
    assert len(given) == 3
    assert given == sorted(given)  # what one leaves is there for the others
    assert given[2] <= 30
