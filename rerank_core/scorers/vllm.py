"""The scoring engine: vLLM inside this process. The only file that imports vLLM, and only when a scorer is built.

Pairs are submitted continuously and looked at between engine steps: a step is kept to about a second of work, so the
deadline, an interrupt and the flush to the ledger are never far away, and the engine never idles. Everything that can
be wrong with a pair is checked before it is submitted, so one pair does not take its batch with it.

After any exception out of the engine, an interrupt included, requests may be left inside it: the scorer is finished,
says so, and refuses further use. Close it before another is built: vLLM keeps process-wide state, and closing one
engine breaks every other of its process.
"""

import gc
import logging
import math
import os
import sys
import time
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rerank_core.errors import EngineError, InputError, ModelError
from rerank_core.prompt import Prompter
from rerank_core.records import Pair, Score
from rerank_core.scorers.base import ChunkFailed, Refusal, ScoredChunk, name_pairs
from rerank_core.scorers.canary import read_canary
from rerank_core.scorers.identity import identify, read_checkpoint, resolve_precision

logger = logging.getLogger(__name__)

_STEP_SECONDS = 1.0  # work that one engine step is aimed at
_LOG_SECONDS = 5.0
_CPU_BATCH_TOKENS = 4096
_GPU_BATCH_TOKENS = 16_384
_CPU_BLOCK_TOKENS = 32  # vLLM's 128 would never reuse the prefix of a short query; 16 is refused

_open: "weakref.WeakSet[VllmScorer]" = weakref.WeakSet()


@dataclass
class _Sent:
    """A pair inside the engine."""

    index: int  # in the pairs given
    pair: Pair
    tokens: int
    truncated: bool
    neutralised: bool
    since: float


@dataclass
class _Ready:
    """Results since the last chunk, by index in the pairs given."""

    scores: dict[int, Score] = field(default_factory=dict)
    refused: dict[int, Refusal] = field(default_factory=dict)
    neutralised: dict[int, Pair] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)

    def chunk(self) -> ScoredChunk:
        return ScoredChunk(
            scores=tuple(self.scores[index] for index in sorted(self.scores)),
            refused=tuple(self.refused[index] for index in sorted(self.refused)),
            neutralised=tuple(self.neutralised[index] for index in sorted(self.neutralised)),
            seconds=time.monotonic() - self.since,
        )


class VllmScorer:
    """Scores pairs with a local checkpoint; see Scorer for the contract."""

    def __init__(
        self,
        model_folder: Path,
        *,
        precision: str = "auto",
        max_document_tokens: int = 512,
        kv_cache_gib: float = 1.0,
        gpu_memory_utilization: float = 0.85,
        in_flight_tokens: int | None = None,
        eager: bool | None = None,
        run_canary: bool = True,
    ) -> None:
        """Check the checkpoint, build the engine, run the canary.

        `in_flight_tokens` bounds what is inside the engine at once (a retry after a failed step halves it); None lets
        the measured speed decide. `eager` None: eager on the CPU, compiled on a GPU.
        Raises ModelError for a checkpoint that must not be used, EngineError when the engine could not be built.
        """
        checkpoint = read_checkpoint(model_folder)
        self.identity = identify(model_folder, precision=precision, max_document_tokens=max_document_tokens)
        self._prompter = Prompter(
            model_folder / "tokenizer.json",
            max_document_tokens=max_document_tokens,
            form=checkpoint.family.form,
        )
        if self._prompter.vocabulary_size > checkpoint.vocabulary_size:
            raise ModelError(
                f"{model_folder}: tokenizer.json has ids up to {self._prompter.vocabulary_size - 1}, but vocab_size is "
                f"{checkpoint.vocabulary_size}: they do not belong together; copy the checkpoint again"
            )
        canary = read_canary(model_folder)
        gc.collect()
        if _open:
            raise EngineError("this process has an engine already; close that scorer first")
        self._max_tokens = min(self._prompter.max_prompt_tokens, checkpoint.max_positions)
        started = time.monotonic()
        self.finished = False
        self._busy = False
        self._process = os.getpid()
        self._sequence = 0
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = (
            "0"  # a spawned engine would import Airflow anew, and die
        )
        for name, value in (
            ("VLLM_NO_USAGE_STATS", "1"),
            ("VLLM_LOGGING_LEVEL", "WARNING"),
            ("HF_HUB_OFFLINE", "1"),
        ):
            os.environ.setdefault(name, value)
        _shield_llvmlite()
        import vllm
        from vllm.platforms import current_platform

        on_cpu = current_platform.is_cpu()
        self.engine = f"vllm {vllm.__version__} {current_platform.get_device_name()}"
        batch_tokens = max(self._max_tokens, _CPU_BATCH_TOKENS if on_cpu else _GPU_BATCH_TOKENS)
        memory = (
            {"kv_cache_memory_bytes": int(kv_cache_gib * 2**30), "block_size": _CPU_BLOCK_TOKENS}
            if on_cpu
            else {"gpu_memory_utilization": gpu_memory_utilization}
        )
        try:
            self._llm: Any = vllm.LLM(
                model=str(model_folder),
                runner="pooling",
                hf_overrides=dict(checkpoint.family.overrides),
                dtype=resolve_precision(precision, checkpoint),
                load_format="safetensors",
                use_tqdm_on_load=False,
                trust_remote_code=False,
                enable_prompt_embeds=False,
                enable_prefix_caching=True,
                max_model_len=self._max_tokens,
                max_num_batched_tokens=batch_tokens,
                max_num_seqs=256,
                enforce_eager=on_cpu if eager is None else eager,
                **memory,
            )
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            raise ModelError(f"{model_folder}: vLLM refused the checkpoint: {error}") from error
        except Exception as error:
            raise EngineError(
                f"vLLM could not be started with {model_folder} ({type(error).__name__}: {error})"
            ) from error
        _open.add(self)
        self._parameters = vllm.PoolingParams(task="classify", use_activation=False)
        self._speed: float | None = None  # computed tokens a second
        self._most_tokens = min(in_flight_tokens or 2 * batch_tokens, 2 * batch_tokens)
        self._least_tokens = 512 if on_cpu else self._most_tokens
        built = time.monotonic()
        if run_canary:
            try:
                scores = [
                    s for chunk in self.score(canary.pairs(), flush_seconds=math.inf) for s in chunk.scores
                ]
                canary.check({(s.pair.query_id, s.pair.document_id): s.logit for s in scores})
            except BaseException:
                self.close()
                raise
        logger.info(
            "engine ready: engine=%s scorer=%s build_seconds=%.1f canary_seconds=%.1f",
            self.engine,
            self.identity.digest[:12],
            built - started,
            time.monotonic() - built,
        )

    def score(
        self, pairs: Sequence[Pair], *, flush_seconds: float, deadline: float | None = None
    ) -> Iterator[ScoredChunk]:
        """See Scorer.score. One call at a time; leaving the iteration early takes its pairs out of the engine."""
        self._check_usable()
        self._busy = True
        sent: dict[str, _Sent] = {}
        try:
            yield from self._score(pairs, sent, flush_seconds, deadline)
        except GeneratorExit:
            self._withdraw(sent)
            raise
        except BaseException:
            self.finished = True
            raise
        finally:
            self._busy = False

    def close(self) -> None:
        """Give the engine's memory back; may be called twice."""
        self.finished = True
        self._llm = None
        gc.collect()
        _open.discard(self)

    def _check_usable(self) -> None:
        if self.finished:
            raise EngineError("this scorer is finished (a step failed, or it was closed); build a new one")
        if self._busy:
            raise EngineError("this scorer is already scoring; finish that iteration first")
        if self._process != os.getpid():
            raise EngineError("this scorer belongs to the process that built it; build one in this process")

    def _score(
        self, pairs: Sequence[Pair], sent: dict[str, _Sent], flush_seconds: float, deadline: float | None
    ) -> Iterator[ScoredChunk]:
        waiting = _by_query(pairs)
        ready = _Ready()
        done, logged, began = 0, time.monotonic(), time.monotonic()
        failure: ChunkFailed | None = None
        while (waiting or sent) and failure is None:
            if deadline is not None and time.monotonic() >= deadline:
                self._withdraw(sent)
                break
            failure = self._submit(pairs, waiting, sent, ready, flush_seconds)
            if failure is None and sent:
                failure = self._step(sent, ready)
            now = time.monotonic()
            if now - ready.since >= flush_seconds and failure is None:
                done += len(ready.scores)
                if now - logged >= _LOG_SECONDS:
                    logged = now
                    logger.info(
                        "scoring: scored=%d of=%d pairs_per_second=%.1f",
                        done,
                        len(pairs),
                        done / (now - began),
                    )
                yield ready.chunk()
                ready = _Ready()
        if ready.scores or ready.refused:
            yield ready.chunk()
        if failure is not None:
            raise failure

    def _submit(
        self,
        pairs: Sequence[Pair],
        waiting: deque[int],
        sent: dict[str, _Sent],
        ready: _Ready,
        flush_seconds: float,
    ) -> ChunkFailed | None:
        """Fill the engine up to about one step's work; pairs that cannot be scored are refused."""
        seconds = min(_STEP_SECONDS, flush_seconds / 2)
        wanted = self._least_tokens if self._speed is None else int(self._speed * seconds)
        allowed = min(max(wanted, self._least_tokens), self._most_tokens)
        inside = sum(entry.tokens for entry in sent.values())
        while waiting and (inside < allowed or not sent):
            index = waiting.popleft()
            pair = pairs[index]
            try:
                prompt = self._prompter.prompt(
                    instruction=pair.instruction, query=pair.query, document=pair.document
                )
            except InputError as error:
                ready.refused[index] = Refusal(pair, str(error))
                continue
            tokens = len(prompt.ids)
            if tokens > self._max_tokens:
                reason = f"the prompt has {tokens} tokens, the model takes {self._max_tokens}"
                ready.refused[index] = Refusal(pair, reason)
                continue
            request = str(self._sequence)
            self._sequence += 1
            sent[request] = _Sent(index, pair, tokens, prompt.truncated, prompt.neutralised, time.monotonic())
            try:
                self._llm.llm_engine.add_request(
                    request, {"type": "token", "prompt_token_ids": prompt.ids}, self._parameters
                )
            except Exception as error:
                self.finished = True
                return _failed("the engine refused a pair", error, [pair])
            inside += tokens
        return None

    def _step(self, sent: dict[str, _Sent], ready: _Ready) -> ChunkFailed | None:
        """One engine step; its results go to `ready`."""
        began = time.monotonic()
        try:
            outputs = self._llm.llm_engine.step()
        except Exception as error:
            self.finished = True
            return _failed("a step of the engine failed", error, [entry.pair for entry in sent.values()])
        now = time.monotonic()
        computed = 0
        for output in outputs:
            if not output.finished:
                continue
            entry = sent.pop(output.request_id.partition("-")[0])
            if getattr(output, "error", None) is not None:
                ready.refused[entry.index] = Refusal(entry.pair, f"the engine reports: {output.error}")
                continue
            logit = float(output.outputs.data.item())
            if not math.isfinite(logit):
                self.finished = True  # shared blocks of the prefix cache may hold the same value
                return ChunkFailed(
                    f"the logit of {name_pairs([entry.pair])} is {logit}: an overflow in this precision, or "
                    "damaged weights",
                    suspects=[entry.pair],
                )
            cached = max(0, output.num_cached_tokens or 0)
            computed += entry.tokens - cached
            if entry.neutralised:
                ready.neutralised[entry.index] = entry.pair
            ready.scores[entry.index] = Score(
                pair=entry.pair,
                logit=logit,
                truncated=entry.truncated,
                latency_ms=(now - entry.since) * 1000,
                prompt_tokens=entry.tokens,
                cached_tokens=cached,
            )
        if computed:
            speed = computed / max(now - began, 1e-6)
            self._speed = speed if self._speed is None else (self._speed + speed) / 2
        return None

    def _withdraw(self, sent: dict[str, _Sent]) -> None:
        """Take pairs back out of the engine, so that it can be used again."""
        if sent and not self.finished:
            try:
                self._llm.llm_engine.abort_request(list(sent))
            except BaseException:
                self.finished = True
                raise
        sent.clear()


def _by_query(pairs: Sequence[Pair]) -> deque[int]:
    """Indexes of pairs, those of one query side by side: its prefix is then computed once."""
    place: dict[tuple[str, str], int] = {}
    order = [place.setdefault((pair.instruction, pair.query), len(place)) for pair in pairs]
    return deque(sorted(range(len(pairs)), key=order.__getitem__))


def _failed(what: str, error: Exception, suspects: Sequence[Pair]) -> ChunkFailed:
    failure = ChunkFailed(f"{what} ({type(error).__name__}: {error})", suspects=suspects)
    failure.__cause__ = error
    return failure


def _shield_llvmlite() -> None:
    """Keep vLLM's start from tripping over llvmlite, which BM25 loads in the same process.

    vLLM 0.32 on the CPU looks through every module for kernels, by `vars`; llvmlite's library proxy
    answers to any name, `__dict__` too, with a function.
    """
    ffi = sys.modules.get("llvmlite.binding.ffi")
    proxy: Any = type(getattr(ffi, "lib", None))
    answer = getattr(proxy, "__getattr__", None)
    if answer is None or getattr(answer, "shielded", False):
        return

    def shielded(self: object, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return answer(self, name)

    shielded.shielded = True  # type: ignore[attr-defined]
    proxy.__getattr__ = shielded
