"""The clusters of a pipeline: the place of every text among its near-copies, kept from one run to the next.

A text is placed once, after its run has prepared it: it joins the leader that it is most like, among the texts that were
first ingested within `syndication_hours` of it, or leads a cluster of its own. The texts of one run take their turns by
time of first ingestion, whatever order they were prepared in. So a near-copy that comes days later finds the score of
the one that was scored, and keeps it when that one has left the window. A leader whose text is deleted is
replaced by the text that joined it first.

Of the leaders, only bands are read: 128 bytes each; signatures (512 bytes) and marks of those alone that share one with
a new text. 360,000 leaders are some 150 MB for the seconds that it takes.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, RowMapping

from rerank_core.prepare import near_copies
from rerank_core.prepare.near_copies import BANDS, PLACES, Joined, Marks, Signatures, Texts
from rerank_core.records import Run
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.copy import copy_in, copy_out

log = logging.getLogger(__name__)

LEADERS = pa.schema([("document_id", pa.int64()), ("bands", pa.string())])
EPOCH_HOUR = 3_600.0  # seconds


@dataclass(frozen=True)
class Found:
    """New texts, and the leaders that they may join, as one snapshot shows them."""

    new: Sequence[RowMapping]  # in the order that they take their turns in
    alike: Sequence[RowMapping]  # leaders that share a band with one of them, the earliest first
    leaders: int  # in the span of time
    span: dict[str, Any]


def find(connection: Connection, *, settings: Settings, run: Run) -> Found | None:
    """What has no place yet; None where all has."""
    rows = db.rows(
        connection, "clusters.new", pipeline=run.pipeline, run_id=run.run_id, until=run.window.until
    )
    if not rows:
        return None
    new = sorted(rows, key=lambda row: (row["first_ingested_at"], row["article_id"]))
    near = timedelta(hours=settings.syndication_hours)
    span: dict[str, Any] = {
        "since": new[0]["first_ingested_at"] - near,
        "until": new[-1]["first_ingested_at"] + near,
    }
    leaders = copy_out(connection, "clusters.leaders", LEADERS, pipeline=run.pipeline, **span)
    alike = near_copies.may_be_alike(_decoded(leaders), near_copies.bands(_signatures(new)))
    ids = leaders.column("document_id").to_numpy()[alike].tolist()
    found = db.rows(connection, "clusters.alike", pipeline=run.pipeline, document_ids=ids) if ids else []
    return Found(new, found, leaders.num_rows, span)


def place(found: Found, *, settings: Settings) -> Joined:
    """Where each new text goes; see syndication.join."""
    return near_copies.join(
        _texts(found.alike),
        _texts(found.new),
        similarity=settings.syndication_similarity,
        hours=settings.syndication_hours,
    )


def keep(connection: Connection, *, pipeline: str, found: Found, joined: Joined) -> bool:
    """Write the places; False where the clusters have changed since they were read, and nothing is written.

    The caller keeps other claims of the pipeline, and the deletion of documents, waiting.
    """
    ids = [row["document_id"] for row in (*found.alike, *found.new)]
    leaders = [ids[position] for position in joined.leader.tolist()]
    new_ids = ids[len(found.alike) :]
    changed = db.one(
        connection,
        "clusters.changed",
        pipeline=pipeline,
        leaders=found.leaders,
        joined_ids=sorted(set(leaders) - set(new_ids)),
        document_ids=new_ids,
        **found.span,
    )
    assert changed is not None
    if changed["changed"]:
        log.info("clusters of pipeline %s have changed meanwhile; %d texts again", pipeline, len(new_ids))
        return False
    bands = near_copies.bands(_signatures(found.new)).astype("<u4")
    columns = {
        "pipeline": [pipeline] * len(new_ids),
        "document_id": new_ids,
        "leader_document_id": leaders,
        "similarity": pa.array(joined.similarity.astype(np.float32)),
        "bands": pa.array([row.tobytes() for row in bands], pa.binary()),
        **{
            name: [row[name] for row in found.new] for name in ("article_id", "first_ingested_at", "began_at")
        },
    }
    copy_in(connection, "rerank.near_copy", pa.table(columns))
    return True


def begin_anew(connection: Connection, *, settings: Settings, run: Run) -> int:
    """Clusters whose texts this run has claimed again long after the leader count their age from now on anew."""
    seconds = settings.syndication_hours * 3600
    return db.execute(connection, "clusters.again", pipeline=run.pipeline, run_id=run.run_id, seconds=seconds)


def promote(connection: Connection, document_ids: Sequence[int]) -> int:
    """Replace those of these texts that lead, before they are deleted; returns the near-copies that moved.

    The caller holds the lock on documents.
    """
    return db.execute(connection, "clusters.promote", document_ids=list(document_ids))


def _texts(rows: Sequence[RowMapping]) -> Texts:
    return Texts(
        signatures=_signatures(rows),
        marks=[Marks.of_text(row["marks"]) for row in rows],
        langs=[row["lang"] for row in rows],
        hours=np.asarray([row["first_ingested_at"].timestamp() / EPOCH_HOUR for row in rows]),
    )


def _signatures(rows: Sequence[RowMapping]) -> Signatures:
    joined = b"".join(bytes(row["signature"]) for row in rows)
    return np.frombuffer(joined, dtype="<u4").astype(np.uint32).reshape(len(rows), PLACES)


def _decoded(leaders: pa.Table) -> Signatures:
    """Their bands, one row a leader."""
    joined = bytes.fromhex("".join(leaders.column("bands").to_pylist()))
    return np.frombuffer(joined, dtype="<u4").astype(np.uint32).reshape(leaders.num_rows, BANDS)
