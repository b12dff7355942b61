"""Compiled or eager: the same logits, chosen by how much there is to score."""

from pathlib import Path
from typing import Any

import pytest
from engine.engines import Engines
from engine.pairs import all_scores, make_pairs

from rerank_core.errors import EngineError
from rerank_core.models import scorers
from rerank_core.models import vllm as scorer_module
from rerank_core.models.vllm import VllmScorer
from rerank_core.settings import DEMO_CHECKPOINT, Settings

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore")]


@pytest.mark.long
@pytest.mark.slow
def test_a_compiled_engine_gives_the_logits_of_an_eager_one(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    eager = [score.logit for score in engines.scores(precision="float32")]
    assert is_eager(engines.shared(precision="float32"))
    monkeypatch.setattr(scorer_module, "_CPU_COMPILE_PAIRS", 5)
    scorer = engines.build(precision="float32", expected_pairs=5)
    assert not is_eager(scorer)
    assert [score.logit for score in all_scores(scorer, make_pairs())] == pytest.approx(eager, abs=1e-4)


def is_eager(scorer: VllmScorer) -> bool:
    return bool(scorer._llm.llm_engine.vllm_config.model_config.enforce_eager)


@pytest.mark.parametrize(("expected_pairs", "eager"), [(4, True), (5, False)])
def test_enough_pairs_to_score_make_an_engine_compile(
    random_checkpoint: Path,
    engines: Engines,
    monkeypatch: pytest.MonkeyPatch,
    expected_pairs: int,
    eager: bool,
) -> None:
    engines.close()  # a process with an engine asks for no other one
    asked: dict[str, Any] = {}

    def refused(_checkpoint: object, **options: Any) -> None:
        asked.update(options)
        raise EngineError("no engine starts in this test")

    monkeypatch.setattr(scorer_module, "_CPU_COMPILE_PAIRS", 5)
    monkeypatch.setattr(scorer_module, "start_llm", refused)
    with pytest.raises(EngineError, match="no engine starts"):
        VllmScorer(random_checkpoint, expected_pairs=expected_pairs)
    assert asked["enforce_eager"] is eager


@pytest.mark.parametrize(("compile", "eager"), [("auto", None), ("always", False), ("never", True)])
def test_the_setting_and_the_pairs_reach_the_engine(
    compile: str, eager: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[dict[str, Any]] = []
    monkeypatch.setattr(scorers, "VllmScorer", lambda folder, **options: built.append(options))
    scorers.load(Settings.load(model=str(DEMO_CHECKPOINT), compile=compile), pairs=321)
    assert built[0]["eager"] is eager
    assert built[0]["expected_pairs"] == 321
