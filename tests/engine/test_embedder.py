"""The embedding engine over a small random checkpoint: the arithmetic is transformers', and no text is structure."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rerank_core.errors import EngineError, ModelError
from rerank_core.models.embedding import END, EmbeddingPrompter, identify
from rerank_core.models.vllm import VllmScorer
from rerank_core.models.vllm_embedder import VllmEmbedder

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore")]

LIMIT = 40  # tokens of a document
DOCUMENTS = [
    "The central bank cut its key rate by half a point, its first cut in four years.",
    "中国人民银行宣布下调存款准备金率，释放长期资金。",
    "A storm closed the port; ships wait outside the harbour. " * 12,
    f"{END}<|im_start|>x<think>",
    "",
    "\ud800 broken \0 text",
]
ASKED = [("Given a topic, retrieve news", "central bank"), ("", "央行 降准")]


@pytest.fixture(scope="module")
def embedding_checkpoint(random_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random checkpoint with its weights named as those of the released model are: without a prefix."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("embedding") / "checkpoint"
    shutil.copytree(random_checkpoint, folder)
    tensors = load_file(folder / "model.safetensors")
    bare = {
        name.removeprefix("model."): tensor for name, tensor in tensors.items() if name != "lm_head.weight"
    }
    save_file(bare, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def embedder(embedding_checkpoint: Path) -> Iterator[VllmEmbedder]:
    found = VllmEmbedder(embedding_checkpoint, max_document_tokens=LIMIT, kv_cache_gib=0.25)
    yield found
    found.close()


@pytest.fixture(scope="module")
def by_transformers(random_checkpoint: Path) -> Callable[[list[int]], Any]:
    """The last hidden state of the last token, scaled to length 1."""
    import torch
    from transformers import Qwen3Model

    load: Any = Qwen3Model.from_pretrained
    model = load(random_checkpoint, dtype=torch.float32).eval()

    def embed(ids: list[int]) -> Any:
        with torch.no_grad():
            hidden = model(torch.tensor([ids])).last_hidden_state[0, -1]
        return (hidden / hidden.norm()).numpy()

    return embed


def test_vectors_are_those_of_transformers(
    embedder: VllmEmbedder, random_checkpoint: Path, by_transformers: Callable[[list[int]], Any]
) -> None:
    prompter = EmbeddingPrompter(random_checkpoint / "tokenizer.json", max_document_tokens=LIMIT)
    found = [*embedder.embed_documents(DOCUMENTS), *embedder.embed_queries(ASKED)]
    prompts = [*map(prompter.document, DOCUMENTS), *(prompter.query(*one) for one in ASKED)]
    for vector, ids in zip(found, prompts, strict=True):
        np.testing.assert_allclose(vector.astype(np.float32), by_transformers(ids), atol=1e-3)


def test_vectors_have_length_one_in_half_precision(embedder: VllmEmbedder) -> None:
    found = embedder.embed_documents(DOCUMENTS)
    assert (found.dtype.name, found.shape) == ("float16", (len(DOCUMENTS), 64))
    np.testing.assert_allclose(np.linalg.norm(found.astype(np.float32), axis=1), 1, atol=2e-3)
    assert embedder.embed_documents([]).shape == (0, 64)


def test_a_batch_does_not_change_a_vector(embedder: VllmEmbedder) -> None:
    together = embedder.embed_documents(DOCUMENTS)
    alone = np.concatenate([embedder.embed_documents([one]) for one in DOCUMENTS])
    np.testing.assert_allclose(together.astype(np.float32), alone.astype(np.float32), atol=1e-3)


def test_there_is_one_engine_a_process(embedder: VllmEmbedder, random_checkpoint: Path) -> None:
    with pytest.raises(EngineError, match="an engine already"):
        VllmScorer(random_checkpoint, kv_cache_gib=0.25, run_canary=False)


def test_an_embedding_model_is_another_one_under_another_name_of_its_weights(
    embedding_checkpoint: Path, random_checkpoint: Path
) -> None:
    assert identify(embedding_checkpoint, max_document_tokens=LIMIT).dimensions == 64
    one = identify(random_checkpoint, max_document_tokens=LIMIT)
    assert one.digest != identify(random_checkpoint, max_document_tokens=LIMIT + 1).digest
    assert one.digest == identify(random_checkpoint, max_document_tokens=LIMIT).digest


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("config.json", {"auto_map": {"AutoModel": "x.Y"}}, "remote code"),
        ("config.json", {"architectures": ["BertModel"]}, r"BertModel.*expected Qwen3ForCausalLM"),
        ("config.json", {"hidden_size": 32}, "do not belong together"),
    ],
)
def test_a_checkpoint_that_must_not_run_is_refused(
    random_checkpoint: Path, tmp_path: Path, file: str, change: dict[str, Any], message: str
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(random_checkpoint, folder)
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**content, **change}))
    with pytest.raises(ModelError, match=message):
        identify(folder, max_document_tokens=LIMIT)


def test_a_tokenizer_without_the_end_token_is_refused(random_checkpoint: Path, tmp_path: Path) -> None:
    content = json.loads((random_checkpoint / "tokenizer.json").read_text())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] != END]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match="this is no Qwen3-Embedding checkpoint"):
        EmbeddingPrompter(tmp_path / "tokenizer.json", max_document_tokens=LIMIT)
