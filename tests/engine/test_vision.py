"""Qwen3-VL-Reranker in the real engine: pictures and clips reach the model, and logits equal the reference."""

from typing import Any

import pytest
from engine.vision_host import last_line, run_apart

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the engine and transformers gave, in a process of its own (vision_child.py)."""
    pytest.importorskip("vllm", reason="the engine is not installed (extra `cpu` or `gpu`)")
    pytest.importorskip("PIL", reason="Pillow is not installed")
    folder = tmp_path_factory.mktemp("vision") / "checkpoint"
    content: dict[str, Any] = last_line(run_apart("-m", "engine.vision_child", str(folder)))
    return content


def test_logits_equal_the_reference(found: dict[str, Any]) -> None:
    assert len(found["logits"]) == 20
    assert max(found["expected"]) - min(found["expected"]) > 0.1  # a check of constants would prove nothing
    assert found["logits"] == pytest.approx(found["expected"], abs=1e-4)
    assert found["tokens"] == found["lengths"]


def test_another_order_and_known_pictures_give_the_same_logits(found: dict[str, Any]) -> None:
    assert found["again"] == pytest.approx(found["logits"], abs=1e-5)
    assert max(found["cached"]) > 0


def test_pictures_reach_the_model(found: dict[str, Any]) -> None:
    """The engine drops a picture without a word if its prompt was not rendered."""
    for pictured, logit, bare in zip(found["pictured"], found["logits"], found["without"], strict=True):
        assert (abs(logit - bare) > 1e-3) == pictured
    assert abs(found["canary"][0] - found["canary"][1]) > 1e-3


def test_a_picture_that_is_gone_refuses_its_pair_alone(found: dict[str, Any]) -> None:
    (reason,) = found["refused"]
    assert "cannot be read" in reason
    assert found["beside"] == pytest.approx([found["logits"][1]], abs=1e-5)
