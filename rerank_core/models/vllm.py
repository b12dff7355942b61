"""The scoring engine: vLLM inside this process. vllm_embedder.py starts its engine by the same functions.

- vLLM is imported only when an engine is built, and only from a checked checkpoint.
- The engine runs in this process. A spawned process would import Airflow again, and die.
- It runs without remote code, pickle, telemetry and network.
- The canary is scored before any other pair.
- A process has one engine at a time: vLLM keeps state of the process, and closing one engine breaks all others.
"""

import contextlib
import gc
import logging
import math
import os
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rerank_core.errors import EngineError, ModelError
from rerank_core.models.base import ScoredChunk
from rerank_core.models.canary import Canary, read_canary
from rerank_core.models.identity import ONLINE, Checkpoint, identify, read_checkpoint
from rerank_core.models.prompt import CACHED_TEXTS, Passages
from rerank_core.models.submission import Submission
from rerank_core.models.vision import (
    Bounds,
    VisionPrompter,
    VisionRenderer,
    engine_options,
    make_prompter,
    nothing_stored,
    require_vision,
)
from rerank_core.records import Pair

logger = logging.getLogger(__name__)

_CPU_BATCH_TOKENS = 4096
_GPU_BATCH_TOKENS = 16_384
_CPU_LEAST_TOKENS = 512  # in the engine at once, before the speed is known
_CPU_COMPILE_PAIRS = 1_000  # compiling makes scoring 10 % faster, and costs 15 s a start, 45 s the first time
_CPU_BLOCK_TOKENS = 32  # the default of 128 would never reuse the prefix of a short query; vLLM refuses 16

_LONGEST_REASON = 600  # characters of vLLM's own words; it may list every architecture that it knows

open_engines: weakref.WeakSet[Any] = weakref.WeakSet()  # scorers and embedders of this process


class VllmScorer:
    """Scores pairs with a local checkpoint. See Scorer for the contract.

    `in_flight_tokens` limits the tokens inside the engine at once; None lets the measured speed decide. `eager` says
    whether the model runs without compilation; None compiles on a GPU, and on a CPU if there are at least
    _CPU_COMPILE_PAIRS `expected_pairs`. `kv_cache_gib` counts on a CPU, `gpu_memory_utilization` (0..1) on a GPU. The ids of
    `cached_texts` texts are kept. `bounds` and `read_medium`, which gives the bytes of a path of the store, count for a family
    that reads pictures only.
    """

    def __init__(
        self,
        model_folder: Path,
        *,
        precision: str = "auto",
        max_document_tokens: int = 512,
        passages: Passages = "lead",
        kv_cache_gib: float = 1.0,
        gpu_memory_utilization: float = 0.85,
        in_flight_tokens: int | None = None,
        eager: bool | None = None,
        expected_pairs: int = 0,
        run_canary: bool = True,
        cached_texts: int = CACHED_TEXTS,
        bounds: Bounds = Bounds(),  # noqa: B008  (frozen)
        read_medium: Callable[[str], bytes] | None = None,
    ) -> None:
        """Check the checkpoint, build the engine, run the canary.

        Raises ModelError if the checkpoint must not be used or its canary fails, EngineError if the engine does not
        start.
        """
        checkpoint = read_checkpoint(model_folder)
        limits: Any = {"max_document_tokens": max_document_tokens, "passages": passages, "bounds": bounds}
        self.identity = identify(model_folder, precision=precision, **limits)
        self._prompter = make_prompter(
            model_folder,
            form=checkpoint.family.form,
            read_medium=read_medium or nothing_stored,
            cached_texts=cached_texts,
            **limits,
        )
        reads_media = isinstance(self._prompter, VisionPrompter)
        if reads_media:
            require_vision()
        check_vocabulary(checkpoint, self._prompter.vocabulary_size)
        # Before the engine starts, since the file may be damaged.
        canary = read_canary(model_folder, default=checkpoint.family.canary)
        self._max_tokens = min(self._prompter.max_prompt_tokens, checkpoint.max_positions)
        started = time.monotonic()
        vllm, on_cpu, device = open_vllm()
        self.engine = f"vllm {vllm.__version__} {device}"
        self._llm: Any = start_llm(
            checkpoint,
            max_tokens=self._max_tokens,
            kv_cache_gib=kv_cache_gib,
            gpu_memory_utilization=gpu_memory_utilization,
            hf_overrides=dict(checkpoint.family.overrides),
            enable_prefix_caching=checkpoint.family.causal,
            enforce_eager=on_cpu and expected_pairs < _CPU_COMPILE_PAIRS if eager is None else eager,
            **(engine_options(bounds) if reads_media else {}),
            **arithmetic(self.identity.precision, on_cpu=on_cpu),
            **cpu_block(on_cpu),
        )
        open_engines.add(self)
        parameters = vllm.PoolingParams(task="classify", use_activation=False)
        self._submission = self._open_submission(parameters, in_flight_tokens, on_cpu=on_cpu)
        built = time.monotonic()
        self.canary_margin = self._check_canary(canary) if run_canary else None
        logger.info(
            "engine ready: engine=%s scorer=%s build_seconds=%.1f canary_seconds=%.1f",
            self.engine,
            self.identity.digest[:12],
            built - started,
            time.monotonic() - built,
        )

    def _open_submission(self, parameters: Any, in_flight_tokens: int | None, *, on_cpu: bool) -> Submission:
        """What hands pairs to the engine, within the tokens that may be in the engine at once."""
        batch_tokens = _batch_tokens(self._max_tokens, on_cpu=on_cpu)
        return Submission(
            self._llm.llm_engine,
            parameters=parameters,
            prompter=self._prompter,
            max_prompt_tokens=self._max_tokens,
            least_tokens=_CPU_LEAST_TOKENS if on_cpu else 2 * batch_tokens,
            most_tokens=min(in_flight_tokens or 2 * batch_tokens, 2 * batch_tokens),
            **({"render": VisionRenderer(self._llm)} if isinstance(self._prompter, VisionPrompter) else {}),
        )

    def _check_canary(self, canary: Canary) -> float:
        """The margin of the canary, in logits. Raises ModelError if it fails; the scorer is then closed."""
        try:
            chunks = list(self.score(canary.pairs(), flush_seconds=math.inf))
            scores = [score for chunk in chunks for score in chunk.scores]
            return canary.check(
                {(score.pair.query_id, score.pair.document_id): score.logit for score in scores}
            )
        except BaseException:
            self.close()
            raise

    def score(
        self, pairs: Sequence[Pair], *, flush_seconds: float, deadline: float | None = None
    ) -> Iterator[ScoredChunk]:
        """See Scorer.score. One call at a time."""
        return self._submission.score(pairs, flush_seconds=flush_seconds, deadline=deadline)

    def close(self) -> None:
        """See Scorer.close."""
        self._submission.release()
        self._llm = None
        gc.collect()
        open_engines.discard(self)


def require_vllm(work: str) -> None:
    """Raises ModelError if this host cannot do this work, for example "score", because it has no vLLM."""
    if find_spec("vllm") is None:
        raise ModelError(
            f"vllm is not installed: this host cannot {work}; install news-rerank[gpu], or [cpu] without a GPU"
        )


def check_vocabulary(checkpoint: Checkpoint, size: int) -> None:
    """Raises ModelError if a tokenizer of this size has ids without a row in the checkpoint's embedding."""
    if size > checkpoint.vocabulary_size:
        raise ModelError(
            f"{checkpoint.folder}: tokenizer.json has ids up to {size - 1}, but vocab_size is "
            f"{checkpoint.vocabulary_size}: they do not belong together; copy the checkpoint again"
        )


def open_vllm() -> tuple[Any, bool, str]:
    """The module vLLM, set up for an engine in this process; whether it runs on the CPU; and the name of its device.

    Raises EngineError if this process has an engine already.
    """
    gc.collect()
    if open_engines:
        raise EngineError("this process has an engine already; close that engine first")
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    for name, value in (
        ("VLLM_NO_USAGE_STATS", "1"),
        # Warnings of vLLM and of the code below it are about other uses of the engine. torch reads its level when it is loaded.
        ("VLLM_LOGGING_LEVEL", "ERROR"),
        ("TORCH_CPP_LOG_LEVEL", "ERROR"),
        ("HF_HUB_OFFLINE", "1"),
    ):
        os.environ.setdefault(name, value)
    # vLLM sets this level itself, but only when an engine is built: its modules speak before.
    logging.getLogger("vllm").setLevel(os.environ["VLLM_LOGGING_LEVEL"].upper())
    wait_asleep_if_busy()
    import vllm
    from vllm.platforms import current_platform

    keep_to_own_modules()
    if current_platform.is_cpu():
        # vLLM 0.32 cannot load its ahead-of-time cache on the CPU. With it, every start would compile again.
        os.environ.setdefault("VLLM_USE_AOT_COMPILE", "0")
    return vllm, current_platform.is_cpu(), current_platform.get_device_name().replace(" ", "-")


def wait_asleep_if_busy() -> None:
    """Let the engine's threads sleep while they wait for one another, if others want this host's processors, too.

    Spinning, they would take processor time from the work that they wait for. The load of the last minute decides. libgomp
    reads the variable when torch loads it, so this comes before torch. A value that is set already stays.
    """
    if os.getloadavg()[0] > len(os.sched_getaffinity(0)):
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def start_llm(
    checkpoint: Checkpoint,
    *,
    max_tokens: int,
    kv_cache_gib: float,
    gpu_memory_utilization: float,
    **options: Any,
) -> Any:
    """A pooling engine of the checkpoint, for prompts of at most `max_tokens`. vLLM gets the `options` unchanged.

    Call `open_vllm` first. Raises ModelError if vLLM refuses the checkpoint, EngineError if it does not start.
    """
    import vllm
    from vllm.platforms import current_platform

    on_cpu = current_platform.is_cpu()
    memory = (
        {"kv_cache_memory_bytes": int(kv_cache_gib * 2**30)}
        if on_cpu
        else {"gpu_memory_utilization": gpu_memory_utilization}
    )
    try:
        with _int8_kernel_of_any_precision(options.get("dtype")):
            return vllm.LLM(
                model=str(checkpoint.folder),
                runner="pooling",
                load_format="safetensors",
                use_tqdm_on_load=False,
                trust_remote_code=False,
                enable_prompt_embeds=False,
                max_model_len=max_tokens,
                max_num_batched_tokens=_batch_tokens(max_tokens, on_cpu=on_cpu),
                max_num_seqs=256,
                **memory,
                **options,
            )
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise ModelError(
            f"{checkpoint.folder}: vLLM refused the checkpoint: {str(error)[:_LONGEST_REASON]}; take another checkpoint"
        ) from error
    except Exception as error:
        raise EngineError(
            f"vLLM did not start with {checkpoint.folder} ({type(error).__name__}: {error}); check memory and device"
        ) from error


def arithmetic(precision: str, *, on_cpu: bool) -> dict[str, Any]:
    """vLLM's options for a resolved precision. Raises ModelError if the device does not have it."""
    if precision != ONLINE:
        return {"dtype": precision}
    if on_cpu:
        raise ModelError(
            "RERANK_PRECISION=fp8 needs a GPU; set auto, or make an int8 copy by `rerank scorer quantise`"
        )
    return {"dtype": "bfloat16", "quantization": "fp8"}


@contextlib.contextmanager
def _int8_kernel_of_any_precision(dtype: object) -> Iterator[None]:
    """Let int8 weights run in every precision on a CPU with AMX, as they run on a CPU without AMX.

    On a CPU with AMX, vLLM takes an AMX kernel for int8 weights, whatever the precision. At the first step the kernel
    refuses float32, and in float16 it ends the process if the CPU has no AMX for float16. So while an engine of another
    precision than bfloat16 loads its weights, vLLM is told that this kernel does not fit: it takes oneDNN's kernel.
    """
    try:
        from vllm.model_executor.kernels.linear.scaled_mm import cpu as kernels
    except ImportError:  # a version that keeps its kernels elsewhere, or a build for GPUs
        kernels = None
    fits = getattr(kernels, "check_cpu_sgl_kernel", None)
    if dtype == "bfloat16" or fits is None:
        yield
        return
    kernels.check_cpu_sgl_kernel = lambda n, k, weights: False
    try:
        yield
    finally:
        kernels.check_cpu_sgl_kernel = fits


def cpu_block(on_cpu: bool) -> dict[str, int]:
    """The option of vLLM that lets short prefixes be reused on a CPU."""
    return {"block_size": _CPU_BLOCK_TOKENS} if on_cpu else {}


def _batch_tokens(max_tokens: int, *, on_cpu: bool) -> int:
    return max(max_tokens, _CPU_BATCH_TOKENS if on_cpu else _GPU_BATCH_TOKENS)


class _OwnModules:
    """`sys.modules` as vLLM sees it: any module by its name, but a list of vLLM's modules only."""

    def __getitem__(self, name: str) -> Any:
        return sys.modules[name]

    def values(self) -> list[Any]:
        return [module for name, module in sys.modules.items() if name.partition(".")[0] == "vllm"]


def keep_to_own_modules() -> None:
    """Keep vLLM's start away from the modules of other libraries.

    On the CPU, vLLM 0.32 searches every module of the process for its own kernels, by `vars`. Proxies raise an error
    then: that of llvmlite, which BM25 loads, and that of flask, which Airflow may load.
    """
    if find_spec("vllm.triton_utils.dispatcher") is not None:
        from vllm.triton_utils import dispatcher

        dispatcher.sys = SimpleNamespace(modules=_OwnModules())
