"""Which acts of editors a run follows, and what composition looks at besides scores.

A run follows the acts that stand when its first version is published, and keeps them: every later version follows the same.
A run that does not make the newest page follows what stood at its as-of time. The acts are made in `operations/desk.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, RowMapping

from rerank_core.publish.composition import Likeness, source_numbers
from rerank_core.publish.ranking import Clusters, Materials, Order, Placed, Ranked, compose_topic
from rerank_core.records import Act, Run
from rerank_core.storage import database as db


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
    """What composition needs of a run besides scores: acts, sources and signatures, each read once for all topics."""

    def __init__(
        self, connection: Connection, members: pa.Table, clusters: Clusters, acts: Sequence[Act]
    ) -> None:
        self._connection = connection
        self._members = members
        self._clusters = clusters
        self._acts = clusters.locate(members, acts) if acts else []

    def compose(self, orders: Sequence[Order]) -> list[Ranked]:
        """The page of each topic."""
        sources, acts = None, self._acts
        if any(order.topic.max_per_source is not None for order in orders):
            shown = self._members.column("source").take(pa.array(self._clusters.positions)).to_pylist()
            numbers = source_numbers([*shown, *(placed.source for placed in acts)])
            sources = numbers[: len(shown)]
            acts = [
                replace(placed, source_number=int(number))
                for placed, number in zip(acts, numbers[len(shown) :], strict=True)
            ]
        by_topic: dict[str, list[Placed]] = {}
        for placed in acts:
            by_topic.setdefault(placed.act.slug, []).append(placed)
        likeness = self._likeness(orders, by_topic)
        return [
            compose_topic(
                order,
                Materials(
                    acts=by_topic.get(order.topic.slug, ()),
                    sources=sources if order.topic.max_per_source is not None else None,
                    likeness=likeness if order.topic.diversity else None,
                ),
            )
            for order in orders
        ]

    def _likeness(self, orders: Sequence[Order], acts: Mapping[str, Sequence[Placed]]) -> Likeness | None:
        """The signatures of the documents in the pools of these topics; None if no topic asks for diversity."""
        places = []
        for order in orders:
            if order.topic.diversity:
                own = acts.get(order.topic.slug, ())
                places += [
                    order.places[order.pool(own)],
                    np.asarray([placed.place for placed in own], dtype=np.int64),
                ]
        if not places:
            return None
        wanted = self._clusters.document_ids[np.unique(np.concatenate(places))].tolist()
        rows = db.rows(self._connection, "editorial.signatures", document_ids=wanted)
        return Likeness({row["document_id"]: bytes(row["signature"]) for row in rows})
