"""What finishes an engine, and what is refused before there is one."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine.engines import Engines
from engine.pairs import QUERIES, all_scores, make_pairs

from rerank_core.errors import EngineError, ModelError
from rerank_core.models.base import ChunkFailed
from rerank_core.models.canary import FILE_NAME
from rerank_core.models.vllm import VllmScorer

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore")]


def test_a_failed_step_finishes_the_scorer_and_names_the_suspects(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = engines.build(in_flight_tokens=300)
    engine = scorer._llm.llm_engine
    step, steps = engine.step, iter(range(100))

    def failing() -> Any:
        if next(steps) == 3:
            raise RuntimeError("out of memory")
        return step()

    monkeypatch.setattr(engine, "step", failing)
    pairs = make_pairs()
    iterator = scorer.score(pairs, flush_seconds=math.inf)
    done = next(iterator).scores
    assert 0 < len(done) < len(pairs)  # what was ready is given before the failure
    with pytest.raises(ChunkFailed, match=r"out of memory.*query \d × document \d") as failure:
        next(iterator)
    assert failure.value.suspects
    assert not set(failure.value.suspects) & {score.pair for score in done}
    with pytest.raises(EngineError, match="finished"):
        next(scorer.score(pairs, flush_seconds=1.0))
    rebuilt = engines.shared()
    assert len(all_scores(rebuilt, pairs)) == len(pairs)


def test_an_interrupt_finishes_the_scorer(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    class Timeout(BaseException):
        pass

    def interrupted() -> Any:
        raise Timeout

    scorer = engines.taken()
    monkeypatch.setattr(scorer._llm.llm_engine, "step", interrupted)
    with pytest.raises(Timeout):
        next(scorer.score(make_pairs(), flush_seconds=1.0))
    with pytest.raises(EngineError, match="finished"):
        next(scorer.score(make_pairs(), flush_seconds=1.0))


def test_a_model_that_overflows_is_an_error_that_names_the_pair(
    altered: Callable[..., Path], build: Callable[..., VllmScorer]
) -> None:
    from safetensors.torch import load_file, save_file

    folder = altered()
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"].fill_(float("nan"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ChunkFailed, match=r"logit of query 0 × document 0 is nan") as failure:
        next(build(folder).score(make_pairs(), flush_seconds=1.0))
    assert [(pair.query_id, pair.document_id) for pair in failure.value.suspects] == [(0, 0)]


def test_a_canary_in_the_wrong_order_stops_the_scorer(
    altered: Callable[..., Path], engines: Engines, build: Callable[..., VllmScorer]
) -> None:
    scores = sorted(
        engines.scores(precision="float32")[:3], key=lambda score: -score.logit
    )  # of the first query
    right = {
        "instruction": "Find news.",
        "query": QUERIES[0],
        "documents": [score.pair.document for score in scores],
        "logits": [score.logit for score in scores],
    }
    folder = altered()
    file = folder / FILE_NAME
    file.write_text(json.dumps({"tolerance": 1e-3, "cases": [right]}))
    build(folder, run_canary=True)
    file.write_text(json.dumps({"cases": [{**right, "documents": right["documents"][::-1], "logits": None}]}))
    with pytest.raises(ModelError, match="expected descending"):
        build(folder, run_canary=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, "architecture"),
        ({"auto_map": {"AutoModel": "code.Model"}}, "remote code"),
        ({"vocab_size": 700}, "do not belong together"),
        ({"hidden_size": 32}, "do not belong together"),
        ({"max_position_embeddings": None}, "must be numbers"),
    ],
)
def test_a_wrong_checkpoint_is_refused_before_any_engine_is_built(
    altered: Callable[..., Path], build: Callable[..., VllmScorer], changes: dict[str, Any], message: str
) -> None:
    folder = altered(**changes)
    began = time.monotonic()
    with pytest.raises(ModelError, match=message):
        build(folder)
    assert time.monotonic() - began < 2


def test_a_second_engine_in_one_process_is_refused(engines: Engines, random_checkpoint: Path) -> None:
    scorer = engines.taken()
    with pytest.raises(EngineError, match="this process has an engine already"):
        VllmScorer(random_checkpoint)
    assert len(all_scores(scorer, make_pairs())) == len(make_pairs())
    scorer.close()
    scorer.close()
