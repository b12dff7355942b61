"""Find the pair that breaks the engine, so that it is refused instead of breaking every retry.

A *poison* pair breaks the engine, or has its task killed for memory, at every try. So a try to score a shard leaves a
mark in Postgres before it starts, and removes the mark at its end. A try that finds the mark of another goes carefully: the
pairs that may have been in the engine go in one at a time, each named in the mark. The next try then knows the pair to
refuse: the engine failed on that pair alone, or two tries in a row vanished with it (a single try may have been killed
for another reason).
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
class PoisonMark:
    """The mark that a try to score a shard leaves."""

    database: Database
    run_id: int
    shard: int
    failures: int  # tries in a row before this one that did not come to their end
    poison: tuple[int, int] | None  # query and document of the pair to refuse

    @classmethod
    def leave(cls, database: Database, *, run_id: int, shard: int) -> "PoisonMark":
        """Leave the mark, and take up what the try before left."""
        with database.transaction() as connection:
            row = db.the(connection, "poison.begin", run_id=run_id, shard=shard)
        alone = (row["alone_query_id"], row["alone_document_id"])
        poison = alone if row["alone_times"] >= CONVICTED else None
        return cls(database, run_id, shard, row["failures"], poison)

    def remove(self) -> None:
        """The try came to its end."""
        with self.database.transaction() as connection:
            db.execute(connection, "poison.end", run_id=self.run_id, shard=self.shard)

    def score(
        self, scorer: Scorer, pairs: Sequence[Pair], *, flush_seconds: float, deadline: float
    ) -> Generator[ScoredChunk]:
        """Scorer.score; pair by pair at first if the try before did not come to its end."""
        suspects = pairs[:SUSPECTS] if self.failures else []
        for pair in suspects:
            self._name(pair)
            try:
                yield from scorer.score([pair], flush_seconds=flush_seconds, deadline=deadline)
            except ChunkFailed:
                self._name(pair, blame=CONVICTED)
                raise
        if suspects:
            self._name(None)
        yield from scorer.score(pairs[len(suspects) :], flush_seconds=flush_seconds, deadline=deadline)

    def meet(self, pairs: Sequence[Pair], *, scorer_id: int) -> int:
        """Count a meeting with another try that scores these pairs too.

        Returns how often the two have met; 0: the other try is over already.
        """
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
        """The try ends for another reason than the engine: the pair in the engine is not to blame."""
        self._name(None)

    def _name(self, pair: Pair | None, *, blame: int = 0) -> None:
        """Name the pair that is in the engine by itself; None: there is no such pair."""
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
