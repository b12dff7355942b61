"""ModernBERT rerankers in the real engine: one of sentence-transformers' modules, converted, and one with a mean.

The weights are random, and large enough that logits differ.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine.engines import Engines
from engine.pairs import DOCUMENTS, all_scores, make_pairs
from modernbert_vocabulary import write_modernbert_tokenizer

from rerank_core.errors import InputError, ModelError
from rerank_core.models.convert import convert
from rerank_core.models.prompt import MODERNBERT, Prompter

pytestmark = [pytest.mark.engine, pytest.mark.long, pytest.mark.filterwarnings("ignore")]

HIDDEN = 64
LONGEST_DOCUMENT = 480  # tokens; the local attention of these shapes sees 16 tokens to either side
LONG = "The port was closed in the storm.  Ships wait; nobody knows for how long. " * 60
ENGINE: dict[str, Any] = {"max_document_tokens": LONGEST_DOCUMENT}


def configuration(folder: Path, **fields: Any) -> Any:
    """Three layers, one of them with global attention, and a tokenizer in `folder`."""
    from transformers import ModernBertConfig

    vocabulary = write_modernbert_tokenizer(folder)
    numbers = {token["content"]: token["id"] for token in vocabulary["added_tokens"]}
    return ModernBertConfig(
        vocab_size=1 + max(numbers.values()),
        hidden_size=HIDDEN,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=1024,
        local_attention=32,
        pad_token_id=numbers["[PAD]"],
        cls_token_id=numbers["[CLS]"],
        sep_token_id=numbers["[SEP]"],
        bos_token_id=numbers["[CLS]"],
        eos_token_id=numbers["[SEP]"],
        **fields,
    )


def scatter(model: Any, by: float = 5) -> Any:
    """The model with weights that tell texts apart, and norms that are not 1."""
    import torch

    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            parameter.data.mul_(by)
        elif "norm" in name:
            parameter.data.add_(torch.randn_like(parameter) * 0.2)
    return model.float().eval()


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reranker that sentence-transformers wrote, built as the model cards of ettin-reranker print it."""
    pytest.importorskip("vllm", reason="the engine is not installed (extra `cpu` or `gpu`)")
    import torch
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling
    from transformers import ModernBertModel

    base, folder = tmp_path_factory.mktemp("ettin-base"), tmp_path_factory.mktemp("ettin-modules")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        scatter(ModernBertModel(configuration(base))).save_pretrained(base)
        encoder = Transformer(str(base), transformer_task="feature-extraction")
        head = [
            Dense(HIDDEN, HIDDEN, bias=False, activation_function=torch.nn.GELU()),
            LayerNorm(HIDDEN),
            Dense(HIDDEN, 1, activation_function=torch.nn.Identity(), module_output_name="scores"),
        ]
        torch.nn.init.normal_(head[1].norm.bias)  # type: ignore[union-attr, arg-type]
        for module in head:
            scatter(module)
    chain: Any = [encoder, Pooling(HIDDEN, pooling_mode="cls"), *head]
    CrossEncoder(modules=chain, device="cpu").save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def converted(modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ettin") / "converted"
    convert(modules, folder)
    return folder


def test_a_converted_reranker_scores_as_sentence_transformers_does(
    modules: Path, converted: Path, engines: Engines
) -> None:
    from sentence_transformers import CrossEncoder

    scores = all_scores(
        engines.shared(converted, **ENGINE), pairs := make_pairs(documents=[*DOCUMENTS, LONG])
    )
    import torch

    original = CrossEncoder(str(modules), device="cpu", activation_fn=torch.nn.Identity())
    short = [(pair.query, pair.document) for pair in pairs if pair.document != LONG]
    expected = original.predict(short).tolist()
    assert max(expected) - min(expected) > 0.1  # a check of constants would prove nothing
    logits = [score.logit for score in scores if score.pair.document != LONG]
    assert logits == pytest.approx(expected, abs=1e-4)
    reference = by_transformers(converted)
    assert [score.logit for score in scores] == pytest.approx([reference(pair) for pair in pairs], abs=1e-4)
    assert [score.truncated for score in scores if score.pair.document == LONG] == [True] * 3
    assert all(score.cached_tokens == 0 for score in scores)


def test_the_bias_of_the_norm_counts(modules: Path, converted: Path) -> None:
    """The control of the test above: without the bias that moves, each score is off by the same amount."""
    from safetensors.torch import load_file

    bias = load_file(next(modules.glob("3_*/model.safetensors")))["norm.bias"]
    row = load_file(converted / "model.safetensors")["classifier.weight"]
    assert abs(float(row @ bias)) > 1e-2


def by_transformers(folder: Path) -> Callable[..., float]:
    """The logit of a pair by transformers, in float32."""
    import torch
    from transformers import ModernBertForSequenceClassification

    model = (
        ModernBertForSequenceClassification.from_pretrained(folder, attn_implementation="eager")
        .float()
        .eval()
    )
    prompter = Prompter(folder / "tokenizer.json", max_document_tokens=LONGEST_DOCUMENT, form=MODERNBERT)

    def logit(pair: Any) -> float:
        ids = prompter.prompt(instruction="", query=pair.query, document=pair.document).ids
        with torch.no_grad():
            return float(model(torch.tensor([ids])).logits[0, 0])

    return logit


def test_a_reranker_that_takes_the_mean_scores_as_transformers_does(engines: Engines, tmp_path: Path) -> None:
    """The head of gte-reranker-modernbert-base: it takes the mean of all tokens."""
    import torch
    from transformers import ModernBertForSequenceClassification

    with torch.random.fork_rng():
        torch.manual_seed(0)
        make: Any = ModernBertForSequenceClassification
        model = make(configuration(tmp_path, classifier_pooling="mean", num_labels=1))
        scatter(model).save_pretrained(tmp_path)
    pairs = make_pairs(documents=[*DOCUMENTS, LONG])
    logits = [score.logit for score in all_scores(engines.shared(tmp_path, **ENGINE), pairs)]
    reference = by_transformers(tmp_path)
    assert max(logits) - min(logits) > 0.1
    assert logits == pytest.approx([reference(pair) for pair in pairs], abs=1e-4)


def change(file: Path, **fields: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def test_modules_that_compute_something_else_are_refused(modules: Path, tmp_path: Path) -> None:
    def refused(pattern: str, **fields: Any) -> None:
        folder = tmp_path / f"modules-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(modules, folder)
        if fields:
            change(next(folder.glob(pattern)), **fields)
        else:
            (folder / pattern).unlink()
        with pytest.raises(ModelError):
            convert(folder, tmp_path / "target")

    refused("2_*/config.json", activation_function="torch.nn.modules.activation.Tanh")
    refused("2_*/config.json", bias=True)
    refused("1_*/config.json", pooling_mode="mean")
    refused("4_*/config.json", out_features=2)
    refused("config.json", norm_bias=True)
    refused("config.json", auto_map={"AutoModel": "code.py"})
    refused("modules.json")
    refused(str(next(modules.glob("3_*")).name) + "/model.safetensors")
    assert not (tmp_path / "target").exists()
    assert not list(tmp_path.glob(".*.draft"))


def test_an_existing_target_is_kept(modules: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists"):
        convert(modules, tmp_path)
