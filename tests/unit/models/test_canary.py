"""The canary: pairs in a known order, which a wrong checkpoint, prompt or precision puts in another."""

import json
from pathlib import Path

import pytest

from rerank_core.errors import ModelError
from rerank_core.models.canary import DEFAULT, Canary, Case, read_canary


def test_the_canary_wants_descending_order() -> None:
    canary = Canary((Case("q", ("best", "middle", "worst")),), "test")
    canary.check({(0, 0): 3.0, (0, 1): 1.0, (0, 2): -4.0})
    for wrong in ({(0, 0): 1.0, (0, 1): 3.0, (0, 2): -4.0}, {(0, 0): 1.0, (0, 1): 1.0, (0, 2): -4.0}):
        with pytest.raises(ModelError, match=r"case 0 \(test\).*expected descending"):
            canary.check(wrong)
    with pytest.raises(ModelError, match="not all pairs were scored"):
        canary.check({(0, 0): 3.0, (0, 1): 1.0})


def test_recorded_logits_must_come_back_within_tolerance() -> None:
    canary = Canary((Case("q", ("best", "worst"), logits=(2.0, -2.0)),), "test", tolerance=0.1)
    canary.check({(0, 0): 2.05, (0, 1): -2.05})
    with pytest.raises(ModelError, match=r"within 0\.1"):
        canary.check({(0, 0): 2.2, (0, 1): -2.0})


def test_a_checkpoint_may_bring_its_own_canary(checkpoint: Path) -> None:
    assert read_canary(checkpoint) is DEFAULT
    file = checkpoint / "canary.json"
    file.write_text(json.dumps({"cases": [{"query": "q", "documents": ["a", "b"], "instruction": "i"}]}))
    assert [pair.document for pair in read_canary(checkpoint).pairs()] == ["a", "b"]
    damaged = [
        "no json",
        "[]",
        '{"cases": []}',
        '{"cases": [{"query": "q", "documents": ["one"]}]}',
        '{"cases": [{"query": "q", "documents": "ab"}]}',
        '{"cases": [{"query": "q", "documents": ["a", "b"], "logits": [1]}]}',
    ]
    for content in damaged:
        file.write_text(content)
        with pytest.raises(ModelError, match="is damaged"):
            read_canary(checkpoint)
