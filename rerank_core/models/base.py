"""The contract of a scorer, and a fake scorer that needs no model.

A scorer takes pairs and yields chunks of results. The caller writes each chunk to the ledger before it asks for the next
chunk, so a task that is killed loses a few seconds of work. In the end every pair is in exactly one place: in the
`scores` of a chunk, in the `refused` of a chunk, or not reached before the deadline.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from rerank_core.errors import EngineError
from rerank_core.models.identity import ScorerIdentity
from rerank_core.records import Pair, Score


@dataclass(frozen=True)
class Refusal:
    """A pair that no engine can score. The other pairs of its batch are not affected."""

    pair: Pair
    reason: str  # for the quarantine; holds no article text


@dataclass(frozen=True)
class ScoredChunk:
    """The results since the last chunk. The tuples follow the order of the pairs given."""

    scores: tuple[Score, ...]
    refused: tuple[Refusal, ...] = ()
    neutralised: tuple[Pair, ...] = ()  # scored pairs of which a text imitated a field label of the prompt
    seconds: float = 0.0  # wall time since the last chunk


OnChunk = Callable[[ScoredChunk], None]


class ChunkFailed(EngineError):
    """A step of the engine failed, and the scorer is finished. One of `suspects` may be the cause."""

    def __init__(self, message: str, *, suspects: Sequence[Pair]) -> None:
        super().__init__(f"{message}; in the engine were {name_pairs(suspects)}")
        self.suspects = tuple(suspects)


class Scorer(Protocol):
    """Scores pairs with one model. A scorer belongs to one thread of one process: never fork while it is open."""

    @property
    def identity(self) -> ScorerIdentity:
        """Which scorer this is. Scores of equal identities may be mixed."""
        ...

    @property
    def engine(self) -> str:
        """Engine, version and device in three words, such as `vllm 0.32.0 cpu`. They are stored with the scores."""
        ...

    @property
    def canary_margin(self) -> float | None:
        """The least difference between two neighbours in its canary, in logits; None if the canary was not run.

        The canary came out in the right order if the difference is above 0.
        """
        ...

    def score(
        self, pairs: Sequence[Pair], *, flush_seconds: float, deadline: float | None = None
    ) -> Iterator[ScoredChunk]:
        """Yields a chunk of results about every `flush_seconds` of work.

        Pairs enter the engine in their order. Give the pairs of one query side by side, so that the prefix of the query
        is computed once. `deadline` is a time of `time.monotonic()`: after it no step begins, the iteration ends, and
        pairs that are in no chunk have no score. Raises ChunkFailed after a failed step or a score that is not finite.
        The scorer is then finished.
        """
        ...

    def close(self) -> None:
        """Release the engine's memory. May be called twice."""
        ...


def probability(logit: float) -> float:
    """sigmoid(logit)."""
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, logit))))


def name_pairs(pairs: Sequence[Pair], *, at_most: int = 8) -> str:
    """The ids of pairs for a message, such as `query 3 × document 9, query 3 × document 10 and 2 more`."""
    named = ", ".join(f"query {pair.query_id} × document {pair.document_id}" for pair in pairs[:at_most])
    more = len(pairs) - at_most
    return f"{named} and {more} more" if more > 0 else named or "no pairs"


class FakeScorer:
    """Scores by shared words, without a model. Equal texts get equal scores in every process.

    The logit is −4, plus 8 × the share of the query's words that the document has, plus up to 0.01 from a hash of all
    texts, so that ties are rare.

    - `fail_at_chunk`: the chunk of this number, from 0, is a failed step
    - `fail_at_text`: a chunk with a document that contains this text is a failed step
    - `refuse_text`: a document that contains this text is refused
    - `refuse_query`: each pair whose query contains this text is refused
    - `seconds_per_pair`: sleeps so long for each pair, for tests of deadlines
    - `constant`: the logit of every pair, as a wrong model gives it
    - `canary_margin`: what its canary showed
    """

    engine = "fake 1 none"

    def __init__(
        self,
        *,
        pairs_per_chunk: int = 8,
        fail_at_chunk: int | None = None,
        fail_at_text: str | None = None,
        refuse_text: str | None = None,
        refuse_query: str | None = None,
        seconds_per_pair: float = 0.0,
        constant: float | None = None,
        canary_margin: float | None = 1.0,
        name: str = "fake",
        max_document_tokens: int = 512,
    ) -> None:
        self.identity = ScorerIdentity(
            family="fake",
            weights=hashlib.sha256(name.encode()).hexdigest(),
            prompt="",
            precision="float32",
            max_document_tokens=max_document_tokens,
            location=name,
        )
        self.canary_margin = canary_margin
        self._constant = constant
        self.finished = False
        self.chunks = 0  # yielded so far, over all calls
        self._pairs_per_chunk = pairs_per_chunk
        self._fail_at_chunk = fail_at_chunk
        self._fail_at_text = fail_at_text
        self._refuse_text = refuse_text
        self._refuse_query = refuse_query
        self._seconds_per_pair = seconds_per_pair

    def score(
        self, pairs: Sequence[Pair], *, flush_seconds: float, deadline: float | None = None
    ) -> Iterator[ScoredChunk]:
        """See Scorer.score. A chunk has `pairs_per_chunk` pairs; `flush_seconds` is ignored."""
        for start in range(0, len(pairs), self._pairs_per_chunk):
            if self.finished:
                raise EngineError("this scorer is finished; build a new one")
            if deadline is not None and time.monotonic() >= deadline:
                return
            chunk = pairs[start : start + self._pairs_per_chunk]
            poisoned = self._fail_at_text and any(self._fail_at_text in pair.document for pair in chunk)
            if poisoned or self.chunks == self._fail_at_chunk:
                self.finished = True
                raise ChunkFailed("a step failed (told to)", suspects=chunk)
            time.sleep(self._seconds_per_pair * len(chunk))
            refused = [Refusal(pair, "told to refuse it") for pair in chunk if self._refuses(pair)]
            taken = [pair for pair in chunk if not self._refuses(pair)]
            self.chunks += 1
            yield ScoredChunk(tuple(map(self._score, taken)), tuple(refused))

    def close(self) -> None:
        """See Scorer.close."""
        self.finished = True

    def _refuses(self, pair: Pair) -> bool:
        texts = ((self._refuse_text, pair.document), (self._refuse_query, pair.query))
        return any(told and told in text for told, text in texts)

    def _score(self, pair: Pair) -> Score:
        query_words = set(pair.query.lower().split())
        words = pair.document.lower().split()
        share = len(query_words.intersection(words)) / len(query_words) if query_words else 0.0
        text = f"{pair.instruction}\0{pair.query}\0{pair.document}".encode("utf-8", "replace")
        noise = int.from_bytes(hashlib.sha256(text).digest()[:2], "big") / 65536 / 100
        limit = self.identity.max_document_tokens
        return Score(
            pair=pair,
            logit=float(-4 + 8 * share + noise) if self._constant is None else self._constant,
            truncated=len(words) > limit,
            latency_ms=self._seconds_per_pair * 1000,
            prompt_tokens=len(query_words) + min(len(words), limit),
            cached_tokens=0,
        )
