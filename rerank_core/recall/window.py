"""One topic's search of a window: who is eligible, what the strategy finds, and where every document went."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from rerank_core.errors import CorruptError
from rerank_core.prepare.language import language
from rerank_core.prepare.terms import terms
from rerank_core.recall.base import Asked, Found, Ids, Mask, Retriever, Scores
from rerank_core.recall.bm25 import Bm25
from rerank_core.records import Run, Topic
from rerank_core.storage import database as db
from rerank_core.storage import schemas
from rerank_core.storage.artifacts import clusters_of

BATCH = 5_000  # documents whose terms are read at a time
TOLD = 0.5  # least confidence that the language of a query is known with


@dataclass(frozen=True)
class Buckets:
    """Where each document of the window went, for one topic."""

    wanted: int
    carried: int
    ineligible: int
    not_searched: int
    not_recalled: int
    not_recalled_language: int


def read_members(connection: Connection, run: Run, *, preferred_sources: Sequence[str] = ()) -> pa.Table:
    """The articles of the run's freshness window as they are now (schemas.MEMBERS); recall freezes them."""
    found = db.rows(
        connection,
        "window.members",
        pipeline=run.pipeline,
        run_id=run.run_id,
        fresh_since=run.window.fresh_since,
        until=run.window.until,
        preferred=list(preferred_sources),
    )
    return pa.Table.from_pylist([dict(row) for row in found], schema=schemas.MEMBERS)


class Window:
    """The texts of the members that are scored, one a cluster, as arrays side by side."""

    def __init__(self, members: pa.Table) -> None:
        texts = members.take(pa.array(clusters_of(members)[0]))
        self.texts = texts.select(["scored_document_id", "month", "lang"]).rename_columns(
            ["document_id", "month", "lang"]
        )
        self.document_ids: Ids = self.texts.column("document_id").to_numpy()
        self.langs = np.asarray(self.texts.column("lang").to_pylist(), dtype=object)
        by_hour: dict[Any, list[int]] = defaultdict(list)
        for position, hour in enumerate(texts.column("claimed_hour").to_pylist()):
            if hour is not None:
                by_hour[hour].append(position)
        # Positions that the run claimed, by hour of ingestion.
        self.hours: list[Ids] = [np.asarray(one, dtype=np.int64) for one in by_hour.values()]

    def __len__(self) -> int:
        return len(self.document_ids)

    @cached_property
    def languages(self) -> dict[str, Mask]:
        """Where the members of each language stand."""
        return {lang: self.langs == lang for lang in sorted(set(self.langs))}


@dataclass(frozen=True)
class Chosen:
    """What the searches of a topic found; the arrays have one entry a member, but for `order`."""

    chosen: Mask
    place: Ids  # from 1: the best that any search gave it
    by: Any  # what found it there
    order: Ids  # positions of the chosen: by place, then BM25


def search(retriever: Retriever, one: Asked, eligible: Mask, searches: Sequence[tuple[Ids, int]]) -> Chosen:
    """Search each set of members for its best; where all fit, what was not found is taken too, behind the others."""
    nowhere = np.iinfo(np.int64).max
    place = np.full(len(eligible), nowhere, dtype=np.int64)
    by = np.full(len(eligible), "", dtype="U10")
    for positions, limit in searches:
        among = positions[eligible[positions]]
        found = retriever.best(one, among, limit)
        if len(among) <= limit:
            found = _with_the_rest(one, found, among)
        places = np.arange(1, len(found.positions) + 1)
        better = places < place[found.positions]
        place[found.positions[better]] = places[better]
        by[found.positions[better]] = found.by[better]
    chosen = place < nowhere
    order = by_light(one, np.flatnonzero(chosen))
    return Chosen(chosen, place, by, order[np.argsort(place[order], kind="stable")])


def _with_the_rest(one: Asked, found: Found, among: Ids) -> Found:
    rest = by_light(one, np.setdiff1d(among, found.positions))
    return Found(
        np.concatenate([found.positions, rest]), np.concatenate([found.by, Found.all_by("all", rest).by])
    )


def by_light(one: Asked, positions: Ids) -> Ids:
    """The positions in BM25 order; ties go by position."""
    return np.asarray(positions[np.lexsort((positions, -one.light[positions]))], dtype=np.int64)


def tally(
    retriever: Retriever,
    one: Asked,
    window: Window,
    eligible: Mask,
    searches: Sequence[tuple[Ids, int]],
    chosen: Mask,
    scored: Mask,
) -> Buckets:
    """Where each member went. Raises CorruptError where they do not add up."""
    searched = np.zeros(len(window), dtype=bool)
    for positions, _ in searches:
        searched[positions] = True
    carried = eligible & ~chosen & scored
    rest = eligible & ~chosen & ~scored
    passed = rest & searched
    foreign = np.zeros(len(window), dtype=bool)
    if passed.any():
        foreign = passed & ~retriever.any_language(one) & ~_in_a_language_of(one.topic, window)
    buckets = Buckets(
        wanted=int(chosen.sum()),
        carried=int(carried.sum()),
        ineligible=int((~eligible).sum()),
        not_searched=int((rest & ~searched).sum()),
        not_recalled=int((passed & ~foreign).sum()),
        not_recalled_language=int(foreign.sum()),
    )
    if sum(asdict(buckets).values()) != len(window):
        raise CorruptError(f"topic {one.topic.slug!r}: {len(window)} documents do not add up: {buckets}")
    return buckets


def _in_a_language_of(topic: Topic, window: Window) -> Mask:
    """Members in the language of one of the topic's queries; all of them where that of `query` cannot be told.

    A query under `queries` is in the language that it is for. The language of `query` is told from its text.
    """
    told = language(topic.query, claimed=None)
    if told.confidence < TOLD:
        return np.ones(len(window), dtype=bool)
    return np.isin(window.langs.astype(str), [told.code, *topic.queries])


def ask(
    connection: Connection,
    wanted: Sequence[Topic],
    window: Window,
    query_ids: Mapping[tuple[str, str], int],
) -> Iterator[Asked]:
    """Each topic with the query and the BM25 score of each member: those of the query of its language."""
    words = {
        (topic.slug, lang): tuple(dict.fromkeys(terms(topic.query_for(lang), lang=lang)))
        for topic in wanted
        for lang in window.languages
    }
    vocabulary = {term for found in words.values() for term in found}
    index = Bm25(_terms(connection, window.document_ids) if wanted else [], vocabulary=vocabulary)
    for topic in wanted:
        by_member = np.zeros(len(window), dtype=np.int64)
        light: Scores = np.zeros(len(window), dtype=np.float32)
        scored: dict[tuple[str, ...], Scores] = {}
        for lang, here in window.languages.items():
            by_member[here] = query_ids[topic.instruction, topic.query_for(lang)]
            query = words[topic.slug, lang]
            if query not in scored:
                scored[query] = index.scores(query)
            light[here] = scored[query][here]
        yield Asked(topic, by_member, light)


def find_eligible(connection: Connection, topic: Topic, window: Window) -> Mask:
    """Texts in the topic's languages, with every `must` term and no `must_not` term."""
    eligible = np.ones(len(window), dtype=bool)
    if topic.languages:
        eligible &= np.isin(window.langs.astype(str), topic.languages)
    if topic.must or topic.must_not:
        document_ids = window.document_ids
        allowed = [
            row["document_id"]
            for row in db.rows(
                connection,
                "window.filter",
                document_ids=document_ids.tolist(),
                must=[pattern(term) for term in topic.must],
                must_not=[pattern(term) for term in topic.must_not],
            )
        ]
        eligible &= np.isin(document_ids, np.asarray(allowed, dtype=np.int64))
    return eligible


def pattern(term: str) -> str:
    """Postgres regular expression of a term as it stands; Latin letters and digits match as whole words: AI is not in "said"."""
    escaped = "".join(
        f"\\{character}" if character.isascii() and not character.isalnum() else character
        for character in term
    )
    before = "(?<![A-Za-z0-9])" if term[:1].isascii() and term[:1].isalnum() else ""
    after = "(?![A-Za-z0-9])" if term[-1:].isascii() and term[-1:].isalnum() else ""
    return before + escaped + after


def _terms(connection: Connection, document_ids: Ids) -> Iterator[list[str]]:
    """The terms of these documents, in this order; a batch at a time, since a large window's are gigabytes."""
    for start in range(0, len(document_ids), BATCH):
        batch = document_ids[start : start + BATCH].tolist()
        found = db.rows(connection, "window.terms", document_ids=batch)
        by_id = {row["document_id"]: row["terms"] for row in found}
        for document_id in batch:
            yield by_id.get(document_id, "").split(" ")  # that of a forgotten article may be gone by now
