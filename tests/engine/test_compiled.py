"""Compiled or eager: the same logits, chosen by how much there is to score."""

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from engine.pairs import all_scores, make_pairs

from rerank_core.models import scorers
from rerank_core.models import vllm as scorer_module
from rerank_core.models.vllm import VllmScorer
from rerank_core.settings import DEMO_CHECKPOINT, Settings

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore")]


@pytest.mark.slow
def test_a_compiled_engine_gives_the_logits_of_an_eager_one(
    build: Callable[..., VllmScorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorer_module, "_CPU_COMPILE_PAIRS", 5)
    found: list[list[float]] = []
    eager: list[bool] = []
    for expected in (4, 5):
        scorer = build(expected_pairs=expected)
        eager.append(scorer._llm.llm_engine.vllm_config.model_config.enforce_eager)
        found.append([score.logit for score in all_scores(scorer, make_pairs())])
    assert eager == [True, False]
    assert found[1] == pytest.approx(found[0], abs=1e-4)


@pytest.mark.parametrize(("compile", "eager"), [("auto", None), ("always", False), ("never", True)])
def test_the_setting_and_the_pairs_reach_the_engine(
    compile: str, eager: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[dict[str, Any]] = []
    monkeypatch.setattr(scorer_module, "VllmScorer", lambda folder, **options: built.append(options))
    scorers.load(Settings.load(model=str(DEMO_CHECKPOINT), compile=compile), pairs=321)
    assert built[0]["eager"] is eager
    assert built[0]["expected_pairs"] == 321


def test_warnings_of_what_was_chosen_are_left_out_and_no_others() -> None:
    def news(level: int, message: str) -> bool:
        record: Any = SimpleNamespace(levelno=level, getMessage=lambda: message)
        return scorer_module._not_chosen(record)

    assert not news(logging.WARNING, "Serving … without a --chat-template. The model was trained with")
    assert news(logging.ERROR, "Serving … without a --chat-template")
    assert news(logging.WARNING, "the KV cache is too small")
