"""Topics as versioned data.

A stored version is never changed. An edit, a removal from the file and a return to it each make a new version, so that
every published row can name the exact topic that it was ranked for.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping

from rerank_core.errors import CorruptError, InputError, or_perhaps
from rerank_core.records import Topic
from rerank_core.storage import database as db
from rerank_core.storage.languages import comparable, same_language
from rerank_core.storage.topics_file import load_topics

__all__ = [
    "TopicChange",
    "TopicPlan",
    "apply",
    "check_active",
    "check_pipeline",
    "current_topics",
    "find_queries",
    "load_topics",
    "plan",
    "query_digest",
    "recall_digest",
    "store_queries",
    "to_record",
]

Action = Literal["create", "new version", "deactivate", "unchanged"]

_LISTS = ("languages", "must", "must_not")
_EDITABLE = tuple(
    field.name for field in fields(Topic) if field.name not in {"slug", "topic_version_id", "number"}
)


@dataclass(frozen=True)
class TopicChange:
    """What applying a file means for one topic."""

    action: Action
    topic: Topic  # after the change
    before: Topic | None  # before the change; None: the topic is new
    fields: tuple[str, ...]  # that differ, in the record's order


@dataclass(frozen=True)
class TopicPlan:
    """What applying a file means for a pipeline: one change a topic, by slug.

    A stored topic that is inactive and absent from the file stays so and is not listed.
    """

    pipeline: str
    changes: tuple[TopicChange, ...]

    def count(self, action: Action) -> int:
        """Topics that this happens to."""
        return sum(change.action == action for change in self.changes)


def query_digest(instruction: str, query: str) -> bytes:
    """sha256 of exactly the two texts that reach the model, framed so that no two pairs look alike."""
    return _digest([instruction, query])


def recall_digest(topic: Topic) -> bytes:
    """sha256 of all of a topic that decides which pairs are scored: a change of it fills the topic again."""
    return _digest(
        [
            topic.instruction,
            topic.query,
            sorted(topic.queries.items()),
            sorted(topic.languages),
            sorted(topic.must),
            sorted(topic.must_not),
            topic.candidate_limit,
        ]
    )


def to_record(row: RowMapping) -> Topic:
    """The topic in a row that has a column for each of its fields, and perhaps others.

    A language code that was stored before its alias was known is read as the code that documents have now.
    """
    values: dict[str, Any] = {field.name: row[field.name] for field in fields(Topic)}
    values |= {name: tuple(values[name]) for name in _LISTS}
    values["languages"] = tuple(dict.fromkeys(map(comparable, values["languages"])))
    stored = values["queries"]
    values["queries"] = {comparable(code): stored[same_language(code, stored)[0]] for code in stored}
    return Topic(**values)


def current_topics(connection: Connection, pipeline: str, *, active_only: bool = True) -> list[Topic]:
    """The newest version of each topic of a pipeline, by slug."""
    return [
        to_record(row)
        for row in db.rows(connection, "topics.current", pipeline=pipeline, active_only=active_only)
    ]


def check_active(connection: Connection, pipeline: str, slugs: Sequence[str]) -> None:
    """Raise InputError if one of these is no active topic of the pipeline."""
    active = [topic.slug for topic in current_topics(connection, pipeline)]
    for slug in slugs:
        if slug not in active:
            raise InputError(
                f"pipeline {pipeline} has no active topic {slug!r}{or_perhaps(slug, active)};"
                f" `rerank topics list` shows the {len(active)} that it has"
            )


def check_pipeline(connection: Connection, pipeline: str) -> None:
    """Raise InputError if the pipeline has neither topics nor runs: its name is probably misspelt."""
    known = [row["pipeline"] for row in db.rows(connection, "topics.pipelines")]
    if pipeline not in known:
        raise InputError(
            f"pipeline {pipeline!r} has no topics and no runs{or_perhaps(pipeline, known)}; "
            + (
                f"those with some are {', '.join(known)}"
                if known
                else "`rerank topics apply FILE` brings topics"
            )
        )


def plan(connection: Connection, pipeline: str, topics: Sequence[Topic]) -> TopicPlan:
    """What `apply` would do now."""
    stored = {topic.slug: topic for topic in current_topics(connection, pipeline, active_only=False)}
    wanted = {topic.slug for topic in topics}
    gone = [topic for topic in stored.values() if topic.active and topic.slug not in wanted]
    changes = [_change(topic, stored.get(topic.slug)) for topic in topics]
    changes += [_change(replace(topic, active=False), topic) for topic in gone]
    return TopicPlan(pipeline=pipeline, changes=tuple(sorted(changes, key=lambda change: change.topic.slug)))


def apply(connection: Connection, pipeline: str, topics: Sequence[Topic]) -> TopicPlan:
    """Make `topics` the pipeline's topics and deactivate the others. Returns what was done.

    Waits until no other apply of the pipeline is under way. All or nothing, with the caller's transaction.
    """
    db.rows(connection, "topics.lock", pipeline=pipeline)
    done = plan(connection, pipeline, topics)
    added = [change.topic.slug for change in done.changes if change.before is None]
    versions = [asdict(change.topic) for change in done.changes if change.action != "unchanged"]
    db.execute(connection, "topics.add", pipeline=pipeline, slugs=added)
    written = db.execute(
        connection,
        "topics.add_versions",
        pipeline=pipeline,
        versions=json.dumps(versions, ensure_ascii=False),
    )
    if written != len(versions):
        raise CorruptError(
            f"{written} of {len(versions)} topic versions were written, and none is kept; try again, and report it"
        )
    return done


def store_queries(connection: Connection, wanted: Sequence[Topic]) -> dict[tuple[str, str], int]:
    """(instruction, query) → query id, for every query of these topics; those that are new are added."""
    texts = sorted(
        {(topic.instruction, query) for topic in wanted for query in (topic.query, *topic.queries.values())},
        key=lambda text: query_digest(*text),
    )
    digests = [query_digest(*text) for text in texts]
    db.execute(
        connection,
        "topics.add_queries",
        digests=digests,
        instructions=[instruction for instruction, _ in texts],
        queries=[query for _, query in texts],
    )
    return find_queries(connection, wanted)


def find_queries(connection: Connection, wanted: Sequence[Topic]) -> dict[tuple[str, str], int]:
    """(instruction, query) → query id, for the queries of these topics that are stored."""
    texts = {
        query_digest(topic.instruction, query): (topic.instruction, query)
        for topic in wanted
        for query in (topic.query, *topic.queries.values())
    }
    return {
        texts[bytes(row["digest"])]: row["query_id"]
        for row in db.rows(connection, "topics.queries", digests=sorted(texts))
    }


def _digest(value: Any) -> bytes:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()).digest()


def _change(topic: Topic, before: Topic | None) -> TopicChange:
    if before is None:
        return TopicChange("create", replace(topic, number=1, topic_version_id=0), None, ())
    differing = tuple(name for name in _EDITABLE if getattr(topic, name) != getattr(before, name))
    if not differing:
        return TopicChange("unchanged", before, before, ())
    action: Action = "deactivate" if before.active and not topic.active else "new version"
    return TopicChange(
        action, replace(topic, number=before.number + 1, topic_version_id=0), before, differing
    )
