"""Every family in the real engine: logits equal the reference, and windows give the best of their scores."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from demo_checkpoint import CHECKPOINT
from engine.engines import Engines
from engine.pairs import DOCUMENTS, all_scores, make_pairs
from unigram_vocabulary import write_unigram_tokenizer

from rerank_core.errors import ModelError
from rerank_core.models.canary import read_canary
from rerank_core.models.prompt import BGE_M3, Prompter
from rerank_core.models.vllm import VllmScorer

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore")]

CONVERSION_TOLERANCE = 1e-4  # of a conversion in float32 against the original; its logits span about 20
LONGEST_BGE_DOCUMENT = 480  # tokens
QUERY = "floods in Pakistan"
ROUND_UP = (
    "The committee met and the members spoke. " * 40 + "Floods hit Pakistan again. " + "It rained. " * 90
)


@pytest.fixture(scope="module")
def bge_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shape of bge-reranker-v2-m3, small and random, with weights large enough that logits differ."""
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaForSequenceClassification

    folder = tmp_path_factory.mktemp("bge")
    vocabulary = write_unigram_tokenizer(folder)["model"]["vocab"]
    config = XLMRobertaConfig(
        vocab_size=len(vocabulary),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=514,
        type_vocab_size=1,
        num_labels=1,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        make: Any = XLMRobertaForSequenceClassification
        model = make(config).to(torch.float32).eval()
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.data.mul_(5)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled checkpoint with a score head of its own: the row of yes less the row of no."""
    import torch
    from transformers import Qwen3ForCausalLM, Qwen3ForSequenceClassification

    folder = tmp_path_factory.mktemp("converted")
    original = Qwen3ForCausalLM.from_pretrained(CHECKPOINT, dtype=torch.float32)
    config = original.config.__class__.from_pretrained(CHECKPOINT, num_labels=1)
    make: Any = Qwen3ForSequenceClassification
    model = make(config).to(torch.float32)
    model.model.load_state_dict(original.model.state_dict())
    prompter = Prompter(CHECKPOINT / "tokenizer.json", max_document_tokens=512)
    rows = original.lm_head.weight.data
    model.score.weight.data = rows[[prompter.yes_id]] - rows[[prompter.no_id]]
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "canary.json"):
        shutil.copy(CHECKPOINT / name, folder)
    return folder


def bge_reference(folder: Path) -> Callable[[list[int]], float]:
    """The logit of token ids by transformers, in float32."""
    import torch
    from transformers import XLMRobertaForSequenceClassification

    model = XLMRobertaForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()

    def logit(ids: list[int]) -> float:
        with torch.no_grad():
            return float(model(torch.tensor([ids])).logits[0, 0])

    return logit


def test_bge_logits_equal_the_reference(bge_checkpoint: Path, engines: Engines) -> None:
    scorer = engines.shared(bge_checkpoint, max_document_tokens=LONGEST_BGE_DOCUMENT)
    pairs = make_pairs(documents=[*DOCUMENTS, "rain</s></s> ＜/s＞ <mask> 🎉", "rain " * 5000])
    scores = all_scores(scorer, pairs)
    prompter = Prompter(
        bge_checkpoint / "tokenizer.json", max_document_tokens=LONGEST_BGE_DOCUMENT, form=BGE_M3
    )
    reference = bge_reference(bge_checkpoint)
    expected = [
        reference(prompter.prompt(instruction="", query=pair.query, document=pair.document).ids)
        for pair in pairs
    ]
    assert max(expected) - min(expected) > 0.1  # a check of constants would prove nothing
    assert [score.logit for score in scores] == pytest.approx(expected, abs=1e-4)
    assert [scores[0].truncated, scores[9].truncated] == [False, True]
    assert all(score.cached_tokens == 0 for score in scores)


def test_bge_takes_its_longest_prompt(bge_checkpoint: Path, engines: Engines) -> None:
    """512 positions are left of 514: the padding id takes the rest."""
    scorer = engines.shared(bge_checkpoint, max_document_tokens=LONGEST_BGE_DOCUMENT)
    assert scorer._max_tokens == 512
    (chunk,) = scorer.score(
        make_pairs(queries=["q", "storm " * 30], documents=["rain " * 5000]), flush_seconds=60.0
    )
    assert [480 < score.prompt_tokens <= 512 for score in chunk.scores] == [True]
    assert ["the model takes 512" in refusal.reason for refusal in chunk.refused] == [True]


CONVERSION: dict[str, Any] = {"precision": "float32", "max_document_tokens": 512, "run_canary": True}


def test_a_conversion_scores_as_the_original(converted: Path, engines: Engines) -> None:
    pairs = read_canary(CHECKPOINT).pairs() + make_pairs()
    logits = {
        folder: [score.logit for score in all_scores(engines.shared(folder, **CONVERSION), pairs)]
        for folder in (CHECKPOINT, converted)
    }
    assert max(logits[CHECKPOINT]) - min(logits[CHECKPOINT]) > 5
    assert logits[converted] == pytest.approx(logits[CHECKPOINT], abs=CONVERSION_TOLERANCE)


def test_a_conversion_passes_the_canary_of_the_original(converted: Path, engines: Engines) -> None:
    margin = engines.shared(converted, **CONVERSION).canary_margin
    assert margin is not None
    assert margin > 0


def test_a_conversion_with_two_labels_is_refused(converted: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "two"
    shutil.copytree(converted, folder)
    weights = load_file(folder / "model.safetensors")
    weights["score.weight"] = torch.cat([weights["score.weight"]] * 2)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="one score"):
        VllmScorer(folder)


def test_the_best_window_is_the_score(build: Callable[..., VllmScorer]) -> None:
    pairs = make_pairs(queries=[QUERY, "the committee"], documents=[ROUND_UP, "Floods hit Pakistan."])
    options: dict[str, Any] = {"precision": "float32", "max_document_tokens": 64}
    scorer = build(CHECKPOINT, passages="max", **options)
    best = all_scores(scorer, pairs)
    prompts = [
        scorer._prompter.prompt(instruction=p.instruction, query=p.query, document=p.document) for p in pairs
    ]
    assert len(prompts[0].further) >= 3
    assert [score.prompt_tokens for score in best] == [prompt.tokens for prompt in prompts]
    assert best[0].cached_tokens > 0  # windows share the prefix of their query
    assert not any(score.truncated for score in best if score.pair.document_id == 1)
    lead = all_scores(build(CHECKPOINT, **options), pairs)
    assert lead[0].logit < 0 < best[0].logit
    assert all(b.logit >= a.logit - 1e-4 for a, b in zip(lead, best, strict=True))
    assert best[1].logit == pytest.approx(lead[1].logit, abs=1e-4)  # one window
