"""A brief: texts of one topic's page for a summary of several documents. They are relevant, distinct, and within a budget.

**Relevant.** A text's relevance is that of its rank r on the page, 1 / log2(1 + r): the discount of DCG (Järvelin and
Kekäläinen 2002). It holds for both blocks of a degraded page; logits and probabilities would not.

**Distinct.** Texts are picked one after the other by the maximal marginal relevance of `diversity.py`.
Similarity is the share of equal places of two near-copy signatures, which estimates the Jaccard similarity of their phrases. A
text too short for a signature is compared by the Jaccard similarity of its terms. A text that is as similar as DISTINCT
to a picked one is left out.

**Within a budget.** A text over its own limit is cut at the end of a line. A text that does not fit into what is left of
the budget is left out.

Every row of the page is in the brief, picked or left out, with the reason. Hidden and forgotten articles are no rows of the
page. Equal pages give equal briefs: no clock and no chance are in it. Titles, links and texts are those of strangers:
whoever shows them escapes them, and whoever gives them to a model expects instructions in them.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rerank_core.diversity import MarginalRelevance
from rerank_core.errors import InputError, or_perhaps
from rerank_core.frontends.json_text import to_json
from rerank_core.records import TokenCounter
from rerank_core.storage import database as db
from rerank_core.storage import schemas
from rerank_core.storage.database import Database

FORMAT = 1  # of the JSON
DISTINCT = 0.5  # similarity to a picked text from which on a text says nothing new
LONGEST_WORD = 40  # characters that are given up so that no word is cut
_DENSE = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")  # Chinese, Japanese, Korean
_OTHER = re.compile(
    "[\u0250-\u1fff\u2070-\u2e7f\ua000-\uabff]"
)  # neither these nor Latin: Cyrillic, Arabic, …

# One row for each row of the page, picked ones first, in their order.
ROWS = pa.schema(
    [
        ("place", pa.int32()),  # in the brief, from 1; null: left out
        ("rank", pa.int32()),  # on the page
        ("article_id", pa.string()),
        ("title", pa.string()),
        ("url", pa.string()),
        ("source", pa.string()),
        ("copy_sources", pa.list_(pa.string())),
        ("lang", pa.string()),
        ("published_at", schemas.TIME),
        ("ranked_by", pa.string()),  # model, or the light order of a row that the model has not scored
        ("logit", pa.float32()),
        ("probability", pa.float64()),
        ("flags", pa.list_(pa.string())),
        ("relevance", pa.float64()),
        ("similarity", pa.float64()),  # to the most similar text that was picked before; null: there is none
        ("similar_to", pa.string()),  # that text's article
        ("tokens", pa.int32()),  # of the text as it is here; null: the text is gone
        ("cut", pa.bool_()),
        ("bucket", pa.string()),  # picked, similar, over_budget, below_min_score, not_scored or no_text
        ("reason", pa.string()),
        ("text", pa.string()),  # null: left out
    ]
)
BUCKETS = ("picked", "similar", "over_budget", "below_min_score", "not_scored", "no_text")


def _estimate(text: str) -> int:
    dense, other = len(_DENSE.findall(text)), len(_OTHER.findall(text))
    digits = sum(map(str.isdigit, text))
    return math.ceil(dense / 1.25 + other / 2 + digits + (len(text) - dense - other - digits) / 3.5)


# Tried on 2,300 news texts and 1,440 of an encyclopedia in six languages: of each language, half have at most as many tokens
# of Qwen's tokenizer as this says, and 19 of 20 at most 1.05 times as many; of agency news with tables, 1.3 times.
ESTIMATE = TokenCounter("estimate by characters", _estimate)


@dataclass(frozen=True)
class Candidate:
    """A text that may be picked."""

    relevance: float
    tokens: int
    signature: npt.NDArray[np.uint32] | None  # None: the text is too short for one
    terms: frozenset[str]


@dataclass(frozen=True)
class Fate:
    """What became of a candidate."""

    place: int | None  # among the picked, from 0; None: left out
    similarity: float | None  # to the most similar text picked before; None: nothing was
    similar_to: int | None  # that text's position
    fits: bool = True  # false: the budget had too little left


@dataclass(frozen=True)
class Brief:
    """The texts of a topic that were picked, and why the others were not."""

    head: Mapping[str, Any]  # page, state, method and budget
    entries: Sequence[Mapping[str, Any]]  # by the names of ROWS, in their order

    @property
    def picked(self) -> list[Mapping[str, Any]]:
        """The texts in their order."""
        return [entry for entry in self.entries if entry["bucket"] == "picked"]

    def rows(self) -> pa.Table:
        """ROWS; the file's metadata has the head as JSON."""
        table = pa.Table.from_pylist([dict(entry) for entry in self.entries], schema=ROWS)
        return table.replace_schema_metadata({"brief": to_json(self.head)})

    def json(self) -> bytes:
        """The brief as JSON in UTF-8."""
        left_out = [
            {name: entry[name] for name in ("rank", "article_id", "bucket", "reason", "tokens")}
            for entry in self.entries
            if entry["bucket"] != "picked"
        ]
        return to_json({**self.head, "texts": self.picked, "left_out": left_out})


def brief(
    database: Database,
    *,
    pipeline: str,
    topic: str,
    tokens: int = 8_000,
    text_tokens: int = 1_000,
    balance: float = 0.7,
    min_score: float | None = None,
    counter: TokenCounter = ESTIMATE,
) -> Brief:
    """Pick texts of a topic of the current page, of at most `tokens` together and `text_tokens` each.

    `balance` is λ. `min_score` is the least logit of a picked text; rows that the model has not scored are then left out.
    Raises InputError if the topic is not on the page.
    """
    with database.transaction(read_only=True) as connection:
        page = db.one(connection, "brief.topic", pipeline=pipeline, topic=topic)
        if page is None:
            known = [row["topic"] for row in db.rows(connection, "brief.topics", pipeline=pipeline)]
            raise InputError(
                f"topic {topic!r} is not on the page of pipeline {pipeline}{or_perhaps(topic, known)}; `rerank show`"
                " lists the topics that are"
            )
        rows = [dict(row) for row in db.rows(connection, "brief.rows", pipeline=pipeline, topic=topic)]
    entries = _entries(rows, tokens, text_tokens, balance, min_score, counter)
    used = sum(entry["tokens"] for entry in entries if entry["bucket"] == "picked")
    counts = {name: sum(entry["bucket"] == name for entry in entries) for name in BUCKETS}
    head = {
        "format": FORMAT,
        "pipeline": pipeline,
        "topic": topic,
        **page,
        "degraded": page["state"] == "degraded" or any(row["ranked_by"] != "model" for row in rows),
        "method": f"maximal marginal relevance, λ = {balance:g}",
        "budget": tokens,
        "tokens": used,
        "tokens_by": counter.name,
        "counts": counts,
    }
    return Brief(head, entries)


def _entries(
    rows: Sequence[dict[str, Any]],
    tokens: int,
    text_tokens: int,
    balance: float,
    min_score: float | None,
    counter: TokenCounter,
) -> list[dict[str, Any]]:
    entries, candidates, of_entry = [], [], []
    for row in rows:
        text, terms, signature = (row.pop(name) for name in ("text", "terms", "signature"))
        entry = {**dict.fromkeys(ROWS.names), **row, "relevance": 1 / math.log2(1 + row["rank"])}
        entries.append(entry)
        bucket, reason = _unfit(row, text, min_score)
        if bucket is not None:
            entry |= {"bucket": bucket, "reason": reason}
            continue
        kept = cut(text, text_tokens, counter.count)
        entry |= {"text": kept, "cut": kept != text, "tokens": counter.count(kept)}
        sketch = None if signature is None else np.frombuffer(signature, dtype="<u4")
        candidates.append(Candidate(entry["relevance"], entry["tokens"], sketch, frozenset(terms.split())))
        of_entry.append(entry)
    for entry, fate in zip(of_entry, pick(candidates, budget=tokens, balance=balance), strict=True):
        _tell(entry, fate, of_entry)
    return sorted(entries, key=lambda entry: (entry["place"] or math.inf, entry["rank"]))


def _unfit(row: Mapping[str, Any], text: str | None, min_score: float | None) -> tuple[str | None, str]:
    """The bucket of a row that cannot be picked, and the reason; None: it can."""
    if not text:
        return "no_text", "its prepared text is gone: forgotten, or past retention"
    if min_score is None:
        return None, ""
    if row["logit"] is None:
        return "not_scored", f"the model has not scored it ({row['ranked_by']})"
    if row["logit"] < min_score:
        return "below_min_score", f"its logit {row['logit']:+.3f} is below {min_score:+.3f}"
    return None, ""


def _tell(entry: dict[str, Any], fate: Fate, entries: Sequence[Mapping[str, Any]]) -> None:
    """Put what became of a candidate into its entry."""
    like = None if fate.similar_to is None else entries[fate.similar_to]["article_id"]
    shared = (
        ""
        if like is None
        else f"shares about {100 * (fate.similarity or 0):.0f} % of its phrases with {like}"
    )
    judged = f"rank {entry['rank']}, " + (
        f"logit {entry['logit']:+.2f}"
        if entry["logit"] is not None
        else f"not scored by the model ({entry['ranked_by']})"
    )
    entry |= {"similarity": fate.similarity, "similar_to": like}
    if fate.place is not None:
        most = f"; of what was picked before it is most like {like}: {shared}" if like else ""
        entry |= {"place": fate.place + 1, "bucket": "picked", "reason": judged + most}
        return
    why = f"its {entry['tokens']} tokens do not fit into what was left" if not fate.fits else shared
    entry |= {"bucket": "similar" if fate.fits else "over_budget", "reason": f"{judged}; {why}", "text": None}


def pick(candidates: Sequence[Candidate], *, budget: int, balance: float) -> list[Fate]:
    """What becomes of each candidate, in their order. Relevance falls. Ties go to the earlier candidate."""
    fates: dict[int, Fate] = {}

    def near(chosen: int) -> Iterator[tuple[int, float]]:
        for position, candidate in enumerate(candidates):
            if position not in fates:
                yield position, similarity(candidate, candidates[chosen])

    marginal = MarginalRelevance(1 - balance, near, range(len(candidates)))
    left, place = budget, 0
    for position in marginal.order(range(len(candidates)), [one.relevance for one in candidates]):
        known, tokens = marginal.nearest.get(position), candidates[position].tokens
        like = (known.similarity, known.row) if known else (None, None)
        is_distinct = known is None or known.similarity < DISTINCT
        if not is_distinct or tokens > left:
            fates[position] = Fate(None, like[0], like[1], fits=not is_distinct)
            continue
        fates[position] = Fate(place, like[0], like[1])
        left, place = left - tokens, place + 1
        marginal.place(position)
    return [fates[position] for position in range(len(candidates))]


def similarity(one: Candidate, other: Candidate) -> float:
    """How much two texts share, 0 to 1: of their signatures or, if one has none, of their terms."""
    if one.signature is not None and other.signature is not None:
        return float(np.mean(one.signature == other.signature))
    union = len(one.terms | other.terms)
    return len(one.terms & other.terms) / union if union else 0.0


def cut(text: str, most: int, count: Callable[[str], int]) -> str:
    """The text, or its first lines that have at most `most` tokens; of a first line that is longer, its beginning."""
    if count(text) <= most:
        return text
    ends = [found.start() for found in re.finditer(r"\n|$", text)]
    whole = _longest(ends, lambda end: count(text[:end].rstrip()) <= most)
    if whole:
        return text[:whole].rstrip()
    begun = text[: _longest(range(len(text)), lambda end: count(text[:end]) <= most)]
    blank = begun.rfind(" ")
    return begun[:blank] if blank > max(0, len(begun) - LONGEST_WORD) else begun


def _longest(ends: Sequence[int], fits: Callable[[int], bool]) -> int:
    """The last of these ends that fits, by bisection; 0: none does."""
    low, high = 0, len(ends)
    while low < high:
        middle = (low + high) // 2
        if fits(ends[middle]):
            low = middle + 1
        else:
            high = middle
    return ends[low - 1] if low else 0
