"""Examples that a scorer can learn from: pairs that readers saw on a page, with what they made of them.

Texts are joined from the live tables when training begins, and are in memory alone. So a text that is forgotten is in no
later training. Rows count that the model has ranked; an article that is hidden for any reason is left out. A label is the
rate of a Poisson process whose exposure allows for rank and age (`positions.py`): opens ÷ Σ impressions × exposure.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Connection

from rerank_core.learning import rows as reader_rows
from rerank_core.learning.positions import NAIVE, Floats, Ints, Positions, fit
from rerank_core.learning.rows import ReaderRows, moment
from rerank_core.records import Topic
from rerank_core.settings import Settings
from rerank_core.storage import database as db
from rerank_core.storage.database import Database

HELD_OUT = 0.5  # of the impressions, in the order of time
NEAR_RANK = 10  # up to this rank the effect of a rank must be known
BATCH = 5_000  # documents that are asked for at a time
# What becomes of a row of a page. `train`: from a page before the cut; `held_out`: of a cluster that came at the cut or after
# it; `later`: of a cluster of the train side, from a page at the cut or after it.
SIDES = ("train", "held_out", "later")
FATES = (*SIDES, "hidden", "no_text")


@dataclass(frozen=True)
class Example:
    """One pair, and what readers made of it. `label × weight` is its number of opens less its hides, never below 0."""

    topic: str
    instruction: str
    query: str  # in the document's language, as it reached the model
    document_id: int  # the text that was scored
    text: str
    language: str
    label: float  # opens an impression at rank 1 at age 0, without the effects of rank and age; from 0
    weight: float  # how many impressions at rank 1 at age 0 its impressions were worth; over 0
    impressions: int
    logit: float  # of its row when it was last shown
    cluster: int  # document_id of the cluster's leader
    published_at: datetime  # what the cluster's age counts from


@dataclass(frozen=True)
class Minimum:
    """What there must be at least; with less, nothing is learned."""

    topics: int = 8  # with two train examples or more
    held_out_topics: int = 6  # with two held-out examples or more
    examples: int = 200  # train and held-out examples
    opens: int = 300  # of train examples
    held_out_opens: int = 100  # of held-out examples
    curve: float = 3.0  # the ends of the interval of a rank's factor are at most this many times apart


@dataclass(frozen=True)
class Examples:
    """Examples by side, and where all other rows went. No cluster is in `held_out` and on another side, too."""

    train: Sequence[Example]  # from pages before `cut`
    held_out: Sequence[Example]  # from pages at `cut` or after it, of clusters that were on none before it
    # From pages at `cut` or after it, of clusters of `train`: only the proposal learns from them.
    later: Sequence[Example]
    cut: datetime | None  # null: no page was seen
    positions: Positions  # by which labels and weights were made
    buckets: Mapping[str, int]  # what became of each row of a page that has an event → rows
    missing: Sequence[str]  # a sentence for each minimum that is not reached; empty: there is enough


def collect(
    database: Database,
    settings: Settings,
    *,
    debiased: bool = True,
    minimum: Minimum | None = None,
) -> Examples:
    """The examples of this pipeline's pages that are within retention.

    `debiased` takes out what rank and age do; without it a label is opens an impression. The same events and texts give
    the same examples, in the same order.
    """
    with database.transaction(read_only=True) as connection:
        db.may_idle(connection)
        rows = reader_rows.read(connection, settings.pipeline)
        first, pair = rows.pairs()
        pairs = _read_pairs(connection, settings.pipeline, rows, first)
    positions = fit(rows.seen(pair)) if debiased else NAIVE
    cut = _cut(rows)
    fates = _fates(rows, pairs, pair, cut)
    exposure = rows.impressions * positions.exposure(rows.rank, rows.age)
    sides = {
        side: _examples(rows, pairs, pair, exposure, np.flatnonzero(fates == FATES.index(side)))
        for side in SIDES
    }
    buckets = {name: int((fates == place).sum()) for place, name in enumerate(FATES)}
    buckets |= {name: getattr(rows, name) for name in ("not_by_model", "past_retention", "unseen")}
    return Examples(
        **sides,
        cut=None if cut is None else moment(cut),
        positions=positions,
        buckets=buckets,
        missing=_missing(sides["train"], sides["held_out"], positions, minimum or Minimum()),
    )


def keep_lessons(
    database: Database, settings: Settings, *, scorer_id: int, learned: Sequence[Example]
) -> int:
    """Note whose texts a scorer has learned from, so that `rerank forget` can name it. Returns the number of new notes."""
    document_ids = sorted({example.document_id for example in learned})
    with database.transaction() as connection:
        return db.execute(
            connection,
            "examples.keep_lessons",
            pipeline=settings.pipeline,
            scorer_id=scorer_id,
            document_ids=document_ids,
        )


@dataclass(frozen=True)
class _Pair:
    """What a pair's texts are now."""

    topic: str
    instruction: str
    query: str
    document_id: int
    text: str  # "": there is none, or it must not be shown
    language: str
    cluster: int
    is_hidden: bool


def _read_pairs(connection: Connection, pipeline: str, rows: ReaderRows, first: Ints) -> list[_Pair]:
    """The pairs of these rows, in their order. Pairs of equal texts may occur twice, for two versions of a topic."""
    version_ids = np.unique(rows.version).tolist()
    topics = {
        row["topic_version_id"]: Topic("", row["query"], row["queries"], row["instruction"])
        for row in db.rows(connection, "examples.queries", topic_version_ids=version_ids)
    }
    document_ids = np.unique(rows.document).tolist()
    documents = {}
    for start in range(0, len(document_ids), BATCH):
        batch = document_ids[start : start + BATCH]
        for row in db.rows(connection, "examples.texts", pipeline=pipeline, document_ids=batch):
            documents[row["document_id"]] = row
    pairs = []
    for place in first.tolist():
        topic, document_id = topics[int(rows.version[place])], int(rows.document[place])
        found = documents.get(document_id)
        language = "" if found is None else found["lang"]
        pairs.append(
            _Pair(
                topic=rows.topic.names[rows.topic.of_row[place]],
                instruction=topic.instruction,
                query=topic.query_for(language),
                document_id=document_id,
                text=found["text"] if found is not None and found["shown"] else "",
                language=language,
                cluster=document_id if found is None else found["cluster"],
                is_hidden=found is not None and not found["shown"],
            )
        )
    return pairs


def _cut(rows: ReaderRows) -> int | None:
    """When the second half of the impressions begins."""
    if not len(rows.rank):
        return None
    order = np.argsort(rows.as_of, kind="stable")
    done = np.cumsum(rows.impressions[order])
    return int(rows.as_of[order[np.searchsorted(done, (1 - HELD_OUT) * done[-1])]])


def _fates(rows: ReaderRows, pairs: Sequence[_Pair], pair: Ints, cut: int | None) -> Ints:
    """The place in FATES of each row."""
    if cut is None:
        return np.zeros(0, dtype=np.int64)
    clusters = np.unique([each.cluster for each in pairs], return_inverse=True)[1][pair]
    began = np.full(clusters.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(began, clusters, rows.as_of)
    on_train_side = np.where(rows.as_of >= cut, FATES.index("later"), FATES.index("train"))
    fates = np.where(began[clusters] >= cut, FATES.index("held_out"), on_train_side)
    fates[np.array([not each.text for each in pairs])[pair]] = FATES.index("no_text")
    fates[np.array([each.is_hidden for each in pairs])[pair]] = FATES.index("hidden")
    return fates


def _examples(
    rows: ReaderRows, pairs: Sequence[_Pair], pair: Ints, exposure: Floats, chosen: Ints
) -> list[Example]:
    """One example for each topic, query and text of these rows, in this order."""
    sums: dict[tuple[str, str, str, int], list[float]] = {}
    last: dict[tuple[str, str, str, int], int] = {}
    for place in chosen.tolist():
        each = pairs[pair[place]]
        key = (each.topic, each.instruction, each.query, each.document_id)
        done = sums.setdefault(key, [0.0, 0.0, 0.0])
        done[0] += float(rows.opens[place] - rows.hides[place])
        done[1] += float(exposure[place])
        done[2] += float(rows.impressions[place])
        last.setdefault(key, place)  # the newest page comes first
    found = []
    for key in sorted(sums):
        place, (opens, weight, impressions) = last[key], sums[key]
        each = pairs[pair[place]]
        found.append(
            Example(
                topic=each.topic,
                instruction=each.instruction,
                query=each.query,
                document_id=each.document_id,
                text=each.text,
                language=each.language,
                label=max(0.0, opens) / weight,
                weight=weight,
                impressions=int(impressions),
                logit=float(rows.logit[place]),
                cluster=each.cluster,
                published_at=moment(rows.began_at[place]),
            )
        )
    return found


def _missing(
    train: Sequence[Example], held_out: Sequence[Example], positions: Positions, minimum: Minimum
) -> list[str]:
    """A sentence for each minimum that is not reached."""
    topics, held_out_topics = (
        sum(count > 1 for count in Counter(example.topic for example in side).values())
        for side in (train, held_out)
    )
    counted = (
        ("topics with two train examples", topics, minimum.topics),
        ("topics with two held-out examples", held_out_topics, minimum.held_out_topics),
        ("train and held-out examples", len(train) + len(held_out), minimum.examples),
        ("opens of train examples", round(_opens(train)), minimum.opens),
        ("opens of held-out examples", round(_opens(held_out)), minimum.held_out_opens),
    )
    said = [
        f"{what}: {there:,} are there, {wanted:,} are needed"
        for what, there, wanted in counted
        if there < wanted
    ]
    for effect in positions.examination:
        if effect.at <= NEAR_RANK and effect.high > minimum.curve * effect.low:
            said.append(
                f"what rank {effect.at:g} does is not known well: its factor is between {effect.low:.2f} and"
                f" {effect.high:.2f}, and these may be {minimum.curve:g} times apart"
            )
            break
    return said


def _opens(examples: Sequence[Example]) -> float:
    return sum(example.label * example.weight for example in examples)
