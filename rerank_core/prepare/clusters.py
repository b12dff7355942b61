"""The clusters of a pipeline: each text's place among its near-copies, kept from run to run.

1. `find_unplaced` reads the new texts, and what each of them may join: leaders, and corrections that joined one.
2. `place` decides where each new text goes: near_copies.join.
3. `keep` writes the places, unless the clusters have changed since they were read.

A text is placed once, after its run has prepared it. It joins the most similar leader among the texts that were first
ingested within `syndication_hours` of it, or it leads a cluster of its own. The texts of one run take their turns by
first ingestion, so the order of preparation does not matter. Thus a near-copy that comes days later finds the score of
its leader, and keeps that score when the leader has left the freshness window. If a leader's text is deleted, the text
that joined it first takes the lead. A correction stands for the cluster that it joins (recall/window.sql).

`find_unplaced` reads the bands of all leaders (128 bytes each). It reads signatures (512 bytes) and texts only of those
that share a band with another. 360,000 leaders take some 150 MB for a few seconds.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Connection, RowMapping

from rerank_core.prepare import captions, near_copies
from rerank_core.prepare.marks import is_correction
from rerank_core.prepare.near_copies import BANDS, PLACES, Joined, Signatures, Texts
from rerank_core.records import Run
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.copy import copy_in, copy_out

log = logging.getLogger(__name__)

COMPARED = pa.schema([("document_id", pa.int64()), ("bands", pa.string())])
SECONDS_PER_HOUR = 3_600.0


@dataclass(frozen=True)
class Unplaced:
    """New texts, and what they may join, as one snapshot shows them."""

    texts: Sequence[RowMapping]  # new texts, in the order of their turns
    leaders: Sequence[
        RowMapping
    ]  # leaders and corrections that share a band with a new text, the earliest first
    leader_count: int  # all leaders and corrections in the span
    span: dict[str, Any]  # since and until: the times of first ingestion that were searched for leaders
    contents: Mapping[int, str]  # document → its text, of new texts that share a band with another text

    def is_correction(self) -> npt.NDArray[np.bool_]:
        """Which new texts say that they correct another text."""
        return np.asarray([is_correction(row["opening"]) for row in self.texts], dtype=bool)


def find_unplaced(connection: Connection, *, settings: Settings, run: Run) -> Unplaced | None:
    """The texts that have no place yet: of this run, and of earlier unpublished runs; None if all have a place."""
    rows = db.rows(
        connection, "clusters.new", pipeline=run.pipeline, run_id=run.run_id, until=run.window.until
    )
    if not rows:
        return None
    texts = sorted(rows, key=lambda row: (row["first_ingested_at"], row["article_id"]))
    reach = timedelta(hours=settings.syndication_hours)
    span: dict[str, Any] = {
        "since": texts[0]["first_ingested_at"] - reach,
        "until": texts[-1]["first_ingested_at"] + reach,
    }
    compared = copy_out(connection, "clusters.compared", COMPARED, pipeline=run.pipeline, **span)
    leaders, new = near_copies.in_reach(_decoded_bands(compared), near_copies.bands(_signatures(texts)))
    leader_ids = compared.column("document_id").to_numpy()[leaders].tolist()
    new_ids = [row["document_id"] for row, is_near in zip(texts, new.tolist(), strict=True) if is_near]
    leader_rows = (
        db.rows(connection, "clusters.compared_texts", pipeline=run.pipeline, document_ids=leader_ids)
        if leader_ids
        else []
    )
    contents = db.rows(connection, "clusters.contents", document_ids=new_ids) if new_ids else []
    return Unplaced(
        texts, leader_rows, compared.num_rows, span, {row["document_id"]: row["text"] for row in contents}
    )


def place(unplaced: Unplaced, *, settings: Settings) -> Joined:
    """What each new text joins: positions among `unplaced.leaders`, then `unplaced.texts`. See near_copies.join.

    What captions say makes no text another story.
    """
    contents = [unplaced.contents.get(row["document_id"], "") for row in unplaced.texts]
    return near_copies.join(
        _as_texts(unplaced.leaders, [captions.without(row["text"]) for row in unplaced.leaders]),
        _as_texts(unplaced.texts, [captions.without(text) for text in contents]),
        similarity=settings.syndication_similarity,
        hours=settings.syndication_hours,
    )


def keep(connection: Connection, *, pipeline: str, unplaced: Unplaced, joined: Joined) -> bool:
    """Write the places. Returns False, and writes nothing, if the clusters have changed since they were read.

    The caller makes other claims of the pipeline, and the deletion of documents, wait meanwhile.
    """
    new_ids = [row["document_id"] for row in unplaced.texts]
    leader_of = [row["leader_document_id"] for row in unplaced.leaders]
    for position, document_id in zip(joined.joined.tolist(), new_ids, strict=True):
        leader_of.append(document_id if position == len(leader_of) else leader_of[position])
    leader_ids = leader_of[len(unplaced.leaders) :]
    clusters = db.the(
        connection,
        "clusters.changed",
        pipeline=pipeline,
        compared=unplaced.leader_count,
        joined_ids=sorted(set(leader_ids) - set(new_ids)),
        document_ids=new_ids,
        **unplaced.span,
    )
    if clusters["changed"]:
        log.info(
            "clusters of pipeline %s changed while texts were compared: compare %d texts again",
            pipeline,
            len(new_ids),
        )
        return False
    bands = near_copies.bands(_signatures(unplaced.texts)).astype("<u4")
    columns = {
        "pipeline": [pipeline] * len(new_ids),
        "document_id": new_ids,
        "leader_document_id": leader_ids,
        "similarity": pa.array(joined.similarity.astype(np.float32)),
        "bands": pa.array([row.tobytes() for row in bands], pa.binary()),
        "corrects": pa.array(unplaced.is_correction()),
        **{
            name: [row[name] for row in unplaced.texts]
            for name in ("article_id", "first_ingested_at", "published_at", "began_at")
        },
    }
    copy_in(connection, "rerank.near_copy", pa.table(columns))
    return True


def begin_again(connection: Connection, *, settings: Settings, run: Run) -> int:
    """Begin clusters again whose texts this run has claimed long after their leader; returns how many.

    Long is more than `syndication_hours`. Their age counts from the later claim.
    """
    seconds = settings.syndication_hours * SECONDS_PER_HOUR
    return db.execute(
        connection, "clusters.begin_again", pipeline=run.pipeline, run_id=run.run_id, seconds=seconds
    )


def promote(connection: Connection, document_ids: Sequence[int]) -> int:
    """Replace the leaders among these texts, which are about to be deleted; returns the near-copies that moved.

    The caller holds the lock on documents.
    """
    return db.execute(connection, "clusters.promote", document_ids=list(document_ids))


def _as_texts(rows: Sequence[RowMapping], texts: Sequence[str]) -> Texts:
    return Texts(
        signatures=_signatures(rows),
        texts=texts,
        langs=[row["lang"] for row in rows],
        ingested=_hours(rows, "first_ingested_at"),
        published=_hours(rows, "published_at"),
    )


def _hours(rows: Sequence[RowMapping], name: str) -> npt.NDArray[np.float64]:
    """A time of each row, in hours; NaN: null."""
    times = (row[name] for row in rows)
    return np.asarray([np.nan if at is None else at.timestamp() / SECONDS_PER_HOUR for at in times])


def _signatures(rows: Sequence[RowMapping]) -> Signatures:
    """uint32, shape (rows, PLACES)."""
    joined = b"".join(bytes(row["signature"]) for row in rows)
    return np.frombuffer(joined, dtype="<u4").astype(np.uint32).reshape(len(rows), PLACES)


def _decoded_bands(leaders: pa.Table) -> Signatures:
    """uint32, shape (leaders, BANDS)."""
    joined = bytes.fromhex("".join(leaders.column("bands").to_pylist()))
    return np.frombuffer(joined, dtype="<u4").astype(np.uint32).reshape(leaders.num_rows, BANDS)
