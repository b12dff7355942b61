"""What becomes of each task, and of the dag run, in the five cases of scoring."""

import pytest
from factories import never

from rerank_airflow.operators import stages as operators
from rerank_core.errors import EngineError

FINE = ["success"]
STAGES_BEFORE = {"doctor": FINE, "extract": FINE, "prepare": FINE, "page_deadline": FINE, "embed": FINE}


@pytest.fixture
def outcome_of(stages, ranking_dag, run_dag):
    """The outcome when `shards` shards are recalled and these (stage, shard) fail."""

    def outcome(*, shards, failing=(), missing=0, rules=None):
        stages.shards, stages.missing = shards, missing
        stages.failing = {where: EngineError("the engine is finished") for where in failing}
        for task_id, rule in (rules or {}).items():
            ranking_dag.get_task(task_id).trigger_rule = rule
        return run_dag(ranking_dag)

    return outcome


def test_all_good_publishes_and_skips_degrade(outcome_of):
    outcome = outcome_of(shards=2)
    assert outcome.tasks == STAGES_BEFORE | {
        "recall": FINE,
        "rerank": ["success", "success"],
        "degrade": ["skipped"],
        "publish": FINE,
        "announce": ["skipped"],
        "observe": FINE,
        "verdict": FINE,
    }
    assert outcome.state == "success"


def test_one_failed_shard_publishes_a_degraded_page_and_ends_green(outcome_of):
    outcome = outcome_of(shards=2, failing=[("rerank", 1)], missing=12)
    assert outcome.tasks == STAGES_BEFORE | {
        "recall": FINE,
        "rerank": ["success", "failed"],
        "degrade": FINE,
        "publish": FINE,
        "announce": ["skipped"],
        "observe": FINE,
        "verdict": FINE,
    }
    assert outcome.state == "success"


def test_all_shards_failed_publishes_a_degraded_page_and_ends_green(outcome_of):
    outcome = outcome_of(shards=2, failing=[("rerank", 0), ("rerank", 1)], missing=24)
    assert outcome.tasks == STAGES_BEFORE | {
        "recall": FINE,
        "rerank": ["failed", "failed"],
        "degrade": FINE,
        "publish": FINE,
        "announce": ["skipped"],
        "observe": FINE,
        "verdict": FINE,
    }
    assert outcome.state == "success"


def test_a_failed_recall_publishes_nothing_and_ends_red(outcome_of, stages):
    outcome = outcome_of(shards=2, failing=[("recall", None)])
    assert outcome.tasks == STAGES_BEFORE | {
        "recall": ["failed"],
        "rerank": ["upstream_failed"],
        "degrade": ["upstream_failed"],
        "publish": ["upstream_failed"],
        "announce": ["skipped"],
        "observe": ["skipped"],
        "verdict": ["upstream_failed"],
    }
    assert outcome.state == "failed"
    assert "publish" not in {stage for stage, _ in stages.ran}


def test_no_shards_publish_a_full_page_without_scoring(outcome_of):
    outcome = outcome_of(shards=0)
    assert outcome.tasks == STAGES_BEFORE | {
        "recall": FINE,
        "rerank": ["skipped"],
        "degrade": ["skipped"],
        "publish": FINE,
        "announce": ["skipped"],
        "observe": FINE,
        "verdict": FINE,
    }
    assert outcome.state == "success"


def test_a_blocked_run_is_announced_and_observed_and_ends_red(outcome_of, stages):
    stages.blocked, stages.is_current = "spread: all alike", True
    outcome = outcome_of(shards=2)
    assert outcome.tasks == STAGES_BEFORE | {
        "recall": FINE,
        "rerank": ["success", "success"],
        "degrade": ["skipped"],
        "publish": ["failed"],
        "announce": FINE,
        "observe": FINE,
        "verdict": ["upstream_failed"],
    }
    assert outcome.state == "failed"
    assert [one.try_number for one in outcome.instances["publish"]] == [1]
    assert outcome.xcom("publish")["blocked"] == "spread: all alike"


@pytest.mark.parametrize("stage", ["extract", "prepare", "degrade", "publish", "observe"])
def test_any_other_failed_stage_ends_red(outcome_of, stage):
    assert outcome_of(shards=1, failing=[(stage, None)], missing=12).state == "failed"


class TestBrokenControls:
    """The rules that come to mind first, and the case in which each goes wrong."""

    def test_publish_by_all_success_is_skipped_in_every_good_run(self, outcome_of):
        assert outcome_of(shards=2, rules={"publish": "all_success"}).tasks["publish"] == ["skipped"]

    def test_degrade_by_all_success_publishes_nothing_when_a_shard_failed(self, outcome_of):
        outcome = outcome_of(shards=2, failing=[("rerank", 1)], rules={"degrade": "all_success"})
        assert outcome.tasks["publish"] == ["upstream_failed"]

    def test_degrade_by_all_done_runs_without_anything_to_rank_when_recall_failed(self, outcome_of):
        outcome = outcome_of(shards=2, failing=[("recall", None)], rules={"degrade": "all_done"})
        assert outcome.tasks["degrade"] != ["upstream_failed"]

    def test_publish_by_all_done_publishes_what_a_failed_recall_left(self, outcome_of):
        outcome = outcome_of(shards=2, failing=[("recall", None)], rules={"publish": "all_done"})
        assert outcome.state == "success"  # green, though nothing was recalled

    def test_verdict_by_all_done_leaves_a_blocked_run_green(self, outcome_of, stages):
        stages.blocked, stages.is_current = "spread: all alike", True
        outcome = outcome_of(shards=2, rules={"verdict": "all_done"})
        assert (outcome.tasks["publish"], outcome.state) == (["failed"], "success")

    def test_announce_by_all_success_leaves_a_blocked_runs_page_untold(self, outcome_of, stages):
        stages.blocked, stages.is_current = "spread: all alike", True
        outcome = outcome_of(shards=2, rules={"announce": "all_success"})
        assert outcome.tasks["announce"] == ["upstream_failed"]


class TestEmbed:
    """Vectors are a help: without them the page still comes out."""

    @pytest.fixture
    def ranking_dag(self, parse, monkeypatch):
        monkeypatch.setenv("RERANK_RETRIES", "0")
        monkeypatch.setenv("RERANK_RECALL", "dense")
        return parse()

    def test_it_runs_before_recall_on_a_device(self, outcome_of, stages, ranking_dag):
        outcome = outcome_of(shards=1)
        assert ranking_dag.get_task("embed").pool == "gpu"
        assert outcome.xcom("embed")["device"] == "cpu"
        ran = [stage for stage, _ in stages.ran]
        assert ran.index("prepare") < ran.index("embed") < ran.index("recall")

    def test_where_it_failed_recall_and_all_after_it_still_run(self, outcome_of):
        outcome = outcome_of(shards=1, failing=[("embed", None)])
        assert outcome.tasks["embed"] == ["failed"]
        assert outcome.tasks["recall"] == outcome.tasks["publish"] == FINE
        assert outcome.state == "success"

    def test_control_by_all_success_the_page_is_down(self, outcome_of):
        outcome = outcome_of(shards=1, failing=[("embed", None)], rules={"recall": "all_success"})
        assert outcome.tasks["publish"] == ["upstream_failed"]

    def test_a_failed_prepare_stops_it_all_and_ends_red(self, outcome_of):
        outcome = outcome_of(shards=1, failing=[("prepare", None)])
        assert outcome.tasks["recall"] == outcome.tasks["publish"] == ["upstream_failed"]
        assert outcome.state == "failed"


class TestEmbedWithoutADevice:
    """The embedder of numpy waits for no GPU, and a hung task of it still ends."""

    @pytest.fixture
    def ranking_dag(self, parse, monkeypatch):
        monkeypatch.setenv("RERANK_RECALL", "dense")
        monkeypatch.setenv("RERANK_EMBEDDING_MODEL", "use-multilingual")
        monkeypatch.setenv("RERANK_GPU_QUEUE", "gpu-workers")
        return parse()

    def test_it_runs_before_recall_in_the_default_pool(self, outcome_of, stages, ranking_dag, monkeypatch):
        monkeypatch.setattr(operators, "device", never)
        outcome_of(shards=0)
        embed, rerank = ranking_dag.get_task("embed"), ranking_dag.get_task("rerank")
        assert (embed.pool, embed.queue, rerank.queue) == ("default_pool", "default", "gpu-workers")
        assert embed.execution_timeout == rerank.partial_kwargs["execution_timeout"]
        assert "embed" in {stage for stage, _ in stages.ran}


def test_recall_by_words_embeds_nothing_and_waits_for_no_device(outcome_of, stages, ranking_dag):
    outcome_of(shards=1)
    assert ranking_dag.get_task("embed").pool == "default_pool"
    assert "embed" not in {stage for stage, _ in stages.ran}
