"""The contract of an embedder, what it reads, which embedder a checkpoint folder is, and a fake that needs no model.

A vector is valid for one embedder. The id of an embedder covers the weights, the prompt, the precision and the token
limit, so vectors of different models are never compared. The rules for a checkpoint are those of a scorer: safetensors
only, no remote code, and no text becomes a control token.

Model card: https://huggingface.co/Qwen/Qwen3-Embedding-0.6B
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rerank_core.errors import EngineError, ModelError
from rerank_core.models.encoding import Encoder, read_tokenizer, sanitise
from rerank_core.models.identity import Checkpoint, Family, Identity, read_checkpoint, weights_digest
from rerank_core.models.prompt import QWEN3, RULES
from rerank_core.settings import USE_MULTILINGUAL
from rerank_core.storage.languages import UNKNOWN, comparable

FAMILY = "qwen3-embedding"
END = "<|endoftext|>"  # the token whose last hidden state is the embedding
QUERY = "Instruct: {}\nQuery:{}"
MAX_QUERY_TOKENS = 512  # of instruction and query together; what is longer is cut

# Family → the languages that its vectors are good for; a family that is not listed is taken to know every language.
LANGUAGES = {USE_MULTILINGUAL: frozenset("ar de en es fr it ja ko nl pl pt ru th tr zh".split())}

# The released weights lack the prefix "model." of a causal model.
EMBEDDERS = tuple(
    Family(name=FAMILY, architecture=architecture, embedding=embedding, form=QWEN3)
    for architecture in ("Qwen3ForCausalLM", "Qwen3Model")
    for embedding in ("embed_tokens.weight", "model.embed_tokens.weight")
)

Matrix = npt.NDArray[np.float16]  # shape (texts, dimensions), one vector of length 1 a row


@dataclass(frozen=True, kw_only=True)
class EmbedderIdentity(Identity):
    """What an embedder is called. Its precision is that of the engine; vectors are kept in float16."""

    dimensions: int
    location: str  # the folder or hub name that it was found by; not part of the id


class Embedder(Protocol):
    """Turns texts into vectors. An embedder belongs to one process: never fork while it is open."""

    @property
    def identity(self) -> EmbedderIdentity:
        """Which embedder this is. Vectors of equal identities may be compared."""
        ...

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        """One vector a text, in the order of the texts. Raises EngineError after a failed step; the embedder is then
        finished.
        """
        ...

    def embed_queries(self, queries: Sequence[tuple[str, str]]) -> Matrix:
        """One vector for each (instruction, query), in their order. Raises EngineError as `embed_documents` does."""
        ...

    def close(self) -> None:
        """Release the engine's memory. May be called twice."""
        ...


def knows(family: str, lang: str) -> bool:
    """Whether vectors of this family of embedders are good for texts in this language. `und` counts as known."""
    languages = LANGUAGES.get(family)
    return languages is None or lang == UNKNOWN or comparable(lang) in languages


class EmbeddingPrompter:
    """What an embedder reads, as token ids: the text without control tokens, cut to its limit, then the end token."""

    def __init__(self, tokenizer_file: Path, *, max_document_tokens: int) -> None:
        """Raises ModelError if the tokenizer is not that of the family."""
        specification = read_tokenizer(tokenizer_file)
        self._encoder = Encoder(specification)
        if END not in self._encoder.control_ids:
            raise ModelError(
                f"{tokenizer_file} has no control token {END!r}: this is no Qwen3-Embedding checkpoint; take its own files"
            )
        self._end = self._encoder.control_ids[END]
        self._limit = max_document_tokens
        self.digest = _prompt_digest(specification)
        self.vocabulary_size = self._encoder.vocabulary_size
        self.max_tokens = max(MAX_QUERY_TOKENS, max_document_tokens) + 1

    def document(self, text: str) -> list[int]:
        """The ids of a document: at most `max_document_tokens`, then the end token."""
        return self._ids(text, self._limit)

    def query(self, instruction: str, query: str) -> list[int]:
        """The ids of a query with its instruction: at most MAX_QUERY_TOKENS, then the end token."""
        return self._ids(QUERY.format(instruction, query), MAX_QUERY_TOKENS)

    def _ids(self, text: str, limit: int) -> list[int]:
        ids, _ = self._encoder.encode(sanitise(text), max_tokens=limit)
        return [*ids, self._end]


def _prompt_digest(specification: dict[str, object]) -> str:
    content = {
        "rules": RULES,
        "format": [FAMILY, QUERY, END, MAX_QUERY_TOKENS],
        "tokenizer": {
            name: specification.get(name) for name in ("model", "normalizer", "pre_tokenizer", "added_tokens")
        },
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_embedder(folder: Path) -> Checkpoint:
    """Check the folder of an embedding checkpoint. Raises ModelError, which says what is wrong with which file."""
    return read_checkpoint(folder, families=EMBEDDERS)


def identify(folder: Path, *, max_document_tokens: int) -> EmbedderIdentity:
    """The identity of an embedding checkpoint's folder. Reads weights as models.identity.identify does.

    Raises ModelError if the checkpoint must not be used.
    """
    checkpoint = read_embedder(folder)
    return EmbedderIdentity(
        family=FAMILY,
        weights=weights_digest(checkpoint),
        prompt=_prompt_digest(read_tokenizer(folder / "tokenizer.json")),
        precision=checkpoint.precision,
        max_document_tokens=max_document_tokens,
        dimensions=int(checkpoint.config["hidden_size"]),
        location=str(folder),
    )


class FakeEmbedder:
    """Embeds without a model: the vector of a text is the sum of fixed random vectors of its words, scaled to length 1.

    `synonyms` maps a word to the word whose vector it shares. A batch with a text that contains `fail_at_text` is a
    failed step.
    """

    def __init__(
        self,
        *,
        dimensions: int = 64,
        synonyms: dict[str, str] | None = None,
        fail_at_text: str | None = None,
        name: str = "fake",
    ) -> None:
        self.identity = EmbedderIdentity(
            family="fake",
            weights=hashlib.sha256(name.encode()).hexdigest(),
            prompt="",
            precision="float32",
            max_document_tokens=512,
            dimensions=dimensions,
            location=name,
        )
        self.asked = 0  # texts embedded so far
        self._synonyms = synonyms or {}
        self._fail_at_text = fail_at_text

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        """See Embedder.embed_documents."""
        if self._fail_at_text and any(self._fail_at_text in text for text in texts):
            raise EngineError("a step failed (told to)")
        self.asked += len(texts)
        return np.asarray([self._embed(text) for text in texts], dtype=np.float16)

    def embed_queries(self, queries: Sequence[tuple[str, str]]) -> Matrix:
        """See Embedder.embed_queries; the instruction is ignored."""
        return self.embed_documents([query for _, query in queries])

    def close(self) -> None:
        """See Embedder.close."""

    def _embed(self, text: str) -> npt.NDArray[np.float32]:
        total = np.full(self.identity.dimensions, 1e-3)
        for word in text.lower().split():
            meaning = self._synonyms.get(word, word)
            seed = int.from_bytes(
                hashlib.sha256(f"{self.identity.location} {meaning}".encode()).digest()[:4], "big"
            )
            total += np.random.default_rng(seed).standard_normal(self.identity.dimensions)
        return np.asarray(total / np.linalg.norm(total), dtype=np.float32)
