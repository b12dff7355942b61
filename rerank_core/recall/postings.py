"""The kept index of BM25: which terms documents have and how often, in segments of documents.

A document never changes, so what a segment says of it is true for every pipeline, window, run and rerun. Statistics are
not kept: `WindowIndex` counts them in the segments, among the members of the window that it is asked about. So no
history of runs can make them wrong. Each document that no segment has is read from its own row, and counts alike.

Recall stores a segment once enough documents are in none. A segment goes with the first of its documents that is deleted,
in the same transaction (a trigger). The clean-up removes segments that no run has read for a while.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from rerank_core.recall.base import Scores
from rerank_core.recall.bm25 import K1, B
from rerank_core.storage import database as db
from rerank_core.storage.artifacts import Ids, find_ids
from rerank_core.storage.database import Database

MOST = 8_192  # documents of a segment; their numbers fit into 16 bits
LEAST = 1_024  # documents that are worth a segment; fewer are read from their rows each time
# Of the scores of all members for single terms, which are kept for the topics that follow.
SPREAD_BYTES = 64 << 20
WORTH = 16  # a segment is read if at least one in so many of its documents is a member

_POSTINGS = pa.schema(
    [
        ("term", pa.string()),
        ("documents", pa.list_(pa.uint16())),  # places in the segment, ascending
        ("counts", pa.list_(pa.uint16())),  # how often each document has the term
    ]
)


@dataclass(frozen=True)
class Segment:
    """The terms of some documents."""

    document_ids: Ids
    lengths: npt.NDArray[np.int32]  # terms of each document
    postings: pa.Table  # _POSTINGS

    @classmethod
    def of(cls, document_ids: Ids, texts: pa.Array) -> "Segment":
        """The segment of these documents; `texts` are their terms, separated by one space, as prepare has stored them."""
        lists = pc.split_pattern(texts, " ")
        lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int32)
        encoded = pc.dictionary_encode(lists.flatten())
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        documents = np.repeat(np.arange(len(lengths), dtype=np.int64), lengths)
        keys, counts = np.unique(codes * MOST + documents, return_counts=True)
        ends = np.cumsum(np.bincount(keys // MOST, minlength=len(encoded.dictionary)))
        offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
        # A text has 20,000 characters at most, so no count is over 16 bits.
        columns = [(keys % MOST).astype(np.uint16), counts.astype(np.uint16)]
        arrays = [pa.ListArray.from_arrays(offsets, pa.array(column)) for column in columns]
        return cls(document_ids, lengths, pa.table([encoded.dictionary, *arrays], schema=_POSTINGS))

    def stored(self) -> dict[str, Any]:
        """The segment as the columns of its row."""
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=1))
        with pa.ipc.new_stream(sink, _POSTINGS, options=options) as writer:
            writer.write_table(self.postings)
        return {
            "document_ids": self.document_ids.tolist(),
            "lengths": self.lengths.astype("<i4").tobytes(),
            "postings": sink.getvalue().to_pybytes(),
        }

    @classmethod
    def read(cls, document_ids: Ids, lengths: bytes, postings: bytes) -> "Segment":
        """The segment of a row."""
        table = pa.ipc.open_stream(pa.py_buffer(postings)).read_all()
        return cls(document_ids, np.frombuffer(lengths, dtype="<i4"), table)


class _Part:
    """What a segment says of its members of a window, for a vocabulary: term by term."""

    def __init__(self, segment: Segment, vocabulary: pa.Array, positions: Ids) -> None:
        """`positions` are those of its documents in the window, −1 for each that does not count."""
        table = segment.postings.combine_chunks()
        rows = pc.index_in(vocabulary, value_set=table.column("term").combine_chunks())
        lists = pc.take(table.column("documents").combine_chunks(), rows)
        ends = np.cumsum(pc.list_value_length(lists).fill_null(0).to_numpy().astype(np.int64))
        documents = lists.flatten().to_numpy()
        counts = pc.take(table.column("counts").combine_chunks(), rows).flatten().to_numpy()
        is_counted = (positions >= 0)[documents]
        before = np.concatenate([[0], np.cumsum(is_counted)])
        self.frequencies = np.diff(before[ends], prepend=0)
        self.documents, self._counts = documents[is_counted], counts[is_counted]
        self._lengths = segment.lengths
        self.positions = positions.astype(np.int32)
        self.length = int(self._lengths[positions >= 0].sum(dtype=np.int64))

    def weights(self, idf: npt.NDArray[np.float32], mean: np.float64) -> Scores:
        """Scores of the counts: bm25s' arithmetic and its types, operation by operation, so each bit is the same."""
        tf = self._counts.astype(np.float32)
        norms = K1 * ((1 - B) + B * self._lengths / mean)
        tfc = tf / (norms[self.documents] + tf)
        return np.asarray(np.repeat(idf, self.frequencies) * tfc, dtype=np.float32)


class WindowIndex:
    """BM25 over the members of a window, for the terms of a vocabulary. Equal to `Bm25` of their terms, bit by bit."""

    def __init__(self, connection: Connection, document_ids: Ids, vocabulary: Collection[str]) -> None:
        self._count = len(document_ids)
        self._ids = {term: number for number, term in enumerate(sorted(set(vocabulary) - {""}))}
        terms = pa.array(list(self._ids), pa.string())
        parts: list[_Part] = []
        if len(document_ids) and self._ids:
            parts = [
                _Part(segment, terms, positions) for segment, positions in _segments(connection, document_ids)
            ]
        frequencies = sum((part.frequencies for part in parts), np.zeros(len(terms), dtype=np.int64))
        idf = np.asarray([_idf(each, self._count) for each in frequencies.tolist()], dtype=np.float32)
        mean = np.float64(sum(part.length for part in parts)) / max(1, self._count)
        self._ends = np.concatenate([[0], np.cumsum(frequencies)])
        # Of each posting its member and its score, term by term.
        self._members = np.empty(self._ends[-1], dtype=np.int32)
        self._scores: Scores = np.empty(self._ends[-1], dtype=np.float32)
        filled = self._ends[:-1].copy()
        while parts:
            part = parts.pop()
            begins = np.cumsum(part.frequencies) - part.frequencies
            places = np.arange(len(part.documents)) + np.repeat(filled - begins, part.frequencies)
            self._members[places] = part.positions[part.documents]
            self._scores[places] = part.weights(idf, mean)
            filled += part.frequencies
        self._spread: dict[int, Scores] = {}  # term → the score of each member, of the terms asked for last
        self._kept = max(4, SPREAD_BYTES // (4 * max(1, self._count)))

    def scores(self, query: Iterable[str], positions: Ids | None = None) -> Scores:
        """The scores of the members at these positions, or of all in their order: float32; 0.0 if one has no term of the query."""
        at = slice(None) if positions is None else positions
        light: Scores = np.zeros(self._count if positions is None else len(positions), dtype=np.float32)
        for term in dict.fromkeys(query):
            if term in self._ids:
                light += self._of_all(self._ids[term])[at]
        return light

    def _of_all(self, term: int) -> Scores:
        """The score of each member for one term."""
        spread = self._spread.pop(term, None)
        if spread is None:
            if len(self._spread) < self._kept:
                spread = np.zeros(self._count, dtype=np.float32)
            else:
                oldest = next(iter(self._spread))
                spread = self._spread.pop(oldest)
                spread[self._members[self._ends[oldest] : self._ends[oldest + 1]]] = 0
            here = slice(self._ends[term], self._ends[term + 1])
            spread[self._members[here]] = self._scores[here]
        self._spread[term] = spread  # the latest is the last
        return spread


def _idf(frequency: int, count: int) -> float:
    return log(1 + (count - frequency + 0.5) / (frequency + 0.5)) if frequency else 0.0


def keep(database: Database, document_ids: Ids) -> int:
    """Store what is new of these documents in segments; returns how many documents that were.

    Each segment is a transaction of its own. It holds its documents: none of them is deleted before the segment is
    there, so the segment goes with it.
    """
    with database.transaction(read_only=True) as connection:
        stored = {segment_id: places for segment_id, places, _ in _plan(connection, document_ids)}
    is_new = np.ones(len(document_ids), dtype=bool)
    for places in stored.values():
        is_new[places[places >= 0]] = False
    new = np.sort(document_ids[is_new])
    added = 0
    while len(new) - added >= LEAST:
        batch = new[added : added + MOST]
        with database.transaction() as connection:
            rows = db.rows(connection, "postings.hold_terms", document_ids=batch.tolist())
            segment = _made([(row["document_id"], row["terms"]) for row in rows])
            db.execute(connection, "postings.add", **segment.stored())
        added += len(batch)
    with database.transaction() as connection:
        db.execute(connection, "postings.used", segment_ids=sorted(stored))
    return added


def _plan(connection: Connection, document_ids: Ids) -> Iterator[tuple[int, Ids, Ids]]:
    """Segments to read: id, the position of each of its documents in the window (−1: does not count), and its documents."""
    order = np.argsort(document_ids, kind="stable")
    in_order = document_ids[order]
    taken = np.zeros(len(document_ids), dtype=bool)
    if not len(document_ids):
        return
    for row in db.rows(connection, "postings.segments", first=int(in_order[0]), last=int(in_order[-1])):
        theirs = np.asarray(row["document_ids"], dtype=np.int64)
        places = find_ids(in_order, theirs)
        positions = np.where(places < 0, -1, order[places])
        positions[taken[positions] & (positions >= 0)] = -1
        members = positions[positions >= 0]
        if len(members) * WORTH >= len(theirs) and len(members):
            taken[members] = True
            yield row["segment_id"], positions, theirs


def _segments(connection: Connection, document_ids: Ids) -> Iterator[tuple[Segment, Ids]]:
    """Segments that have each of these documents once, and the documents' positions; −1: a document that does not count."""
    left = np.ones(len(document_ids), dtype=bool)
    for segment_id, positions, theirs in _plan(connection, document_ids):
        row = db.the(connection, "postings.segment", segment_id=segment_id)
        left[positions[positions >= 0]] = False
        yield Segment.read(theirs, row["lengths"], row["postings"]), positions
    rest = np.flatnonzero(left)
    for start in range(0, len(rest), MOST):
        positions = rest[start : start + MOST]
        batch = document_ids[positions].tolist()
        terms = {
            row["document_id"]: row["terms"]
            for row in db.rows(connection, "postings.terms", document_ids=batch)
        }
        # The document of a forgotten article may be gone.
        yield _made([(document_id, terms.get(document_id, "")) for document_id in batch]), positions


def _made(terms: list[tuple[int, str]]) -> Segment:
    ids, texts = zip(*terms, strict=True) if terms else ((), ())
    return Segment.of(np.asarray(ids, dtype=np.int64), pa.array(texts, pa.string()))
