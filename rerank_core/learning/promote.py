"""Put a scorer in place of a pipeline's model, by hand: for a trial, for good, and back again. Each time somebody says why.

A row of `rerank.promotion` counts for one pipeline and one value of RERANK_MODEL. Runs that are frozen later take the
scorer that the latest row names. Runs that are frozen already keep theirs. Another value of RERANK_MODEL ends it, so the setting is
always the last word. A new scorer fills each topic before it ranks the topic, as any other model does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rerank_core.errors import InputError, ModelError
from rerank_core.models import scorers
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import topics as stored_topics
from rerank_core.storage.database import Database

HISTORY = 50  # rows that are shown


@dataclass(frozen=True)
class Promotion:
    """A scorer that somebody put in place."""

    pipeline: str
    scorer_id: int
    location: str
    kind: str  # trial, promoted or rolled back
    reason: str
    actor: str  # the database role
    on_behalf_of: str | None
    promoted_at: datetime


def promote(
    database: Database,
    settings: Settings,
    *,
    scorer_id: int,
    reason: str,
    kind: str = "promoted",
) -> Promotion:
    """Put a proposed scorer in place of the pipeline's model.

    Raises InputError if no training proposed it or there is no reason, ModelError if its folder here is not that scorer.
    """
    if not reason.strip():
        raise InputError("putting a scorer in place needs a reason that others can read later; give --reason")
    with database.transaction() as connection:
        row = db.one(connection, "promote.scorer", scorer_id=scorer_id)
        if row is None or not row["proposed"]:
            raise InputError(
                f"no training proposed scorer {scorer_id}; `rerank learn list` shows those that are"
            )
        found = scorers.identity(settings.model_copy(update={"model": row["location"]}))
        if found.digest != row["digest"]:
            raise ModelError(
                f"{row['location']} is not scorer {scorer_id} under these settings ({found.digest[:12]}, expected"
                f" {row['digest'][:12]}); take the precision, token limit and passages that it was learned with"
            )
        return _add(connection, settings, scorer_id, row["location"], kind, reason)


def roll_back(database: Database, settings: Settings, *, reason: str) -> Promotion:
    """Undo the latest promotion: the scorer before it comes back, at last the base. Raises InputError if there is none."""
    if not reason.strip():
        raise InputError("a rollback needs a reason that others can read later; give --reason")
    with database.transaction() as connection:
        history = db.rows(connection, "promote.list", pipeline=settings.pipeline, most=HISTORY)
        standing: list[Any] = []  # scorers in place, each over the one that it took the place of
        for row in reversed([row for row in history if row["model"] == settings.model]):
            if row["kind"] == "rolled back":
                standing = standing[:-1]
            else:
                standing.append(row)
        if not standing:
            raise InputError(f"nothing stands in place of {settings.model} in pipeline {settings.pipeline}")
        if len(standing) > 1:
            before_id, location = standing[-2]["scorer_id"], standing[-2]["location"]
        else:
            location = settings.model
            before_id = scorers.register(connection, scorers.identity(settings))
        return _add(connection, settings, before_id, location, "rolled back", reason)


def start_trial(database: Database, settings: Settings, *, scorer_id: int, reason: str) -> Settings:
    """Make a second pipeline with the same topics, in which a proposed scorer is in place; returns its settings.

    Its name is the pipeline's with `-try-` and the scorer's number. Repeated, it brings the topics up to date. Raises as `promote`
    does.
    """
    trial = settings.model_copy(update={"pipeline": f"{settings.pipeline}-try-{scorer_id}"})
    promote(database, trial, scorer_id=scorer_id, reason=reason, kind="trial")
    with database.transaction() as connection:
        stored_topics.apply(
            connection, trial.pipeline, stored_topics.current_topics(connection, settings.pipeline)
        )
    return trial


def history(database: Database, settings: Settings) -> Sequence[Promotion]:
    """What somebody has put in place in this pipeline, the newest first."""
    with database.transaction(read_only=True) as connection:
        found = db.rows(connection, "promote.list", pipeline=settings.pipeline, most=HISTORY)
    return [Promotion(**{name: row[name] for name in Promotion.__dataclass_fields__}) for row in found]


def trainings(database: Database, pipeline: str, *, most: int = HISTORY) -> list[dict[str, Any]]:
    """The records of a pipeline's trainings, the newest first; `used_by` names pipelines in which the proposal is in place."""
    with database.transaction(read_only=True) as connection:
        return [dict(row) for row in db.rows(connection, "promote.trainings", pipeline=pipeline, most=most)]


def _add(
    connection: Any,
    settings: Settings,
    scorer_id: int,
    location: str,
    kind: str,
    reason: str,
) -> Promotion:
    values: dict[str, Any] = {
        "pipeline": settings.pipeline,
        "scorer_id": scorer_id,
        "location": location,
        "kind": kind,
        "reason": reason.strip(),
    }
    row = db.the(connection, "promote.add", model=settings.model, **values)
    return Promotion(**values, **row)
