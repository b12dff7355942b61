"""The gate before the page: what a run made is looked at before readers see it.

A wrong model, template or precision gives numbers all the same, and numbers sort. Checked are: the canary of each engine
that scored; that every bucket of the run adds up; that its logits are finite and not all alike; that the page has not
lost too many of its topics.

A run that fails is *blocked*. There is one rule for what that means: the scores that it made count for nothing, wherever
they are read, until a person approves them or a later try or run scores the pairs anew. So they leave the ledger, and
those that a rescoring run had replaced come back. The run's page is then made from what is left: what was scored
before in model order, the rest in the light order. Every decision is kept, and the latest one of a run holds.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from rerank_core.errors import InputError
from rerank_core.publish.standings import Standings
from rerank_core.records import RankedTopic, Run
from rerank_core.storage import database as db
from rerank_core.storage import ledger, runs
from rerank_core.storage.database import Database

SPREAD_PAIRS = 200  # fewer scores may be alike by chance
LEAST_DEVIATION = 1e-3  # logits; batches and the prefix cache alone move one by less than a hundredth of this
BUCKETS = ("from_ledger", "scored", "refused", "missing", "left_out")

_MODEL = "See whether the model, its files and its precision are those that you mean (`rerank scorer list`); then Clear the run."
ADVICE = {  # by the word that a check's sentence begins with
    "canary": _MODEL,
    "finite": _MODEL,
    "spread": _MODEL,
    "counts": "See whether rows of the run were changed or deleted by hand, and Clear the run; where it is blocked again, report it.",
    "empty": "See which topics these are: a threshold, a filter or the model has emptied them; the next run takes the correction.",
}


@dataclass(frozen=True)
class Decision:
    """What the gate, or a person, decided last about a run."""

    verdict: str  # blocked, passed (after a block) or approved
    sentence: str
    actor: str
    decided_at: datetime


@dataclass(frozen=True)
class Spread:
    """How the scores that a run made are spread."""

    pairs: int
    not_finite: int
    deviation: float | None  # standard deviation of the finite logits; null: there are none
    canaries: Mapping[int, float | None]  # by shard that has scores: the margin; null: none was kept


def latest(connection: Connection, run_id: int) -> Decision | None:
    """The decision that holds; None: nothing was ever wrong with the run."""
    row = db.one(connection, "gate.latest", run_id=run_id)
    if row is None:
        return None
    return Decision(row["verdict"], row["sentence"], row["actor"], row["decided_at"])


def spread(connection: Connection, run: Run) -> Spread:
    """How the scores of the run that stand in the ledger are spread."""
    everything, *shards = db.rows(connection, "gate.scores", run_id=run.run_id)
    return Spread(
        everything["pairs"],
        everything["not_finite"],
        everything["deviation"],
        {row["shard"]: row["margin"] for row in shards},
    )


def check_scores(connection: Connection, run: Run, found: Spread) -> list[str]:
    """What is wrong with the scores that the run made, a sentence each."""
    wrong = []
    kept = db.one(connection, "gate.run", run_id=run.run_id)
    assert kept is not None
    for shard, margin in found.canaries.items():
        if margin is None and kept["gated"]:
            wrong.append(f"canary: shard {shard} was scored by an engine whose canary is not kept")
        if margin is not None and margin <= 0:
            wrong.append(f"canary: in shard {shard} its pairs were out of order, by {-margin:.3f} logits")
    if found.not_finite:
        wrong.append(f"finite: {found.not_finite:,} of {found.pairs:,} logits are no finite number")
    if (
        found.pairs >= SPREAD_PAIRS
        and not found.not_finite
        and found.deviation is not None
        and found.deviation < LEAST_DEVIATION
    ):
        wrong.append(
            f"spread: the {found.pairs:,} logits deviate by {found.deviation:.1g}, less than {LEAST_DEVIATION:g}:"
            " the model says the same of everything"
        )
    return wrong


def check_counts(connection: Connection, run: Run, page: Standings) -> list[str]:
    """Which buckets of the run do not add up, a sentence each."""
    row = db.one(connection, "gate.articles", run_id=run.run_id)
    kept = db.one(connection, "gate.run", run_id=run.run_id)
    assert row is not None
    assert kept is not None
    wrong = []
    if row["sighted"] is not None:
        parts = {
            name: row[name] for name in ("claimed", "unchanged", "too_late", "later", "invalid", "forgotten")
        }
        wrong += _uneven("counts: source rows", row["sighted"], parts)
    if row["nowhere"]:
        wrong.append(
            f"counts: {row['nowhere']:,} of {row['revisions']:,} claimed revisions are neither prepared nor in quarantine"
        )
    if row["claimed"] is not None and not kept["published"] and row["claimed"] != row["revisions"]:
        wrong.append(f"counts: {row['claimed']:,} revisions were claimed and {row['revisions']:,} are there")
    if row["twice"]:
        wrong.append(f"counts: {row['twice']:,} claimed revisions are prepared and in quarantine, too")
    windows = {found["slug"]: found for found in db.rows(connection, "gate.window", run_id=run.run_id)}
    rows = {each["values"]: each["counts"] for each in page.rows.column("topic").value_counts().to_pylist()}
    for slug, topic in sorted(page.topics.items()):
        wrong += _uneven(
            f"counts: topic {slug}: candidates",
            topic.candidates,
            {name: getattr(topic, name) for name in BUCKETS},
        )
        if topic.ranked != rows.get(slug, 0):
            wrong.append(
                f"counts: topic {slug}: {topic.ranked:,} are ranked and the page has {rows.get(slug, 0):,} rows"
            )
        window = windows.get(slug)
        if kept["gated"] and window is not None:
            if window["documents"] != page.documents:
                wrong.append(
                    f"counts: topic {slug}: the window has {page.documents:,} documents and {window['documents']:,} are accounted for"
                )
            if page.forgotten == 0 and window["wanted"] != topic.candidates:
                wrong.append(
                    f"counts: topic {slug}: recall wanted {window['wanted']:,} pairs and {topic.candidates:,} are accounted for"
                )
    return wrong


def _uneven(what: str, total: int, parts: Mapping[str, int]) -> list[str]:
    """A sentence where the parts are not the total."""
    if sum(parts.values()) == total:
        return []
    shown = " + ".join(f"{name} {count:,}" for name, count in parts.items() if count)
    return [f"{what} are {total:,}, and {shown or 'nothing'} is {sum(parts.values()):,}"]


def check_empty(
    connection: Connection,
    run: Run,
    topics: Mapping[str, RankedTopic],
    *,
    hidden: Collection[str],
    share: float,
) -> list[str]:
    """Whether more than this share of the topics is empty, and more of them than on the page that stands.

    Counted are the topics that are on both pages, for one that is new has lost nothing; and the page that stands is
    counted without the `hidden` articles, for what was deleted or blocked meanwhile is missed by nobody. A topic that
    abstains counts as empty. Never of a first run, nor of one that would not be the page: of an older as-of time than it.
    """
    standing = db.one(
        connection, "gate.standing", pipeline=run.pipeline, slugs=sorted(topics), hidden=list(hidden)
    )
    newest = db.one(connection, "publish.is_newest", run_id=run.run_id)
    assert newest is not None
    if standing is None or not newest["is_newest"]:
        return []
    empty = sum(topics[slug].ranked == 0 for slug in standing["slugs"])
    total = len(standing["slugs"])
    if empty <= share * total or empty <= standing["empty"]:
        return []
    return [
        f"empty: {empty:,} of {total:,} topics have no row, more than {share:.0%};"
        f" on the page that stands, of run {standing['run_id']}, {standing['empty']:,} of {total:,}"
    ]


def block(connection: Connection, run: Run, *, fence: int, sentence: str) -> int:
    """Take the run's scores out of the ledger; returns how many count for nothing now. The caller holds its fence."""
    db.rows(connection, "gate.hold_run", run_id=run.run_id)
    db.execute(connection, "gate.set_aside", run_id=run.run_id)
    _bring_back(connection, run.run_id, own=False)
    decide(connection, run.run_id, "blocked", sentence, fence=fence)
    row = db.one(connection, "gate.count_aside", run_id=run.run_id)
    assert row is not None
    return int(row["distrusted"])


def trust(connection: Connection, run_id: int) -> None:
    """Put what the run scored back into the ledger, but where a later score stands there."""
    _bring_back(connection, run_id, own=True)


def settle(connection: Connection, run_id: int) -> None:
    """The run's scores are good: those that they replaced are kept no longer."""
    db.execute(connection, "gate.drop_aside", run_id=run_id)


def decide(
    connection: Connection, run_id: int, verdict: str, sentence: str, *, fence: int, actor: str | None = None
) -> None:
    """Keep a decision."""
    db.rows(
        connection, "gate.add", run_id=run_id, verdict=verdict, sentence=sentence, fence=fence, actor=actor
    )


def _bring_back(connection: Connection, run_id: int, *, own: bool) -> None:
    months = [row["month"] for row in db.rows(connection, "gate.months", run_id=run_id)]
    if months:
        ledger.ensure_months(connection, months)
        db.execute(connection, "gate.bring_back", run_id=run_id, own=own)


def approve(database: Database, *, run_id: int, pipeline: str, reason: str, actor: str | None = None) -> bool:
    """Let a blocked run pass; its stage publish then trusts its scores. False: it was approved before.

    `actor` None: the database role. Raises InputError where the run is of another pipeline or not blocked, or there is no reason.
    """
    if not reason.strip():
        raise InputError(f"approving run {run_id} needs a reason, for whoever looks later; give --reason")
    with database.transaction(
        read_only=True
    ) as connection:  # a number that is mistyped overtakes no other run's try
        if not _is_to_approve(connection, run_id, pipeline):
            return False
    with runs.attempt(database, run_id) as (_, fence), database.transaction() as connection:
        runs.hold_fence(connection, run_id, fence)
        if not _is_to_approve(connection, run_id, pipeline):
            return False
        decide(connection, run_id, "approved", reason.strip(), fence=fence, actor=actor)
        return True


def _is_to_approve(connection: Connection, run_id: int, pipeline: str) -> bool:
    run = runs.get(connection, run_id)
    if run.pipeline != pipeline:
        raise InputError(
            f"run {run_id} belongs to pipeline {run.pipeline!r}, not {pipeline!r}; give its --pipeline"
        )
    found = latest(connection, run_id)
    if found is not None and found.verdict == "approved":
        return False
    if found is None or found.verdict != "blocked":
        raise InputError(
            f"run {run_id} is not blocked: there is nothing to approve; `rerank runs` lists those that are"
        )
    return True


def sentence(run_id: int, pipeline: str, *, blocked: str, distrusted: int, is_current: bool) -> str:
    """What a person is told of a blocked run, and what he can do."""
    scores = (
        f"its {distrusted:,} scores count for nothing; the next good run scores those pairs anew"
        if distrusted
        else "it made no scores"
    )
    page = "a degraded page is published" if is_current else "the page that readers see stays as it is"
    return (
        f"the gate blocks run {run_id} of pipeline {pipeline}: {blocked}. So {page}, and {scores}. {advice(blocked)}"
        f" Where it is right after all: {command(pipeline, run_id)}"
    )


def advice(blocked: str) -> str:
    """What to look at and to do where these checks block, in whole sentences."""
    return " ".join(
        dict.fromkeys(text for name, text in ADVICE.items() if re.search(rf"(^|; ){name}: ", blocked))
    )


def command(pipeline: str, run_id: int) -> str:
    """What to type to approve a run."""
    return f'rerank publish --approve {run_id} --pipeline {pipeline} --reason "…"'
