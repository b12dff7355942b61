"""Why an article has its place in a topic's ranking, or why it has none.

The answer is the first reason, in the order of the stages, that keeps the article away; else its place and what made it.
Three looks follow one another: what was claimed (here), what was recalled, what was scored. Each reads what the run
has left: claims, quarantine, the frozen members and pairs, the ledger and the publication. Only the place of an
article below the page is computed; everything else the run has decided.
"""

from datetime import datetime
from functools import partial
from typing import Any

import pyarrow.compute as pc
from sqlalchemy import Connection, RowMapping

from rerank_core.errors import InputError
from rerank_core.observe.explain_recall import what_was_recalled
from rerank_core.observe.explain_score import what_was_scored
from rerank_core.observe.explanation import (
    Answer,
    Case,
    Explanation,
    Facts,
    Found,
    FrozenTopic,
    fact,
    moment,
)
from rerank_core.publish import gate
from rerank_core.records import Run, Window
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage import runs, topics
from rerank_core.storage.database import Database
from rerank_core.storage.runs import current_run
from rerank_core.storage.source import Sighting, Source
from rerank_core.storage.store import Store

NAMED = 5  # articles of a cluster that are named


def explain(
    *,
    database: Database,
    store: Store,
    settings: Settings,
    topic: str,
    article_id: str,
    run_id: int | None = None,
) -> Explanation:
    """Explain an article in a topic, as of a run; `run_id` None means the run behind the page.

    Raises InputError if the topic or the run does not exist, or if the run is not frozen yet. Raises CorruptError if
    the run's artifacts are gone.
    """
    number = current_run(database, settings.pipeline) if run_id is None else run_id
    facts: Facts = ()
    with database.transaction(read_only=True) as connection:
        run = _frozen_run(connection, settings.pipeline, number)
        frozen = _frozen_topic(connection, run, topic)
        if frozen is None:
            said = f"The topic was not active when run {number} was frozen."
            return Explanation(topic, article_id, number, "topic_not_in_run", said, facts)
        case = Case(connection, store, run, frozen, article_id)
        for look in (
            partial(what_was_claimed, database=database, settings=settings),
            what_was_recalled,
            what_was_scored,
        ):
            found = look(case)
            facts += found.facts
            if found.answer is not None:
                answer = found.answer
                return Explanation(topic, article_id, number, answer.reason, answer.sentence, facts)
    raise AssertionError("the last look always has an answer")


def _frozen_run(connection: Connection, pipeline: str, run_id: int) -> Run:
    run = runs.get(connection, run_id)
    if run.pipeline != pipeline:
        raise InputError(f"run {run_id} belongs to pipeline {run.pipeline!r}, not {pipeline!r}")
    if not run.frozen:
        raise InputError(f"run {run_id} is not frozen yet: nothing has been recalled; run its stages first")
    return run


def _frozen_topic(connection: Connection, run: Run, slug: str) -> FrozenTopic | None:
    """The topic as the run has frozen it; None if the topic was not active then."""
    row = db.one(connection, "explain.topic", run_id=run.run_id, slug=slug)
    if row is not None:
        return FrozenTopic(
            topics.to_record(row),
            selected=row["selected"],
            filling=row["filling"],
            left_out=row["left_out"],
            not_recalled=row["not_recalled"],
            not_recalled_language=row["not_recalled_language"],
        )
    stored = topics.current_topics(connection, run.pipeline, active_only=False)
    if slug not in {topic.slug for topic in stored}:
        raise InputError(
            f"topic {slug!r} does not exist in pipeline {run.pipeline}; `rerank topics list` shows"
            " those that do"
        )
    return None


def what_was_claimed(case: Case, *, database: Database, settings: Settings) -> Found:
    """From the source to the run's members: why the run does not have the article, or shows another in its place."""
    decision = gate.latest(case.connection, case.run.run_id)
    facts = (
        *fact("run", f"{case.run.run_id}, as of {moment(case.run.window.until)}"),
        *fact("topic version", case.topic.number),
        *fact("gate", None if decision is None else f"{decision.verdict}: {decision.sentence}"),
    )
    if case.hidden is not None and case.hidden["why"] == "forgotten":
        said = f"It was forgotten ({case.hidden['reason']}): its text is gone and it is not claimed again."
        return Found(facts, Answer("forgotten", said))
    if case.revision is None:
        if (claimed_later := _claimed_later(case)) is not None:
            return Found(facts, claimed_later)
        source = Source.of(settings, database)
        sighting = source.look_up(case.article_id)
        if sighting is None:
            return Found(facts, Answer("unknown", f"The source {source.view} has no article of this id."))
        return Found(
            facts + fact("ingested", sighting.ingested_at), _why_unclaimed(sighting, case.run.window)
        )
    facts += _revision_facts(case.revision)
    facts += _media_facts(case, case.revision["revision_id"])
    answer = _why_no_document(case.revision)
    if answer is not None:
        return Found(facts, answer)
    facts += _document_facts(case.revision)
    answer = _why_no_member(case, case.revision["first_ingested_at"]) or _why_hidden(case)
    if answer is not None:
        return Found(facts, answer)
    cluster = _what_its_cluster_shows(case)
    return Found(facts + cluster.facts, cluster.answer)


def _claimed_later(case: Case) -> Answer | None:
    claim = case.one("explain.later_claim", pipeline=case.run.pipeline, article_id=case.article_id)
    if claim is None:
        return None
    return Answer(
        "claimed_later",
        f"Run {case.run.run_id} did not have it: run {claim['run_id']}, as of {moment(claim['until'])},"
        " was the first to claim it.",
    )


def _why_unclaimed(sighting: Sighting, window: Window) -> Answer:
    """Why no run has claimed this row of the source."""
    at = sighting.ingested_at
    if sighting.version is None or at is None:
        return Answer("invalid", "Its version or ingested_at is null in the source, so no run claims it.")
    if at >= window.until:
        return Answer(
            "ingested_later",
            f"It was ingested at {moment(at)}, not before the run's window ended at {moment(window.until)}.",
        )
    if at < window.since:
        return Answer(
            "too_late",
            f"It was ingested at {moment(at)}, before the lookback began at {moment(window.since)}: it was counted"
            " as too late and not claimed.",
        )
    return Answer("not_claimed", "It is in the source, and no run has claimed it yet: the next one will.")


def _revision_facts(revision: RowMapping) -> Facts:
    return (
        *fact("title", revision["title"]),
        *fact("revision", f"{revision['number']}, claimed by run {revision['claimed_by']}"),
        *fact("first ingested", revision["first_ingested_at"]),
        *fact("published", revision["published_at"]),
        *fact("age", _why_from_ingestion(revision)),
    )


def _media_facts(case: Case, revision_id: int) -> Facts:
    """Each picture and clip, and what became of it."""
    rows = db.rows(case.connection, "explain.media", revision_id=revision_id)
    return tuple(
        (
            f"{row['kind']} {row['place']}",
            f"{row['rendition'] or row['outcome'] or 'not looked at yet'}{', which the model reads' if row['is_read'] else ''}",
        )
        for row in rows
    )


def _why_from_ingestion(revision: RowMapping) -> str | None:
    """What to say if the source's date is so old that it is ignored."""
    published = revision["published_at"]
    ignored = published is not None and published < revision["began_at"]
    return "counts from ingestion: the source's date is long before it" if ignored else None


def _why_no_document(revision: RowMapping) -> Answer | None:
    if revision["quarantine_reason"] is not None:
        stage, why = revision["quarantine_stage"], revision["quarantine_reason"]
        return Answer("quarantined", f"The stage {stage} put it into quarantine: {why}.")
    if revision["document_id"] is None:
        return Answer("not_prepared", "It is claimed and not prepared yet.")
    return None


def _document_facts(revision: RowMapping) -> Facts:
    digest, sure = bytes(revision["digest"]).hex()[:12], revision["lang_confidence"]
    return (
        *fact(
            "document",
            f"{revision['document_id']}, sha256 {digest}…, {revision['length']:,} characters",
        ),
        *fact("language", revision["lang"] + ("" if sure is None else f", confidence {sure:.2f}")),
        *fact("flags", ", ".join(revision["flags"]) or None),
    )


def _why_no_member(case: Case, first_ingested_at: datetime) -> Answer | None:
    fresh_since = case.run.window.fresh_since
    if first_ingested_at < fresh_since:
        return Answer(
            "outside_window",
            f"It was first ingested at {moment(first_ingested_at)}, before the freshness window began at"
            f" {moment(fresh_since)}.",
        )
    if not case.member:
        return Answer("not_a_member", "It was not among the run's articles when the run was frozen.")
    return None


def _why_hidden(case: Case) -> Answer | None:
    if case.hidden is None:
        return None
    if case.hidden["why"] == "blocked":
        said = f"It is hidden ({case.hidden['reason']}): the views leave it out at once."
        return Answer("blocked", said)
    return Answer("deleted", "The source no longer had it when a run was last published.")


def _what_its_cluster_shows(case: Case) -> Found:
    """Which article stands for the cluster; the answer is None if it is this one."""
    scored_id = case.member["scored_document_id"]
    same_cluster = pc.equal(case.members.column("scored_document_id"), scored_id)
    members = case.members.filter(same_cluster).to_pylist()
    row = case.one("explain.cluster", run_id=case.run.run_id, slug=case.topic.slug, document_id=scored_id)
    shown = {
        member["article_id"]: member for member in members if member["article_id"] not in case.hidden_members
    }
    rank = row["rank"] if row is not None and row["article_id"] in shown else None
    leader = shown[next(iter(shown)) if row is None or rank is None else row["article_id"]]
    if leader["article_id"] != case.article_id:
        return Found(_cluster_facts(case, members, leader), _why_a_copy(case, leader, rank))
    facts = _cluster_facts(case, members, leader)
    if case.member["document_id"] != scored_id:
        name = case.member["scored_article_id"]
        owner = "an article that is hidden" if name is None else f"article {name}"
        share = case.member["similarity"]
        alike = "which has its link" if share is None else f"{share:.0%} of its shingles are the same"
        facts += fact("scored text", f"that of {owner}, {alike}")
    return Found(facts, None)


def _cluster_facts(case: Case, members: list[dict[str, Any]], leader: dict[str, Any]) -> Facts:
    if len(members) == 1:
        return fact("cluster", "no other article has this text or a near-copy of it")
    texts = len({member["document_id"] for member in members})
    has_links = any(member["similarity"] is None for member in members)
    names = ", ".join(member["article_id"] for member in members[:NAMED])
    more = "" if len(members) <= NAMED else f" and {len(members) - NAMED} more"
    who = "this one" if leader["article_id"] == case.article_id else f"article {leader['article_id']}"
    return fact(
        "cluster",
        f"{len(members)} articles with this text{', its link' if has_links else ''} or a near-copy of it, {texts} texts: {names}{more};"
        f" {who} stands for them",
    )


def _why_a_copy(case: Case, leader: dict[str, Any], rank: int | None) -> Answer:
    name = leader["article_id"]
    where = "stands for it: explain that one" if rank is None else f"stands at rank {rank}"
    own_id, leader_id = case.member["document_id"], leader["document_id"]
    if leader_id == own_id:
        return Answer("copy", f"It has the very text of article {name}, which {where}.")
    if None in (case.member["similarity"], leader["similarity"]):
        return Answer(
            "same_link",
            f"Its source has article {name} with the same link, which {where}: the newest of them stands for all.",
        )
    alike = min(case.member["similarity"], leader["similarity"])
    how = f"{alike:.0%} of their shingles are the same"
    if case.member["scored_document_id"] not in (own_id, leader_id):
        how = f"each shares at least {alike:.0%} of its shingles with the text that was scored"
    return Answer("near_copy", f"It is a near-copy of article {name}, which {where}; {how}.")
