"""A learned head in the real engine: its logits are those that were learned, here and in transformers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from demo_checkpoint import CHECKPOINT
from engine.engines import Engines
from engine.pairs import all_scores, make_pairs

from rerank_core.errors import ModelError
from rerank_core.learning import tune
from rerank_core.models.canary import read_canary
from rerank_core.models.prompt import Prompter
from rerank_core.models.vllm_states import VllmStates

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore")]

EXACT = 1e-4  # in logits, in float32
OPTIONS = {"precision": "float32", "max_document_tokens": 512}


def reference(folder: Path) -> Callable[[list[int]], float]:
    """The logit of token ids by transformers, in float32."""
    import torch
    from transformers import Qwen3ForSequenceClassification

    model = Qwen3ForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()

    def logit(ids: list[int]) -> float:
        with torch.no_grad():
            return float(model(torch.tensor([ids])).logits[0, 0])

    return logit


def test_the_engine_gives_the_logits_that_were_learned(engines: Engines, tmp_path: Path) -> None:
    pairs = read_canary(CHECKPOINT).pairs() + make_pairs()
    base = [score.logit for score in all_scores(engines.shared(CHECKPOINT, **OPTIONS), pairs)]
    engines.close()
    reader = VllmStates(CHECKPOINT, kv_cache_gib=0.25, **OPTIONS)
    try:
        prompts = [reader.prompt_ids(pair) for pair in pairs]
        assert None not in prompts
        states = reader.states(prompts)
        assert states @ reader.head == pytest.approx(base, abs=EXACT)
        assert reader.states([]).shape == (0, 168)
    finally:
        reader.close()
    change = np.random.default_rng(0).normal(size=168) * np.abs(reader.head).max() / 5
    learned = states @ (reader.head + change)
    assert np.abs(learned - base).max() > 0.5  # a change of nothing would prove nothing
    folder = tmp_path / "learned"
    tune.write(CHECKPOINT, folder, head=reader.head + change, card={})
    logits = [score.logit for score in all_scores(engines.shared(folder, **OPTIONS), pairs)]
    assert logits == pytest.approx(learned, abs=EXACT)
    logit_of = reference(folder)
    assert [logit_of(ids) for ids in prompts[:12]] == pytest.approx(learned[:12], abs=EXACT)
    prompter = Prompter(folder / "tokenizer.json", max_document_tokens=512)
    same = [prompter.prompt(instruction=p.instruction, query=p.query, document=p.document).ids for p in pairs]
    assert same == prompts
    with pytest.raises(ModelError, match="original"):
        VllmStates(folder)
