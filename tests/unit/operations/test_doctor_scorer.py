"""What the doctor says of a model of pictures: torchvision, and whether media are scored at all."""

from dataclasses import replace
from typing import Any

import pytest

from rerank_core.errors import ModelError
from rerank_core.models import scorers, vision
from rerank_core.models.base import FakeScorer
from rerank_core.operations.doctor import scoring
from rerank_core.settings import Settings


def told(monkeypatch: pytest.MonkeyPatch, family: str, *, torchvision: bool = True, **settings: Any) -> Any:
    """The finding for a scorer of this family on a host with an engine."""
    identity = replace(FakeScorer().identity, family=family)
    monkeypatch.setattr(scorers, "identity", lambda settings: identity)
    monkeypatch.setattr(scoring, "_engine_version", lambda: "vllm 0.32.0")
    monkeypatch.setattr(vision, "find_spec", lambda name: object() if torchvision else None)
    return scoring.check_scorer(Settings.load(model="a/model", database_url="postgresql://", **settings))


def test_a_model_of_pictures_needs_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, "qwen3-vl-reranker").state == "ok"
    with pytest.raises(
        ModelError, match=r"torchvision is not installed, .*; .*on a CPU install .* `\+cpu` build"
    ):
        told(monkeypatch, "qwen3-vl-reranker", torchvision=False)
    assert told(monkeypatch, "qwen3-reranker", torchvision=False).state == "ok"


def test_media_that_the_model_does_not_read_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, "qwen3-vl-reranker", media=("score",)).state == "ok"
    finding = told(monkeypatch, "qwen3-reranker", media=("score",))
    assert (finding.state, "reads no pictures" in finding.found) == ("warn", True)
