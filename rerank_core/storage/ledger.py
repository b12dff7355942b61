"""The ledger: one score for each (document, query, scorer), written as scoring goes on.

By the ledger no pair is scored twice, and a killed task resumes where it stopped. Rows arrive in batches in key order.
Two writers of the same pair meet in ON CONFLICT, and the first score stays unless the run rescores.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from platform import node
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from rerank_core.errors import FencedError
from rerank_core.records import Pair, Run, Score
from rerank_core.storage import database as db
from rerank_core.storage.artifacts import Ids, find_ids
from rerank_core.storage.copy import copy_bytes, copy_in

_NONE: Ids = np.zeros(0, dtype=np.int64)


def ensure_months(connection: Connection, months: Iterable[date]) -> None:
    """Make the partitions that scores of these months' documents go to."""
    for month in sorted(set(months)):
        db.rows(connection, "ledger.ensure_month", month=month)


def write(
    connection: Connection,
    scores: Sequence[Score],
    *,
    scorer_id: int,
    run_id: int,
    shard: int,
    engine: str,
    device: str,
    replace: bool,
) -> int:
    """Add scores. A pair that has a score keeps it, unless `replace` is true. Returns the number of rows written."""
    ensure_months(connection, {score.pair.month for score in scores})  # retention may have dropped one
    db.execute(connection, "ledger.make_batch")
    ordered = sorted(scores, key=lambda score: (score.pair.query_id, score.pair.document_id))
    copy_in(
        connection,
        "pg_temp.new_score",
        pa.table(
            {
                "month": pa.array([score.pair.month for score in ordered], pa.date32()),
                "document_id": pa.array([score.pair.document_id for score in ordered], pa.int64()),
                "query_id": pa.array([score.pair.query_id for score in ordered], pa.int64()),
                "logit": pa.array([score.logit for score in ordered], pa.float32()),
                "truncated": pa.array([score.truncated for score in ordered], pa.bool_()),
                "latency_ms": pa.array([score.latency_ms for score in ordered], pa.float32()),
            }
        ),
    )
    return db.execute(
        connection,
        "ledger.replace" if replace else "ledger.add",
        scorer_id=scorer_id,
        run_id=run_id,
        shard=shard,
        engine=engine,
        device=device,
        host=node(),
    )


def hold_unblocked(connection: Connection, run: Run) -> None:
    """Keep the gate from blocking the run until the transaction ends.

    Raises FencedError if the gate has blocked the run since `run` was read: what this try scores is distrusted like the
    rest.
    """
    db.rows(connection, "ledger.hold_run", run_id=run.run_id)
    row = db.one(connection, "ledger.blocked", run_id=run.run_id, fence=run.fence)
    if row is not None and row["blocked"]:
        raise FencedError(
            f"run {run.run_id} was blocked by its gate while this try scored, and no further score is kept; clear the task to score again"
        )


class Lookup:
    """Scores of one scorer for some queries, found by (query, document)."""

    def __init__(
        self,
        query_ids: Ids,
        document_ids: Ids,
        logit: npt.NDArray[np.float32],
        truncated: npt.NDArray[np.bool_],
    ) -> None:
        """The arrays have one entry a score."""
        # Scores of one query follow one another.
        begins = np.flatnonzero(np.diff(query_ids, prepend=query_ids[:1] - 1))
        self._queries = np.unique(query_ids[begins])
        keys = self._keys(query_ids, document_ids)
        order = slice(None) if (keys[1:] > keys[:-1]).all() else np.argsort(keys)
        self._sorted, self.logit, self.truncated = keys[order], logit[order], truncated[order]

    def positions(self, query_ids: Ids, document_ids: Ids) -> Ids:
        """The place of each pair in `logit` and `truncated`; −1 if it has no score."""
        return find_ids(self._sorted, self._keys(query_ids, document_ids))

    def _keys(self, query_ids: Ids, document_ids: Ids) -> Ids:
        """One int64 a pair: the query's place in the high bits, the document in the low 40; −1: unknown query."""
        places = find_ids(self._queries, query_ids)
        return np.where(places < 0, -1, (places << 40) | document_ids)


def lookup(
    connection: Connection,
    *,
    scorer_id: int,
    query_ids: Iterable[int],
    documents: pa.Table,
    run_id: int | None = None,
) -> Lookup:
    """What the ledger holds of these queries for documents of a window, and for others that came between them.

    `documents` has the columns document_id and month. With `run_id`, only what that run wrote is found.
    """
    rows = _by_query(connection, "ledger.lookup", scorer_id, query_ids, documents, run_id=run_id)
    queries, found, logits = [_NONE], [_NONE], [np.zeros(0, dtype=np.float32)]
    truncated = [np.zeros(0, dtype=bool)]
    for query, of_query, scores, cut in rows:
        found.append(_ids(of_query))
        queries.append(np.repeat(_ids(query), len(found[-1])))
        logits.append(np.frombuffer(scores or b"", dtype=">f4").astype(np.float32))
        truncated.append(np.isin(found[-1], _ids(cut)) if cut else np.zeros(len(found[-1]), dtype=bool))
    return Lookup(
        np.concatenate(queries), np.concatenate(found), np.concatenate(logits), np.concatenate(truncated)
    )


def scored_documents(
    connection: Connection, *, scorer_id: int, query_ids: Iterable[int], documents: pa.Table
) -> Mapping[int, Ids]:
    """Query → ids of documents that have a score for it, ascending: of a window's documents, and of others between them.

    `documents` has the columns document_id and month.
    """
    found: dict[int, Ids] = {}
    for query, of_query in _by_query(connection, "ledger.scored_documents", scorer_id, query_ids, documents):
        query_id = int(_ids(query)[0])
        found[query_id] = np.sort(np.concatenate([found.get(query_id, _NONE), _ids(of_query)]))
    return found


def _by_query(
    connection: Connection,
    statement: str,
    scorer_id: int,
    query_ids: Iterable[int],
    documents: pa.Table,
    **values: Any,
) -> Iterator[tuple[bytes | None, ...]]:
    """The rows of a statement, a month of these documents at a time: one row a query."""
    queries = sorted(set(query_ids))
    spans = documents.group_by("month").aggregate([("document_id", "min"), ("document_id", "max")])
    for span in spans.sort_by("month").to_pylist() if queries else ():
        yield from copy_bytes(
            connection,
            statement,
            scorer_id=scorer_id,
            query_ids=queries,
            month=span["month"],
            first=span["document_id_min"],
            last=span["document_id_max"],
            **values,
        )


def _ids(content: bytes | None) -> Ids:
    """Numbers that the server has sent: 8 bytes each."""
    return np.frombuffer(content or b"", dtype=">i8").astype(np.int64)


def lookup_pairs(
    connection: Connection, scorer_id: int, pairs: pa.Table, *, run_id: int | None = None
) -> Lookup:
    """What the ledger holds of the queries of these pairs, under one scorer; see `lookup`."""
    query_ids = pc.unique(pairs.column("query_id")).to_pylist()
    return lookup(connection, scorer_id=scorer_id, query_ids=query_ids, documents=pairs, run_id=run_id)


def settled(connection: Connection, run: Run, work: pa.Table, *, rescore: bool) -> npt.NDArray[np.bool_]:
    """Which of these pairs have a score under the run's scorer, were refused by it, or have lost their document.

    With `rescore`, only a score that this very run has written counts.
    """
    if run.scorer_id is None or not work.num_rows:
        return np.zeros(work.num_rows, dtype=bool)
    query_ids = work.column("query_id").to_numpy()
    document_ids = work.column("document_id").to_numpy()
    found = lookup_pairs(connection, run.scorer_id, work, run_id=run.run_id if rescore else None)
    done = found.positions(query_ids, document_ids) >= 0
    done |= refused(connection, run.scorer_id, query_ids, document_ids)
    left = np.unique(document_ids[~done]).tolist()
    there = [row["document_id"] for row in db.rows(connection, "ledger.documents", document_ids=left)]
    return np.asarray(done | ~np.isin(document_ids, np.asarray(there, dtype=np.int64)))


def refused(
    connection: Connection, scorer_id: int | None, query_ids: Ids, document_ids: Ids
) -> npt.NDArray[np.bool_]:
    """Which of these pairs the scorer has refused."""
    found = {
        (row["query_id"], row["document_id"])
        for row in db.rows(
            connection,
            "ledger.refused",
            scorer_id=scorer_id,
            query_ids=pc.unique(pa.array(query_ids)).to_pylist(),
        )
    }
    if not found:
        return np.zeros(len(query_ids), dtype=bool)
    pairs = zip(query_ids.tolist(), document_ids.tolist(), strict=True)
    return np.fromiter((pair in found for pair in pairs), dtype=bool, count=len(query_ids))


def query_refused(connection: Connection, run: Run, pairs: pa.Table) -> npt.NDArray[np.bool_]:
    """Which of these pairs the run's scorer has refused together with every other pair of their topic and query.

    No score will ever come for that query of the topic, however good its documents are. `pairs` (schemas.PAIRS) are all
    of the run.
    """
    query_ids, document_ids = (pairs.column(name).to_numpy() for name in ("query_id", "document_id"))
    wanted = pairs.column("work").to_numpy(zero_copy_only=False)
    wanted = wanted & refused(connection, run.scorer_id, query_ids, document_ids)
    if run.scorer_id is None or not wanted.any():
        return np.zeros(len(query_ids), dtype=bool)
    topics = pairs.column("topic").combine_chunks().dictionary_encode().indices.to_numpy()
    query_of_topic = (topics.astype(np.int64) << 40) | query_ids
    in_question = np.isin(query_of_topic, query_of_topic[wanted])
    scores = lookup_pairs(connection, run.scorer_id, pairs.filter(pa.array(in_question)))
    has_score = in_question & (scores.positions(query_ids, document_ids) >= 0)
    return np.asarray(wanted & ~np.isin(query_of_topic, query_of_topic[has_score]))


def write_refused(
    connection: Connection, refusals: Sequence[tuple[Pair, str]], *, scorer_id: int, run_id: int
) -> int:
    """Put pairs that a scorer refused into quarantine, with their reasons."""
    return db.execute(
        connection,
        "ledger.add_refused",
        scorer_id=scorer_id,
        run_id=run_id,
        query_ids=[pair.query_id for pair, _ in refusals],
        document_ids=[pair.document_id for pair, _ in refusals],
        reasons=[reason for _, reason in refusals],
    )
