"""The stub scorer of the fast tier: no model, and a log of every pair that was put into its engine.

The log is written before the work is done, so that a kill cannot hide work.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from faults.points import note_pairs
from rerank_core.models.base import ChunkFailed, FakeScorer, ScoredChunk
from rerank_core.records import Pair

PAIRS_PER_CHUNK = 4
SECONDS_PER_PAIR = 0.0015


class LoggedScorer(FakeScorer):
    """A FakeScorer that logs each chunk, and fails in the n-th while the folder of orders has `engine.n.order`."""

    def __init__(self, log: Path, orders: Path) -> None:
        super().__init__(pairs_per_chunk=PAIRS_PER_CHUNK, seconds_per_pair=SECONDS_PER_PAIR)
        self._log = log
        self._orders = orders

    def score(
        self, pairs: Sequence[Pair], *, flush_seconds: float, deadline: float | None = None
    ) -> Iterator[ScoredChunk]:
        """See Scorer.score; one line of the log a chunk."""
        for start in range(0, len(pairs), PAIRS_PER_CHUNK):
            chunk = pairs[start : start + PAIRS_PER_CHUNK]
            note_pairs(self._log, chunk)
            if (self._orders / f"engine.{self.chunks + 1}.order").exists():
                self.finished = True
                raise ChunkFailed("a step failed (told to)", suspects=chunk)
            yield from super().score(chunk, flush_seconds=flush_seconds, deadline=deadline)
