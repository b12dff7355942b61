"""The embedding engine: vLLM inside this process, by the rules of vllm.py.

An embedding is the last hidden state of the end token, after the final norm of the model, scaled to length 1.
"""

import gc
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rerank_core.errors import EngineError, ModelError
from rerank_core.models.embedding import EmbeddingPrompter, Matrix, identify, read_embedder
from rerank_core.models.vllm import check_vocabulary, open_engines, open_vllm, start_llm

logger = logging.getLogger(__name__)


class LastStates:
    """An engine that gives the last hidden state of each prompt: what embedding and learning share."""

    _llm: Any
    _parameters: Any  # vLLM's PoolingParams

    def _read(self, prompts: Sequence[list[int]], width: int, *, failed: str) -> npt.NDArray[np.float32]:
        """The states of these prompts, in shape (prompts, hidden); (0, width) if there is none.

        Raises EngineError if the engine is finished, or fails: `failed` says what then has not been done.
        """
        if self._llm is None:
            raise EngineError("this engine is finished; build a new one")
        if not prompts:
            return np.zeros((0, width), dtype=np.float32)
        try:
            outputs = self._llm.embed(
                [{"prompt_token_ids": ids} for ids in prompts],
                pooling_params=self._parameters,
                use_tqdm=False,
            )
            return np.asarray([output.outputs.embedding for output in outputs], dtype=np.float32)
        except BaseException as error:
            self.close()  # requests may be left inside the engine
            if isinstance(error, Exception):
                raise EngineError(
                    f"{len(prompts)} {failed} ({type(error).__name__}: {error}); try again, with more memory if it fails again"
                ) from error
            raise

    def close(self) -> None:
        """End the engine. May be repeated."""
        self._llm = None
        gc.collect()
        open_engines.discard(self)


class VllmEmbedder(LastStates):
    """Embeds texts with a local checkpoint. See Embedder for the contract."""

    def __init__(
        self,
        model_folder: Path,
        *,
        max_document_tokens: int = 512,
        kv_cache_gib: float = 1.0,
        gpu_memory_utilization: float = 0.85,
    ) -> None:
        """Check the checkpoint and build the engine.

        Raises ModelError if the checkpoint must not be used, EngineError if the engine does not start.
        """
        checkpoint = read_embedder(model_folder)
        self.identity = identify(model_folder, max_document_tokens=max_document_tokens)
        self._prompter = EmbeddingPrompter(
            model_folder / "tokenizer.json", max_document_tokens=max_document_tokens
        )
        check_vocabulary(checkpoint, self._prompter.vocabulary_size)
        if self._prompter.max_tokens > checkpoint.max_positions:
            raise ModelError(
                f"{model_folder} reads at most {checkpoint.max_positions} tokens, and a text may have"
                f" {self._prompter.max_tokens}; lower RERANK_MAX_DOCUMENT_TOKENS"
            )
        started = time.monotonic()
        vllm, _, _ = open_vllm()
        from vllm.config import PoolerConfig

        self._llm: Any = start_llm(
            checkpoint,
            max_tokens=self._prompter.max_tokens,
            kv_cache_gib=kv_cache_gib,
            gpu_memory_utilization=gpu_memory_utilization,
            convert="embed",
            hf_overrides={"architectures": ["Qwen3ForCausalLM"]},
            pooler_config=PoolerConfig(task="embed", seq_pooling_type="LAST", use_activation=True),
            dtype=checkpoint.precision,
            enable_prefix_caching=False,  # every text is embedded once
            enforce_eager=True,
        )
        open_engines.add(self)
        self._parameters = vllm.PoolingParams(task="embed", use_activation=True)
        logger.info(
            "engine ready: embedder=%s build_seconds=%.1f",
            self.identity.digest[:12],
            time.monotonic() - started,
        )

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        """See Embedder.embed_documents."""
        return self._embed([self._prompter.document(text) for text in texts])

    def embed_queries(self, queries: Sequence[tuple[str, str]]) -> Matrix:
        """See Embedder.embed_queries."""
        return self._embed([self._prompter.query(instruction, query) for instruction, query in queries])

    def _embed(self, prompts: Sequence[list[int]]) -> Matrix:
        vectors = self._read(prompts, self.identity.dimensions, failed="texts could not be embedded")
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if (
            vectors.shape[1] != self.identity.dimensions
            or not np.isfinite(vectors).all()
            or (lengths == 0).any()
        ):
            self.close()
            raise EngineError(
                f"expected vectors of {self.identity.dimensions} finite numbers that are not all zero, the engine gave"
                f" vectors of {vectors.shape[1]}; check the checkpoint and its precision"
            )
        return np.asarray(vectors / lengths, dtype=np.float16)
