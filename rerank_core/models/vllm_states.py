"""Last hidden states: what a Qwen3 reranker makes of a pair before its score head. A logit is a state times the head.

The engine is that of vllm.py, with the same prompts, precision and prefix cache. So a head that was learned from these states
gives, in a scoring engine, the logits that it gave here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rerank_core.errors import EngineError, InputError, ModelError
from rerank_core.models.identity import read_checkpoint, resolve_precision
from rerank_core.models.prompt import Prompter
from rerank_core.models.vllm import arithmetic, cpu_block, open_engines, open_vllm, require_vllm, start_llm
from rerank_core.models.vllm_embedder import LastStates
from rerank_core.models.weights import read_rows
from rerank_core.records import Pair

FAMILY = "qwen3-reranker"

Matrix = npt.NDArray[np.float32]


class VllmStates(LastStates):
    """Gives last hidden states of pairs. `head` is the checkpoint's own: row(yes) − row(no), float32 of shape (hidden,)."""

    def __init__(
        self,
        model_folder: Path,
        *,
        precision: str = "auto",
        max_document_tokens: int = 512,
        kv_cache_gib: float = 1.0,
        gpu_memory_utilization: float = 0.85,
    ) -> None:
        """Check the checkpoint and build the engine.

        Raises ModelError if the checkpoint must not be used or has another head, EngineError if the engine does not start.
        """
        require_vllm("learn")
        checkpoint = read_checkpoint(model_folder)
        if checkpoint.family.name != FAMILY:
            raise ModelError(
                f"{model_folder} is of the family {checkpoint.family.name}: a head is learned for {FAMILY} alone;"
                " give the original Qwen3-Reranker"
            )
        self._prompter = Prompter(
            model_folder / "tokenizer.json",
            max_document_tokens=max_document_tokens,
            form=checkpoint.family.form,
        )
        tied = checkpoint.config.get("tie_word_embeddings", True)
        rows = [self._prompter.yes_id or 0, self._prompter.no_id or 0]
        yes, no = read_rows(model_folder, checkpoint.family.embedding if tied else "lm_head.weight", rows)
        self.head: Matrix = yes - no
        self._max_tokens = min(self._prompter.max_prompt_tokens, checkpoint.max_positions)
        vllm, on_cpu, _ = open_vllm()
        from vllm.config import PoolerConfig

        self._llm: Any = start_llm(
            checkpoint,
            max_tokens=self._max_tokens,
            kv_cache_gib=kv_cache_gib,
            gpu_memory_utilization=gpu_memory_utilization,
            convert="embed",
            pooler_config=PoolerConfig(task="embed", seq_pooling_type="LAST", use_activation=False),
            **arithmetic(resolve_precision(precision, checkpoint), on_cpu=on_cpu),
            enable_prefix_caching=True,
            enforce_eager=on_cpu,
            **cpu_block(on_cpu),
        )
        open_engines.add(self)
        self._parameters = vllm.PoolingParams(task="embed", use_activation=False)

    def prompt_ids(self, pair: Pair) -> list[int] | None:
        """The token ids of a pair's first window; None if the pair is refused."""
        try:
            prompt = self._prompter.prompt(
                instruction=pair.instruction, query=pair.query, document=pair.document
            )
        except InputError:
            return None
        return prompt.ids if len(prompt.ids) <= self._max_tokens else None

    def states(self, prompts: Sequence[list[int]]) -> Matrix:
        """The last hidden state of each prompt, in shape (prompts, hidden). Raises EngineError if the engine fails."""
        found = self._read(prompts, len(self.head), failed="pairs could not be read")
        if found.shape[1] != len(self.head) or not np.isfinite(found).all():
            self.close()
            raise EngineError(
                f"expected states of {len(self.head)} finite numbers, the engine gave {found.shape[1]}; check the"
                " checkpoint and its precision"
            )
        return found
