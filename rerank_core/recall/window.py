"""The freshness window of a run, and the search of it for one topic.

A search says which documents are eligible, which of them the strategy finds, and where every other document went.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from rerank_core.errors import CorruptError
from rerank_core.prepare.language import language
from rerank_core.prepare.terms import terms
from rerank_core.recall.base import Asked, Found, Mask, Retriever, Scores
from rerank_core.recall.bm25 import Bm25
from rerank_core.recall.filters import Filters
from rerank_core.records import Run, Topic
from rerank_core.storage import database as db
from rerank_core.storage import schemas
from rerank_core.storage.artifacts import Ids, clusters_of
from rerank_core.storage.languages import UNKNOWN, comparable

BATCH = 5_000  # documents whose terms are read at a time


@dataclass(frozen=True)
class Buckets:
    """Where each document of the window went, for one topic. Their sum is the number of documents."""

    wanted: int  # the run wants the pair scored
    carried: int  # not found by this run's searches, but scored before
    ineligible: int  # by languages, must or must_not
    not_searched: int  # an earlier run searched the document
    not_recalled: int  # searched, and not among the best
    not_recalled_language: int  # the topic has no query in its language, and only words were searched


def read_members(connection: Connection, run: Run, *, preferred_sources: Sequence[str] = ()) -> pa.Table:
    """The articles of the run's freshness window at this moment, as schemas.MEMBERS. Recall freezes them.

    Of a cluster, an article of the earliest of `preferred_sources` stands for the others.
    """
    rows = db.rows(
        connection,
        "window.members",
        pipeline=run.pipeline,
        run_id=run.run_id,
        fresh_since=run.window.fresh_since,
        until=run.window.until,
        preferred=list(preferred_sources),
        prepared=run.prepared,
        as_claimed_now=run.as_claimed_now,
    )
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schemas.MEMBERS)


def claimed_later(connection: Connection, run: Run) -> int:
    """The articles of the window that the run leaves out because a later run claimed them."""
    if run.as_claimed_now:
        return 0
    row = db.the(
        connection,
        "window.claimed_later",
        pipeline=run.pipeline,
        run_id=run.run_id,
        fresh_since=run.window.fresh_since,
        until=run.window.until,
    )
    return int(row["articles"])


class Window:
    """The texts that are scored, one a cluster, as arrays with one entry a text. Here a member is such a text."""

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
        # For each hour of ingestion, the positions of the members that the run claimed.
        self.hours: list[Ids] = [np.asarray(positions, dtype=np.int64) for positions in by_hour.values()]

    def __len__(self) -> int:
        return len(self.document_ids)

    @cached_property
    def languages(self) -> dict[str, Mask]:
        """Language → which members are in it: bool, one entry a member."""
        return {lang: self.langs == lang for lang in sorted(set(self.langs))}


@dataclass(frozen=True)
class Chosen:
    """What the searches of a topic found. The arrays have one entry a member, except `order`."""

    chosen: Mask  # a search found the member
    place: Ids  # the best place that a search gave the member, from 1
    by: Any  # what found the member at that place: array of str, "" if nothing did
    order: Ids  # positions of the chosen members, by place, then by BM25 score


def search(retriever: Retriever, asked: Asked, eligible: Mask, searches: Sequence[tuple[Ids, int]]) -> Chosen:
    """Search each (positions, limit) for its best eligible members.

    If a topic has several queries, the members of each query get their share of the limit. If all members of a set
    fit into its limit, members that the strategy does not find follow the found members.
    """
    nowhere = np.iinfo(np.int64).max
    place = np.full(len(eligible), nowhere, dtype=np.int64)
    by = np.full(len(eligible), "", dtype="U10")
    for positions, limit in searches:
        among = positions[eligible[positions]]
        found = _best_of_each_query(retriever, asked, among, limit)
        if len(among) <= limit:
            found = _with_the_rest(asked, found, among)
        places = np.arange(1, len(found.positions) + 1)
        better = places < place[found.positions]
        place[found.positions[better]] = places[better]
        by[found.positions[better]] = found.by[better]
    chosen = place < nowhere
    order = by_light(asked, np.flatnonzero(chosen))
    return Chosen(chosen, place, by, order[np.argsort(place[order], kind="stable")])


def _best_of_each_query(retriever: Retriever, asked: Asked, among: Ids, limit: int) -> Found:
    """The best of each query in turn, first all first places, then all second places, so that no language crowds out another.

    Scores of different languages are not comparable. A query that finds fewer members leaves its places to the others.
    """
    query_ids = asked.query_ids[among]
    parts = [retriever.best(asked, among[query_ids == query], limit) for query in np.unique(query_ids)]
    if len(parts) < 2:
        return parts[0] if parts else retriever.best(asked, among, limit)
    places = np.concatenate([np.arange(len(part.positions)) for part in parts])
    order = np.argsort(places, kind="stable")[:limit]
    return Found(
        np.concatenate([part.positions for part in parts])[order],
        np.concatenate([part.by for part in parts])[order],
    )


def _with_the_rest(asked: Asked, found: Found, among: Ids) -> Found:
    rest = by_light(asked, np.setdiff1d(among, found.positions))
    return Found(
        np.concatenate([found.positions, rest]), np.concatenate([found.by, Found.all_by("all", rest).by])
    )


def by_light(asked: Asked, positions: Ids) -> Ids:
    """The positions in the order of their BM25 scores, the best first; ties by position."""
    return np.asarray(positions[np.lexsort((positions, -asked.light[positions]))], dtype=np.int64)


def tally(
    retriever: Retriever,
    asked: Asked,
    window: Window,
    eligible: Mask,
    searches: Sequence[tuple[Ids, int]],
    chosen: Mask,
    scored: Mask,
) -> Buckets:
    """Count where each member went. Raises CorruptError if the counts do not add up.

    `chosen` and `scored` have one entry a member: whether this run wants it scored, and whether it has a score.
    """
    searched = np.zeros(len(window), dtype=bool)
    for positions, _ in searches:
        searched[positions] = True
    carried = eligible & ~chosen & scored
    rest = eligible & ~chosen & ~scored
    passed = rest & searched
    foreign = np.zeros(len(window), dtype=bool)
    if passed.any():
        foreign = passed & ~retriever.any_language(asked) & ~in_a_language_of(asked.topic, window)
    buckets = Buckets(
        wanted=int(chosen.sum()),
        carried=int(carried.sum()),
        ineligible=int((~eligible).sum()),
        not_searched=int((rest & ~searched).sum()),
        not_recalled=int((passed & ~foreign).sum()),
        not_recalled_language=int(foreign.sum()),
    )
    if sum(asdict(buckets).values()) != len(window):
        raise CorruptError(
            f"topic {asked.topic.slug!r}: documents do not add up: expected {len(window)}, found {buckets}; start a new"
            " run, and report it"
        )
    return buckets


def in_a_language_of(topic: Topic, window: Window) -> Mask:
    """The members in a language of the topic's queries; all members if the language of `query` is unknown.

    A query in `queries` has the language that it is for. The language of `query` is told from its text.
    """
    told = language(topic.query, claimed=None)
    if told.code == UNKNOWN:
        return np.ones(len(window), dtype=bool)
    spoken = {told.code, UNKNOWN, *topic.queries}
    return np.isin(
        window.langs.astype(str), [lang for lang in window.languages if comparable(lang) in spoken]
    )


class Lexicon:
    """The words of topics' queries, and the BM25 index of a window for them."""

    def __init__(
        self, connection: Connection, wanted: Sequence[Topic], window: Window, *, also: Collection[str] = ()
    ) -> None:
        """Reads the terms of all members once. `also` are further terms that `has` will be asked for."""
        self._window = window
        self._terms = {
            (query, lang): tuple(dict.fromkeys(terms(query, lang=lang)))
            for topic in wanted
            for lang in window.languages
            for query in (topic.query_for(comparable(lang)),)
        }
        vocabulary = {term for found in self._terms.values() for term in found} | set(also)
        self._index = Bm25(_terms(connection, window.document_ids) if wanted else [], vocabulary=vocabulary)

    def light(self, topic: Topic) -> Scores:
        """The BM25 score of each member, by the topic's query for its language."""
        light: Scores = np.zeros(len(self._window), dtype=np.float32)
        scored: dict[tuple[str, ...], Scores] = {}
        for lang, here in self._window.languages.items():
            query = self._terms[topic.query_for(comparable(lang)), lang]
            if query not in scored:
                scored[query] = self._index.scores(query)
            light[here] = scored[query][here]
        return light

    def has(self, term: str) -> Mask:
        """Which members have a term of a query: bool, one entry a member."""
        return np.asarray(self._index.scores((term,)) > 0)


def ask(
    lexicon: Lexicon, wanted: Sequence[Topic], window: Window, query_ids: Mapping[tuple[str, str], int]
) -> Iterator[Asked]:
    """Each topic with the query and the BM25 score of each member, both by the topic's query for its language."""
    for topic in wanted:
        by_member = np.zeros(len(window), dtype=np.int64)
        for lang, here in window.languages.items():
            by_member[here] = query_ids[topic.instruction, topic.query_for(comparable(lang))]
        yield Asked(topic, by_member, lexicon.light(topic))


def find_eligible(topic: Topic, window: Window, filters: Filters) -> Mask:
    """The members in the topic's languages that have every `must` term and no `must_not` term."""
    eligible = filters.passed(topic)
    if topic.languages:
        for lang, here in window.languages.items():
            if not takes_language(topic, lang):
                eligible &= ~here
    return eligible


def takes_language(topic: Topic, lang: str) -> bool:
    """Whether the topic takes documents in this language. Every topic takes a document whose language is unknown."""
    return not topic.languages or lang == UNKNOWN or comparable(lang) in topic.languages


def _terms(connection: Connection, document_ids: Ids) -> Iterator[list[str]]:
    """The terms of these documents, in this order. They are read in batches: those of a large window are gigabytes."""
    for start in range(0, len(document_ids), BATCH):
        batch = document_ids[start : start + BATCH].tolist()
        found = db.rows(connection, "window.terms", document_ids=batch)
        by_id = {row["document_id"]: row["terms"] for row in found}
        for document_id in batch:
            yield by_id.get(document_id, "").split(" ")  # the document of a forgotten article may be gone
