"""What a preview says, as records."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from rerank_core.records import Topic

Stand = Literal[
    "new", "edited", "stored", "off"
]  # beside the stored topic of that slug; off: it is not active
Order = Literal["model", "bm25"]


@dataclass(frozen=True)
class QueryWords:
    """One query, and which of its words no document in its languages has."""

    query: str
    langs: tuple[str, ...]  # of the window, that it is asked in; own languages only, if it has any here
    documents: int  # in these languages
    unmatched: tuple[str, ...]
    unused: tuple[str, ...]  # words that do not count, such as "the"


@dataclass(frozen=True)
class Filtered:
    """One filter of a topic, and how many documents of the window it removes."""

    field: str  # languages, must, must_not or min_score
    value: str
    removed: int  # by itself
    alone: int  # that no other filter of the topic removes


@dataclass(frozen=True)
class Row:
    """One row of the page as it would be."""

    rank: int
    article_id: str
    title: str
    source: str | None
    lang: str
    ranked_by: Order
    logit: float | None
    rank_score: float | None
    light_score: float
    age_hours: float
    recalled_by: str | None  # None: not found by this search, but scored before
    fresh_score: bool  # scored by this preview


@dataclass(frozen=True)
class Overlap:
    """Rows that a topic shares with another topic."""

    slug: str
    stored: bool  # the other topic's rows are those of the current page
    shared: int
    rows: int  # of the other topic


@dataclass(frozen=True)
class Cost:
    """What the topic makes the scorer do. Seconds are of one engine; None: the scorer has not scored here yet."""

    pairs: int  # to score at the next run
    known: int  # candidates that have a score already
    pairs_an_hour: float  # from then on, if news come as they came in the window
    seconds: float | None  # of `pairs`
    seconds_an_hour: float | None


@dataclass(frozen=True)
class Difference:
    """The page beside that of the stored version, both made here."""

    compared_by: Order  # the order that both were made in
    fields: tuple[str, ...]  # that differ
    entered: tuple[tuple[str, str], ...]  # articles and titles of the new page alone, by rank
    left: tuple[tuple[str, str], ...]
    candidates_entered: int
    candidates_left: int


@dataclass(frozen=True)
class TopicPreview:
    """What one topic would recall and rank."""

    topic: Topic
    stand: Stand
    eligible: int  # documents that pass languages, must and must_not
    recalled: int  # candidates
    queries: tuple[QueryWords, ...]
    filters: tuple[Filtered, ...]
    without_query: Mapping[str, int]  # language → its documents that the topic takes and has no query for
    rows: tuple[Row, ...]  # the first of the page
    row_count: int  # of the whole page
    overlaps: tuple[Overlap, ...]  # the largest first
    cost: Cost
    difference: Difference | None  # None: there is no other stored version


@dataclass(frozen=True)
class Preview:
    """Topics against the current window."""

    pipeline: str
    since: datetime  # articles first ingested from here on are looked at
    until: datetime
    cut: bool  # the freshness window has more articles than were looked at: `since` is later than its beginning
    articles: int
    documents: int  # texts that are scored: one for each cluster of near-copies
    strategy: str  # of recall
    without_vector: (
        int  # queries that the strategy wants a vector of, and that have none yet: words recall for them
    )
    scorer_id: int | None  # whose scores are shown; None: there is none yet
    scored_now: int
    topics: tuple[TopicPreview, ...]
