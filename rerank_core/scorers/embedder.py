"""The embedding engine: vLLM's pooling runner inside this process, by the rules of vllm.py.

One engine a process, no remote code, pickle, telemetry or network. An embedding is the last hidden state of the end
token, after the model's final norm, scaled to length 1.
"""

import gc
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rerank_core.errors import EngineError, ModelError
from rerank_core.scorers.embedding import EmbeddingPrompter, Matrix, identify, read_embedder
from rerank_core.scorers.vllm import keep_to_own_modules, open_engines

logger = logging.getLogger(__name__)

_CPU_BATCH_TOKENS = 4096
_GPU_BATCH_TOKENS = 16_384


class VllmEmbedder:
    """Embeds with a local checkpoint; see Embedder for the contract."""

    def __init__(
        self,
        model_folder: Path,
        *,
        max_document_tokens: int = 512,
        kv_cache_gib: float = 1.0,
        gpu_memory_utilization: float = 0.85,
    ) -> None:
        """Check the checkpoint and build the engine.

        Raises ModelError for a checkpoint that must not be used, EngineError when the engine could not be built.
        """
        checkpoint = read_embedder(model_folder)
        self.identity = identify(model_folder, max_document_tokens=max_document_tokens)
        self._prompter = EmbeddingPrompter(
            model_folder / "tokenizer.json", max_document_tokens=max_document_tokens
        )
        if self._prompter.vocabulary_size > checkpoint.vocabulary_size:
            raise ModelError(
                f"{model_folder}: tokenizer.json has ids up to {self._prompter.vocabulary_size - 1}, but vocab_size is "
                f"{checkpoint.vocabulary_size}: they do not belong together; copy the checkpoint again"
            )
        if self._prompter.max_tokens > checkpoint.max_positions:
            raise ModelError(
                f"{model_folder} reads {checkpoint.max_positions} tokens at most; lower RERANK_MAX_DOCUMENT_TOKENS"
            )
        gc.collect()
        if open_engines:
            raise EngineError("this process has an engine already; close it first")
        started = time.monotonic()
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        for name, value in (
            ("VLLM_NO_USAGE_STATS", "1"),
            ("VLLM_LOGGING_LEVEL", "WARNING"),
            ("HF_HUB_OFFLINE", "1"),
        ):
            os.environ.setdefault(name, value)
        import vllm
        from vllm.config import PoolerConfig
        from vllm.platforms import current_platform

        keep_to_own_modules()
        on_cpu = current_platform.is_cpu()
        memory = (
            {"kv_cache_memory_bytes": int(kv_cache_gib * 2**30)}
            if on_cpu
            else {"gpu_memory_utilization": gpu_memory_utilization}
        )
        try:
            self._llm: Any = vllm.LLM(
                model=str(model_folder),
                runner="pooling",
                convert="embed",
                hf_overrides={"architectures": ["Qwen3ForCausalLM"]},
                pooler_config=PoolerConfig(task="embed", seq_pooling_type="LAST", use_activation=True),
                dtype=checkpoint.precision,
                load_format="safetensors",
                use_tqdm_on_load=False,
                trust_remote_code=False,
                enable_prompt_embeds=False,
                enable_prefix_caching=False,  # every text is embedded once
                max_model_len=self._prompter.max_tokens,
                max_num_batched_tokens=max(
                    self._prompter.max_tokens, _CPU_BATCH_TOKENS if on_cpu else _GPU_BATCH_TOKENS
                ),
                max_num_seqs=256,
                enforce_eager=True,
                **memory,
            )
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            raise ModelError(f"{model_folder}: vLLM refused the checkpoint: {error}") from error
        except Exception as error:
            raise EngineError(
                f"vLLM could not be started with {model_folder} ({type(error).__name__}: {error})"
            ) from error
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

    def embed_queries(self, asked: Sequence[tuple[str, str]]) -> Matrix:
        """See Embedder.embed_queries."""
        return self._embed([self._prompter.query(instruction, query) for instruction, query in asked])

    def _embed(self, prompts: Sequence[list[int]]) -> Matrix:
        if self._llm is None:
            raise EngineError("this embedder is finished; build a new one")
        if not prompts:
            return np.zeros((0, self.identity.dimensions), dtype=np.float16)
        try:
            found = self._llm.embed(
                [{"prompt_token_ids": ids} for ids in prompts],
                pooling_params=self._parameters,
                use_tqdm=False,
            )
            vectors = np.asarray([one.outputs.embedding for one in found], dtype=np.float32)
        except BaseException as error:
            self.close()  # requests may be left inside
            if isinstance(error, Exception):
                raise EngineError(f"the embedding of {len(prompts)} texts failed ({error})") from error
            raise
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if (
            vectors.shape[1] != self.identity.dimensions
            or not np.isfinite(vectors).all()
            or (lengths == 0).any()
        ):
            self.close()
            raise EngineError(
                f"the engine gave vectors of {vectors.shape[1]} numbers, expected {self.identity.dimensions}, all finite"
            )
        return np.asarray(vectors / lengths, dtype=np.float16)

    def close(self) -> None:
        """Give the engine's memory back; may be called twice."""
        self._llm = None
        gc.collect()
        open_engines.discard(self)
