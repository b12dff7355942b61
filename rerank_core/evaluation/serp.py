"""Rerank a search engine's candidates, with the run's prompt and guard, and with a ledger.

A SERP is a search engine results page. The candidates come as a TREC run, and leave as one. The pairs go through the scorer that
a run uses, so no text can become a control token, and a document is cut as in a run.

**The ledger.** No pair of texts is scored twice by one scorer. A run's ledger knows documents by rows that hold their
texts; those of a search engine are not ours to keep. So `rerank.text_score` knows both texts by their digests and holds
none. A score that a run gave to the same two texts counts, too. Forgetting an article deletes the scores of its prepared
text; all others go with the ledger's retention. Whoever knows a text can ask whether it was scored, and nothing more.

**Resuming.** Scores are written every few seconds of work, so a call that was killed goes on where it stopped.

Every candidate is in one bucket: scored, from_ledger, refused, below_depth, no_query or no_document. Those without a score
follow the others of their query in the search engine's order.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from rerank_core.errors import EngineError
from rerank_core.evaluation.evaluate import Order
from rerank_core.evaluation.judgements import Judgements
from rerank_core.evaluation.serp_files import Candidates, Query
from rerank_core.models import scorers
from rerank_core.models.base import ScoredChunk, probability
from rerank_core.models.identity import ScorerIdentity
from rerank_core.records import DEFAULT_INSTRUCTION, Pair
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.database import Database
from rerank_core.storage.topics import query_digest

log = logging.getLogger(__name__)

LOOKED_UP = 20_000  # pairs that are looked up in the ledger at a time
BUCKETS = ("scored", "from_ledger", "refused", "below_depth", "no_query", "no_document")

# One row for each candidate, in (query, rank) order.
ROWS = pa.schema(
    [
        ("query_id", pa.string()),
        ("document_id", pa.string()),
        ("rank", pa.int32()),
        ("score", pa.float64()),  # falls with the rank: the logit; behind the last logit, one less each place
        ("ranked_by", pa.string()),  # model, or candidates: the search engine's order
        ("logit", pa.float32()),  # null: it has no score
        ("probability", pa.float64()),
        ("truncated", pa.bool_()),  # null: it has no score
        ("bucket", pa.string()),
        ("candidate_rank", pa.int32()),
        ("candidate_score", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Reranked:
    """A search engine's lists in the scorer's order."""

    rows: pa.Table  # ROWS
    counts: Mapping[str, int]  # candidates by bucket
    scorer: ScorerIdentity
    reasons: Mapping[str, int] = field(default_factory=dict)  # of refusals

    def order(self, name: str, judgements: Judgements) -> Order:
        """The new order with judgements."""
        return Order(name, _by_query(self.rows, "score"), judgements)

    def candidate_order(self, name: str, judgements: Judgements) -> Order:
        """The search engine's order with judgements."""
        places = self.rows.column("candidate_rank").to_numpy()
        rows = self.rows.append_column("place", pa.array(-places.astype("float64")))
        return Order(name, _by_query(rows, "place"), judgements)

    def trec(self, tag: str) -> Iterator[str]:
        """Lines of a TREC run: query, Q0, document, rank, score, tag."""
        names = ("query_id", "document_id", "rank", "score")
        for batch in self.rows.select(names).to_batches(max_chunksize=10_000):
            for row in batch.to_pylist():
                yield f"{row['query_id']} Q0 {row['document_id']} {row['rank']} {row['score']:.9g} {tag}\n"


@dataclass(frozen=True)
class _Found:
    """A score."""

    logit: float
    truncated: bool
    bucket: str

    @classmethod
    def of(cls, logit: float, truncated: bool, bucket: str) -> "_Found":
        """The logit in float32, as the ledger keeps it: a score is the same whether it is new or kept."""
        return cls(float(np.float32(logit)), truncated, bucket)


Key = tuple[str, str]  # query, document
Outcomes = dict[Key, _Found | str]  # a score, or the bucket of a candidate without one


def rerank_candidates(
    candidates: Candidates,
    queries: Mapping[str, Query],
    documents: Mapping[str, str],
    *,
    settings: Settings,
    database: Database | None,
    instruction: str = DEFAULT_INSTRUCTION,
    depth: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Reranked:
    """Order each query's candidates by the settings' scorer.

    `database` has the ledger; None: there is none, and a call that is killed begins again. Of each query the first
    `depth` candidates are scored. `on_progress(done, total)` counts pairs that the ledger did not have. The engine
    starts only if there are such pairs. Raises ModelError if the checkpoint must not be used, EngineError if the engine
    fails; scores before the failure are in the ledger.
    """
    identity = scorers.identity(settings)
    job = _Job(queries, documents, instruction, identity, database)
    groups, outcomes = job.sort(candidates, depth)
    unscored = job.look_up(groups, outcomes)
    reasons: Counter[str] = Counter()
    if unscored:
        with closing(scorers.load(settings, pairs=len(unscored))) as scorer:
            done = 0
            pairs = [group.pair for group in unscored]
            for chunk in scorer.score(pairs, flush_seconds=settings.flush_seconds):
                job.keep(chunk, unscored, outcomes)
                reasons.update(refusal.reason for refusal in chunk.refused)
                done += len(chunk.scores) + len(chunk.refused)
                on_progress(done, len(unscored))
        if done != len(unscored):
            raise EngineError(f"{done} of {len(unscored)} pairs were scored; run the command again")
    rows = _rows(candidates, outcomes)
    counts = Counter(rows.column("bucket").to_pylist())
    return Reranked(rows, {name: counts[name] for name in BUCKETS}, identity, dict(reasons))


@dataclass(frozen=True)
class _Job:
    """What every step needs."""

    queries: Mapping[str, Query]
    documents: Mapping[str, str]
    instruction: str
    identity: ScorerIdentity
    database: Database | None

    def sort(self, candidates: Candidates, depth: int | None) -> tuple[list["_Group"], Outcomes]:
        """The pairs to score, and the bucket of each candidate that is in none. Pairs of one query are side by side."""
        groups: dict[tuple[bytes, bytes], _Group] = {}
        outcomes: Outcomes = {}
        for query_id, found in candidates.items():
            for rank, candidate in enumerate(found, start=1):
                key = query_id, candidate.document_id
                if query_id not in self.queries:
                    outcomes[key] = "no_query"
                elif candidate.document_id not in self.documents:
                    outcomes[key] = "no_document"
                elif depth is not None and rank > depth:
                    outcomes[key] = "below_depth"
                else:
                    query = self.queries[query_id]
                    told = query.instruction or self.instruction
                    text = self.documents[candidate.document_id]
                    digests = query_digest(told, query.text), hashlib.sha256(text.encode()).digest()
                    pair = Pair(0, len(groups), date.min, told, query.text, text)
                    groups.setdefault(digests, _Group(*digests, pair, [])).candidates.append(key)
        return list(groups.values()), outcomes

    def look_up(self, groups: list["_Group"], outcomes: Outcomes) -> list["_Group"]:
        """Give scores of the ledger to those that have one; returns the others, each pair with its new place."""
        unscored: list[_Group] = []
        for start in range(0, len(groups), LOOKED_UP):
            part = groups[start : start + LOOKED_UP]
            known = self._known(part)
            for place, group in enumerate(part):
                if place in known:
                    outcomes |= dict.fromkeys(group.candidates, known[place])
                else:
                    unscored.append(replace(group, pair=replace(group.pair, document_id=len(unscored))))
        return unscored

    def _known(self, groups: Sequence["_Group"]) -> dict[int, _Found]:
        if self.database is None:
            return {}
        with self.database.transaction() as connection:
            rows = db.rows(
                connection,
                "serp.known",
                scorer_id=scorers.register(connection, self.identity),
                places=list(range(len(groups))),
                query_digests=[group.query_digest for group in groups],
                document_digests=[group.document_digest for group in groups],
            )
        return {row["place"]: _Found.of(row["logit"], row["truncated"], "from_ledger") for row in rows}

    def keep(self, chunk: ScoredChunk, groups: Sequence["_Group"], outcomes: Outcomes) -> None:
        """Put a chunk of results into the ledger and among the outcomes."""
        for refusal in chunk.refused:
            outcomes |= dict.fromkeys(groups[refusal.pair.document_id].candidates, "refused")
        scored = [groups[score.pair.document_id] for score in chunk.scores]
        for group, score in zip(scored, chunk.scores, strict=True):
            found = _Found.of(score.logit, score.truncated, "scored")
            outcomes |= dict.fromkeys(group.candidates, found)
        if self.database is None or not scored:
            return
        with self.database.transaction() as connection:
            db.execute(
                connection,
                "serp.add",
                scorer_id=scorers.register(connection, self.identity),
                query_digests=[group.query_digest for group in scored],
                document_digests=[group.document_digest for group in scored],
                logits=[score.logit for score in chunk.scores],
                truncated=[score.truncated for score in chunk.scores],
            )


@dataclass(frozen=True)
class _Group:
    """Candidates whose texts are the same, and so have one score."""

    query_digest: bytes  # sha256 of instruction and query, as runs have it
    document_digest: bytes
    pair: Pair  # the document's id is the place among the pairs to score
    candidates: list[Key]


def _rows(candidates: Candidates, outcomes: Outcomes) -> pa.Table:
    """ROWS: of each query those with a score, best first, then the others in the search engine's order."""
    rows = []
    for query_id, found in candidates.items():
        scored: list[tuple[float, int, _Found]] = []
        others: list[tuple[int, str]] = []
        for rank, candidate in enumerate(found, start=1):
            outcome = outcomes[query_id, candidate.document_id]
            if isinstance(outcome, _Found):
                scored.append((-outcome.logit, rank, outcome))
            else:
                others.append((rank, outcome))
        scored.sort(key=lambda one: one[:2])
        last = min((outcome.logit for *_, outcome in scored), default=0.0)
        placed: list[dict[str, Any]] = [
            {
                "candidate_rank": rank,
                "score": outcome.logit,
                "ranked_by": "model",
                "logit": outcome.logit,
                "probability": probability(outcome.logit),
                "truncated": outcome.truncated,
                "bucket": outcome.bucket,
            }
            for _, rank, outcome in scored
        ]
        placed += [
            {"candidate_rank": rank, "score": last - behind, "ranked_by": "candidates", "bucket": bucket}
            for behind, (rank, bucket) in enumerate(others, start=1)
        ]
        for place, row in enumerate(placed, start=1):
            candidate = found[row["candidate_rank"] - 1]
            names = {"query_id": query_id, "document_id": candidate.document_id, "rank": place}
            rows.append({**row, **names, "candidate_score": candidate.score})
    return pa.Table.from_pylist(rows, schema=ROWS)


def _by_query(rows: pa.Table, column: str) -> dict[str, dict[str, float]]:
    scores: dict[str, dict[str, float]] = {}
    columns = (rows.column(name).to_pylist() for name in ("query_id", "document_id", column))
    for query_id, document_id, score in zip(*columns, strict=True):
        scores.setdefault(query_id, {})[document_id] = score
    return scores
