"""What `explain` looks at, and what it finds.

A look returns its facts and, if it found the reason, the answer. The first answer is the explanation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, RowMapping

from rerank_core.publish import editorial
from rerank_core.publish.ranking import Clusters
from rerank_core.records import Act, Run, Topic
from rerank_core.storage import artifacts
from rerank_core.storage import database as db
from rerank_core.storage.store import Store

Reason = Literal[
    "ranked",
    "unknown",
    "invalid",
    "too_late",
    "ingested_later",
    "not_claimed",
    "claimed_later",
    "forgotten",
    "blocked",
    "deleted",
    "not_prepared",
    "quarantined",
    "outside_window",
    "not_a_member",
    "copy",
    "near_copy",
    "same_link",
    "topic_not_in_run",
    "other_language",
    "lacks_must",
    "has_must_not",
    "topic_not_selected",
    "searched_before",
    "no_query_in_language",
    "over_budget",
    "not_recalled",
    "not_recalled_or_over_budget",
    "refused",
    "distrusted",
    "score_lost",
    "unscored_below_page",
    "other_scorer",
    "below_min_score",
    "over_source_limit",
    "moved_off",
    "hidden_then",
    "below_top_k",
    "not_published",
]
Facts = tuple[tuple[str, str], ...]  # (name, value), in the order of the stages


@dataclass(frozen=True)
class Answer:
    """The article's place and what made it, or the reason that keeps the article away."""

    reason: Reason
    sentence: str


@dataclass(frozen=True)
class Found:
    """What one look found."""

    facts: Facts
    answer: Answer | None  # null: this look did not find the reason


@dataclass(frozen=True)
class Explanation:
    """The first answer, with the facts of every look up to it."""

    topic: str
    article_id: str
    run_id: int
    reason: Reason
    sentence: str
    facts: Facts


@dataclass(frozen=True)
class FrozenTopic:
    """A topic as a run has frozen it, and how its recall went."""

    topic: Topic
    selected: bool  # the run was not limited to other topics
    filling: bool  # recalled from the whole freshness window
    left_out: int  # candidates over the run's budget
    not_recalled: int  # documents that were not among the best
    not_recalled_language: int  # documents in a language that the topic has no query in


@dataclass(frozen=True)
class Case:
    """One article in one topic of one frozen run. Each part is read from the run when a look first asks for it."""

    connection: Connection
    store: Store
    run: Run
    frozen: FrozenTopic
    article_id: str

    def one(self, name: str, **values: Any) -> RowMapping | None:
        """The first row of a statement of `explain`, or None."""
        return db.one(self.connection, name, **values)

    @property
    def topic(self) -> Topic:
        return self.frozen.topic

    @cached_property
    def hidden(self) -> RowMapping | None:
        """Why the article is hidden now: `why` and `reason`."""
        return self.one("explain.hidden", pipeline=self.run.pipeline, article_id=self.article_id)

    @cached_property
    def revision(self) -> RowMapping | None:
        """The article's latest revision that the run knew."""
        return self.one(
            "explain.revision",
            pipeline=self.run.pipeline,
            article_id=self.article_id,
            run_id=self.run.run_id,
            until=self.run.window.until,
        )

    @cached_property
    def members(self) -> pa.Table:
        """The run's articles. Raises CorruptError if the artifact is gone."""
        return artifacts.read_members(self.store, self.run)

    @cached_property
    def member(self) -> Mapping[str, Any]:
        """The article's row of `members`; empty if the article is not among them."""
        rows = self.members.filter(pc.equal(self.members.column("article_id"), self.article_id)).to_pylist()
        return rows[0] if rows else {}

    @cached_property
    def hidden_members(self) -> set[str]:
        """Ids of the run's articles that are hidden now."""
        rows = db.rows(
            self.connection,
            "explain.hidden_members",
            pipeline=self.run.pipeline,
            article_ids=self.members.column("article_id").to_pylist(),
        )
        return {row["article_id"] for row in rows}

    @cached_property
    def clusters(self) -> Clusters:
        """The clusters of the window, without the articles that are hidden now."""
        return Clusters.of(self.members, as_of=self.run.window.until, hidden=self.hidden_members)

    @cached_property
    def acts(self) -> tuple[Act, ...]:
        """Acts of editors on the topic that the run follows."""
        acts = editorial.acts_of(self.connection, self.run)
        return tuple(act for act in acts if act.slug == self.topic.slug)

    @cached_property
    def act(self) -> Act | None:
        """The act on the article."""
        return next((act for act in self.acts if act.article_id == self.article_id), None)

    @cached_property
    def topic_pairs(self) -> pa.Table:
        """The topic's pairs. Raises CorruptError if the artifact is gone."""
        pairs = artifacts.read_pairs(self.store, self.run)
        return pairs.filter(pc.equal(pairs.column("topic"), self.topic.slug))

    @cached_property
    def own_pairs(self) -> pa.Table:
        """Of the topic's pairs, those of the text that is scored for the article."""
        document_ids = self.topic_pairs.column("document_id")
        return self.topic_pairs.filter(pc.equal(document_ids, self.member["scored_document_id"]))

    @cached_property
    def own_pair(self) -> Mapping[str, Any]:
        """The first of `own_pairs`, which is the run's own; there must be one."""
        row: Mapping[str, Any] = self.own_pairs.slice(0, 1).to_pylist()[0]
        return row


def fact(name: str, value: object) -> Facts:
    """One fact; none if the value is None."""
    if value is None:
        return ()
    return ((name, moment(value) if isinstance(value, datetime) else str(value)),)


def moment(at: datetime) -> str:
    """`2026-11-22 17:00:00 UTC`."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
