"""What the views and signals show, as records. Times are aware, in UTC."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from rerank_core.records import TopicState


@dataclass(frozen=True)
class CurrentPublication:
    """The publication that frontends see, as an asset event tells it."""

    publication_id: int
    run_id: int
    version: int
    as_of: datetime
    age_seconds: float  # since as_of, by the database's clock
    degraded: bool
    blocked: str | None  # by the gate: which check, and by how much
    topics: int
    rows: int
    rows_sha256: str
    parquet_path: str  # relative to the store


@dataclass(frozen=True)
class Publication:
    """One published version of a run's page."""

    publication_id: int
    run_id: int
    key: str  # of its run
    version: int
    as_of: datetime
    published_at: datetime
    degraded: bool
    blocked: str | None  # by the gate: which check, and by how much
    row_count: int
    parquet_path: str  # relative to the store
    parquet_sha256: str
    withdrawn: bool  # the file holds an article that was forgotten later
    difference: str | None  # why its rows are not those of the version before
    is_current: bool  # frontends see it
    held: bool  # by a rollback
    verdict: str | None  # of the gate about its run, the latest: blocked, passed (after a block) or approved
    before_id: int | None  # the publication of the run before


@dataclass(frozen=True)
class PublicationChoice:
    """A publication to choose from a list."""

    publication_id: int
    run_id: int
    version: int
    as_of: datetime
    degraded: bool
    is_current: bool


@dataclass(frozen=True)
class TopicStanding:
    """How a topic stands in a publication, and what it asks for."""

    slug: str
    query: str
    number: int  # of the topic's version
    instruction: str
    languages: list[str]
    top_k: int
    min_score: float | None
    half_life_hours: float
    max_per_source: int | None
    diversity: float
    source_limited: int  # rows left out, because their source has its rows
    state: TopicState
    candidates: int
    from_ledger: int
    scored: int
    refused: int
    missing: int
    left_out: int
    ranked: int
    total: int  # topics that the query matches, without its limit


@dataclass(frozen=True)
class Row:
    """A ranked article."""

    slug: str
    rank: int
    article_id: str
    title: str
    url: str | None
    source: str | None
    lang: str
    published_at: datetime | None
    first_ingested_at: datetime
    ranked_by: str
    logit: float | None
    rank_score: float | None
    light_score: float | None
    truncated: bool
    is_new: bool
    copies: int
    copy_sources: list[str]
    moved_by: str | None  # what gave the row its place, if not its score
    moved: int | None  # places up (+) or down (−); null: an editor brought the row
    act: str | None  # the editor's act in words, of a row that an editor moved
    began_at: datetime  # what the age counts from
    rank_before: int | None  # in the publication before; null: the topic did not rank it there
    total: int  # rows that the query matches, without its limit


@dataclass(frozen=True)
class TopicOrder:
    """A topic's articles in order."""

    slug: str
    state: TopicState
    article_ids: list[str]


@dataclass(frozen=True)
class RunRow:
    """A run with its latest publication, whose fields are null if the run has none."""

    run_id: int
    key: str
    until: datetime
    topics: list[str] | None
    rescore: bool
    as_claimed_now: bool
    degraded: bool
    created_at: datetime
    claimed_at: datetime | None
    prepared_at: datetime | None
    frozen_at: datetime | None
    published_at: datetime | None
    fence: int
    scorer_id: int | None
    claimed: int | None  # revisions
    publication_id: int | None
    version: int | None
    row_count: int | None
    difference: str | None
    parquet_path: str | None
    is_current: bool
    candidates: int | None
    from_ledger: int | None
    scored: int | None
    refused: int | None
    missing: int | None
    left_out: int | None
    topics_ranked: int | None
    verdict: str | None  # of the gate, the latest: blocked, passed (after a block), approved; null: none
    sentence: str | None  # which check and by how much; of an approval, why
    decided_by: str | None  # the database role, and the person whom it worked for if somebody has said so
    decided_at: datetime | None
    total: int

    @property
    def state(self) -> str:
        """How far the run has come: blocked, degraded, published, frozen, prepared, claimed or open."""
        if self.verdict == "blocked":
            return "blocked"
        if self.publication_id is not None:
            return "degraded" if self.degraded else "published"
        for name in ("frozen", "prepared", "claimed"):
            if getattr(self, f"{name}_at") is not None:
                return name
        return "open"


@dataclass(frozen=True)
class SourceCounts:
    """Where each row of the source went."""

    sighted: int | None
    claimed: int | None
    unchanged: int | None
    too_late: int | None
    later: int | None
    invalid: int | None
    forgotten: int | None
    dates_ignored: int | None  # of the claimed


@dataclass(frozen=True)
class ShardScores:
    """What the ledger has of a run's shard."""

    shard: int
    scored: int
    distrusted: int  # of these: the gate blocks the run
    engine: str
    device: str
    hosts: str  # one or several, with commas between them


@dataclass(frozen=True)
class Unfinished:
    """An attempt to score a shard that began and did not end."""

    shard: int
    failures: int
    alone_times: int


@dataclass(frozen=True)
class ScorerRow:
    """A registered scorer."""

    scorer_id: int
    family: str
    precision: str
    max_document_tokens: int
    passages: str
    location: str
    weights_digest: str


@dataclass(frozen=True)
class Version:
    """One publication of a run."""

    publication_id: int
    version: int
    published_at: datetime
    row_count: int
    rows_sha256: str
    degraded: bool
    blocked: str | None  # by the gate
    difference: str | None
    parquet_path: str
    withdrawn_at: datetime | None  # the file holds an article that was forgotten later, and is deleted
    is_current: bool


@dataclass(frozen=True)
class RunTopic:
    """A topic's counts in a run."""

    slug: str
    state: TopicState
    candidates: int
    from_ledger: int
    scored: int
    refused: int
    missing: int
    left_out: int
    ranked: int
    filling: bool
    total: int


@dataclass(frozen=True)
class Quarantined:
    """A reason for quarantine."""

    stage: str
    reason: str
    times: int
    article_id: str | None  # one of them


@dataclass(frozen=True)
class Revision:
    """A revision of an article."""

    revision_id: int
    number: int
    version: str
    run_id: int
    ingested_at: datetime
    first_ingested_at: datetime
    published_at: datetime | None
    url: str | None
    source: str | None
    lang: str | None  # as the source claims it
    title: str | None  # null: not prepared
    document_id: int | None
    letters_in: int | None  # of the visible text of title, summary and body; null: not prepared
    letters_out: int | None  # of what prepare left of them
    document_lang: str | None
    length: int | None
    lang_confidence: float | None
    flags: list[str]  # what was noticed about the text
    scored_document_id: int | None  # the text that is scored for its cluster
    began_at: datetime  # what the cluster's age counts from
    quarantined: str | None  # the reason
    hidden: str | None  # why it must not be shown: blocked, deleted, forgotten


@dataclass(frozen=True)
class Medium:
    """A picture or a clip of a revision, and what became of it."""

    place: int  # among the revision's media, from 1
    kind: str  # "picture" or "video", as the source says
    outcome: str | None  # "used", or why it was dropped; null: not looked at yet
    path: str | None  # of its rendition, in the store; null: it was dropped
    width: int | None  # pixels of the rendition
    height: int | None
    frames: int | None  # 1: a picture
    caption: str | None  # clean
    is_read: bool  # the model reads it with the article's text


@dataclass(frozen=True)
class Texts:
    """The beginning of a revision's raw and prepared text."""

    has_raw: bool  # false: past its retention
    raw_title: str | None
    raw_summary: str | None
    raw_body: str | None
    raw_length: int | None
    text: str | None  # null: not prepared
    length: int | None


@dataclass(frozen=True)
class Copy:
    """Another article with the same text, with a near-copy of it, or with the same link."""

    article_id: str
    same: Literal["text", "near_copy", "link"]
    title: str | None
    source: str | None
    url: str | None
    first_ingested_at: datetime


@dataclass(frozen=True)
class Standing:
    """The place of a cluster in a topic."""

    slug: str
    state: TopicState
    query: str
    min_score: float | None
    top_k: int
    half_life_hours: float
    languages: list[str]
    rank: int | None  # null: the topic does not rank it
    article_id: str | None  # that stands for the cluster
    ranked_by: str | None
    rank_score: float | None
    light_score: float | None
    truncated: bool | None
    logit: float | None  # null: not scored
    scored_at: datetime | None
    scored_by_run: int | None
    refused: str | None  # the reason
    last_rank_score: float | None  # of the last article that the model ranks
    distrusted: int | None  # the run whose score of it counts for nothing, because the gate blocks it
    total: int
