"""The freshness window of a run, and the search of it for one topic.

A search says which documents are eligible, which of them the strategy finds, and where every other document went.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Connection

from rerank_core.errors import CorruptError
from rerank_core.prepare.language import language
from rerank_core.prepare.terms import terms
from rerank_core.recall.base import Asked, Found, Mask, Retriever, Scores
from rerank_core.recall.filters import Filters
from rerank_core.recall.postings import WindowIndex
from rerank_core.records import Run, Topic
from rerank_core.storage import database as db
from rerank_core.storage import schemas
from rerank_core.storage.artifacts import Ids, clusters_of, find_ids
from rerank_core.storage.copy import copy_out
from rerank_core.storage.languages import UNKNOWN, comparable


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
    return copy_out(
        connection,
        "window.members",
        schemas.MEMBERS,
        pipeline=run.pipeline,
        run_id=run.run_id,
        fresh_since=run.window.fresh_since,
        until=run.window.until,
        preferred=list(preferred_sources),
        prepared=run.prepared,
        as_claimed_now=run.as_claimed_now,
    )


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
        names = ["scored_document_id", "month", "lang", "claimed_hour"]
        texts = members.select(names).take(pa.array(clusters_of(members)[0]))
        self.texts = texts.select(names[:3]).rename_columns(["document_id", "month", "lang"])
        self.document_ids: Ids = self.texts.column("document_id").to_numpy()
        self._in_any: dict[frozenset[str], Mask] = {}
        langs = self.texts.column("lang").combine_chunks().dictionary_encode()
        # Of each member, the place of its language in lang_names.
        self.lang_numbers: Ids = langs.indices.to_numpy().astype(np.int64)
        self.lang_names: list[str] = langs.dictionary.to_pylist()
        hours = texts.column("claimed_hour").combine_chunks().dictionary_encode()
        hour_of = hours.indices.fill_null(-1).to_numpy()
        # For each hour of ingestion, the positions of the members that the run claimed.
        self.hours: list[Ids] = [np.flatnonzero(hour_of == hour) for hour in range(len(hours.dictionary))]
        self.claimed: Ids = np.flatnonzero(hour_of >= 0)
        self.everything: Ids = np.arange(len(self.document_ids), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.document_ids)

    def find(self, document_ids: Ids) -> Ids:
        """The positions of those of these documents that are members, in the order of `document_ids`."""
        order, ascending = self._by_id
        places = find_ids(ascending, document_ids)
        return np.asarray(order[places[places >= 0]])

    @cached_property
    def _by_id(self) -> tuple[Ids, Ids]:
        order = np.argsort(self.document_ids)
        return order, self.document_ids[order]

    def lang(self, position: int) -> str:
        """The language of a member."""
        return str(self.texts.column("lang")[position])

    @cached_property
    def languages(self) -> dict[str, Mask]:
        """Language → which members are in it: bool, one entry a member."""
        named = sorted(enumerate(self.lang_names), key=lambda item: item[1])
        return {lang: self.lang_numbers == number for number, lang in named}

    def in_any(self, langs: Iterable[str]) -> Mask:
        """Which members are in one of these languages of the window: bool, one entry a member."""
        key = frozenset(langs)
        if key not in self._in_any:
            none = np.zeros(len(self), dtype=bool)
            self._in_any[key] = np.logical_or.reduce([none, *(self.languages[lang] for lang in key)])
        return self._in_any[key]


@dataclass(frozen=True)
class Chosen:
    """What the searches of a topic found."""

    chosen: Mask  # a search found the member; one entry a member
    order: Ids  # positions of the chosen members, by place, then by BM25 score
    place: Ids  # the best place that a search gave each of `order`, from 1
    by: npt.NDArray[np.str_]  # what found each of `order` at that place

    def found_by(self, position: int) -> str:
        """What found a chosen member."""
        return str(self.by[self.order == position][0])


def search(retriever: Retriever, asked: Asked, eligible: Mask, searches: Sequence[tuple[Ids, int]]) -> Chosen:
    """Search each (positions, limit) for its best eligible members.

    If a topic has several queries, the members of each query get their share of the limit. If all members of a set
    fit into its limit, members that the strategy does not find follow the found members. Of several searches that give
    a member the same place, the first counts.
    """
    parts = [Found.all_by("", np.zeros(0, dtype=np.int64))]
    for positions, limit in searches:
        among = positions[eligible[positions]]
        found = _best_of_each_query(retriever, asked, among, limit)
        parts.append(_with_the_rest(asked, found, among) if len(among) <= limit else found)
    positions = np.concatenate([part.positions for part in parts])
    by = np.concatenate([part.by for part in parts])
    place = np.concatenate([np.arange(1, len(part.positions) + 1) for part in parts])
    best = np.lexsort((place, positions))  # stable: of equal places the first search comes first
    best = best[np.diff(positions[best], prepend=-1) > 0]
    positions, by, place = positions[best], by[best], place[best]
    order = np.lexsort((positions, -asked.light[positions], place))
    chosen = np.zeros(len(eligible), dtype=bool)
    chosen[positions] = True
    return Chosen(chosen, positions[order], place[order], by[order])


def _best_of_each_query(retriever: Retriever, asked: Asked, among: Ids, limit: int) -> Found:
    """The best of each query in turn, first all first places, then all second places, so that no language crowds out another.

    Scores of different languages are not comparable. A query that finds fewer members leaves its places to the others.
    """
    if len(asked.queries) == 1:
        return retriever.best(asked, among, limit)
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
    searched: Ids,
    chosen: Chosen,
    scored: Ids,
) -> Buckets:
    """Count where each member went. Raises CorruptError if the counts do not add up.

    `searched` and `scored` are positions, each once: of the members that were searched, and of those that have a score.
    """
    left = eligible & ~chosen.chosen
    carried = scored[left[scored]]
    left[carried] = False
    rest = searched[left[searched]]
    foreign = 0
    if len(rest):
        understood = in_a_language_of(asked.topic, window)[rest]
        if not understood.all():
            foreign = _count(~understood & ~retriever.any_language(asked)[rest])
    buckets = Buckets(
        wanted=len(chosen.order),
        carried=len(carried),
        ineligible=len(window) - _count(eligible),
        not_searched=_count(left) - len(rest),
        not_recalled=len(rest) - foreign,
        not_recalled_language=foreign,
    )
    if sum(asdict(buckets).values()) != len(window):
        raise CorruptError(
            f"topic {asked.topic.slug!r}: documents do not add up: expected {len(window)}, found {buckets}; start a new"
            " run, and report it"
        )
    return buckets


def _count(mask: Mask) -> int:
    return int(np.count_nonzero(mask))


def in_a_language_of(topic: Topic, window: Window) -> Mask:
    """The members in a language of the topic's queries; all members if the language of `query` is unknown.

    A query in `queries` has the language that it is for. The language of `query` is told from its text.
    """
    told = language(topic.query, claimed=None)
    if told.code == UNKNOWN:
        return np.ones(len(window), dtype=bool)
    spoken = {told.code, UNKNOWN, *topic.queries}
    return window.in_any(lang for lang in window.languages if comparable(lang) in spoken)


class Lexicon:
    """The words of topics' queries, and the BM25 index of a window for them."""

    def __init__(
        self, connection: Connection, wanted: Sequence[Topic], window: Window, *, also: Collection[str] = ()
    ) -> None:
        """Reads what segments say of all members. `also` are further terms that `has` will be asked for."""
        self._window = window
        self._terms = {
            (query, lang): tuple(dict.fromkeys(terms(query, lang=lang)))
            for topic in wanted
            for lang in window.languages
            for query in (topic.query_for(comparable(lang)),)
        }
        vocabulary = {term for found in self._terms.values() for term in found} | set(also)
        self._index = WindowIndex(connection, window.document_ids, vocabulary)

    def light(self, topic: Topic) -> "TopicLight":
        """The BM25 score of each member, by the topic's query for its language."""
        queries = [self._terms[topic.query_for(comparable(lang)), lang] for lang in self._window.lang_names]
        return TopicLight(self._index, queries, self._window.lang_numbers)

    def has(self, term: str) -> Mask:
        """Which members have a term of a query: bool, one entry a member."""
        return np.asarray(self._index.scores((term,)) > 0)


class TopicLight:
    """The BM25 scores of a topic's queries, counted when they are asked for."""

    def __init__(self, index: WindowIndex, queries: Sequence[tuple[str, ...]], lang_numbers: Ids) -> None:
        """`queries` has the words for each language of the window, `lang_numbers` the number of each member's language."""
        self._index, self._lang_numbers = index, lang_numbers
        self._queries = list(dict.fromkeys(queries))
        self._query_of = np.asarray([self._queries.index(query) for query in queries])

    def __len__(self) -> int:
        return len(self._lang_numbers)

    def __getitem__(self, positions: Ids) -> Scores:
        if len(self._queries) == 1:
            return self._index.scores(self._queries[0], positions)
        numbers = self._query_of[self._lang_numbers[positions]]
        light: Scores = np.zeros(len(positions), dtype=np.float32)
        for number, query in enumerate(self._queries):
            light[numbers == number] = self._index.scores(query, positions[numbers == number])
        return light


def ask(
    lexicon: Lexicon, wanted: Sequence[Topic], window: Window, query_ids: Mapping[tuple[str, str], int]
) -> Iterator[Asked]:
    """Each topic with the query and the BM25 score of each member, both by the topic's query for its language."""
    for topic in wanted:
        by_lang = {
            lang: query_ids[topic.instruction, topic.query_for(comparable(lang))] for lang in window.languages
        }
        queries = tuple(sorted(set(by_lang.values())))
        by_member = np.broadcast_to(np.int64(queries[0] if queries else 0), len(window))
        if len(queries) > 1:
            by_member = np.asarray([by_lang[lang] for lang in window.lang_names])[window.lang_numbers]
        yield Asked(topic, by_member, lexicon.light(topic), queries)


def find_eligible(topic: Topic, window: Window, filters: Filters) -> Mask:
    """The members in the topic's languages that have every `must` term and no `must_not` term."""
    eligible = filters.passed(topic)
    if topic.languages:
        eligible &= window.in_any(lang for lang in window.languages if takes_language(topic, lang))
    return eligible


def takes_language(topic: Topic, lang: str) -> bool:
    """Whether the topic takes documents in this language. Every topic takes a document whose language is unknown."""
    return not topic.languages or lang == UNKNOWN or comparable(lang) in topic.languages
