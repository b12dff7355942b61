"""Which acts of editors a run follows, and what composition looks at besides scores.

A run follows the acts that stand when its first version is published, and keeps them: every later version follows the same.
A run that does not make the newest page follows what stood at its as-of time. The acts are made in `operations/editorial.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC

import pyarrow as pa
from sqlalchemy import Connection, RowMapping

from rerank_core.publish.ranking import Clusters, Materials, Placed
from rerank_core.records import Act, Run, Topic
from rerank_core.storage import database as db
from rerank_core.storage.artifacts import Ids


def acts_of(connection: Connection, run: Run) -> tuple[Act, ...]:
    """The acts that the run follows: those that it has kept, or those that stand now if it has kept none yet."""
    return tuple(to_act(row) for row in db.rows(connection, "editorial.of_run", run_id=run.run_id))


def to_act(row: RowMapping) -> Act:
    """The act in a row that has a column for each of its fields, and perhaps others."""
    return Act(**{field.name: row[field.name] for field in fields(Act)})


def told(act: Act) -> str:
    """An act in words: what, by whom, since and until when, and why."""
    what = {"pin": "pinned to place {}", "boost": "boosted by {} places", "demote": "demoted by {} places"}
    made_at, ends_at = act.made_at.astimezone(UTC), act.ends_at.astimezone(UTC)
    return (
        f"{what[act.kind].format(act.amount)} by {who(act)} at {made_at:%Y-%m-%d %H:%M:%S} UTC,"
        f" until {ends_at:%Y-%m-%d %H:%M} UTC ({act.reason})"
    )


def who(act: Act) -> str:
    """The role that made an act, and for whom."""
    return act.actor if act.on_behalf_of is None else f"{act.actor} for {act.on_behalf_of}"


def keep(connection: Connection, run: Run, acts: Sequence[Act]) -> None:
    """Keep which acts the run follows. Those of a page that came before all was prepared are replaced."""
    act_ids = sorted(act.act_id for act in acts)
    db.execute(connection, "editorial.drop", run_id=run.run_id, act_ids=act_ids)
    db.execute(connection, "editorial.keep", run_id=run.run_id, act_ids=act_ids)


def kept(connection: Connection, run_id: int) -> set[int]:
    """Ids of the acts that the run has kept."""
    return {row["act_id"] for row in db.rows(connection, "editorial.kept", run_id=run_id)}


class Composer:
    """What composition needs of a run: its acts, the sources of its clusters, and signatures, read when a topic first asks."""

    def __init__(
        self, connection: Connection, members: pa.Table, clusters: Clusters, acts: Sequence[Act]
    ) -> None:
        self._connection = connection
        self._members = members
        self._clusters = clusters
        self._acts: dict[str, list[Placed]] = {}
        for placed in clusters.locate(members, acts) if acts else ():
            self._acts.setdefault(placed.act.slug, []).append(placed)
        self._sources: Sequence[str | None] = ()
        self._signatures: dict[int, bytes | None] = {}

    def of(self, topic: Topic) -> Materials:
        """What the composition of a topic looks at."""
        if topic.max_per_source is not None and not len(self._sources):
            positions = pa.array(self._clusters.positions)
            self._sources = self._members.column("source").take(positions).to_pylist()
        return Materials(
            acts=self._acts.get(topic.slug, ()),
            sources=self._sources if topic.max_per_source is not None else (),
            signatures=self._signatures_of,
        )

    def _signatures_of(self, document_ids: Ids) -> Mapping[int, bytes]:
        """Document → its signature; texts that are too short have none."""
        wanted = document_ids.tolist()
        unread = [document_id for document_id in wanted if document_id not in self._signatures]
        if unread:
            self._signatures |= dict.fromkeys(unread)
            for row in db.rows(self._connection, "editorial.signatures", document_ids=unread):
                self._signatures[row["document_id"]] = bytes(row["signature"])
        found = {document_id: self._signatures[document_id] for document_id in wanted}
        return {document_id: signature for document_id, signature in found.items() if signature is not None}
