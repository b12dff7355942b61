"""Read the last hidden states of pairs, in parts that outlive a task that is stopped.

A part holds states by the digest of prompt, weights and precision: vectors, and no text. Whoever needs a state that a part has
does not read it again.
"""

import hashlib
import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any
from zipfile import BadZipFile

import numpy as np

from rerank_core.errors import RetryableError
from rerank_core.learning.tune import Floats
from rerank_core.models.identity import ScorerIdentity
from rerank_core.models.vllm_states import Matrix, VllmStates
from rerank_core.models.weights import resolve_model
from rerank_core.records import Pair
from rerank_core.settings import Settings

log = logging.getLogger(__name__)

CHUNK = 64  # prompts between two looks at the clock

Progress = Callable[[int, int], None]  # pairs read so far, pairs to read


class NotFinished(RetryableError):
    """The deadline passed before all pairs were read. They are kept: the next try goes on from there."""


def read_states(
    settings: Settings,
    base: ScorerIdentity,
    pairs: Sequence[Pair],
    *,
    parts: Path,
    minutes: float | None,
    on_progress: Progress,
) -> tuple[Floats, Floats]:
    """The states of these pairs, NaN for one that is refused, and the base's head. Kept parts are not read again.

    Raises NotFinished at the deadline; what was read is kept.
    """
    deadline = None if minutes is None else monotonic() + minutes * 60
    parts.mkdir(parents=True, exist_ok=True)
    known = _known(parts)
    engine = VllmStates(
        resolve_model(settings.model),
        precision=settings.precision,
        max_document_tokens=settings.max_document_tokens,
        kv_cache_gib=settings.kv_cache_gib,
        gpu_memory_utilization=settings.gpu_memory_utilization,
    )
    with closing(engine):
        prompts = [engine.prompt_ids(pair) for pair in pairs]
        digests = [None if ids is None else _digest(base, ids) for ids in prompts]
        waiting = {
            digest: ids
            for digest, ids in zip(digests, prompts, strict=True)
            if digest is not None and ids is not None and digest not in known
        }
        order = sorted(waiting, key=lambda digest: waiting[digest])  # prompts with a common prefix together
        for start in range(0, len(order), CHUNK):
            on_progress(start, len(order))
            if deadline is not None and monotonic() >= deadline:
                raise NotFinished(
                    f"{minutes:g} minutes have passed, and {start} of {len(order)} pairs are read and kept; start it again to go on"
                )
            chosen = order[start : start + CHUNK]
            found = engine.states([waiting[digest] for digest in chosen])
            _keep_part(parts, chosen, found)
            known |= dict(zip(chosen, found, strict=True))
        on_progress(len(order), len(order))
    nothing = np.full(len(engine.head), np.nan)
    states = np.stack([nothing if digest is None else known[digest] for digest in digests])
    return states.astype(np.float64), engine.head.astype(np.float64)


def _keep_part(parts: Path, digests: Sequence[str], states: Matrix) -> None:
    draft = parts / f".{digests[0]}.npz"
    np.savez(draft, digests=np.asarray(digests), states=states)
    draft.rename(parts / f"{digests[0]}.npz")


def _known(parts: Path) -> dict[str, Any]:
    """digest → state, of a training that was stopped. A damaged part is read again."""
    found: dict[str, Any] = {}
    for file in sorted(parts.glob("[!.]*.npz")):
        try:
            with file.open("rb") as stream, np.load(stream, allow_pickle=False) as part:
                found |= dict(zip(part["digests"].tolist(), part["states"], strict=True))
        except (OSError, ValueError, KeyError, BadZipFile):
            log.warning("%s is damaged; its pairs are read again", file)
            file.unlink(missing_ok=True)
    return found


def _digest(base: ScorerIdentity, ids: Sequence[int]) -> str:
    """What a state is of: the prompt, the weights and the precision."""
    return hashlib.sha256(f"{base.weights} {base.precision} {list(ids)}".encode()).hexdigest()
