"""The ways to score a pair that are compared, each behind the same two calls: start, and score these pairs.

An engine lives in a process of its own (see `process.py`); one engine may serve several contenders, which differ in
the call they make. Every call gives raw logits, yes − no, in the order of the pairs, and clears the engine's prefix
cache first, so that a round learns nothing from the round before.
"""

import gc
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.official import document_part, query_part, whole_prompt
from rerank_core.records import Pair


@dataclass(frozen=True)
class Options:
    """How an engine is built; the same for all of a table but for `block_size` and `eager`."""

    folder: Path
    precision: str
    max_document_tokens: int
    max_prompt_tokens: int
    threads: int
    batch_size: int  # of the padded batches of transformers and sentence-transformers
    kv_cache_gib: float = 1.0
    gpu_share: float = 0.15
    gpu: bool = False
    block_size: int | None = None  # None: vLLM's default
    eager: bool | None = None  # None: vLLM's default
    extra: Mapping[str, Any] = field(default_factory=dict)  # further options of vLLM, over those that are set
    in_flight: int | None = None  # tokens inside our engine at once; None: our own rule
    media: Path | None = None  # the folder that the pairs' pictures are in; None: they have none

    def read_medium(self, path: str) -> bytes:
        """The bytes of a picture of a pair."""
        assert self.media is not None
        return (self.media / path).read_bytes()


@dataclass
class Result:
    """One timed call."""

    seconds: float
    logits: list[float]
    prompt_tokens: list[int] = field(default_factory=list)
    cached_tokens: list[int] = field(default_factory=list)
    padding: int = 0  # computed on top of the prompts
    outside_seconds: float = (
        0.0  # processor time outside the engine's steps: the calling thread and the encoding one
    )
    cpu_seconds: float = 0.0  # of all threads of the process, the call's preparation included


class Ours:
    """This project's scorer."""

    def __init__(self, options: Options) -> None:
        from rerank_core.models.vllm import VllmScorer

        if options.extra:
            _set_engine(options.extra)
        self._scorer = VllmScorer(
            options.folder,
            precision=options.precision,
            max_document_tokens=options.max_document_tokens,
            kv_cache_gib=options.kv_cache_gib,
            gpu_memory_utilization=options.gpu_share,
            eager=options.eager,
            run_canary=False,  # random weights know no order; `canary` times it
            read_medium=options.read_medium,
        )
        if options.in_flight is not None:
            submission = self._scorer._submission
            submission._least_tokens = submission._most_tokens = options.in_flight
        self._media = options.media
        self._inside = 0.0
        engine = self._scorer._llm.llm_engine
        step = engine.step

        def timed() -> Any:
            began = time.thread_time()
            try:
                return step()
            finally:
                self._inside += time.thread_time() - began

        engine.step = timed
        self._building = 0.0
        prompter = self._scorer._prompter
        prompt = prompter.prompt

        def timed_prompt(**texts: str) -> Any:
            began = time.thread_time()
            try:
                return prompt(**texts)
            finally:
                self._building += time.thread_time() - began

        prompter.prompt = timed_prompt  # runs in the thread that encodes ahead

    def score(self, pairs: Sequence[Pair]) -> Result:
        """Everything from texts to float32 scores, in chunks of two seconds, texts encoded again."""
        self._forget()
        began, awake = time.perf_counter(), time.thread_time()
        scores = [s for chunk in self._scorer.score(pairs, flush_seconds=2.0) for s in chunk.scores]
        seconds, outside = time.perf_counter() - began, time.thread_time() - awake - self._inside
        place = {(pair.query_id, pair.document_id): n for n, pair in enumerate(pairs)}
        scores.sort(key=lambda score: place[score.pair.query_id, score.pair.document_id])
        assert len(scores) == len(pairs)
        return Result(
            seconds,
            [s.logit for s in scores],
            [s.prompt_tokens for s in scores],
            [s.cached_tokens for s in scores],
            outside_seconds=outside + self._building,
        )

    def tokens(self, pairs: Sequence[Pair]) -> Result:
        """The same engine asked by `LLM.classify` with ready token ids: what is left is our own cost."""
        self._forget()
        prompter = self._scorer._prompter
        prompts = [
            prompter.prompt(instruction=p.instruction, query=p.query, document=p.document).ids for p in pairs
        ]
        inputs = [{"prompt_token_ids": ids} for ids in prompts]
        result = _pooled(self._scorer._llm, lambda llm, **options: llm.classify(inputs, **options))
        result.outside_seconds -= self._inside
        return result

    def canary(self, pairs: Sequence[Pair]) -> Result:
        """The four pairs of the built-in canary; `pairs` is not looked at."""
        from rerank_core.models.canary import DEFAULT

        return self.score(DEFAULT.pairs())

    def count(self, pairs: Sequence[Pair]) -> Result:
        """Scores without keeping any, as the stage does; the logits are left out."""
        self._forget()
        began = time.perf_counter()
        done = sum(len(chunk.scores) for chunk in self._scorer.score(pairs, flush_seconds=2.0))
        assert done == len(pairs)
        return Result(time.perf_counter() - began, [])

    def _forget(self) -> None:
        self._scorer._llm.reset_prefix_cache()
        prompter = self._scorer._prompter
        prompter._cached_text.cache_clear()
        prompter._cached_query.cache_clear()
        if self._media is not None:
            self._scorer._llm.reset_mm_cache()
            prompter._media.open.cache_clear()
        gc.collect()
        self._inside = self._building = 0.0


def _set_engine(extra: Mapping[str, Any]) -> None:
    """From now on, our engine of this process is built with these options, whatever our own code chooses."""
    from rerank_core.models import vllm as ours

    vllm, _, _ = ours.open_vllm()
    build = vllm.LLM
    vllm.LLM = lambda **given: build(**{**given, **extra})
    if tokens := extra.get("max_num_batched_tokens"):
        ours._CPU_BATCH_TOKENS = ours._GPU_BATCH_TOKENS = tokens


class Vllm:
    """vLLM's own offline calls, the engine built as its Qwen3-Reranker example builds it."""

    def __init__(self, options: Options) -> None:
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        from vllm import LLM

        chosen: dict[str, Any] = {}
        if options.block_size is not None:
            chosen["block_size"] = options.block_size
        if options.eager is not None:
            chosen["enforce_eager"] = options.eager
        if options.gpu:
            chosen["gpu_memory_utilization"] = options.gpu_share
        else:
            chosen["kv_cache_memory_bytes"] = int(options.kv_cache_gib * 2**30)
        self._llm: Any = LLM(
            model=str(options.folder),
            runner="pooling",
            hf_overrides={
                "architectures": ["Qwen3ForSequenceClassification"],
                "classifier_from_token": ["no", "yes"],
                "is_original_qwen3_reranker": True,
            },
            dtype=options.precision,
            max_model_len=options.max_prompt_tokens,
            use_tqdm_on_load=False,
            **{**chosen, **options.extra},
        )

    def score(self, pairs: Sequence[Pair]) -> Result:
        """`LLM.score` with the example's two templates."""
        left, right = [query_part(pair) for pair in pairs], [document_part(pair) for pair in pairs]
        return _pooled(self._llm, lambda llm, **options: llm.score(left, right, **options))

    def classify(self, pairs: Sequence[Pair]) -> Result:
        """`LLM.classify` on whole prompt strings."""
        prompts = [whole_prompt(pair) for pair in pairs]
        return _pooled(self._llm, lambda llm, **options: llm.classify(prompts, **options))


def _pooled(llm: Any, call: Any) -> Result:
    from vllm import PoolingParams

    llm.reset_prefix_cache()
    gc.collect()
    began, awake = time.perf_counter(), time.thread_time()
    outputs = call(llm, pooling_params=PoolingParams(use_activation=False), use_tqdm=False)
    seconds, thread = time.perf_counter() - began, time.thread_time() - awake
    logits = [float(o.outputs.score if hasattr(o.outputs, "score") else o.outputs.probs[0]) for o in outputs]
    return Result(
        seconds,
        logits,
        [len(o.prompt_token_ids) for o in outputs],
        [o.num_cached_tokens or 0 for o in outputs],
        outside_seconds=thread,
    )


class Transformers:
    """Plain transformers: length-sorted padded batches, the logits of the last position."""

    def __init__(self, options: Options) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(options.threads)
        self._torch, self._options = torch, options
        self._device = "cuda" if options.gpu else "cpu"
        self._tokenizer: Any = AutoTokenizer.from_pretrained(options.folder, padding_side="left")
        load: Any = AutoModelForCausalLM.from_pretrained
        self._model = load(options.folder, dtype=options.precision).to(self._device).eval()
        self._yes, self._no = (self._tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no"))

    def forward(self, pairs: Sequence[Pair]) -> Result:
        """Whole strings to logits, `batch_size` at a time."""
        return self._run(pairs, self._options.batch_size)

    def one_by_one(self, pairs: Sequence[Pair]) -> Result:
        """The reference: no padding, no batch."""
        return self._run(pairs, 1)

    def _run(self, pairs: Sequence[Pair], batch_size: int) -> Result:
        torch = self._torch
        began = time.perf_counter()
        ids = self._tokenizer([whole_prompt(p) for p in pairs], add_special_tokens=False)["input_ids"]
        order = sorted(range(len(pairs)), key=lambda n: -len(ids[n]))
        logits = [0.0] * len(pairs)
        padding = 0
        with torch.inference_mode():
            for start in range(0, len(order), batch_size):
                batch = order[start : start + batch_size]
                padded = self._tokenizer.pad({"input_ids": [ids[n] for n in batch]}, return_tensors="pt").to(
                    self._device
                )
                last = self._model(**padded, logits_to_keep=1, use_cache=False).logits[:, -1].float()
                padding += padded["input_ids"].numel() - sum(len(ids[n]) for n in batch)
                for n, value in zip(batch, (last[:, self._yes] - last[:, self._no]).tolist(), strict=True):
                    logits[n] = value
        return Result(time.perf_counter() - began, logits, [len(i) for i in ids], [0] * len(pairs), padding)


class Pictured:
    """transformers in float32 with the family's own processor, for pairs that have pictures."""

    def __init__(self, options: Options) -> None:
        from vision_reference import Reference

        from rerank_core.models.vision import Bounds

        self._options = options
        self._reference = Reference(options.folder, Bounds(), device="cuda" if options.gpu else "cpu")

    def one_by_one(self, pairs: Sequence[Pair]) -> Result:
        """The reference: no padding, no batch."""
        began = time.perf_counter()
        logits, lengths = self._reference.ask(pairs, self._options.read_medium)
        return Result(time.perf_counter() - began, logits, lengths, [0] * len(pairs))


class CrossEncoder:
    """sentence-transformers, put together as its documentation does for this model."""

    def __init__(self, options: Options) -> None:
        import torch
        from sentence_transformers import CrossEncoder as Model
        from sentence_transformers.base.modules import Transformer
        from sentence_transformers.cross_encoder.modules import LogitScore

        torch.set_num_threads(options.threads)
        device = "cuda" if options.gpu else "cpu"
        self._options = options
        encoder = Transformer(
            str(options.folder),
            transformer_task="text-generation",
            model_kwargs={"dtype": options.precision},
        )
        yes, no = (encoder.tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no"))
        self._tokenizer = encoder.tokenizer
        self._model: Any = Model(modules=[encoder, LogitScore(yes, no)], device=device)

    def predict(self, pairs: Sequence[Pair]) -> Result:
        """`predict` on pairs of strings."""
        import torch

        texts = [(query_part(pair), document_part(pair)) for pair in pairs]
        began = time.perf_counter()
        logits = self._model.predict(
            texts,
            batch_size=self._options.batch_size,
            activation_fn=torch.nn.Identity(),
            show_progress_bar=False,
        ).tolist()
        seconds = time.perf_counter() - began
        lengths = [len(i) for i in self._tokenizer([whole_prompt(p) for p in pairs])["input_ids"]]
        return Result(seconds, logits, lengths, [0] * len(pairs))


ENGINES: dict[str, Any] = {
    "ours": Ours,
    "vllm": Vllm,
    "transformers": Transformers,
    "pictured": Pictured,
    "sentence-transformers": CrossEncoder,
}
