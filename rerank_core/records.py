"""The frozen records that cross every boundary of the library. Times have a UTC offset and are in UTC."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

DEFAULT_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"

TopicState = Literal["full", "partial", "abstained", "degraded", "stale"]
ActKind = Literal["pin", "boost", "demote"]


@dataclass(frozen=True)
class Article:
    """A row of the article source, as its owner wrote it: raw, untrusted text."""

    article_id: str
    version: str  # changes with every edit: a sequence, a timestamp or a stored hash
    ingested_at: datetime  # when the row entered the source
    title: str
    url: str | None = None
    summary: str | None = None
    body: str | None = None
    lang: str | None = None  # as the source claims it
    source: str | None = None
    published_at: datetime | None = None


@dataclass(frozen=True)
class Document:
    """The prepared text of a revision; equal texts are one document."""

    digest: bytes  # sha256 of the text in UTF-8, and of the names of the pictures that the model reads
    title: str  # cleaned, for display
    text: str  # what the model reads: title, summary and body, in that order
    lang: str  # ISO 639-1, or "und"
    terms: str  # BM25 terms, separated by one space
    lang_confidence: float = 0.0  # 0..1: how likely the text alone makes this language
    flags: tuple[str, ...] = ()  # what was noticed about the text, in alphabetical order
    signature: bytes | None = None  # what near-copies are found by; None: too short, or not wanted
    letters_in: int = 0  # letters and digits of the visible text of the revision's title, summary and body
    letters_out: int = 0  # letters and digits of what was left of them
    pictures: tuple[str, ...] = ()  # paths of the renditions that the model reads; the digest covers them


@dataclass(frozen=True)
class Topic:
    """One version of a stored topic query."""

    slug: str
    query: str
    queries: dict[str, str] = field(default_factory=dict)  # document language → query in that language
    instruction: str = DEFAULT_INSTRUCTION
    languages: tuple[str, ...] = ()  # document languages; empty means all
    must: tuple[str, ...] = ()  # every term must appear in the document
    must_not: tuple[str, ...] = ()  # none may
    candidate_limit: int = 50  # documents scored for each hour of ingestion
    top_k: int = 20  # rows of the ranking
    min_score: float | None = None  # least logit that a ranked document has
    half_life_hours: float = 24.0  # age at which the odds of relevance are halved
    max_per_source: int | None = None  # rows of one source on the page; None: any number
    diversity: float = 0.0  # 0..1, weight of being unlike the rows above; 0: off
    active: bool = True
    topic_version_id: int = 0  # 0: not stored
    number: int = 0  # version number within the topic, from 1; 0: not stored

    def query_for(self, lang: str) -> str:
        """The query that a document in this language is scored against."""
        return self.queries.get(lang, self.query)


@dataclass(frozen=True)
class Pair:
    """One query and one document, as texts ready for a scorer."""

    query_id: int
    document_id: int
    month: date  # ledger partition: first day of the document's first month
    instruction: str
    query: str
    document: str
    pictures: tuple[str, ...] = ()  # paths of the renditions that a model of pictures reads with the document


@dataclass(frozen=True)
class Score:
    """What a scorer found for one pair."""

    pair: Pair
    logit: float  # logit(yes) − logit(no), float32, finite
    truncated: bool  # the document's tail did not fit
    latency_ms: float  # from submission to result
    prompt_tokens: int
    cached_tokens: int  # of the prompt, taken from the prefix cache


@dataclass(frozen=True)
class TokenCounter:
    """What counts the tokens of a text."""

    name: str  # which tokenizer it is
    count: Callable[[str], int]


@dataclass(frozen=True)
class Window:
    """Half-open spans of ingestion time that end at `until`, the run's as-of time."""

    since: datetime  # articles older than this are too late to be claimed
    fresh_since: datetime  # articles first ingested before this are not ranked
    until: datetime


@dataclass(frozen=True)
class Run:
    """One window's work and output."""

    run_id: int
    pipeline: str
    key: str  # identity within the pipeline: the partition date in UTC, or the dag run's id
    window: Window
    fence: int  # number of the latest try that may commit
    topics: tuple[str, ...] | None  # slugs the run is limited to; None means all
    rescore: bool  # score again what the ledger already has
    as_claimed_now: bool  # rank what later runs have claimed, too
    scorer_id: int | None  # frozen with the candidates; None: nothing to rank
    members_path: str | None  # artifact: the window's documents
    members_sha256: str | None
    pairs_path: str | None  # artifact: topic × document pairs
    pairs_sha256: str | None
    light_path: str | None  # artifact: light order of the pairs that stayed unscored
    light_sha256: str | None
    claimed: bool  # its articles are claimed
    prepared: bool  # its documents are prepared
    frozen: bool  # members, candidates, topic versions and scorer are fixed
    early: bool = (
        False  # they were fixed for a late page, before all was prepared: once it is, they are fixed again
    )


@dataclass(frozen=True)
class RankedTopic:
    """The state and counts of one topic in a publication."""

    slug: str
    topic_version_id: int
    scorer_id: int | None
    state: TopicState
    candidates: int  # pairs that the run wanted scored
    from_ledger: int  # of these, scored before the run
    scored: int  # of these, scored by the run
    refused: int  # of these, refused by the scorer
    missing: int  # of these, still without a score
    left_out: int  # over the run's budget, carried over to a later run
    ranked: int  # rows of the ranking
    source_limited: int = 0  # rows left out, because their source has its rows


@dataclass(frozen=True)
class Act:
    """What an editor asks for: one article of one topic at a place, or some places higher or lower, for a time."""

    act_id: int
    slug: str
    article_id: str
    kind: ActKind
    amount: int  # of a pin its place, from 1; else how many places up or down
    made_at: datetime
    ends_at: datetime
    actor: str  # the database role that logged in
    on_behalf_of: str | None  # who asked that role
    reason: str


@dataclass(frozen=True)
class Waiting:
    """Articles of the source that a run of now would claim, as far as a quick look finds them."""

    articles: int
    newest: datetime | None  # ingested_at of the newest; null: there are none
