"""The demo's story: what it says of the quality, with and without the extra `meaning`."""

from pathlib import Path
from typing import Any

import pytest

from rerank_core.demo import __main__ as story
from rerank_core.demo.evaluate import Quality
from rerank_core.demo.show import Teller
from rerank_core.errors import ModelError


class Sitting:
    """As much of a sitting as the judgement asks for."""

    demonstration = True

    def __init__(self, folder: Path) -> None:
        self.settings = {"RERANK_STORE_URL": folder.as_uri()}


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        (True, "meaning is the order of use-multilingual"),
        (False, "not ordered by meaning: it is not here; pip install it"),
    ],
)
def test_the_order_by_meaning_is_shown_or_said_to_be_missing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    installed: bool,
    said: str,
) -> None:
    def embedder() -> Any:
        if not installed:
            raise ModelError("it is not here; pip install it")
        return "an embedder"

    def evaluate(*, embedder: Any, **_: Any) -> list[Quality]:
        names = ("model", *(["meaning"] if embedder == "an embedder" else []), "BM25")
        return [Quality(name, 0.5, 0.4, 0.6, 12) for name in names]

    monkeypatch.setattr(story, "NumpyEmbedder", embedder)
    monkeypatch.setattr(story, "evaluate", evaluate)
    monkeypatch.setattr(story.show, "last_run", lambda database, pipeline: 1)
    story.judge(Teller(), Sitting(tmp_path), None, pipeline="news")  # type: ignore[arg-type]
    out = capsys.readouterr().out
    assert said in out
    assert ("meaning   " in out) is installed
