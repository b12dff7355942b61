"""Examples that a scorer can learn from: pairs that readers saw on a page, with what they made of them.

Texts are joined from the live tables when training begins, and are in memory alone. So a text that is forgotten is in no
later training. Rows count that the model has ranked; an article that is hidden for any reason is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rerank_core.learning.positions import Positions
from rerank_core.settings import Settings
from rerank_core.storage.database import Database


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
    logit: float  # of its row when it was last shown
    cluster: int  # document_id of the cluster's leader
    published_at: datetime  # what the cluster's age counts from


@dataclass(frozen=True)
class Minimum:
    """What there must be at least; with less, nothing is learned."""

    topics: int = 8  # with two train examples or more
    held_out_topics: int = 2  # with two held-out examples or more
    examples: int = 200  # train examples
    opens: int = 300  # of train examples
    held_out_opens: int = 100  # of held-out examples


@dataclass(frozen=True)
class Examples:
    """Examples of both sides, and where all others went. No cluster has examples on both sides."""

    train: Sequence[Example]  # of other topics than held_out_topics, from pages before `cut`
    held_out: Sequence[Example]  # of held-out topics, or from pages at or after `cut`
    held_out_topics: Sequence[str]  # in order
    cut: datetime | None  # null: no page was seen
    positions: Positions  # by which labels and weights were made
    buckets: Mapping[str, int]  # what became of each seen pair → pairs
    missing: Sequence[str]  # a sentence for each minimum that is not reached; empty: there is enough


def collect(
    database: Database,
    settings: Settings,
    *,
    debiased: bool = True,
    seed: int = 0,
    minimum: Minimum | None = None,
) -> Examples:
    """The examples of this pipeline's pages that are within retention.

    `debiased` takes out what rank and age do; without it a label is opens an impression. `seed` chooses the topics that
    are held out. The same events, texts and seed give the same examples, in the same order.
    """
    raise NotImplementedError


def keep_lessons(database: Database, settings: Settings, *, scorer_id: int, train: Sequence[Example]) -> int:
    """Note whose texts a scorer has learned from, so that `rerank forget` can name it. Returns the number of articles."""
    raise NotImplementedError
