"""The gate before the page: it checks what a run made before readers see it.

A wrong model, template or precision gives numbers all the same, and numbers sort. So the gate checks four things:

    canary         each engine that scored has put its canary pairs in order
    counts         every bucket of the run adds up
    finite, spread the run's logits are finite, and not all alike
    empty          the page has not lost too many of its topics

A run that fails is *blocked*: the scores that it made count for nothing, wherever they are read, until a person approves them or
a later try or run scores the pairs again. So they leave the ledger, and scores that a rescoring run had replaced come
back. The run's page is then made from what is left: earlier scores in model order, the rest in the light order. Every
decision is kept, and the latest decision of a run holds.
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
    "counts": "See whether rows of the run were changed or deleted by hand, and Clear the run; if it is blocked again, report it.",
    "empty": "See which topics these are: a threshold, a filter or the model has emptied them; the next run takes the correction.",
}


@dataclass(frozen=True)
class Decision:
    """What the gate, or a person, decided last about a run."""

    verdict: str  # blocked, passed (after a block) or approved
    sentence: str
    actor: str  # the database role
    decided_at: datetime


@dataclass(frozen=True)
class Spread:
    """How the scores that a run made are spread."""

    pairs: int
    not_finite: int
    deviation: float | None  # standard deviation of the finite logits; null: there are none
    canaries: Mapping[int, float | None]  # by shard that has scores: the margin; null: none was kept


def latest(connection: Connection, run_id: int) -> Decision | None:
    """The decision that holds; None: the gate has never blocked the run."""
    row = db.one(connection, "gate.latest", run_id=run_id)
    if row is None:
        return None
    return Decision(row["verdict"], row["sentence"], row["actor"], row["decided_at"])


def spread(connection: Connection, run: Run) -> Spread:
    """How the scores that the run has in the ledger are spread."""
    everything, *shards = db.rows(connection, "gate.scores", run_id=run.run_id)
    return Spread(
        everything["pairs"],
        everything["not_finite"],
        everything["deviation"],
        {row["shard"]: row["margin"] for row in shards},
    )


def check_scores(connection: Connection, run: Run, spread: Spread) -> list[str]:
    """What is wrong with the scores that the run made: a sentence for each fault."""
    wrong = []
    kept = db.the(connection, "gate.run", run_id=run.run_id)
    for shard, margin in spread.canaries.items():
        if margin is None and kept["gated"]:
            wrong.append(f"canary: shard {shard} was scored by an engine whose canary is not kept")
        if margin is not None and margin <= 0:
            wrong.append(f"canary: in shard {shard} its pairs were out of order, by {-margin:.3f} logits")
    if spread.not_finite:
        wrong.append(f"finite: {spread.not_finite:,} of {spread.pairs:,} logits are no finite number")
    if (
        spread.pairs >= SPREAD_PAIRS
        and not spread.not_finite
        and spread.deviation is not None
        and spread.deviation < LEAST_DEVIATION
    ):
        wrong.append(
            f"spread: the {spread.pairs:,} logits deviate by {spread.deviation:.1g}, less than {LEAST_DEVIATION:g}:"
            " the model says the same of everything"
        )
    return wrong


def check_counts(connection: Connection, run: Run, page: Standings) -> list[str]:
    """Which buckets of the run do not add up: a sentence for each."""
    kept = db.the(connection, "gate.run", run_id=run.run_id)
    return [
        *_check_articles(connection, run, is_published=kept["published"]),
        *_check_topics(connection, run, page, is_gated=kept["gated"]),
    ]


def _check_articles(connection: Connection, run: Run, *, is_published: bool) -> list[str]:
    """Each source row and each claimed revision is in one bucket."""
    row = db.the(connection, "gate.articles", run_id=run.run_id)
    wrong = []
    if row["sighted"] is not None:
        names = ("claimed", "unchanged", "too_late", "later", "invalid", "forgotten")
        wrong += _uneven("counts: source rows", row["sighted"], {name: row[name] for name in names})
    if row["nowhere"]:
        wrong.append(
            f"counts: {row['nowhere']:,} of {row['revisions']:,} claimed revisions are neither prepared nor in quarantine"
        )
    if row["claimed"] is not None and not is_published and row["claimed"] != row["revisions"]:
        wrong.append(f"counts: {row['claimed']:,} revisions were claimed and {row['revisions']:,} are there")
    if row["twice"]:
        wrong.append(f"counts: {row['twice']:,} claimed revisions are prepared and in quarantine, too")
    return wrong


def _check_topics(connection: Connection, run: Run, page: Standings, *, is_gated: bool) -> list[str]:
    """Each candidate, each row and each document of the window is in one bucket, topic by topic.

    A run that is not `is_gated` was opened before recall kept its counts.
    """
    wrong = []
    windows = {row["slug"]: row for row in db.rows(connection, "gate.window", run_id=run.run_id)}
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
        if not is_gated or window is None:
            continue
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
    """A sentence if the parts are not the total."""
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
    """A sentence if more than `share` of the topics are empty, and more of them than on the current page.

    Counted are the topics that are on both pages, because a new topic has lost nothing. The current page is counted
    without the `hidden` articles, because nobody misses what was deleted or hidden meanwhile. A topic that abstains is
    empty. A first run has nothing to compare with, and a run of an older as-of time does not become the page: neither is
    checked.
    """
    standing = db.one(
        connection, "gate.standing", pipeline=run.pipeline, slugs=sorted(topics), hidden=list(hidden)
    )
    newest = db.the(connection, "publish.is_newest", run_id=run.run_id)
    if standing is None or not newest["is_newest"]:
        return []
    empty = sum(topics[slug].ranked == 0 for slug in standing["slugs"])
    total = len(standing["slugs"])
    if empty <= share * total or empty <= standing["empty"]:
        return []
    return [
        f"empty: {empty:,} of {total:,} topics have no row, more than {share:.0%};"
        f" on the current page, of run {standing['run_id']}, {standing['empty']:,} of {total:,}"
    ]


def block(connection: Connection, run: Run, *, fence: int, sentence: str) -> int:
    """Take the run's scores out of the ledger; returns how many count for nothing now. The caller holds the fence."""
    db.rows(connection, "gate.hold_run", run_id=run.run_id)
    db.execute(connection, "gate.set_aside", run_id=run.run_id)
    _bring_back(connection, run.run_id, own=False)
    decide(connection, run.run_id, "blocked", sentence, fence=fence)
    return int(db.the(connection, "gate.count_aside", run_id=run.run_id)["distrusted"])


def trust(connection: Connection, run_id: int) -> None:
    """Put what the run scored back into the ledger; a later score of the same pair stays."""
    _bring_back(connection, run_id, own=True)


def settle(connection: Connection, run_id: int) -> None:
    """The run's scores are good: the scores that they replaced are kept no longer."""
    db.execute(connection, "gate.drop_aside", run_id=run_id)


def decide(
    connection: Connection,
    run_id: int,
    verdict: str,
    sentence: str,
    *,
    fence: int,
    on_behalf_of: str | None = None,
) -> None:
    """Keep a decision, with the database role that has logged in; `on_behalf_of`: the user who asked for it through Airflow."""
    db.execute(
        connection,
        "gate.add",
        run_id=run_id,
        verdict=verdict,
        sentence=sentence,
        fence=fence,
        on_behalf_of=on_behalf_of,
    )


def _bring_back(connection: Connection, run_id: int, *, own: bool) -> None:
    months = [row["month"] for row in db.rows(connection, "gate.months", run_id=run_id)]
    if months:
        ledger.ensure_months(connection, months)
        db.execute(connection, "gate.bring_back", run_id=run_id, own=own)


def approve(
    database: Database, *, run_id: int, pipeline: str, reason: str, on_behalf_of: str | None = None
) -> bool:
    """Let a blocked run pass: its stage publish then trusts its scores. False: the run was approved before.

    `on_behalf_of`: see `decide`. Raises InputError if the run is of another pipeline, is not blocked, or no reason
    is given.
    """
    if not reason.strip():
        raise InputError(f"approving run {run_id} needs a reason, for whoever looks later; give --reason")
    # Before a fence is taken: a mistyped number must not overtake another run's try.
    with database.transaction(read_only=True) as connection:
        if not _is_to_approve(connection, run_id, pipeline):
            return False
    with runs.attempt(database, run_id) as (_, fence), database.transaction() as connection:
        runs.hold_fence(connection, run_id, fence)
        if not _is_to_approve(connection, run_id, pipeline):
            return False
        decide(connection, run_id, "approved", reason.strip(), fence=fence, on_behalf_of=on_behalf_of)
        return True


def _is_to_approve(connection: Connection, run_id: int, pipeline: str) -> bool:
    run = runs.get(connection, run_id)
    if run.pipeline != pipeline:
        raise InputError(
            f"run {run_id} belongs to pipeline {run.pipeline!r}, not {pipeline!r}; give its --pipeline"
        )
    decision = latest(connection, run_id)
    if decision is not None and decision.verdict == "approved":
        return False
    if decision is None or decision.verdict != "blocked":
        raise InputError(
            f"run {run_id} is not blocked: there is nothing to approve; `rerank runs` lists those that are"
        )
    return True


def sentence(run_id: int, pipeline: str, *, blocked: str, distrusted: int, is_current: bool) -> str:
    """What a person is told of a blocked run, and what to do."""
    scores = (
        f"its {distrusted:,} scores count for nothing; the next good run scores those pairs again"
        if distrusted
        else "the run made no scores"
    )
    page = "a degraded page is published" if is_current else "the page that readers see stays as it is"
    return (
        f"the gate blocks run {run_id} of pipeline {pipeline}: {blocked}. So {page}, and {scores}. {advice(blocked)}"
        f" If the run is right after all: {command(pipeline, run_id)}"
    )


def advice(blocked: str) -> str:
    """What to look at and what to do if these checks block, in whole sentences."""
    return " ".join(
        dict.fromkeys(text for name, text in ADVICE.items() if re.search(rf"(^|; ){name}: ", blocked))
    )


def command(pipeline: str, run_id: int) -> str:
    """What to type to approve a run."""
    return f'rerank publish --approve {run_id} --pipeline {pipeline} --reason "…"'
