"""What a try to score a shard leaves behind when it does not come to its end.

A pair that breaks the engine, or has the task killed for memory, would do so at every retry. A try
therefore leaves a mark in Postgres before it starts and takes it away at its end. One that finds the
mark of another goes carefully: the pairs that may have been in the engine go in one at a time, each
under a mark of its own, so that the next try knows the one to refuse: where the engine failed on it
alone, or two tries in a row vanished with it (one may have been killed for another reason).
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from rerank_core.models.base import ChunkFailed, ScoredChunk, Scorer
from rerank_core.records import Pair
from rerank_core.storage import database as db
from rerank_core.storage.database import Database

SUSPECTS = 512  # more pairs than an engine holds at once
CONVICTED = 2  # tries that ended with a pair in the engine by itself


@dataclass(frozen=True)
class Attempt:
    """One try to score a shard."""

    database: Database
    run_id: int
    shard: int
    failures: int  # tries in a row before it that did not come to their end
    culprit: tuple[int, int] | None  # query and document to refuse

    @classmethod
    def begin(cls, database: Database, *, run_id: int, shard: int) -> "Attempt":
        """Leave the mark, and take up what the try before left."""
        with database.transaction() as connection:
            row = db.one(connection, "poison.begin", run_id=run_id, shard=shard)
        assert row is not None
        alone = (row["alone_query_id"], row["alone_document_id"])
        culprit = alone if row["alone_times"] >= CONVICTED else None
        return cls(database, run_id, shard, row["failures"], culprit)

    def end(self) -> None:
        """Take the mark away."""
        with self.database.transaction() as connection:
            db.execute(connection, "poison.end", run_id=self.run_id, shard=self.shard)

    def score(
        self, scorer: Scorer, pairs: Sequence[Pair], *, flush_seconds: float, deadline: float
    ) -> Generator[ScoredChunk]:
        """Scorer.score, carefully where the try before did not come to its end."""
        suspects = pairs[:SUSPECTS] if self.failures else []
        for pair in suspects:
            self._mark(pair)
            try:
                yield from scorer.score([pair], flush_seconds=flush_seconds, deadline=deadline)
            except ChunkFailed:
                self._mark(pair, blame=CONVICTED)
                raise
        if suspects:
            self._mark(None)
        yield from scorer.score(pairs[len(suspects) :], flush_seconds=flush_seconds, deadline=deadline)

    def meet(self, pairs: Sequence[Pair], *, scorer_id: int) -> int:
        """Another try scores these pairs, too; says how often the two have met. 0: it is over already."""
        with self.database.transaction() as connection:
            row = db.one(
                connection,
                "poison.meet",
                scorer_id=scorer_id,
                run_id=self.run_id,
                shard=self.shard,
                query_ids=[pair.query_id for pair in pairs],
                document_ids=[pair.document_id for pair in pairs],
                months=[pair.month for pair in pairs],
            )
        return 0 if row is None else int(row["meetings"])

    def spare(self) -> None:
        """The try ends for another reason than the engine: the pair in it is not to blame."""
        self._mark(None)

    def _mark(self, pair: Pair | None, *, blame: int = 0) -> None:
        with self.database.transaction() as connection:
            db.execute(
                connection,
                "poison.alone",
                run_id=self.run_id,
                shard=self.shard,
                query_id=pair and pair.query_id,
                document_id=pair and pair.document_id,
                blame=blame,
            )
