"""The worklist: the pairs that a shard still has to score, as texts, in the order that they go into the engine.

Scoring can end at any pair: at the deadline, or because its task is killed. So the topics go in by slices: first the best
`SLICE_PAIRS` of each topic, then the next best of each. What is left over is spread fairly, and is the worst of each topic.
Pairs of one query are side by side in a slice, so that the engine can reuse their prefix.

Slices are counted over all pairs that the run asked for. So a later try finds the rest in the same order: what was in the
engine when a try ended comes first in the next try.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from rerank_core.records import Pair, Run
from rerank_core.storage import database as db
from rerank_core.storage import ledger

SLICE_PAIRS = 16


def read_worklist(connection: Connection, run: Run, work: pa.Table) -> list[Pair]:
    """The pairs of `work` that the shard still has to score, slice by slice.

    `work` has the columns of schemas.PAIRS, best first in each topic. A pair leaves the worklist when it has a score, was
    refused, or has lost its document. Topics that share a query share the pair.
    """
    pairs = work.select(["topic", "query_id", "document_id", "month"])
    settled = ledger.settled(connection, run, work, rescore=run.rescore)
    pairs = _once(pairs.append_column("settled", pa.array(settled)))
    order = in_slices(*(pairs.column(name).to_numpy(zero_copy_only=False) for name in ("topic", "query_id")))
    to_score = pairs.take(pa.array(order))
    to_score = to_score.filter(pc.invert(to_score.column("settled")))
    query_ids = pc.unique(to_score.column("query_id")).to_pylist()
    document_ids = pc.unique(to_score.column("document_id")).to_pylist()
    queries = {row["query_id"]: row for row in db.rows(connection, "pair_texts.queries", query_ids=query_ids)}
    documents = {
        row["document_id"]: row
        for row in db.rows(connection, "pair_texts.documents", document_ids=document_ids)
    }
    return [
        Pair(
            query_id=row["query_id"],
            document_id=row["document_id"],
            month=row["month"],
            instruction=queries[row["query_id"]]["instruction"],
            query=queries[row["query_id"]]["query"],
            document=documents[row["document_id"]]["text"],
            pictures=tuple(documents[row["document_id"]]["pictures"]),
        )
        for row in to_score.to_pylist()
    ]


def _once(pairs: pa.Table) -> pa.Table:
    """Each query × document once, at its first place."""
    keys = np.stack([pairs.column("query_id").to_numpy(), pairs.column("document_id").to_numpy()], axis=1)
    _, first = np.unique(keys, axis=0, return_index=True)
    return pairs.take(pa.array(np.sort(first)))


def in_slices(
    topics: Sequence[str] | npt.NDArray[np.object_], query_ids: Sequence[int] | npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Positions of pairs slice by slice: each topic's first SLICE_PAIRS, then each one's next, and so on.

    Topics keep the order in which they come first; so do the queries of a topic within a slice.
    """
    topic, first_of_topic = _numbered(topics)
    _, first_of_query = _numbered(query_ids)
    by_topic = np.argsort(topic, kind="stable")
    counts = np.bincount(topic)
    place = np.empty(len(topic), dtype=np.int64)
    place[by_topic] = np.arange(len(topic)) - (np.cumsum(counts) - counts)[topic[by_topic]]
    return np.asarray(np.lexsort((place, first_of_query, first_of_topic, place // SLICE_PAIRS)))


def _numbered(values: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each value, a number that equal values share, and the first place of the value."""
    _, first, number = np.unique(np.asarray(values), return_index=True, return_inverse=True)
    return number, first[number]
